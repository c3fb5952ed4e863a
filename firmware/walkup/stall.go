package walkup

import (
	"context"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// stallOver is how long frames must have come for a stall to be over: what comes and goes is one fault, and whoever has taken eye writes no more than two
// records a minute with it.
const stallOver = time.Minute

// stall follows whether frames come. Without them a session has nothing to wait for, and nobody left: it ends for a retry and says why. A picture that
// shows nothing has the lamp looked at: it may be dead, or something covers the lens.
func (w *Walkup) stall(ctx context.Context, a ipc.Approach) {
	now := w.cfg.Now()
	switch nothing := a.Track == 0 && a.Exposure == 0; {
	case nothing:
		w.stallAt = now
		w.tellStalled(true)
		if w.state == access.Capturing {
			w.fail(ctx, access.ReasonCameraStalled)
		}
	case now-w.stallAt >= stallOver:
		w.tellStalled(false)
	}
	if a.Track == 0 && a.Hint != access.HintNobody {
		w.lookAgain()
	}
}

func (w *Walkup) tellStalled(yes bool) {
	if w.stalled != yes && w.cfg.Stalled != nil {
		w.cfg.Stalled(yes)
	}
	w.stalled = yes
}
