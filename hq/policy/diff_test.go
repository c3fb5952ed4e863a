package policy

import (
	"strings"
	"testing"

	"github.com/lintel-access/lintel/access"
)

func TestDiff(t *testing.T) {
	holiday := "[[holidays]]\nname = \"New Year\"\nkind = \"public\"\nfrom = 2027-01-01\n"
	replace := func(old, new string) string { return strings.Replace(small(""), old, new, 1) }
	tests := []struct {
		name, was, is string
		want          []string
	}{
		{"nothing", small(""), "# a remark\n" + small(""), []string{"Nothing changes."}},
		{"two hours longer", small(""), replace("19:00", "21:00"), []string{"front, staff: gains 10 h a week (Monday to Friday 19:00–21:00)"}},
		{"an hour later", small(""), replace("07:00-19:00", "08:00-20:00"), []string{"front, staff: gains 5 h a week (Monday to Friday 19:00–20:00); loses 5 h a week (Monday to Friday 07:00–08:00)"}},
		{"into the night", small(""), replace("07:00-19:00", "07:00-02:00"), []string{"gains 35 h a week (Monday 19:00–24:00; Tuesday to Friday 00:00–02:00, 19:00–24:00; Saturday 00:00–02:00)"}},
		{"a holiday", small(""), small(holiday), []string{"front, staff: 1 day of the year differs from an ordinary week (2027-01-01 loses 07:00–19:00)"}},
		{"a holiday less", small(holiday), small(""), []string{"front, staff: 1 day of the year differs from an ordinary week (2027-01-01 gains 07:00–19:00)"}},
		{"no clock", small(""), replace(`schedule = "office" }`, `schedule = "always" }`), []string{"gains 108 h a week", "passes even when the kiosk does not know the time"}},
		{"a clock", replace(`schedule = "office" }`, `schedule = "always" }`), small(""), []string{"loses 108 h a week", "no longer passes when the kiosk does not know the time"}},
		{"from a day on", small(""), replace(`schedule = "office" }`, `schedule = "office", until = 2027-09-30 }`), []string{"front, staff: 41 days of the year differ from an ordinary week (2027-10-01 loses 07:00–19:00; 2027-10-04 loses 07:00–19:00; 2027-10-05 loses 07:00–19:00; …)"}},
		{"another door", small(""), small("[doors.side]\nexit = \"rex\"\nrules = [{ groups = [\"staff\"], schedule = \"office\" }]\n"), []string{"Door side is new.", "side, staff: gains 60 h a week (Monday to Friday 07:00–19:00)"}},
		{"another group", small(""), strings.ReplaceAll(small(""), "staff", "crew"), []string{"front, crew: gains 60 h a week", "front, staff: loses 60 h a week"}},
		{"a stricter door", small(""), replace(`exit = "rex"`, `exit = "rex", profile = "restricted"`), []string{"Door front. Was: Its kiosk: as it comes. Is: Its kiosk: profile restricted."}},
		{"a door that denies", small(""), replace(`exit = "rex"`, `exit = "rex", stale = "deny"`), []string{"Was: Its kiosk: as it comes. Is: Its kiosk: lets nobody pass while it is stale: without a word of headquarters for a day, or"}},
		{"a door that asks", small(""), replace(`exit = "rex"`, `exit = "rex", stale = "confirm"`), []string{"Is: Its kiosk: lets nobody pass without an operator's word while it is stale, and asks for the next higher profile: without a word of headquarters for a day, or with orders kept from it for ten minutes; nobody can say that word from afar while headquarters is out of reach"}},
		{"a door as it was", small(""), replace(`exit = "rex"`, `exit = "rex", stale = "allow"`), []string{"Nothing changes."}},
		{"another place", small(""), replace("Europe/Berlin", "America/New_York"), []string{"All times are in America/New_York instead of Europe/Berlin"}},
	}
	for _, tt := range tests {
		was, is := build(t, tt.was), build(t, tt.is)
		var out strings.Builder
		changed := Diff(&out, was.Site, is.Site, nil, is.Today)
		if changed != (tt.want[0] != "Nothing changes.") {
			t.Errorf("%s: changed is %v", tt.name, changed)
		}
		for _, want := range tt.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s:\n%swant %q", tt.name, out.String(), want)
			}
		}
	}
}

// Who is in several groups may lose nothing where one of them does: people are asked about as they are.
func TestDiffForPeople(t *testing.T) {
	both := small("groups.crew = {}\n")
	was := strings.Replace(both, `groups = ["staff"]`, `groups = ["staff", "crew"]`, 1)
	people := []Person{{"Ada", []string{"crew"}}, {"Bob", []string{"crew", "staff"}}, {"Cy", []string{"staff"}}, {"Di", []string{"crew"}}}
	var out strings.Builder
	a, b := build(t, was), build(t, both)
	Diff(&out, a.Site, b.Site, people, b.Today)
	if got := out.String(); !strings.Contains(got, "front, Ada, Di: loses 60 h a week") || strings.Contains(got, "Bob") || strings.Contains(got, "Cy") {
		t.Errorf("people:\n%s", got)
	}
}

// The minutes that are told are those that a clock counts: an ordinary week asked minute by minute.
func TestDiffCountsEveryMinute(t *testing.T) {
	was := build(t, small(""))
	is := build(t, strings.Replace(small(""), `week.mon-fri = ["07:00-19:00"]`, `week.mon-fri = ["06:17-07:03", "18:59-01:01"], week.sun = ["23:00-24:00"]`, 1))
	gained, lost := 0, 0
	for day := was.Today; day < was.Today+7; day++ {
		for minute := range minutesADay {
			before := was.Site.PermitsAt("front", []string{"staff"}, day, minute).Permitted
			after := is.Site.PermitsAt("front", []string{"staff"}, day, minute).Permitted
			if after && !before {
				gained++
			}
			if before && !after {
				lost++
			}
		}
	}
	c := comparison{moments: momentsOf(was.Today, was.Site, is.Site), was: was.Site, is: is.Site, on: was.Today}
	text := c.difference("front", []string{"staff"})
	if want := "gains " + minutesText(gained) + " a week"; !strings.Contains(text, want) || gained != 5*(43+361)+60 {
		t.Errorf("%s; want %s of %d min", text, want, gained)
	}
	if want := "loses " + minutesText(lost) + " a week"; !strings.Contains(text, want) || lost != 5*(716) {
		t.Errorf("%s; want %s of %d min", text, want, lost)
	}
}

// Every moment between two starts is as the first: what is asked once stands for all.
func TestMomentsMissNothing(t *testing.T) {
	s := build(t, small("[[holidays]]\nname = \"x\"\nkind = \"k\"\nfrom = 2026-12-24\nuntil = 2026-12-26\n")).Site
	on := access.MakeDate(2026, 11, 23)
	m := momentsOf(on, s)
	open := m.open(s, "front", []string{"staff"})
	for day := on; day < on+lookAhead; day++ {
		start := 0
		for minute := range minutesADay {
			if start+1 < len(m.starts) && m.starts[start+1] == minute {
				start++
			}
			if got := s.PermitsAt("front", []string{"staff"}, day, minute).Permitted; got != open.has(m.alike[day]*len(m.starts)+start) {
				t.Fatalf("%v, minute %d: %v, and its moment is otherwise", day, minute, got)
			}
		}
	}
}

func TestReadPeople(t *testing.T) {
	people, err := ReadPeople(strings.NewReader("person,groups\n\"Lovelace, Ada\",staff crew staff\nBob,\n"))
	if err != nil || len(people) != 2 || people[0].Name != "Lovelace, Ada" || strings.Join(people[0].Groups, "+") != "crew+staff" || len(people[1].Groups) != 0 {
		t.Errorf("%+v, %v", people, err)
	}
	for _, bad := range []string{"", "name,groups\n", "person,groups\nAda\n", "person,groups\n\"Ada,staff\n"} {
		if _, err := ReadPeople(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
