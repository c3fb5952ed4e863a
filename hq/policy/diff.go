package policy

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/lintel-access/lintel/access"
)

// Diff says what would change for whom if one site took the place of another on a day: for each group at each door, and for people if there are any. It
// looks a year ahead by the clock on the wall. changed is false when kiosks would decide as before.
func Diff(out io.Writer, was, is access.Site, people []Person, on access.Date) (changed bool) {
	settings := compareSettings(was, is)
	for _, line := range settings {
		fmt.Fprintln(out, line)
	}
	c := comparison{moments: momentsOf(on, was, is), was: was, is: is, on: on}
	doors, groups := union(doorNames(was), doorNames(is)), union(was.Groups, is.Groups)
	lines := 0
	for _, door := range doors {
		for _, g := range groups {
			if text := c.difference(door, []string{g}); text != "" {
				fmt.Fprintf(out, "%s, %s: %s\n", door, g, text)
				lines++
			}
		}
	}
	if people != nil {
		c.people(out, doors, people)
	}
	if len(settings)+lines == 0 {
		fmt.Fprintln(out, "Nothing changes.")
	}
	return len(settings)+lines > 0
}

type comparison struct {
	moments
	was, is access.Site
	on      access.Date
}

// difference is what changes at a door for somebody of these groups; "" when nothing does.
func (c comparison) difference(door string, groups []string) string {
	before, after := c.open(c.was, door, groups), c.open(c.is, door, groups)
	gains := func(day access.Date) []stretch {
		return c.stretches(c.alike[day], func(i int) bool { return after.has(i) && !before.has(i) })
	}
	loses := func(day access.Date) []stretch {
		return c.stretches(c.alike[day], func(i int) bool { return before.has(i) && !after.has(i) })
	}
	week := c.ordinaryWeek()
	var parts []string
	for _, side := range []struct {
		word string
		of   func(access.Date) []stretch
	}{{"gains", gains}, {"loses", loses}} {
		minutes := 0
		for _, day := range week {
			minutes += total(side.of(day))
		}
		if minutes == 0 {
			continue
		}
		var days []string
		for _, h := range byHours(week, func(d access.Date) (access.Days, string) { return access.Weekday(d.Weekday()), join(side.of(d)) }) {
			days = append(days, dayNames(h.days)+" "+h.hours)
		}
		parts = append(parts, fmt.Sprintf("%s %s a week (%s)", side.word, minutesText(minutes), strings.Join(days, "; ")))
	}
	if other := c.otherDays(week, gains, loses); other != "" {
		parts = append(parts, other)
	}
	if text := c.untimed(door, groups); text != "" {
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// ordinaryWeek is one day of each weekday, Monday first: the next that is no holiday in either site.
func (c comparison) ordinaryWeek() (week []access.Date) {
	for n := range 7 {
		first := c.on + access.Date((n-c.on.Weekday()+7)%7)
		pick := first
		for d := first; d < c.on+lookAhead; d += 7 {
			plain := true
			for _, at := range []access.Date{d - 1, d} {
				plain = plain && c.was.Kind(at)&^allWeek == 0 && c.is.Kind(at)&^allWeek == 0
			}
			if plain {
				pick = d
				break
			}
		}
		week = append(week, pick)
	}
	return week
}

// otherDays says on which days of the year something else changes than in an ordinary week: holidays, and days on which rules begin or end.
func (c comparison) otherDays(week []access.Date, gains, loses func(access.Date) []stretch) string {
	var examples []string
	days := 0
	for d := c.on; d < c.on+lookAhead; d++ {
		plus, minus := join(gains(d)), join(loses(d))
		if like := week[d.Weekday()]; c.alike[d] == c.alike[like] || plus == join(gains(like)) && minus == join(loses(like)) {
			continue
		}
		if days++; days > 3 {
			continue
		}
		text := "nothing changes"
		switch {
		case plus != "" && minus != "":
			text = "gains " + plus + ", loses " + minus
		case plus != "":
			text = "gains " + plus
		case minus != "":
			text = "loses " + minus
		}
		examples = append(examples, fmt.Sprintf("%v %s", d, text))
	}
	if days == 0 {
		return ""
	}
	if days > len(examples) {
		examples = append(examples, "…")
	}
	return fmt.Sprintf("%s from an ordinary week (%s)", count(days, "day of the year differs", "days of the year differ"), strings.Join(examples, "; "))
}

// untimed tells whether the door begins or ends to rest on a known time for these groups.
func (c comparison) untimed(door string, groups []string) string {
	before := c.was.Permits(door, groups, access.Instant{}).Permitted
	after := c.is.Permits(door, groups, access.Instant{}).Permitted
	switch {
	case before && !after:
		return "no longer passes when the kiosk does not know the time"
	case after && !before:
		return "passes even when the kiosk does not know the time"
	}
	return ""
}

// people says the same for those who are in the same groups together.
func (c comparison) people(out io.Writer, doors []string, people []Person) {
	names := map[string][]string{}
	for _, p := range people {
		key := strings.Join(p.Groups, "\x00") // a group at an enrolment may be any text
		names[key] = append(names[key], p.Name)
	}
	for _, key := range slices.Sorted(maps.Keys(names)) {
		for _, door := range doors {
			if text := c.difference(door, strings.Split(key, "\x00")); text != "" {
				fmt.Fprintf(out, "%s, %s: %s\n", door, few(names[key]), text)
			}
		}
	}
}

// few names some people and counts the rest.
func few(names []string) string {
	const shown = 5
	text := strings.Join(names[:min(len(names), shown)], ", ")
	if n := len(names) - shown; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// compareSettings is what changes besides who may pass and when.
func compareSettings(was, is access.Site) (out []string) {
	if was.Zone.Name != is.Zone.Name {
		out = append(out, fmt.Sprintf("All times are in %s instead of %s: every one below is by the clock on the wall, and moves with it.", is.Zone.Name, was.Zone.Name))
	}
	if was.Zone.Name == is.Zone.Name && clocksDiffer(was.Zone, is.Zone) {
		out = append(out, fmt.Sprintf("The clocks of %s are changed on other days than the tz database said before.", is.Zone.Name))
	}
	before, after := map[string]access.SiteDoor{}, map[string]access.SiteDoor{}
	for _, d := range was.Doors {
		before[d.Name] = d
	}
	for _, d := range is.Doors {
		after[d.Name] = d
	}
	for _, name := range union(doorNames(was), doorNames(is)) {
		a, had := before[name]
		b, has := after[name]
		switch {
		case !had:
			out = append(out, fmt.Sprintf("Door %s is new.", name))
		case !has:
			out = append(out, fmt.Sprintf("Door %s is gone: nobody may pass it.", name))
		}
		if from, to := demands(a), demands(b); from != to && had && has {
			out = append(out, fmt.Sprintf("Door %s. Was: %s Is: %s", name, orOwn(from), orOwn(to)))
		}
	}
	return out
}

// clocksDiffer compares two zones where both of them know the time.
func clocksDiffer(a, b access.Zone) bool {
	from, until := max(a.Offsets[0].From, b.Offsets[0].From), min(a.Until, b.Until)
	for _, o := range slices.Concat(a.Offsets, b.Offsets) {
		if o.From < from || o.From >= until {
			continue
		}
		dayA, minuteA, _ := a.Local(o.From)
		dayB, minuteB, _ := b.Local(o.From)
		if dayA != dayB || minuteA != minuteB {
			return true
		}
	}
	return false
}

func orOwn(demands string) string {
	if demands == "" {
		return "Its kiosk: as it comes."
	}
	return demands
}

func doorNames(s access.Site) (names []string) {
	for _, d := range s.Doors {
		names = append(names, d.Name)
	}
	return names
}

// union is sorted, none twice.
func union(a, b []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(a), b...))))
}

func minutesText(n int) string {
	if n%60 == 0 {
		return fmt.Sprintf("%d h", n/60)
	}
	if n > 60 {
		return fmt.Sprintf("%d h %d min", n/60, n%60)
	}
	return fmt.Sprintf("%d min", n)
}
