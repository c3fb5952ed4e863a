package health

import (
	"fmt"
	"time"

	"github.com/lintel-access/lintel/access"
)

// ContactWatch judges the contact by what the door did. It is a plain value: Next returns the one that follows. The zero ContactWatch has seen
// nothing, and finds nothing wrong.
type ContactWatch struct {
	unused int           // releases in a row without a movement
	open   bool          // it says so
	since  time.Duration // when it opened
	minute time.Duration // when the count began
	moves  int           // since then
	bounce bool          // too many in the last whole minute
}

// Bounds of a contact that can be believed.
const (
	// unusedMost releases in a row that nobody used: one in two is used at a quiet door, so that chance makes it of a good contact once in a million.
	unusedMost = 20
	// openMost is how long a door stands open before it is the contact that is doubted: whoever props it for a day has heard the alarm all day.
	openMost = 24 * time.Hour
	// movesMost in a minute are more than people can pass: a door that falls shut by itself needs three seconds for it.
	movesMost = 40
)

// Next takes what the portal recorded, with its CLOCK_MONOTONIC stamp. Events that are not of the contact change nothing.
func (c ContactWatch) Next(e access.Event, at time.Duration) ContactWatch {
	switch e {
	case access.EventReleaseUnused:
		c.unused++
		return c
	case access.EventDoorOpened, access.EventDoorForcedOpen, access.EventDoorFoundOpen:
		c.open, c.since = true, at
	case access.EventDoorClosed:
		c.open = false
	default:
		return c
	}
	c.unused = 0
	if at-c.minute >= time.Minute {
		c.bounce = c.moves > movesMost && at-c.minute < 2*time.Minute
		c.minute, c.moves = at, 0
	}
	c.moves++
	c.bounce = c.bounce || c.moves > movesMost
	return c
}

// Judge says how far the contact can be believed now.
func (c ContactWatch) Judge(now time.Duration) (State, string) {
	switch {
	case c.unused >= unusedMost:
		return Missing, fmt.Sprintf("it did not move at the last %d releases", c.unused)
	case c.bounce && now-c.minute < 2*time.Minute:
		return Impaired, fmt.Sprintf("it moved more than %d times in a minute", movesMost)
	case c.open && now-c.since >= openMost:
		return Impaired, fmt.Sprintf("open for %d hours", (now-c.since)/time.Hour)
	}
	return Works, ""
}

// ClockWatch judges the wall clock. It is a plain value: Next returns the one that follows. The zero ClockWatch has read no clock.
type ClockWatch struct {
	last  Reading
	doubt string // a jump that nobody explained since
}

// Reading is both clocks at one moment.
type Reading struct {
	Wall  time.Time
	Stamp time.Duration // CLOCK_MONOTONIC
}

// Bounds of a clock that can be believed.
const (
	// backMost is a correction and no jump: a clock that is set by a radio or a network is moved by seconds.
	backMost = 5 * time.Second
	// aheadMost is more than a quartz loses in a year without power.
	aheadMost = 10 * time.Minute
)

// Next takes a reading. floor is what the time cannot be before: the build of this program, or the newest record, whichever is later. vouched says
// that headquarters has given the time; whatever was doubted is forgotten then.
func (c ClockWatch) Next(now Reading, floor time.Time, vouched bool) ClockWatch {
	if before := c.last; !before.Wall.IsZero() {
		switch step := now.Wall.Sub(before.Wall) - (now.Stamp - before.Stamp); {
		case step < -backMost:
			c.doubt = fmt.Sprintf("it jumped back by %v", -step.Round(time.Second))
		case step > aheadMost:
			c.doubt = fmt.Sprintf("it jumped ahead by %v", step.Round(time.Second))
		}
	}
	if vouched {
		c.doubt = ""
	}
	if now.Wall.Before(floor) {
		c.doubt = fmt.Sprintf("it says %s, which is before %s", now.Wall.UTC().Format(time.DateOnly), floor.UTC().Format(time.DateOnly))
	}
	c.last = now
	return c
}

// Judge says how far the clock can be believed. vouched is as in Next.
func (c ClockWatch) Judge(vouched bool) (State, string) {
	switch {
	case c.doubt != "":
		return Missing, c.doubt
	case !vouched:
		return Impaired, ""
	}
	return Works, ""
}
