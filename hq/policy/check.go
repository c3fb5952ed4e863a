package policy

import (
	"maps"
	"slices"

	"github.com/lintel-access/lintel/access"
)

// soon is how long before the last known holiday somebody should write down the next ones.
const soon = 92

// Check looks for what is allowed and hardly meant, and for zones that somebody cannot leave, from a day on for a year. s is the compiled document; people
// may be nil.
func (d *Document) Check(s access.Site, people []Person, on access.Date) []Finding {
	if n := momentsOf(on, s).count(); n > maxMoments {
		return []Finding{wrong(0, "hours and dates differ at %d moments of the year, too many to check; at most %d", n, maxMoments)}
	}
	found := d.trapped(s, on, people)
	found = append(found, d.unreachable()...)
	found = append(found, d.idleDoors(s, on)...)
	found = append(found, d.idleGroups(people)...)
	found = append(found, d.idleSchedules(s, on)...)
	found = append(found, d.clocks(s, on)...)
	if n := len(s.Holidays); n > 0 && s.Holidays[n-1].Day < on+soon {
		found = append(found, odd(d.lines.of("holidays"), "no holiday is known after %v", s.Holidays[n-1].Day))
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return a.Line - b.Line })
	return found
}

// unreachable finds doors of zones to which no way leads, as when a zone is spelt in two ways.
func (d *Document) unreachable() (found []Finding) {
	known := map[string]bool{outside: true}
	for grew := true; grew; {
		grew = false
		for _, w := range d.ways() {
			if known[w.from] && !known[w.to] {
				known[w.to], grew = true, true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Doors)) {
		if from, _ := d.Doors[name].sides(name); !known[from] {
			found = append(found, odd(d.lines.of("doors.%s.from", name), "no way leads from outside to %q, where door %q begins", from, name))
		}
	}
	return found
}

func (d *Document) idleDoors(s access.Site, on access.Date) (found []Finding) {
	m := momentsOf(on, s)
	for _, door := range s.Doors {
		if m.open(s, door.Name, s.Groups).empty() {
			found = append(found, odd(d.lines.of("doors.%s", door.Name), "nobody can ever pass door %q", door.Name))
		}
		for i, r := range door.Rules {
			if r.Until != 0 && r.Until < on {
				found = append(found, odd(d.lines.of("doors.%s.rules[%d]", door.Name, i), "door %q, rule %d ended on %v", door.Name, i+1, r.Until))
			}
		}
	}
	return found
}

func (d *Document) idleGroups(people []Person) (found []Finding) {
	ruled, held := map[string]bool{}, map[string]int{}
	for _, door := range d.Doors {
		for _, r := range door.Rules {
			for _, g := range r.Groups {
				ruled[g] = true
			}
		}
	}
	for _, p := range people {
		for _, g := range p.Groups {
			held[g]++
		}
	}
	for _, g := range slices.Sorted(maps.Keys(d.Groups)) {
		switch {
		case !ruled[g]:
			found = append(found, odd(d.lines.of("groups.%s", g), "no door has a rule for group %q", g))
		case people != nil && held[g] == 0:
			found = append(found, odd(d.lines.of("groups.%s", g), "nobody is in group %q", g))
		}
	}
	for _, g := range slices.Sorted(maps.Keys(held)) {
		if _, ok := d.Groups[g]; !ok {
			found = append(found, odd(d.lines.of("groups"), "%s in group %q, which is not among the groups: it lets nobody pass", count(held[g], "person", "people"), g))
		}
	}
	return found
}

func (d *Document) idleSchedules(s access.Site, on access.Date) (found []Finding) {
	used := map[string]bool{always: true}
	for _, door := range d.Doors {
		for _, r := range door.Rules {
			used[r.Schedule] = true
		}
	}
	for i, schedule := range s.Schedules {
		line := d.lines.of("schedules.%s", schedule.Name)
		if !used[schedule.Name] {
			found = append(found, odd(line, "no rule uses schedule %q", schedule.Name))
			continue
		}
		alone := s
		alone.Groups = []string{"anybody"}
		alone.Doors = []access.SiteDoor{{Name: "any", Rules: []access.Rule{{Groups: access.GroupSet{}.Add(0), Schedule: uint8(i + 1)}}}}
		if momentsOf(on, alone).open(alone, "any", alone.Groups).empty() {
			found = append(found, odd(line, "schedule %q never runs", schedule.Name))
		}
	}
	return found
}

// clocks finds hours that begin or end while clocks are changed, within the year.
func (d *Document) clocks(s access.Site, on access.Date) (found []Finding) {
	for i := 1; i < len(s.Zone.Offsets); i++ {
		before, after := s.Zone.Offsets[i-1], s.Zone.Offsets[i]
		day, was, _ := s.Zone.Local(after.From - 1)
		if day < on || day >= on+lookAhead {
			continue
		}
		was++ // what the clock would have shown next
		low, high := was, was+int(after.East-before.East)/60
		text := "%q begins or ends at %s on %v: the clock goes from %s to %s then, and leaves that time out; it counts from %[5]s on"
		if high < low {
			low, high = high, low
			text = "%q begins or ends at %s on %v: the clock goes back from %s to %s then, and that time comes twice; the hours hold both times"
		}
		for j := range s.Schedules {
			schedule := &s.Schedules[j]
			for _, at := range edges(s, schedule, day) {
				if low < at && at < high {
					line := d.lines.of("schedules.%s", schedule.Name)
					found = append(found, odd(line, "schedule "+text, schedule.Name, clock(at), day, clock(was), clock(was+int(after.East-before.East)/60)))
				}
			}
		}
	}
	return found
}

// edges are the minutes of a day at which a schedule's hours begin or end.
func edges(s access.Site, schedule *access.Schedule, day access.Date) (at []int) {
	for _, p := range schedule.Spans {
		if schedule.On(s.Kind(day))&p.Days != 0 {
			at = append(at, int(p.From), int(p.To))
		}
		if schedule.On(s.Kind(day-1))&p.Days != 0 {
			at = append(at, int(p.To)-minutesADay)
		}
	}
	slices.Sort(at)
	return slices.Compact(at)
}
