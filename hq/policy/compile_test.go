package policy

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// aMonday is when the tests look at documents, if nothing else is said.
var aMonday = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// small is a document that has one of everything, with more after it.
func small(more string) string {
	return `format = 1
site = "Test"
zone = "Europe/Berlin"
groups.staff = {}
schedules.office = { week.mon-fri = ["07:00-19:00"] }
doors.front = { exit = "rex", rules = [{ groups = ["staff"], schedule = "office" }] }
` + more
}

func build(t *testing.T, text string) Built {
	t.Helper()
	b := Build([]byte(text), nil, aMonday)
	if b.Encoded == nil {
		t.Fatalf("refused: %v", b.Findings)
	}
	return b
}

func TestOfficeExample(t *testing.T) {
	text, err := os.ReadFile("testdata/office.toml")
	if err != nil {
		t.Fatal(err)
	}
	b := build(t, string(text))
	if len(b.Findings) != 0 {
		t.Errorf("findings: %v", b.Findings)
	}
	var out strings.Builder
	b.Document.Explain(&out, b.Site, nil)
	want, err := os.ReadFile("testdata/office.txt")
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("explained as\n%s\nwant testdata/office.txt", out.String())
	}
	out.Reset()
	b.Document.Explain(&out, b.Site, []Person{{"Ada", []string{"staff"}}, {"Bob", []string{"laboratory", "staff"}}})
	if text := out.String(); !strings.Contains(text, "Laboratory team (laboratory), Staff (staff) (2 people) may pass") || !strings.Contains(text, "Cleaning (cleaning) (0 people)") {
		t.Errorf("people are not counted:\n%s", text)
	}
	doc, err := os.ReadFile("../../docs/POLICY.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, part := range map[string]string{"office.toml": string(text), "office.txt": string(want)} {
		if !strings.Contains(string(doc), part) {
			t.Errorf("docs/POLICY.md does not show testdata/%s as it is", name)
		}
	}
}

// One document has one compiled form: these very bytes are what kiosks in the field decode.
func TestGoldenBytes(t *testing.T) {
	s := build(t, small("holidays = [{ name = \"New Year\", kind = \"public\", from = 2027-01-01 }]\n")).Site
	s.Zone.Offsets, s.Zone.Until = s.Zone.Offsets[:5], s.Zone.Offsets[5].From // so many years of changes prove no more than these
	data, err := Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(data); got != goldenSite {
		t.Errorf("compiled to\n%s, want\n%s", got, goldenSite)
	}
	s.Doors[0].Stale = access.EffectDeny // the one key that is left out where nothing is said
	door := strings.Index(goldenSite, "a9016566726f6e74")
	if said, err := Encode(s); err != nil || hex.EncodeToString(said) != goldenSite[:door]+"aa"+goldenSite[door+2:]+"0a03" {
		t.Errorf("with stale = \"deny\" compiled to %x, %v", said, err)
	}
	var again access.Site
	if err := wire.Unmarshal(data, &again); err != nil || again.Validate() != nil {
		t.Fatalf("a kiosk cannot read it: %v, %v", err, again.Validate())
	}
	if r := again.Permits("front", []string{"staff"}, access.Instant{Unix: aMonday.Unix(), Clock: access.ClockTrusted}); !r.Permitted {
		t.Errorf("staff on a Monday at 13:00: %+v", r)
	}
	for n := range data {
		cut := append([]byte(nil), data[:n]...)
		if wire.Unmarshal(cut, &access.Site{}) == nil {
			t.Errorf("the first %d bytes alone are read", n)
		}
	}
}

// Every minute of the weeks in which clocks change, compared with an implementation that knows nothing of compiled forms: it asks time.Location for the
// wall clock and walks the words of the document.
func TestEveryMinuteAgreesWithThePlainWay(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 23))
	for _, place := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"} {
		location, err := time.LoadLocation(place)
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			p := plainly(random)
			b := build(t, p.document(place))
			var weeks []time.Time
			for _, o := range b.Site.Zone.Offsets[1:] {
				if at := time.Unix(o.From, 0); at.Year() < 2029 {
					weeks = append(weeks, at.Add(-50*time.Hour))
				}
			}
			weeks = append(weeks, time.Date(2026, 12, 30, 0, 0, 0, 0, time.UTC))
			minutes, changes := 0, 0
			was := false
			for _, from := range weeks {
				for at := from.Truncate(time.Minute); at.Before(from.Add(100 * time.Hour)); at = at.Add(time.Minute) {
					want := p.open(at.In(location))
					got := b.Site.Permits("door", []string{"g"}, access.Instant{Unix: at.Unix(), Clock: access.ClockTrusted}).Permitted
					if got != want {
						t.Fatalf("%s, %v: %v, want %v\n%s", place, at.In(location), got, want, p.document(place))
					}
					if minutes++; got != was {
						was, changes = got, changes+1
					}
				}
			}
			if minutes < 6000 || changes < 2 {
				t.Errorf("%s: %d minutes, %d changes: hardly anything was compared", place, minutes, changes)
			}
		}
	}
}

// plain is a schedule as words, and its own way of reading them.
type plain struct {
	week    [7][]string // Sunday first, as time.Weekday
	public  []string
	usual   bool
	holiday map[string]bool
}

func plainly(random *rand.Rand) (p plain) {
	// Near the hours at which clocks change, as often as not.
	at := func() string { return fmt.Sprintf("%02d:%02d", random.IntN(24)/(1+random.IntN(6)), 15*random.IntN(4)) }
	hours := func() (out []string) {
		for range 1 + random.IntN(3) {
			if a, b := at(), at(); a != b {
				out = append(out, a+"-"+b)
			}
		}
		return append(out, "23:00-24:00")
	}
	for d := range p.week {
		p.week[d] = hours()
	}
	p.public, p.usual = hours(), random.IntN(3) == 0
	p.holiday = map[string]bool{"2026-12-31": true, "2027-01-01": true, "2027-03-28": true, "2026-10-25": true, "2027-11-07": true, "2027-04-04": true}
	return p
}

func (p plain) document(place string) string {
	text := fmt.Sprintf("format = 1\nsite = \"Test\"\nzone = %q\ngroups.g = {}\n", place)
	for d := range p.holiday {
		text += fmt.Sprintf("[[holidays]]\nname = \"x\"\nkind = \"public\"\nfrom = %s\n", d)
	}
	text += "[schedules.s]\n"
	for d, name := range []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} {
		text += fmt.Sprintf("week.%s = [%s]\n", name, quoted(p.week[d]))
	}
	public := quoted(p.public)
	if p.usual {
		public = `"usual"`
	}
	return text + fmt.Sprintf("holidays.public = [%s]\n[doors.door]\nexit = \"rex\"\nrules = [{ groups = [\"g\"], schedule = \"s\" }]\n", public)
}

func quoted(words []string) string { return `"` + strings.Join(words, `", "`) + `"` }

func (p plain) open(local time.Time) bool {
	hours := func(day time.Time) []string {
		if p.holiday[day.Format(time.DateOnly)] && !p.usual {
			return p.public
		}
		return p.week[day.Weekday()]
	}
	shows := local.Format("15:04")
	noon := time.Date(local.Year(), local.Month(), local.Day(), 12, 0, 0, 0, time.UTC)
	for _, h := range hours(noon) {
		if begin, end, _ := strings.Cut(h, "-"); begin <= shows && (shows < end || end <= begin) {
			return true
		}
	}
	for _, h := range hours(noon.AddDate(0, 0, -1)) {
		if begin, end, _ := strings.Cut(h, "-"); end <= begin && shows < end {
			return true
		}
	}
	return false
}

// The zone is that of the tz database, second by second around each change and between them.
func TestZoneIsThatOfTheDatabase(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC", "Africa/Casablanca", "America/St_Johns", "Pacific/Apia"} {
		location, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		z, err := zone(name, aMonday)
		if err != nil {
			t.Fatal(err)
		}
		check := func(unix int64) {
			local := time.Unix(unix, 0).In(location)
			day, minute, known := z.Local(unix)
			if !known || day.String() != local.Format(time.DateOnly) || minute != local.Hour()*60+local.Minute() {
				t.Errorf("%s at %v: %v, minute %d, %v", name, local, day, minute, known)
			}
		}
		for _, o := range z.Offsets {
			check(o.From)
			if o.From > z.Offsets[0].From {
				check(o.From - 1)
			}
		}
		for unix := z.Offsets[0].From; unix < z.Until; unix += 7*3600 + 11*60 {
			check(unix)
		}
		if years := time.Unix(z.Until, 0).Year() - aMonday.Year(); years < 20 {
			t.Errorf("%s ends in %d years", name, years)
		}
	}
	if _, err := zone("Local", aMonday); err == nil {
		t.Error("a zone that is another one on each machine was taken")
	}
}

// What cannot be read or meant is refused on its line.
func TestRefusals(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"no TOML", small("doors.side = {"), "7: error:"},
		{"a title of two lines", small("[groups.g]\ntitle = \"Staff\\nBack door: nobody\"\n"), "8: error: title of group \"g\""},
		{"a holiday that wipes the screen", small("[[holidays]]\nname = \"x\\u001b[2J\"\nkind = \"closed\"\nfrom = 2027-01-01\n"), "cannot be shown"},
		{"a key that there is not", small("[doors.side]\nexit = \"rex\"\nlock = 3\n"), `9: error: "doors.side.lock" is no key`},
		{"a key in capitals", small("[doors.side]\nexit = \"rex\"\nMargin = 0.1\n"), "9: error: key \"Margin\""},
		{"a key twice", small("site = \"Again\"\n"), "7: error:"},
		{"a number for a text", small("[doors.side]\nexit = 3\n"), "8: error:"},
		{"another format", strings.Replace(small(""), "format = 1", "format = 2", 1), "1: error: format = 2"},
		{"no zone", strings.Replace(small(""), "Europe/Berlin", "", 1), "3: error: no time zone"},
		{"a zone that there is not", strings.Replace(small(""), "Europe/Berlin", "Europe/Bärlin", 1), "3: error: time zone"},
		{"a zone by its path", strings.Replace(small(""), "Europe/Berlin", "../../etc/passwd", 1), "3: error: time zone"},
		{"no site", strings.Replace(small(""), "\"Test\"", "\"\"", 1), "error: site: name"},
		{"hours", small("[schedules.s]\nweek.sat = [\n  \"8-12\",\n]\n"), "8: error: schedule \"s\": \"8\" is no time"},
		{"25 o'clock", small("[schedules.s]\nweek.sat = [\"08:00-25:00\"]\n"), "8: error: schedule \"s\": \"25:00\""},
		{"no hours", small("[schedules.s]\nweek.sat = [\"08:00-08:00\"]\n"), "8: error: schedule \"s\": \"08:00-08:00\" begins when it ends"},
		{"from the midnight that ends", small("[schedules.s]\nweek.sat = [\"24:00-08:00\"]\n"), "8: error:"},
		{"a day", small("[schedules.s]\nweek.saturday = [\"08:00-12:00\"]\n"), "8: error: schedule \"s\": \"saturday\" is no day"},
		{"a day twice", small("[schedules.s]\nweek.\"mon-wed,tue\" = [\"08:00-12:00\"]\n"), "names tue twice"},
		{"a schedule without hours", small("[schedules.s]\n"), "7: error: schedule \"s\" has no hours"},
		{"a schedule called always", small("[schedules.always]\nweek.sat = [\"08:00-12:00\"]\n"), "7: error: \"always\""},
		{"a kind of holiday", small("[schedules.s]\nholidays.public = [\"08:00-12:00\"]\n"), "8: error: schedule \"s\": no holiday is of kind"},
		{"two holidays a day", small("[[holidays]]\nname = \"A\"\nkind = \"k\"\nfrom = 2026-12-24\nuntil = 2026-12-26\n[[holidays]]\nname = \"B\"\nkind = \"k\"\nfrom = 2026-12-26\n"), "12: error: 2026-12-26"},
		{"a holiday of no kind", small("[[holidays]]\nname = \"A\"\nfrom = 2026-12-24\n"), "7: error: holiday \"A\" has no kind"},
		{"a holiday of years", small("[[holidays]]\nname = \"A\"\nkind = \"k\"\nfrom = 2026-12-24\nuntil = 2029-01-01\n"), "7: error: holiday \"A\" from"},
		{"a holiday of long ago", small("[[holidays]]\nname = \"A\"\nkind = \"k\"\nfrom = 0001-12-24\n"), "want a year"},
		{"a day that there is not", small("[[holidays]]\nname = \"A\"\nkind = \"k\"\nfrom = 2026-02-30\n"), "10: error:"},
		{"no exit", small("[doors.side]\n"), "7: error: door \"side\": exit = \"\""},
		{"a rule for nobody", small("[doors.side]\nexit = \"rex\"\n[[doors.side.rules]]\nschedule = \"always\"\n"), "9: error: door \"side\", rule 1: it names no group"},
		{"a group that there is not", small("[doors.side]\nexit = \"rex\"\nrules = [{ groups = [\"staff\"], schedule = \"always\" }, { groups = [\"stuff\"], schedule = \"always\" }]\n"), "9: error: door \"side\", rule 2: group \"stuff\""},
		{"no schedule", small("[doors.side]\nexit = \"rex\"\nrules = [{ groups = [\"staff\"] }]\n"), "9: error: door \"side\", rule 1: schedule \"\""},
		{"an end before the beginning", small("[doors.side]\nexit = \"rex\"\nrules = [{ groups = [\"staff\"], schedule = \"always\", from = 2026-12-02, until = 2026-12-01 }]\n"), "9: error: door \"side\", rule 1: it ends"},
		{"one stranger in a hundred", small("[doors.side]\nexit = \"rex\"\nfalse-match-rate = 0.01\n"), "7: error: door \"side\": false-match rate 0.01 asks for less"},
		{"a margin of nothing", small("[doors.side]\nexit = \"rex\"\nmargin = 0\n"), "9: error: door \"side\": margin = 0"},
		{"a margin that is no number", small("[doors.side]\nexit = \"rex\"\nmargin = nan\n"), "9: error: door \"side\": margin = NaN"},
		{"a profile", small("[doors.side]\nexit = \"rex\"\nprofile = \"low\"\n"), "9: error: door \"side\": read profile"},
		{"stale", small("[doors.side]\nexit = \"rex\"\nstale = \"open\"\n"), `9: error: door "side": stale = "open"; want "allow", "confirm" or "deny"`},
		{"high without relief", small("[doors.side]\nexit = \"rex\"\nprofile = \"high\"\n"), "7: error: door \"side\": policy: a door of the high profile"},
		{"open for an hour", small("[doors.side]\nexit = \"rex\"\nrelease = 3600\n"), "7: error: door \"side\": check door times"},
		{"a door in a circle", small("[doors.side]\nfrom = \"a\"\nto = \"a\"\nexit = \"rex\"\n"), "7: error: door \"side\" leads from"},
		{"a button outside", small("[doors.side]\nfrom = \"front\"\nto = \"outside\"\nexit = \"rex\"\n"), "let anybody in"},
		{"a group's name of 65", small("[groups]\n" + strings.Repeat("a", 65) + " = {}\n"), "error:"},
		{"too long", strings.Repeat("#", MaxText+1), "at most"},
		{"no UTF-8", "site = \"\xff\"", "not UTF-8"},
		{"empty", "", "error:"},
	}
	for _, tt := range tests {
		b := Build([]byte(tt.text), nil, aMonday)
		if b.Encoded != nil || !Refused(b.Findings) {
			t.Errorf("%s: accepted with %v", tt.name, b.Findings)
			continue
		}
		if all := fmt.Sprint(b.Findings); !strings.Contains(all, tt.want) {
			t.Errorf("%s: %s, want %q", tt.name, all, tt.want)
		}
	}
}

// A document may be written in any of TOML's ways; what it says is the same.
func TestWaysOfWriting(t *testing.T) {
	a := build(t, small("")).Site
	b := build(t, `
format = 1
"site" = 'Test'
zone = "Europe/Berlin"
[groups.staff]
[schedules.office.week]
"mon,tue,wed-fri" = ["07:00-19:00"]
[doors.front]
exit = "rex"
[[doors.front.rules]]
groups = ["staff"]
schedule = "office"
`).Site
	a.Text = b.Text
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%+v, want %+v", b, a)
	}
}

// What comes out can be read by a kiosk and does not stop it; what does not come out has a reason.
func FuzzBuild(f *testing.F) {
	office, err := os.ReadFile("testdata/office.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(office)
	f.Add([]byte(small("")))
	f.Add([]byte("a.b.c = [[[{x = 1}]]]\n[[a.d]]\n[a.d.e]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		b := Build(text, nil, aMonday)
		if (b.Encoded == nil) != Refused(b.Findings) {
			t.Fatalf("%d bytes with %v", len(b.Encoded), b.Findings)
		}
		if b.Encoded == nil {
			return
		}
		var s access.Site
		if err := wire.Unmarshal(b.Encoded, &s); err != nil || s.Validate() != nil {
			t.Fatalf("a kiosk refuses it: %v, %v", err, s.Validate())
		}
	})
}

// FuzzSite is the kiosk's side: whatever bytes are signed, asking what they decode to does not stop the door.
func FuzzSite(f *testing.F) {
	b := Build([]byte(small("")), nil, aMonday)
	f.Add(b.Encoded, "front", "staff", aMonday.Unix())
	f.Fuzz(func(t *testing.T, data []byte, door, group string, unix int64) {
		var s access.Site
		if wire.Unmarshal(data, &s) != nil {
			return
		}
		r := s.Permits(door, []string{group}, access.Instant{Unix: unix, Clock: access.ClockTrusted})
		if r.Permitted != (r.Objection() == access.ReasonNone) {
			t.Fatalf("%+v objects with %v", r, r.Objection())
		}
		if s.Validate() == nil {
			if again, err := Encode(s); err == nil && string(again) != string(data) {
				t.Fatal("two encodings of one site")
			}
		}
	})
}

// goldenSite: format, text, name; zone with five offsets; groups; kinds; holidays; schedules; doors.
const goldenSite = "a9010102582047a4178a601d46c6f577ab8bd6480d785938ff07c525ed2c5434b4cb44678bdd03645465737404a3016d4575726f70652f4265726c69" +
	"6e0285a2011a6774858002190e10a2011a67e8979002191c20a2011a68fd729002190e10a2011a69c8799002191c20a2011a6add549002190e10031a" +
	"6ba85b9005816573746166660681667075626c69630781a20119515302000881a301666f666669636502000381a301181f021901a4031904740981a9" +
	"016566726f6e740281a401820100020103000400030004f405f9000006f9000007f9000008f9000009a60100020003000400050006f4"
