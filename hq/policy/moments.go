package policy

import (
	"fmt"
	"slices"

	"github.com/lintel-access/lintel/access"
)

// lookAhead is how many days are looked at: a year, and what runs into the next one.
const lookAhead = 371

// moments are the days and minutes at which anything can be different under some sites. Days that are alike are looked at once; so are the minutes between
// two at which something begins or ends.
type moments struct {
	days   []access.Date // one of each kind, ascending
	alike  map[access.Date]int
	starts []int // minutes of the day, ascending, the first 0
}

// maxMoments keeps a check to seconds: a site of many doors has some thousands.
const maxMoments = 1 << 16

func (m moments) count() int { return len(m.days) * len(m.starts) }

func momentsOf(on access.Date, sites ...access.Site) moments {
	m := moments{alike: map[access.Date]int{}, starts: []int{0}}
	var changes []access.Date // days on which a rule begins or has ended
	for _, s := range sites {
		for _, schedule := range s.Schedules {
			for _, p := range schedule.Spans {
				m.starts = append(m.starts, int(p.From), int(p.To)%minutesADay)
			}
		}
		for _, d := range s.Doors {
			for _, r := range d.Rules {
				changes = append(changes, r.From, r.Until+1)
			}
		}
	}
	slices.Sort(m.starts)
	m.starts = slices.Compact(m.starts)
	slices.Sort(changes)
	kinds := map[string]int{}
	for d := on; d < on+lookAhead; d++ {
		key := ""
		for _, at := range []access.Date{d - 1, d} {
			age, _ := slices.BinarySearch(changes, at+1)
			key += fmt.Sprint(age, " ")
			for _, s := range sites {
				key += fmt.Sprint(s.Kind(at), " ")
			}
		}
		n, ok := kinds[key]
		if !ok {
			n = len(m.days)
			kinds[key], m.days = n, append(m.days, d)
		}
		m.alike[d] = n
	}
	return m
}

// minutes is how long the stretch lasts that begins with a start.
func (m moments) minutes(start int) int {
	if start+1 < len(m.starts) {
		return m.starts[start+1] - m.starts[start]
	}
	return minutesADay - m.starts[start]
}

// set has one bit a moment: the starts of the first day, then those of the second.
type set []uint64

func (m moments) none() set { return make(set, (m.count()+63)/64) }

func (m moments) all() set {
	s := m.none()
	for i := range m.count() {
		s[i/64] |= 1 << (i % 64)
	}
	return s
}

func (s set) has(i int) bool { return s[i/64]>>(i%64)&1 != 0 }

func (s set) empty() bool { return !slices.ContainsFunc(s, func(w uint64) bool { return w != 0 }) }

// add takes in what a and b have in common, and tells whether that was anything new.
func (s set) add(a, b set) (grew bool) {
	for i := range s {
		was := s[i]
		s[i] |= a[i] & b[i]
		grew = grew || s[i] != was
	}
	return grew
}

// open is when groups may pass a door.
func (m moments) open(s access.Site, door string, groups []string) set {
	out := m.none()
	if s.PermitsAt(door, groups, m.days[0], 0).Rule == 0 {
		return out // no rule is about them
	}
	i := 0
	for _, day := range m.days {
		for _, start := range m.starts {
			if s.PermitsAt(door, groups, day, start).Permitted {
				out[i/64] |= 1 << (i % 64)
			}
			i++
		}
	}
	return out
}

// stretch is a part of one day, in minutes from midnight.
type stretch struct{ from, to int }

func clock(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

func (s stretch) String() string { return clock(s.from) + "–" + clock(s.to) }

// stretches are those of a day, numbered as in days, for which in says so.
func (m moments) stretches(day int, in func(moment int) bool) (out []stretch) {
	for k, start := range m.starts {
		if !in(day*len(m.starts) + k) {
			continue
		}
		end := start + m.minutes(k)
		if n := len(out); n > 0 && out[n-1].to == start {
			out[n-1].to = end
			continue
		}
		out = append(out, stretch{start, end})
	}
	return out
}

func total(all []stretch) (minutes int) {
	for _, s := range all {
		minutes += s.to - s.from
	}
	return minutes
}
