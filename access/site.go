package access

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
)

// Site is who may pass which door of a site, and when: what headquarters has compiled from the document that people read. The zero Site permits nobody.
//
// It is read only once it is in force: any number of goroutines may ask it.
type Site struct {
	Format    uint8      `cbor:"1,keyasint"` // SiteFormat
	Text      [32]byte   `cbor:"2,keyasint"` // SHA-256 of the document that it was compiled from
	Name      string     `cbor:"3,keyasint"` // for reports
	Zone      Zone       `cbor:"4,keyasint"`
	Groups    []string   `cbor:"5,keyasint"` // sorted
	Kinds     []string   `cbor:"6,keyasint"` // of holidays, sorted
	Holidays  []Holiday  `cbor:"7,keyasint"` // by day, none twice
	Schedules []Schedule `cbor:"8,keyasint"` // sorted by name
	Doors     []SiteDoor `cbor:"9,keyasint"` // sorted by name
}

// SiteFormat is the layout that this program reads.
const SiteFormat = 1

// Bounds of a Site.
const (
	MaxGroups    = 128 // what a GroupSet has room for
	MaxSchedules = 128
	MaxHolidays  = 1024
	MaxDoors     = 256
	MaxRules     = 32 // of one door
)

// SiteDoor is one door of a site: who may pass, and what its kiosk asks of them. What is zero is as the kiosk has it.
type SiteDoor struct {
	Name  string `cbor:"1,keyasint"`
	Rules []Rule `cbor:"2,keyasint"`

	Profile        Profile   `cbor:"3,keyasint"`
	NeedRelief     bool      `cbor:"4,keyasint"`
	FalseMatchRate float64   `cbor:"5,keyasint"`
	SiteOffset     float32   `cbor:"6,keyasint"`
	Margin         float32   `cbor:"7,keyasint"`
	LearnedBudget  float64   `cbor:"8,keyasint"`
	Times          DoorTimes `cbor:"9,keyasint"`
	// Stale is what the kiosk makes of SignalStale: EffectConfirm or EffectDeny. Not written where it is zero: those who do not know it read the others.
	Stale Effect `cbor:"10,keyasint,omitempty"`
}

// Rule permits groups at a door. The zero Rule is about nobody.
type Rule struct {
	Groups   GroupSet `cbor:"1,keyasint"`
	Schedule uint8    `cbor:"2,keyasint"` // 0: at all times; else place in the site's schedules, from 1
	From     Date     `cbor:"3,keyasint"` // first day; 0: since ever
	Until    Date     `cbor:"4,keyasint"` // last day; 0: for good
}

// GroupSet is a set of places in a site's groups.
type GroupSet [MaxGroups / 64]uint64

// Add is the set with one place more.
func (g GroupSet) Add(place int) GroupSet {
	g[place/64] |= 1 << (place % 64)
	return g
}

// Has reports whether the place is in the set.
func (g GroupSet) Has(place int) bool { return g[place/64]>>(place%64)&1 != 0 }

func (g GroupSet) meets(o GroupSet) bool { return g[0]&o[0]|g[1]&o[1] != 0 }

// Untimed reports whether the rule rests on no clock.
func (r *Rule) Untimed() bool { return r.Schedule == 0 && r.From == 0 && r.Until == 0 }

func (r *Rule) valid(d Date) bool {
	return (r.From == 0 || r.From <= d) && (r.Until == 0 || d <= r.Until)
}

// Ruling is what a site says about somebody at a door. The zero Ruling permits nothing.
type Ruling struct {
	Permitted bool
	Reason    Reason // why not
	Rule      int    // of the door, from 1: that permits, or the first that is about these groups; 0: none is
}

// Objection is why not, for a Candidate; ReasonNone when it is permitted.
func (r Ruling) Objection() Reason {
	switch {
	case r.Permitted:
		return ReasonNone
	case r.Reason == ReasonNone:
		return ReasonNoRule
	}
	return r.Reason
}

// Permits rules on somebody of these groups at a door. It is total: a door or a group that the site does not know permits nothing, and what rests on
// the clock needs one that somebody vouches for. It does not allocate.
func (s Site) Permits(door string, groups []string, at Instant) Ruling {
	day, minute, known := s.Zone.Local(at.Unix)
	return s.rule(door, groups, day, minute, known && at.Clock == ClockTrusted)
}

// PermitsAt is Permits by the clock on the site's wall: the minute is counted from midnight, 0 to 1439.
func (s Site) PermitsAt(door string, groups []string, day Date, minute int) Ruling {
	return s.rule(door, groups, day, minute, true)
}

func (s *Site) rule(door string, groups []string, day Date, minute int, timed bool) Ruling {
	none := Ruling{Reason: ReasonNoRule}
	n, found := s.find(door)
	if !found {
		return none
	}
	theirs := s.places(groups)
	today, yesterday := s.Kind(day), s.Kind(day-1)
	answer := none
	rules := s.Doors[n].Rules
	for i := range rules {
		r := &rules[i]
		if !r.Groups.meets(theirs) {
			continue
		}
		if r.Untimed() || timed && s.runs(r, day, today, yesterday, minute) {
			return Ruling{Permitted: true, Rule: i + 1}
		}
		if answer.Rule == 0 {
			answer.Rule = i + 1
		}
		if answer.Reason = ReasonOutsideSchedule; !timed {
			answer.Reason = ReasonClock
		}
	}
	return answer
}

// runs tells whether a rule permits at a minute of a day. A span that began the day before holds if the rule held then.
func (s *Site) runs(r *Rule, day Date, today, yesterday Days, minute int) bool {
	if r.Schedule == 0 {
		return r.valid(day)
	}
	if int(r.Schedule) > len(s.Schedules) {
		return false
	}
	schedule := &s.Schedules[r.Schedule-1]
	return r.valid(day) && schedule.runs(today, minute) || r.valid(day-1) && schedule.runs(yesterday, minute+minutesADay)
}

// Kind is the weekday of a day, and the kind of holiday that it is.
func (s Site) Kind(d Date) Days {
	day := Weekday(d.Weekday())
	n := sort.Search(len(s.Holidays), func(i int) bool { return s.Holidays[i].Day >= d })
	if n < len(s.Holidays) && s.Holidays[n].Day == d && s.Holidays[n].Kind < MaxHolidayKinds {
		day |= HolidayKind(int(s.Holidays[n].Kind))
	}
	return day
}

// places are the groups that the site knows.
func (s *Site) places(groups []string) (set GroupSet) {
	for _, g := range groups {
		if n, found := slices.BinarySearch(s.Groups, g); found && n < MaxGroups {
			set = set.Add(n)
		}
	}
	return set
}

func (s *Site) find(door string) (place int, found bool) {
	n := sort.Search(len(s.Doors), func(i int) bool { return s.Doors[i].Name >= door })
	return n, n < len(s.Doors) && s.Doors[n].Name == door
}

// Knows reports whether a door is one of the site's.
func (s Site) Knows(door string) bool {
	_, found := s.find(door)
	return found
}

// Admits are the groups, sorted, that a rule of the door names, whatever its hours and dates: whoever is in none of them has nothing to be kept for at
// its kiosk.
func (s Site) Admits(door string) (groups []string) {
	n, found := s.find(door)
	if !found {
		return nil
	}
	for place, g := range s.Groups[:min(len(s.Groups), MaxGroups)] {
		if slices.ContainsFunc(s.Doors[n].Rules, func(r Rule) bool { return r.Groups.Has(place) }) {
			groups = append(groups, g)
		}
	}
	return groups
}

// Apply is a kiosk's policy with what the site says of its door. It refuses what would switch a protection off or ask for less than the kiosk does.
func (s Site) Apply(p Policy) (Policy, error) {
	n, found := s.find(p.Door)
	if !found {
		return p, nil // nobody may pass: its kiosk goes on as it is
	}
	return s.Doors[n].apply(p)
}

func (d SiteDoor) apply(p Policy) (Policy, error) {
	if d.Profile != 0 && d.Profile < p.Profile {
		return Policy{}, fmt.Errorf("door %q: profile %v is below the kiosk's, %v", d.Name, d.Profile, p.Profile)
	}
	for _, t := range []struct {
		what     string
		own, get float64
	}{
		{"false-match rate", -p.FalseMatchRate, -d.FalseMatchRate}, // a lower rate asks for more
		{"site offset", float64(p.SiteOffset), float64(d.SiteOffset)},
		{"margin", float64(p.Margin), float64(d.Margin)},
		{"learned budget", p.Capture.LearnedBudget, d.LearnedBudget},
	} {
		if t.get != 0 && !(t.get >= t.own) {
			return Policy{}, fmt.Errorf("door %q: %s %.3g asks for less than the kiosk does, %.3g", d.Name, t.what, math.Abs(t.get), math.Abs(t.own))
		}
	}
	var err error
	if p.Signals, err = p.Signals.with(SignalStale, d.Stale); err != nil {
		return Policy{}, fmt.Errorf("door %q: %w", d.Name, err)
	}
	p.Profile = max(p.Profile, d.Profile)
	p.Challenge.NeedRelief = p.Challenge.NeedRelief || d.NeedRelief
	if d.FalseMatchRate != 0 {
		p.FalseMatchRate = d.FalseMatchRate
	}
	if d.SiteOffset != 0 {
		p.SiteOffset = d.SiteOffset
	}
	if d.Margin != 0 {
		p.Margin = d.Margin
	}
	if d.LearnedBudget != 0 {
		p.Capture.LearnedBudget = d.LearnedBudget
	}
	if d.Times != (DoorTimes{}) {
		p.Times = d.Times
	}
	if err := p.Validate(); err != nil {
		return Policy{}, fmt.Errorf("door %q: %w", d.Name, err)
	}
	return p, nil
}

// Validate holds a site to its bounds and every door to what no policy may switch off. Only a site that it lets through may come into force.
func (s Site) Validate() error {
	switch {
	case s.Format != SiteFormat:
		return fmt.Errorf("site: format %d, want %d", s.Format, SiteFormat)
	case s.Text == [32]byte{}:
		return errors.New("site: it names no document that it was compiled from")
	case len(s.Name) == 0 || len(s.Name) > maxWord:
		return fmt.Errorf("site: name of %d bytes, want 1 to %d", len(s.Name), maxWord)
	case len(s.Groups) > MaxGroups || len(s.Kinds) > MaxHolidayKinds || len(s.Holidays) > MaxHolidays || len(s.Schedules) > MaxSchedules || len(s.Doors) > MaxDoors:
		return fmt.Errorf("site: %d groups, %d kinds of holiday, %d holidays, %d schedules, %d doors; at most %d, %d, %d, %d, %d", len(s.Groups), len(s.Kinds),
			len(s.Holidays), len(s.Schedules), len(s.Doors), MaxGroups, MaxHolidayKinds, MaxHolidays, MaxSchedules, MaxDoors)
	}
	if err := s.Zone.Validate(); err != nil {
		return fmt.Errorf("site: %w", err)
	}
	if err := errors.Join(checkRising(s.Groups), checkRising(s.Kinds)); err != nil {
		return fmt.Errorf("site: groups or kinds of holiday: %w", err)
	}
	for i, h := range s.Holidays {
		if h.Day <= 0 || int(h.Kind) >= len(s.Kinds) || i > 0 && s.Holidays[i-1].Day >= h.Day {
			return fmt.Errorf("site: holiday %v out of order or of no kind", h.Day)
		}
	}
	for i := range s.Schedules {
		if err := s.Schedules[i].validate(len(s.Kinds)); err != nil {
			return fmt.Errorf("site: %w", err)
		}
		if i > 0 && s.Schedules[i-1].Name >= s.Schedules[i].Name {
			return errors.New("site: schedules are not sorted, or one stands twice")
		}
	}
	for i, d := range s.Doors {
		if i > 0 && s.Doors[i-1].Name >= d.Name {
			return errors.New("site: doors are not sorted, or one stands twice")
		}
		if err := s.checkDoor(d); err != nil {
			return fmt.Errorf("site: %w", err)
		}
	}
	return nil
}

func (s Site) checkDoor(d SiteDoor) error {
	if err := checkWord(d.Name); err != nil {
		return fmt.Errorf("door: %w", err)
	}
	if len(d.Rules) > MaxRules {
		return fmt.Errorf("door %q: %d rules, at most %d", d.Name, len(d.Rules), MaxRules)
	}
	for i, r := range d.Rules {
		named := false
		for g := range MaxGroups {
			if r.Groups.Has(g) && g >= len(s.Groups) {
				return fmt.Errorf("door %q, rule %d: a group that there is not", d.Name, i+1)
			}
			named = named || r.Groups.Has(g)
		}
		if !named || int(r.Schedule) > len(s.Schedules) || r.From < 0 || r.Until < 0 || r.Until != 0 && r.Until < r.From {
			return fmt.Errorf("door %q, rule %d: no group, no such schedule, or an end before its beginning", d.Name, i+1)
		}
	}
	_, err := d.apply(DefaultPolicy())
	return err
}
