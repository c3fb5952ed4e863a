package link

import (
	"context"
	"sync"
	"time"
)

// Drops counts messages of headquarters that came to nothing before the door saw them, by cause. Who sent them has no word in it.
type Drops struct {
	Astray   uint32 // on another topic
	Retained uint32 // kept by a broker: they may be of any time
	Empty    uint32
	Long     uint32 // longer than wire.MaxMessage
	Crowded  uint32 // while too many waited for the door
}

func (d Drops) plus(o Drops) Drops {
	return Drops{d.Astray + o.Astray, d.Retained + o.Retained, d.Empty + o.Empty, d.Long + o.Long, d.Crowded + o.Crowded}
}

// dropped tells of messages that came to nothing, without letting who sends them fill a log. It outlives the session: whoever ends one gains no pace by it.
type dropped struct {
	say func(string, ...any)

	mu     sync.Mutex
	count  int // since the newest line
	last   time.Time
	untold Drops // to the door
	told   time.Time
}

// tellEvery is the shortest time between two lines.
const tellEvery = 10 * time.Second

// tell notes a message. why goes into a line; one counts it for the door, and is zero where the door has judged it.
func (d *dropped) tell(why string, one Drops) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.untold = d.untold.plus(one)
	d.count++
	if time.Since(d.last) < tellEvery {
		return
	}
	d.say("%d messages of headquarters came to nothing, the newest because: %s", d.count, why)
	d.count, d.last = 0, time.Now()
}

// due takes what the door is to be told now, if anything, and no sooner than every so often.
func (d *dropped) due(every time.Duration) (n Drops, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.untold == (Drops{}) || time.Since(d.told) < every {
		return Drops{}, false
	}
	n, d.untold, d.told = d.untold, Drops{}, time.Now()
	return n, true
}

// account tells the door what was dropped, when it is time.
func (c *Carrier) account(ctx context.Context) error {
	if n, ok := c.dropped.due(c.pace.account); ok {
		return lost(ctx, c.door.Dropped(ctx, n))
	}
	return nil
}

// accounts does so for as long as a session lasts.
func (c *Carrier) accounts(ctx context.Context) error {
	tick := time.NewTicker(c.pace.pulse)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		if err := c.account(ctx); err != nil {
			return err
		}
	}
}
