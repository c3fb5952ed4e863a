package main

import (
	"context"
	"errors"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/sync/wire"
)

// supervisedWithin is how long a supervised enrolment waits for its person: the door opens for nobody meanwhile, and whoever ordered it stands there.
const supervisedWithin = 2 * time.Minute

// supervise leads the live enrolments that headquarters orders, one after the other. A restart ends the one that runs; it has to be ordered again.
func (h *headquarters) supervise(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-h.enrol:
			if err := h.enrolHere(ctx, o); ctx.Err() == nil {
				h.door.degrade("supervised enrolment", err)
			}
		}
	}
}

// enrolHere has the next walk-up enrol a person. What comes of it the walk-up records.
func (h *headquarters) enrolHere(ctx context.Context, o wire.Supervised) error {
	within := supervisedWithin
	if now, ok := h.door.clock.trusted(); ok {
		within = min(within, time.Unix(o.NotAfter, 0).Sub(now))
	}
	if within <= 0 {
		return errors.New("its time is over")
	}
	h.door.shelf.expect(&o)
	defer h.door.shelf.expect(nil)
	e, err := h.door.walkup.Enrol(ctx, ipc.Enrol{Person: o.Person, Within: within, Until: o.Until})
	if err != nil || e.References == 0 {
		return err
	}
	// What was ordered about them besides, the vault knows.
	return h.door.gallery.Follow(func(int) ([]access.PersonID, error) { return []access.PersonID{o.Person}, nil })
}

// retireNow takes a kiosk out of service whose vault has forgotten everybody: nobody is recognised any more, now and after every start. Exit and alarms
// work.
func (h *headquarters) retireNow() {
	k := h.door
	h.retired, h.challenges = true, nil
	h.keys = h.keys[len(h.keys)-1:] // its number stands in greetings; what it opened is gone
	h.keys[0].Blob = nil
	k.gallery.Wipe()
	k.disabled.Store(true)
	k.found()
	k.degrade("exchange key", root.ForgetExchange(k.state))
}
