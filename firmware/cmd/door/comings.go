package main

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
)

// comings bounds the records of something that comes and goes: a program that dies and is started again for days, or a stranger that
// knocks at a socket, must not fill the audit log. The zero comings has recorded nothing.
type comings struct {
	every time.Duration // after which one more passes; 0: comingsEvery

	mu      sync.Mutex
	spent   int
	since   time.Duration // when spent was paid off last
	skipped int
}

const (
	// comingsBurst records pass at once: a program that dies ten times and comes back.
	comingsBurst = 20
	// comingsEvery is the time after which one more passes: 1440 a day, a third of a megabyte.
	comingsEvery = time.Minute
)

// pass reports whether a record may be written now, and the sentence about those that might not since the last one.
func (c *comings) pass(now time.Duration) (detail string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	every := cmp.Or(c.every, comingsEvery)
	paid := int((now - c.since) / every)
	c.since += time.Duration(paid) * every
	if c.spent = max(0, c.spent-paid); c.spent >= comingsBurst {
		c.skipped++
		return "", false
	}
	c.spent++
	if c.skipped > 0 {
		detail = fmt.Sprintf("%d more like it were not recorded before", c.skipped)
		c.skipped = 0
	}
	return detail, true
}

// again is pass for one that was held back, and is not to be counted twice. Whoever uses it asks one after the other.
func (c *comings) again(now time.Duration) (detail string, ok bool) {
	c.mu.Lock()
	c.skipped = max(0, c.skipped-1)
	c.mu.Unlock()
	return c.pass(now)
}

// noteComing records that something came or went, unless it does so too often.
func (k *kiosk) noteComing(c *comings, e access.Event) {
	if detail, ok := c.pass(frames.Now()); ok {
		k.note(e, detail)
	}
}
