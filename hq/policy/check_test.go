package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// zones are two zones one behind the other: the lobby has a button, the vault is as the test says.
func zones(lobby, vault string) string {
	return `format = 1
site = "Test"
zone = "Europe/Berlin"
groups = { staff = {}, guard = {} }
schedules.office = { week.mon-fri = ["07:00-19:00"] }
[doors.front]
to = "lobby"
` + lobby + `
[doors.vault]
from = "lobby"
to = "vault"
` + vault
}

const (
	staffOffice = "rules = [{ groups = [\"staff\"], schedule = \"office\" }]\n"
	staffAlways = "rules = [{ groups = [\"staff\"], schedule = \"always\" }]\n"
	guardAlways = "rules = [{ groups = [\"guard\"], schedule = \"always\" }]\n"
)

func TestZonesThatSomebodyCannotLeave(t *testing.T) {
	rex, reader, none := "exit = \"rex\"\n", "exit = \"reader\"\n", "exit = \"none\"\n"
	tests := []struct {
		name string
		text string
		want []string // parts of the errors, none if empty
	}{
		{"buttons", zones(rex+staffOffice, rex+staffOffice), nil},
		{"nobody comes in", zones(none, none), nil},
		{"no way out", zones(none+staffOffice, rex+staffOffice), []string{`who is let in as staff cannot leave "lobby" at any time`, `who is let in as staff cannot leave "vault" at any time`}},
		{"a reader that sleeps at night", zones(rex+staffOffice, reader+staffOffice), []string{`14: error: who is let in as staff cannot leave "vault" at some times, as on Monday 2026-11-23, 00:00–07:00, 19:00–24:00`}},
		{"a reader that never sleeps", zones(reader+staffAlways, reader+staffAlways), nil},
		{"a reader on the way out alone", zones(reader+staffOffice, rex+staffOffice), []string{`leave "lobby" at some times`, `leave "vault" at some times`}},
		{"a reader for others", zones(rex+staffOffice+"\n", none+staffOffice+`[doors.out]
from = "vault"
to = "outside"
exit = "none"
`+guardAlways), []string{`who is let in as staff cannot leave "vault" at any time`}},
		{"a second way out", zones(rex+staffOffice, none+staffOffice+`[doors.out]
from = "vault"
to = "outside"
exit = "none"
`+staffAlways), nil},
		{"two groups together", zones(rex+guardAlways, none+staffAlways), []string{`who is let in as guard and staff cannot leave "vault" at any time`}},
		{"a rule with an end", zones(rex+staffAlways, reader+"rules = [{ groups = [\"staff\"], schedule = \"always\", until = 2026-12-31 }]\n"), []string{`as on Friday 2027-01-01, 00:00–24:00`}},
		{"a reader that needs a clock", zones(rex+staffOffice, reader+"rules = [{ groups = [\"staff\"], schedule = \"all\" }]\n"+`[schedules.all]
week.mon-sun = ["00:00-24:00"]
`), []string{`14: error: who is let in as staff cannot leave "vault" while a kiosk does not know the time`}},
		{"a reader that is stale", zones(rex+staffOffice, reader+"stale = \"deny\"\n"+staffAlways), []string{`14: error: who is let in as staff cannot leave "vault" while a kiosk does not know the time or is stale`}},
		{"a reader that asks while it is stale", zones(rex+staffOffice, reader+"stale = \"confirm\"\n"+staffAlways), []string{`cannot leave "vault" while a kiosk does not know the time or is stale`}},
		{"a stale reader that nobody leaves by", zones(rex+staffOffice, rex+"stale = \"deny\"\n"+staffAlways), nil},
		{"a clock to come in and none to leave", zones(rex+staffOffice, reader+"rules = [{ groups = [\"staff\"], schedule = \"office\" }, { groups = [\"staff\"], schedule = \"always\" }]\n"), nil},
		{"closed on a holiday", zones(rex+staffOffice, reader+"rules = [{ groups = [\"staff\"], schedule = \"day\" }]\n"+`[schedules.day]
week.mon-sun = ["00:00-24:00"]
[[holidays]]
name = "New Year"
kind = "public"
from = 2027-01-01
`), []string{`as on Friday 2027-01-01, 00:00–24:00`}},
	}
	for _, tt := range tests {
		b := Build([]byte(tt.text), nil, aMonday)
		all := fmt.Sprint(b.Findings)
		if (b.Encoded == nil) != (tt.want != nil) {
			t.Errorf("%s: %s", tt.name, all)
		}
		for _, want := range tt.want {
			if !strings.Contains(all, want) {
				t.Errorf("%s: %s, want %q", tt.name, all, want)
			}
		}
	}
}

// Three groups that only one person has together are found by looking at that person.
func TestPeopleWhoCannotLeave(t *testing.T) {
	text := `format = 1
site = "Test"
zone = "UTC"
groups = { a = {}, b = {}, c = {} }
doors.one = { to = "z1", exit = "rex", rules = [{ groups = ["a"], schedule = "always" }] }
doors.two = { from = "z1", to = "z2", exit = "rex", rules = [{ groups = ["b"], schedule = "always" }] }
doors.three = { from = "z2", to = "z3", exit = "none", rules = [{ groups = ["c"], schedule = "always" }] }
`
	if b := Build([]byte(text), nil, aMonday); b.Encoded == nil {
		t.Errorf("without people: %v", b.Findings)
	}
	b := Build([]byte(text), []Person{{"Ada", []string{"a", "b"}}, {"Bob", []string{"a", "b", "c"}}}, aMonday)
	if all := fmt.Sprint(b.Findings); b.Encoded != nil || strings.Count(all, "error") != 1 || !strings.Contains(all, `7: error: who is let in as a and b and c cannot leave "z3" at any time`) {
		t.Errorf("with Bob: %s", all)
	}
}

func TestOddities(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"a door without rules", small("[doors.side]\nexit = \"rex\"\n"), `7: warning: nobody can ever pass door "side"`},
		{"a door whose rule is over", small("[doors.side]\nexit = \"rex\"\nrules = [{ groups = [\"staff\"], schedule = \"always\", until = 2026-11-22 }]\n"), `7: warning: nobody can ever pass door "side"`},
		{"a rule that is over", small("[doors.side]\nexit = \"rex\"\nrules = [{ groups = [\"staff\"], schedule = \"always\", until = 2026-11-22 }]\n"), `9: warning: door "side", rule 1 ended on 2026-11-22`},
		{"a group without rules", small("[groups.guests]\n"), `7: warning: no door has a rule for group "guests"`},
		{"a schedule without rules", small("[schedules.s]\nweek.sat = [\"08:00-12:00\"]\n"), `7: warning: no rule uses schedule "s"`},
		{"a schedule of holidays that are over", small("[schedules.s]\nholidays.fair = [\"08:00-12:00\"]\n[[holidays]]\nname = \"Fair\"\nkind = \"fair\"\nfrom = 2026-09-01\n[doors.side]\nexit = \"rex\"\nrules = [{ groups = [\"staff\"], schedule = \"s\" }]\n"), `7: warning: schedule "s" never runs`},
		{"holidays that end", small("[[holidays]]\nname = \"New Year\"\nkind = \"public\"\nfrom = 2027-01-01\n"), `warning: no holiday is known after 2027-01-01`},
		{"a zone spelt in two ways", small("[doors.side]\nfrom = \"frond\"\nexit = \"rex\"\nrules = [{ groups = [\"staff\"], schedule = \"always\" }]\n"), `8: warning: no way leads from outside to "frond"`},
		{"an end that does not come", small("[schedules.s]\nweek.sat = [\"22:00-02:30\"]\n[doors.side]\nexit = \"rex\"\nrules = [{ groups = [\"staff\"], schedule = \"s\" }]\n"), `7: warning: schedule "s" begins or ends at 02:30 on 2027-03-28: the clock goes from 02:00 to 03:00 then`},
		{"a beginning that comes twice", small("[schedules.s]\nweek.sun = [\"02:30-04:00\"]\n[doors.side]\nexit = \"rex\"\nrules = [{ groups = [\"staff\"], schedule = \"s\" }]\n"), `7: warning: schedule "s" begins or ends at 02:30 on 2027-10-31: the clock goes back from 03:00 to 02:00 then`},
		{"a lockdown that locks in", zones("exit = \"rex\"\n"+staffAlways, "exit = \"reader\"\n"+staffAlways), `14: warning: nobody can leave "vault" in a lockdown`},
	}
	for _, tt := range tests {
		b := Build([]byte(tt.text), nil, aMonday)
		if all := fmt.Sprint(b.Findings); b.Encoded == nil || !strings.Contains(all, tt.want) {
			t.Errorf("%s: %s, want %q", tt.name, all, tt.want)
		}
	}
	b := Build([]byte(small("")), []Person{{"Ada", []string{"stuff"}}}, aMonday)
	if all := fmt.Sprint(b.Findings); !strings.Contains(all, `nobody is in group "staff"`) || !strings.Contains(all, `1 person in group "stuff"`) {
		t.Errorf("people and groups: %s", all)
	}
	if b := build(t, small("")); len(b.Findings) != 0 {
		t.Errorf("nothing is odd here: %v", b.Findings)
	}
}

// The largest site there may be is checked while somebody waits, and fits a kiosk or is refused.
func TestLargeSite(t *testing.T) {
	var text strings.Builder
	text.WriteString("format = 1\nsite = \"Large\"\nzone = \"America/New_York\"\n[groups]\n")
	for g := range 60 {
		fmt.Fprintf(&text, "g%d = {}\n", g)
	}
	for s := range 30 {
		fmt.Fprintf(&text, "[schedules.s%d]\nweek.mon-fri = [\"%02d:%02d-%02d:15\"]\n", s, s%12, s, 13+s%10)
	}
	for d := range 200 {
		fmt.Fprintf(&text, "[doors.d%d]\nto = \"z%d\"\nexit = \"rex\"\n", d, d%40)
		for r := range 3 {
			fmt.Fprintf(&text, "[[doors.d%d.rules]]\ngroups = [\"g%d\"]\nschedule = \"s%d\"\n", d, (d+r)%60, (d+r)%30)
		}
	}
	began := time.Now()
	b := Build([]byte(text.String()), nil, aMonday)
	if b.Encoded == nil {
		t.Fatalf("refused: %v", b.Findings[:min(3, len(b.Findings))])
	}
	t.Logf("200 doors, 60 groups, 30 schedules: %d bytes of text, %d compiled, %v", text.Len(), len(b.Encoded), time.Since(began))
}

// A document whose check would take hours is refused in moments.
func TestTooManyMoments(t *testing.T) {
	var text strings.Builder
	text.WriteString(small("[schedules.s]\nweek.sat = ["))
	for m := range 360 {
		fmt.Fprintf(&text, "\"%02d:%02d-%02d:%02d\", ", m/60, m%60, 12+m/60, m%60)
	}
	if b := Build([]byte(text.String()+"]\n"), nil, aMonday); b.Encoded != nil || !strings.Contains(fmt.Sprint(b.Findings), "360 spans, at most 64") {
		t.Errorf("360 spans: %v", b.Findings)
	}
	text.Reset()
	text.WriteString(small(""))
	for s := range 120 {
		fmt.Fprintf(&text, "[schedules.s%d]\nweek.sat = [\"%02d:%02d-%02d:%02d\", \"%02d:%02d-%02d:%02d\"]\n", s, s/60, s%60, 12+s/60, s%60, 4+s/60, s%60, 18+s/60, s%60)
	}
	for d := range 200 {
		fmt.Fprintf(&text, "[doors.d%d]\nexit = \"rex\"\nrules = [{ groups = [\"staff\"], schedule = \"s%d\", until = 2027-%02d-%02d }]\n", d, d%120, 1+d/28, 1+d%28)
	}
	began := time.Now()
	b := Build([]byte(text.String()), nil, aMonday)
	if b.Encoded != nil || !strings.Contains(fmt.Sprint(b.Findings), "too many to check") || time.Since(began) > 30*time.Second {
		t.Errorf("after %v: %v", time.Since(began), b.Findings)
	}
}
