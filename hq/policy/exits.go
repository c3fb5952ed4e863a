package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lintel-access/lintel/access"
)

// way leads from one zone to another.
type way struct {
	from, to string
	door     string
	free     bool // without being recognised
}

// ways are all there are: through each door from its reader's side, and back as its exit says.
func (d *Document) ways() (all []way) {
	for _, name := range slices.Sorted(maps.Keys(d.Doors)) {
		from, to := d.Doors[name].sides(name)
		all = append(all, way{from, to, name, false})
		if exit := d.Doors[name].Exit; exit != exitNone {
			all = append(all, way{to, from, name, exit == exitREX})
		}
	}
	return all
}

// plan is when each group may pass each door.
type plan struct {
	moments
	ways   []way
	always set
	open   map[string]map[string]set  // by door and group
	blind  map[string]map[string]bool // who may pass even when the kiosk has lost headquarters, and with it the time; by door and group
}

// trapped finds zones that somebody may enter and cannot leave. It looks at each group, at each two of them together, and at the groups that
// people really have. More than two that nobody has together are not looked at: their number has no bound.
func (d *Document) trapped(s access.Site, on access.Date, people []Person) (found []Finding) {
	p := plan{moments: momentsOf(on, s), ways: d.ways(), open: map[string]map[string]set{}, blind: map[string]map[string]bool{}}
	p.always = p.all()
	for _, door := range s.Doors {
		p.open[door.Name], p.blind[door.Name] = map[string]set{}, map[string]bool{}
		for n, g := range s.Groups {
			p.open[door.Name][g] = p.moments.open(s, door.Name, []string{g})
			p.blind[door.Name][g] = door.Stale == access.EffectNone && slices.ContainsFunc(door.Rules, func(r access.Rule) bool {
				return r.Groups.Has(n) && r.Schedule == 0 && r.From == 0 && r.Until == 0
			})
		}
	}
	found = d.lockedIn(p, s.Groups)
	told := map[string]bool{} // zone and group
	tell := func(groups []string) {
		for _, t := range p.trap(groups) {
			if slices.ContainsFunc(groups, func(g string) bool { return told[t.zone+" "+g] }) {
				continue // it is so for one of them already
			}
			if len(groups) == 1 {
				told[t.zone+" "+groups[0]] = true
			}
			key := t.zone + " " + strings.Join(groups, " ")
			if told[key+" "] {
				continue
			}
			told[key+" "] = true
			found = append(found, wrong(d.lines.of("doors.%s.exit", t.door), "who is let in as %s cannot leave %q %s: want a door with exit = %q, or a rule without hours and dates on the way out, at a door that stale = does not shut",
				strings.Join(groups, " and "), t.zone, t.when, exitREX))
		}
	}
	for _, g := range s.Groups {
		tell([]string{g})
	}
	for i, g := range s.Groups {
		for _, h := range s.Groups[i+1:] {
			tell([]string{g, h})
		}
	}
	for _, who := range people {
		if len(who.Groups) > 2 {
			tell(slices.Compact(slices.Sorted(slices.Values(who.Groups))))
		}
	}
	return found
}

// trap is a zone that cannot be left at some time.
type trap struct {
	zone, door string // by which it is entered
	when       string
}

// through is when people of these groups may go a way.
func (p plan) through(w way, groups []string) set {
	if w.free {
		return p.always
	}
	out := p.none()
	for _, g := range groups {
		if open, ok := p.open[w.door][g]; ok {
			out.add(open, open)
		}
	}
	return out
}

func (p plan) trap(groups []string) (found []trap) {
	passable := make([]set, len(p.ways))
	for i, w := range p.ways {
		passable[i] = p.through(w, groups)
	}
	entered := p.entered(passable)
	// And by which of them one gets out when the kiosk has lost headquarters, and with it the time, as after a power cut.
	blind := p.exits(func(w way) bool {
		return w.free || slices.ContainsFunc(groups, func(g string) bool { return p.blind[w.door][g] })
	})
	// When each zone can be left, from one moment to the same moment outside.
	left := map[string]set{outside: p.always}
	for grew := true; grew; {
		grew = false
		for i, w := range p.ways {
			if left[w.to] == nil || w.from == outside {
				continue
			}
			if left[w.from] == nil {
				left[w.from] = p.none()
			}
			grew = left[w.from].add(passable[i], left[w.to]) || grew
		}
	}
	for _, zone := range slices.Sorted(maps.Keys(entered)) {
		if when := p.missing(left[zone]); when != "" {
			found = append(found, trap{zone, entered[zone], when})
		} else if !blind[zone] {
			found = append(found, trap{zone, entered[zone], "while a kiosk does not know the time or is stale"})
		}
	}
	return found
}

// entered are the zones that can be entered at all, and by which door: whoever passes one door today may pass the next one on another day.
func (p plan) entered(passable []set) map[string]string {
	entered := map[string]string{outside: ""}
	for grew := true; grew; {
		grew = false
		for i, w := range p.ways {
			_, from := entered[w.from]
			if _, to := entered[w.to]; from && !to && !passable[i].empty() {
				entered[w.to], grew = w.door, true
			}
		}
	}
	return entered
}

// exits are the zones from which ways of a kind lead outside.
func (p plan) exits(of func(way) bool) map[string]bool {
	left := map[string]bool{outside: true}
	for grew := true; grew; {
		grew = false
		for _, w := range p.ways {
			if left[w.to] && !left[w.from] && of(w) {
				left[w.from], grew = true, true
			}
		}
	}
	return left
}

// lockedIn finds zones that nobody can leave while a lockdown shuts what is opened by being recognised.
func (d *Document) lockedIn(p plan, groups []string) (found []Finding) {
	passable := make([]set, len(p.ways))
	for i, w := range p.ways {
		passable[i] = p.through(w, groups)
	}
	free := p.exits(func(w way) bool { return w.free })
	entered := p.entered(passable)
	for _, zone := range slices.Sorted(maps.Keys(entered)) {
		if !free[zone] {
			found = append(found, odd(d.lines.of("doors.%s.exit", entered[zone]), "nobody can leave %q in a lockdown, which shuts every way out but those with exit = %q", zone, exitREX))
		}
	}
	return found
}

// missing says which moments a set lacks; "" when none.
func (p plan) missing(s set) string {
	if s == nil {
		s = p.none()
	}
	days, example := 0, ""
	for n, day := range p.days {
		lacks := p.stretches(n, func(i int) bool { return !s.has(i) })
		if len(lacks) == 0 {
			continue
		}
		if days++; days == 1 {
			example = fmt.Sprintf("as on %s %v, %v", weekdayNames[day.Weekday()], day, join(lacks))
		}
	}
	switch {
	case days == 0:
		return ""
	case s.empty():
		return "at any time"
	}
	return "at some times, " + example
}

var weekdayNames = [...]string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}

// join is the list as a sentence has it.
func join[T fmt.Stringer](all []T) string {
	words := make([]string, len(all))
	for i, a := range all {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}
