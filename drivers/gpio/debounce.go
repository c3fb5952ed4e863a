package gpio

import "time"

// restless is how long a line may chatter without once lasting before that is told of an Alarm line: long after the worst switch
// has come to rest, and soon enough for a wire that was cut half through.
const restless = time.Second

// debouncer decides when a level counts.
//
//	        edge                  the level has lasted hold: tell it if it is new
//	at rest ────► moving (first, last) ────────────────────────────► at rest
//	                │ ▲ edge: last = now
//	                └─┘ restless since first, Alarm: tell "on", go on
//
// It has no clock; the zero value tells every change at once.
type debouncer struct {
	hold  time.Duration
	alarm bool

	level  bool // told last
	moving bool
	first  time.Duration // edge of the burst
	last   time.Duration
}

// edge takes note of an edge.
func (d *debouncer) edge(at time.Duration) {
	if !d.moving {
		d.moving, d.first = true, at
	}
	d.last = at
}

// due is when settle has something to decide.
func (d *debouncer) due() (at time.Duration, moving bool) {
	return min(d.last+d.hold, d.first+restless), d.moving
}

// settle looks at the line, which is at this level now. When the level told has changed, stamp is that of the burst's first edge.
func (d *debouncer) settle(now time.Duration, level bool) (stamp time.Duration, changed bool) {
	if !d.moving && level != d.level {
		d.edge(now) // the kernel's queue ran over and lost the edge
	}
	if at, moving := d.due(); !moving || now < at {
		return 0, false
	}
	stamp = d.first
	switch {
	case now >= d.last+d.hold:
		d.moving = false
	case d.alarm:
		d.first, level = now, true
	default:
		d.first, level = now, d.level
	}
	changed = level != d.level
	d.level = level
	return stamp, changed
}
