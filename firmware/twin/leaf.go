//go:build !kiosk

package twin

import "time"

const (
	reachesDoor = 300 * time.Millisecond // from the click of the lock to the door being pulled open
	leafOpenFor = 800 * time.Millisecond
)

// passage is somebody who walks through the door when it is released, and the leaf that falls shut behind them.
type passage struct {
	released bool          // the relay was on at the last step
	pull     time.Duration // when the door will be pulled; 0: nobody does
	shut     time.Duration // when the leaf falls shut; 0: it is
}

// step looks at the relay and says how the contact changes, if it does. The door can only be pulled open while it is released.
func (p *passage) step(now time.Duration, relay, passes bool) (on, changed bool) {
	if relay && !p.released && passes && p.shut == 0 {
		p.pull = now + reachesDoor
	}
	p.released = relay
	switch {
	case p.pull != 0 && !relay:
		p.pull = 0
	case p.pull != 0 && now >= p.pull:
		p.pull, p.shut = 0, now+leafOpenFor
		return true, true
	case p.shut != 0 && now >= p.shut:
		p.shut = 0
		return false, true
	}
	return false, false
}
