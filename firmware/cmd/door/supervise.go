package main

import (
	"context"
	"errors"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/sync/wire"
)

// supervisedWithin is how long a supervised enrolment waits for its person: the door opens for nobody meanwhile, and whoever began it stands there.
const supervisedWithin = 2 * time.Minute

var errBusy = errors.New("another enrolment runs here")

// begin begins a supervised enrolment on an enroller's own signature over a challenge of this very kiosk: it has one try. For another one the enroller
// signs another challenge.
func (h *headquarters) begin(data []byte) error {
	b, o, err := h.roster.Begin(data, h.now())
	if err != nil {
		return err
	}
	if c, ok := h.spend(b.Challenge); !ok || frames.Now()-c.at > access.AssertWithin {
		return errNoChallenge
	}
	if h.door.disabled.Load() {
		return errUnfit
	}
	h.session.Lock()
	defer h.session.Unlock()
	if h.busy {
		return errBusy
	}
	r := h.door.blank(access.EventSupervisedBegun)
	r.Subject, r.Detail = h.door.gallery.Subject(o.Person, r.Wall), signer(data)
	if err := h.door.append(auditlog.Vital, r); err != nil { // first, as with a release: nothing that permits is begun unseen
		return err
	}
	h.busy = true
	h.enrol <- o
	return nil
}

// supervise leads the live enrolments that enrollers begin from afar. A restart ends the one that runs.
func (h *headquarters) supervise(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-h.enrol:
			if err := h.enrolHere(ctx, o); ctx.Err() == nil {
				h.door.degrade("supervised enrolment", err)
			}
			h.session.Lock()
			h.busy = false
			h.session.Unlock()
		}
	}
}

// enrolHere has the next walk-up enrol a person. What comes of it the walk-up records.
func (h *headquarters) enrolHere(ctx context.Context, o wire.Supervised) error {
	h.door.shelf.expect(&o)
	defer h.door.shelf.expect(nil)
	e, err := h.door.walkup.Enrol(ctx, ipc.Enrol{Person: o.Person, Within: supervisedWithin, Until: o.Until})
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
	h.keys = []exchangeKey{{Number: h.keys[len(h.keys)-1].Number}} // it stands in greetings; what it opened is gone
	k.gallery.Wipe()
	k.disabled.Store(true)
	k.found()
	k.degrade("decommissioning", errors.Join(k.empty(), root.ForgetExchange(k.state)))
}
