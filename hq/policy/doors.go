package policy

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/lintel-access/lintel/access"
)

func (c *compiler) door(name string, d door, schedules []string) {
	line := c.lines.of("doors.%s", name)
	out := access.SiteDoor{
		Name: name, NeedRelief: d.NeedRelief, FalseMatchRate: d.FalseMatchRate, SiteOffset: float32(d.SiteOffset), Margin: float32(d.Margin),
		LearnedBudget: d.LearnedBudget,
	}
	if d.Exit != exitREX && d.Exit != exitReader && d.Exit != exitNone {
		c.wrong(c.lines.of("doors.%s.exit", name), "door %q: exit = %q; want %q, %q or %q: how is it left?", name, d.Exit, exitREX, exitReader, exitNone)
	}
	switch from, to := d.sides(name); {
	case from == to:
		c.wrong(line, "door %q leads from %q to the same", name, from)
	case to == outside && d.Exit == exitREX:
		c.wrong(line, "door %q leads outside, and its exit = %q would let anybody in from there", name, exitREX)
	}
	for _, number := range []struct {
		key   string
		value float64
	}{
		{"false-match-rate", d.FalseMatchRate}, {"site-offset", d.SiteOffset}, {"margin", d.Margin}, {"learned-budget", d.LearnedBudget},
	} {
		key := fmt.Sprintf("doors.%s.%s", name, number.key)
		if _, written := c.lines[key]; written && !(number.value > 0 && number.value < 1) {
			c.wrong(c.lines.of("%s", key), "door %q: %s = %v; want a number between 0 and 1, or nothing for the kiosk's own", name, number.key, number.value)
			return
		}
	}
	if d.Profile != "" {
		var err error
		if out.Profile, err = access.ParseProfile(d.Profile); err != nil {
			c.wrong(c.lines.of("doors.%s.profile", name), "door %q: %v", name, err)
		}
	}
	var err error
	if out.Stale, err = d.whileStale(); err != nil {
		c.wrong(c.lines.of("doors.%s.stale", name), "door %q: %v", name, err)
	}
	if out.Times, err = d.times(); err != nil {
		c.wrong(line, "door %q: %v", name, err)
		return
	}
	if len(d.Rules) > access.MaxRules {
		c.wrong(line, "door %q: %d rules, at most %d", name, len(d.Rules), access.MaxRules)
	}
	for i, r := range d.Rules {
		compiled, err := c.rule(r, schedules)
		if err != nil {
			c.wrong(c.lines.of("doors.%s.rules[%d]", name, i), "door %q, rule %d: %v", name, i+1, err)
		}
		out.Rules = append(out.Rules, compiled)
	}
	// The door by itself, at a kiosk as it comes: so that what no policy may switch off is refused on its line.
	alone := access.Site{Doors: []access.SiteDoor{{
		Name: name, Profile: out.Profile, NeedRelief: out.NeedRelief, FalseMatchRate: out.FalseMatchRate, SiteOffset: out.SiteOffset, Margin: out.Margin,
		LearnedBudget: out.LearnedBudget, Times: out.Times, Stale: out.Stale,
	}}}
	p := access.DefaultPolicy()
	p.Door = name
	if _, err := alone.Apply(p); err != nil {
		c.wrong(line, "%v", err)
	}
	c.site.Doors = append(c.site.Doors, out)
}

func (c *compiler) rule(r rule, schedules []string) (out access.Rule, err error) {
	if len(r.Groups) == 0 {
		return out, errors.New("it names no group")
	}
	for _, g := range r.Groups {
		n := slices.Index(c.site.Groups, g)
		if n < 0 {
			return out, fmt.Errorf("group %q is not among the groups", g)
		}
		if out.Groups.Has(n) {
			return out, fmt.Errorf("group %q stands twice", g)
		}
		out.Groups = out.Groups.Add(n)
	}
	if r.Schedule != always {
		n := slices.Index(schedules, r.Schedule)
		if n < 0 {
			return out, fmt.Errorf("schedule %q is not among the schedules, and is not %q", r.Schedule, always)
		}
		out.Schedule = uint8(min(n+1, math.MaxUint8)) // Validate refuses more than fit
	}
	if err := errors.Join(checkDate(r.From), checkDate(r.Until)); err != nil {
		return out, err
	}
	out.From, out.Until = date(r.From), date(r.Until)
	if out.Until != 0 && out.Until < out.From {
		return out, fmt.Errorf("it ends on %v, before it begins on %v", out.Until, out.From)
	}
	return out, nil
}

// sides are the zones that a door stands between.
func (d door) sides(name string) (from, to string) {
	from, to = d.From, d.To
	if from == "" {
		from = outside
	}
	if to == "" {
		to = name
	}
	return from, to
}

// whileStale is what a kiosk does that has not heard headquarters for too long.
func (d door) whileStale() (access.Effect, error) {
	switch d.Stale {
	case "", "allow":
		return access.EffectNone, nil
	case "confirm":
		return access.EffectConfirm, nil
	case "deny":
		return access.EffectDeny, nil
	}
	return access.EffectDeny, fmt.Errorf("stale = %q; want %q, %q or %q: what does its kiosk do that has not heard headquarters for too long?", d.Stale, "allow", "confirm", "deny")
}

// times are the door's, over those that a kiosk comes with; zero when the document says nothing of them.
func (d door) times() (access.DoorTimes, error) {
	t, said := access.DefaultDoorTimes(), d.RelockOnOpen != nil
	for _, f := range []struct {
		name    string
		seconds *float64
		into    *time.Duration
	}{
		{"release", d.Release, &t.Release}, {"extended-release", d.ExtendedRelease, &t.ExtendedRelease}, {"held-open", d.HeldOpen, &t.HeldOpen},
		{"extended-held-open", d.ExtendedHeldOpen, &t.ExtendedHeldOpen}, {"pre-alarm", d.PreAlarm, &t.PreAlarm},
	} {
		if f.seconds == nil {
			continue
		}
		if !(*f.seconds > 0 && *f.seconds <= 3600) {
			return t, fmt.Errorf("%s = %v: want seconds", f.name, *f.seconds)
		}
		*f.into, said = time.Duration(*f.seconds*1000)*time.Millisecond, true
	}
	if !said {
		return access.DoorTimes{}, nil
	}
	if d.RelockOnOpen != nil {
		t.RelockOnOpen = *d.RelockOnOpen
	}
	return t, t.Validate()
}
