package access

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// trusted is a minute of a day in UTC, by a clock that is vouched for.
func trusted(d Date, minute int) Instant {
	return Instant{Unix: int64(d)*secondsADay + int64(minute)*60, Clock: ClockTrusted}
}

var (
	monday    = MakeDate(2026, time.November, 23)
	christmas = MakeDate(2026, time.December, 25) // a Friday
)

// smallSite is a site in UTC with a door of every kind of rule.
func smallSite() Site {
	set := func(places ...int) (g GroupSet) {
		for _, p := range places {
			g = g.Add(p)
		}
		return g
	}
	const weekdays, weekend = Days(0b0011111), Days(0b1100000)
	return Site{
		Format: SiteFormat, Text: [32]byte{1}, Name: "Test",
		Zone:     Zone{Name: "UTC", Offsets: []Offset{{From: 1, East: 0}}, Until: 4102444800}, // 2100
		Groups:   []string{"guard", "night", "staff", "visitor"},
		Kinds:    []string{"public", "short"},
		Holidays: []Holiday{{christmas - 1, 1}, {christmas, 0}},
		Schedules: []Schedule{
			{Name: "nights", Usual: HolidayKind(0), Spans: []Span{{weekdays, 22 * 60, 30 * 60}}},
			{Name: "office", Spans: []Span{{weekdays, 7 * 60, 19 * 60}, {HolidayKind(1), 7 * 60, 12 * 60}}},
			{Name: "weekend", Spans: []Span{{weekend, 0, minutesADay}}},
		},
		Doors: []SiteDoor{
			{Name: "back"},
			{Name: "front", Rules: []Rule{
				{Groups: set(2), Schedule: 2},
				{Groups: set(1), Schedule: 1, Until: monday + 1},
				{Groups: set(0)},
				{Groups: set(3), From: monday + 1, Until: monday + 2},
				{Groups: set(2), Schedule: 3},
			}},
		},
	}
}

// Control: U5
func TestSitePermits(t *testing.T) {
	s := smallSite()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	untrusted := trusted(monday, 8*60)
	untrusted.Clock = ClockUntrusted
	tests := []struct {
		name   string
		door   string
		groups []string
		at     Instant
		want   Ruling
	}{
		{"in hours", "front", []string{"staff"}, trusted(monday, 7*60), Ruling{Permitted: true, Rule: 1}},
		{"last minute", "front", []string{"staff"}, trusted(monday, 19*60-1), Ruling{Permitted: true, Rule: 1}},
		{"a minute early", "front", []string{"staff"}, trusted(monday, 7*60-1), Ruling{Reason: ReasonOutsideSchedule, Rule: 1}},
		{"at the end", "front", []string{"staff"}, trusted(monday, 19*60), Ruling{Reason: ReasonOutsideSchedule, Rule: 1}},
		{"the second rule of the group", "front", []string{"staff"}, trusted(monday+5, 0), Ruling{Permitted: true, Rule: 5}},
		{"any of several groups", "front", []string{"nobody", "visitor", "staff"}, trusted(monday, 8*60), Ruling{Permitted: true, Rule: 1}},
		{"a short holiday has its own hours", "front", []string{"staff"}, trusted(christmas-1, 12*60-1), Ruling{Permitted: true, Rule: 1}},
		{"and no others", "front", []string{"staff"}, trusted(christmas-1, 12*60), Ruling{Reason: ReasonOutsideSchedule, Rule: 1}},
		{"a holiday without hours", "front", []string{"staff"}, trusted(christmas, 12*60), Ruling{Reason: ReasonOutsideSchedule, Rule: 1}},

		{"before the night", "front", []string{"night"}, trusted(monday, 22*60-1), Ruling{Reason: ReasonOutsideSchedule, Rule: 2}},
		{"before midnight", "front", []string{"night"}, trusted(monday, 24*60-1), Ruling{Permitted: true, Rule: 2}},
		{"over midnight", "front", []string{"night"}, trusted(monday+1, 6*60-1), Ruling{Permitted: true, Rule: 2}},
		{"the night that begins on the last day of the rule", "front", []string{"night"}, trusted(monday+2, 5*60), Ruling{Permitted: true, Rule: 2}},
		{"the night after it", "front", []string{"night"}, trusted(monday+2, 23*60), Ruling{Reason: ReasonOutsideSchedule, Rule: 2}},
		{"Sunday night has no hours", "front", []string{"night"}, trusted(monday, 5*60), Ruling{Reason: ReasonOutsideSchedule, Rule: 2}},

		{"dates without hours, before", "front", []string{"visitor"}, trusted(monday, 24*60-1), Ruling{Reason: ReasonOutsideSchedule, Rule: 4}},
		{"the first day", "front", []string{"visitor"}, trusted(monday+1, 0), Ruling{Permitted: true, Rule: 4}},
		{"the last day", "front", []string{"visitor"}, trusted(monday+2, 24*60-1), Ruling{Permitted: true, Rule: 4}},
		{"after", "front", []string{"visitor"}, trusted(monday+3, 0), Ruling{Reason: ReasonOutsideSchedule, Rule: 4}},

		{"hours and an untrusted clock", "front", []string{"staff"}, untrusted, Ruling{Reason: ReasonClock, Rule: 1}},
		{"dates and an untrusted clock", "front", []string{"visitor"}, untrusted, Ruling{Reason: ReasonClock, Rule: 4}},
		{"always and an untrusted clock", "front", []string{"guard"}, untrusted, Ruling{Permitted: true, Rule: 3}},
		{"always among others and an untrusted clock", "front", []string{"guard", "staff"}, untrusted, Ruling{Permitted: true, Rule: 3}},
		{"a clock state of tomorrow", "front", []string{"staff"}, Instant{untrusted.Unix, 7}, Ruling{Reason: ReasonClock, Rule: 1}},
		{"a trusted clock of 1970", "front", []string{"staff"}, Instant{0, ClockTrusted}, Ruling{Reason: ReasonClock, Rule: 1}},
		{"beyond what the zone knows", "front", []string{"staff"}, Instant{4102444800, ClockTrusted}, Ruling{Reason: ReasonClock, Rule: 1}},

		{"no group", "front", nil, trusted(monday, 8*60), Ruling{Reason: ReasonNoRule}},
		{"a group of no site", "front", []string{"Staff", "staff ", ""}, trusted(monday, 8*60), Ruling{Reason: ReasonNoRule}},
		{"a door without rules", "back", []string{"staff", "guard"}, trusted(monday, 8*60), Ruling{Reason: ReasonNoRule}},
		{"a door of no site", "side", []string{"staff", "guard"}, trusted(monday, 8*60), Ruling{Reason: ReasonNoRule}},
	}
	for _, tt := range tests {
		if got := s.Permits(tt.door, tt.groups, tt.at); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// What nobody has filled in permits nobody, and does not stop the door.
func TestZeroSiteAndZeroRulingPermitNothing(t *testing.T) {
	if r := (Site{}).Permits("front", []string{"staff"}, trusted(monday, 0)); r.Permitted || r.Objection() != ReasonNoRule {
		t.Errorf("the zero site: %+v", r)
	}
	if r := (Ruling{}); r.Objection() != ReasonNoRule {
		t.Errorf("the zero ruling objects with %v", r.Objection())
	}
	if (Site{}).Validate() == nil {
		t.Error("the zero site may come into force")
	}
	broken := smallSite() // never validated: a schedule and a holiday that are not there
	broken.Schedules, broken.Holidays[0].Kind = nil, 200
	if r := broken.Permits("front", []string{"staff"}, trusted(christmas-1, 8*60)); r.Permitted {
		t.Errorf("a site without its schedules: %+v", r)
	}
}

// The fold and the gap: local time goes by the clock on the wall, whatever it does.
func TestZoneLocal(t *testing.T) {
	noon := int64(monday)*secondsADay + 12*3600
	z := Zone{Name: "Test", Offsets: []Offset{{1, 3600}, {noon, 7200}, {noon + 7200, 5400}, {noon + 14400, -43200}}, Until: noon + 1e6}
	if err := z.Validate(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		unix   int64
		day    Date
		minute int
		known  bool
	}{
		{noon - 1, monday, 12*60 + 59, true},
		{noon, monday, 14 * 60, true}, // 13:00 to 13:59 never came
		{noon + 7199, monday, 15*60 + 59, true},
		{noon + 7200, monday, 15*60 + 30, true}, // half an hour comes twice
		{noon + 14400, monday, 4 * 60, true},
		{noon + 14400 - 5*3600, monday, 12 * 60, true}, // 11:00 UTC, an hour ahead
		{0, 0, 0, false},
		{-1 << 62, 0, 0, false},
		{noon + 1e6, 0, 0, false},
	}
	for _, tt := range tests {
		day, minute, known := z.Local(tt.unix)
		if known != tt.known || known && (day != tt.day || minute != tt.minute) {
			t.Errorf("%d s after noon: %v %d, %v; want %v %d, %v", tt.unix-noon, day, minute, known, tt.day, tt.minute, tt.known)
		}
	}
}

func TestDate(t *testing.T) {
	for _, tt := range []struct {
		d       Date
		text    string
		weekday int
	}{
		{MakeDate(1970, 1, 1), "1970-01-01", 3}, {MakeDate(1969, 12, 28), "1969-12-28", 6}, {MakeDate(2024, 2, 29), "2024-02-29", 3},
		{monday, "2026-11-23", 0}, {christmas, "2026-12-25", 4},
	} {
		if tt.d.String() != tt.text || tt.d.Weekday() != tt.weekday {
			t.Errorf("%v is day %d of the week; want %s, %d", tt.d, tt.d.Weekday(), tt.text, tt.weekday)
		}
	}
}

func TestSiteValidateRefuses(t *testing.T) {
	bends := map[string]func(*Site){
		"another format":                 func(s *Site) { s.Format = 2 },
		"no text":                        func(s *Site) { s.Text = [32]byte{} },
		"no name":                        func(s *Site) { s.Name = "" },
		"no zone":                        func(s *Site) { s.Zone = Zone{} },
		"zone of 1970":                   func(s *Site) { s.Zone.Offsets[0].From = 0 },
		"offset of a day":                func(s *Site) { s.Zone.Offsets[0].East = 86400 },
		"zone that ends at once":         func(s *Site) { s.Zone.Until = 1 },
		"zone without end":               func(s *Site) { s.Zone.Until = 1 << 62 },
		"groups out of order":            func(s *Site) { s.Groups[0] = "zebra" },
		"group in capitals":              func(s *Site) { s.Groups[0] = "Guard" },
		"129 groups":                     func(s *Site) { s.Groups = make([]string, 129) },
		"kind twice":                     func(s *Site) { s.Kinds[1] = "public" },
		"holidays out of order":          func(s *Site) { s.Holidays[0].Day = christmas },
		"holiday of no kind":             func(s *Site) { s.Holidays[0].Kind = 2 },
		"schedule twice":                 func(s *Site) { s.Schedules[1].Name = "nights" },
		"span on no day":                 func(s *Site) { s.Schedules[0].Spans[0].Days = 0 },
		"span on a kind that is not":     func(s *Site) { s.Schedules[0].Spans[0].Days = HolidayKind(2) },
		"span on what is as usual":       func(s *Site) { s.Schedules[0].Spans[0].Days |= HolidayKind(0) },
		"weekday as usual":               func(s *Site) { s.Schedules[0].Usual = Weekday(0) },
		"span that begins tomorrow":      func(s *Site) { s.Schedules[0].Spans[0] = Span{1, 1440, 1441} },
		"span of more than a day":        func(s *Site) { s.Schedules[0].Spans[0] = Span{1, 0, 1441} },
		"empty span":                     func(s *Site) { s.Schedules[0].Spans[0] = Span{1, 60, 60} },
		"doors out of order":             func(s *Site) { s.Doors[0].Name = "zoo" },
		"rule for nobody":                func(s *Site) { s.Doors[1].Rules[0].Groups = GroupSet{} },
		"rule for a group that is not":   func(s *Site) { s.Doors[1].Rules[0].Groups = GroupSet{}.Add(127) },
		"rule of no schedule":            func(s *Site) { s.Doors[1].Rules[0].Schedule = 4 },
		"rule that ends before it began": func(s *Site) { s.Doors[1].Rules[0].From, s.Doors[1].Rules[0].Until = 5, 4 },
		"33 rules":                       func(s *Site) { s.Doors[1].Rules = make([]Rule, 33) },
		"profile that is not":            func(s *Site) { s.Doors[0].Profile = 9 },
		"high profile without relief":    func(s *Site) { s.Doors[0].Profile = High },
		"one stranger in a hundred":      func(s *Site) { s.Doors[0].FalseMatchRate = 0.01 },
		"negative margin":                func(s *Site) { s.Doors[0].Margin = -1 },
		"learned check for all":          func(s *Site) { s.Doors[0].LearnedBudget = 1 },
		"stale merely stepped up":        func(s *Site) { s.Doors[0].Stale = EffectStepUp },
		"stale as nothing known":         func(s *Site) { s.Doors[0].Stale = EffectDeny + 1 },
		"released for an hour":           func(s *Site) { s.Doors[0].Times = DefaultDoorTimes(); s.Doors[0].Times.Release = time.Hour },
	}
	for name, bend := range bends {
		s := smallSite()
		bend(&s)
		if s.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSiteApply(t *testing.T) {
	s := smallSite()
	s.Doors[1].Profile, s.Doors[1].NeedRelief, s.Doors[1].FalseMatchRate, s.Doors[1].Margin = Restricted, true, 1e-6, 0.06
	s.Doors[1].Times = DefaultDoorTimes()
	s.Doors[1].Times.Release = 7 * time.Second
	own := DefaultPolicy()
	p, err := s.Apply(own)
	if err != nil || p.Profile != Restricted || !p.Challenge.NeedRelief || p.FalseMatchRate != 1e-6 || p.Margin != 0.06 || p.Times.Release != 7*time.Second {
		t.Errorf("front: %+v, %v", p, err)
	}
	p.Profile, p.Challenge.NeedRelief, p.FalseMatchRate, p.Margin, p.Times = own.Profile, false, own.FalseMatchRate, own.Margin, own.Times
	if !reflect.DeepEqual(p, own) {
		t.Error("more was changed than the site names")
	}
	for what, lower := range map[string]func(*SiteDoor, *Policy){
		"profile": func(_ *SiteDoor, own *Policy) { own.Profile, own.Challenge.NeedRelief = High, true },
		"rate":    func(d *SiteDoor, own *Policy) { d.FalseMatchRate = own.FalseMatchRate * 1.01 },
		"offset":  func(d *SiteDoor, own *Policy) { d.SiteOffset = own.SiteOffset / 2 },
		"margin":  func(d *SiteDoor, own *Policy) { d.Margin = own.Margin / 2 },
		"stale": func(d *SiteDoor, own *Policy) {
			own.Signals.Deny, d.Stale = Signals(0).With(SignalStale, true), EffectConfirm
		},
		"learned budget": func(d *SiteDoor, own *Policy) { own.Capture.LearnedBudget, d.LearnedBudget = 0.01, 0.001 },
	} {
		own, s := DefaultPolicy(), smallSite()
		s.Doors[1].Profile = Restricted
		lower(&s.Doors[1], &own)
		if _, err := s.Apply(own); err == nil {
			t.Errorf("a site lowered what a kiosk asks for: %s", what)
		} else if words := `"confirm", want "confirm" or "deny", and no less than the kiosk's own, "deny"`; what == "stale" && !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %s", err, words)
		}
	}
	for _, tt := range []struct{ own, said, want Effect }{
		{EffectNone, EffectNone, EffectNone}, {EffectNone, EffectConfirm, EffectConfirm}, {EffectStepUp, EffectDeny, EffectDeny},
		{EffectConfirm, EffectDeny, EffectDeny}, {EffectDeny, EffectDeny, EffectDeny}, {EffectDeny, EffectNone, EffectDeny},
	} {
		own, s := DefaultPolicy(), smallSite()
		stale := func(e Effect) Signals { return Signals(0).With(SignalStale, tt.own == e) }
		own.Signals = SignalRules{StepUp: stale(EffectStepUp), Confirm: stale(EffectConfirm), Deny: stale(EffectDeny)}
		s.Doors[1].Stale = tt.said
		p, err := s.Apply(own)
		if got, _ := p.Signals.effect(SignalStale); err != nil || got != tt.want {
			t.Errorf("own effect %d, the site's %d: %d, %v", tt.own, tt.said, got, err)
		}
	}
	if !s.Knows("front") || s.Knows("fron") || s.Knows("zoo") || (Site{}).Knows("front") {
		t.Error("a site does not know its doors")
	}
	own = DefaultPolicy()
	own.Door = "elsewhere"
	if p, err := s.Apply(own); err != nil || !reflect.DeepEqual(p, own) {
		t.Errorf("a kiosk of another site: %v", err)
	}
}

func TestPermitsDoesNotAllocate(t *testing.T) {
	s, groups, at := smallSite(), []string{"night", "staff", "visitor"}, trusted(monday, 20*60)
	if n := testing.AllocsPerRun(100, func() { s.Permits("front", groups, at) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPermits(b *testing.B) {
	s, groups, at := smallSite(), []string{"night", "staff", "visitor"}, trusted(monday, 20*60)
	b.ReportAllocs()
	for b.Loop() {
		if s.Permits("front", groups, at).Reason != ReasonOutsideSchedule {
			b.Fatal("another answer")
		}
	}
}

// BenchmarkPermitsAtTheBounds is somebody of 16 groups, none of whose 32 rules holds, at a site with as many holidays, doors and offsets as there may be.
func BenchmarkPermitsAtTheBounds(b *testing.B) {
	s := smallSite()
	s.Groups, s.Zone.Offsets, s.Holidays, s.Doors = nil, nil, nil, nil
	name := func(n int) string { return "n" + string(rune('a'+n/26)) + string(rune('a'+n%26)) }
	all := GroupSet{}
	for n := range MaxGroups {
		s.Groups, all = append(s.Groups, name(n)), all.Add(n)
	}
	for n := range MaxOffsets {
		s.Zone.Offsets = append(s.Zone.Offsets, Offset{From: int64(1 + n*1e6)})
	}
	for n := range MaxHolidays {
		s.Holidays = append(s.Holidays, Holiday{monday - MaxHolidays/2 + Date(n), 1})
	}
	for n := range MaxDoors {
		s.Doors = append(s.Doors, SiteDoor{Name: name(n)})
	}
	for range MaxRules {
		s.Doors[200].Rules = append(s.Doors[200].Rules, Rule{Groups: all, Schedule: 3, From: 1})
	}
	if err := s.Validate(); err != nil {
		b.Fatal(err)
	}
	groups, at := s.Groups[40:56], trusted(monday, 20*60)
	b.ReportAllocs()
	for b.Loop() {
		if s.Permits(s.Doors[200].Name, groups, at).Reason != ReasonOutsideSchedule {
			b.Fatal("another answer")
		}
	}
}
