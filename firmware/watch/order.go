package watch

import (
	"crypto/sha256"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// Order takes an order of door. It is called from the goroutine that receives them, also while Run waits for a frame.
func (w *Watcher) Order(m ipc.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch m.Kind {
	case ipc.KindObserve:
		var o ipc.Observe
		if err := ipc.Decode(m, &o); err != nil {
			return err
		}
		if w.session != nil {
			w.forget(w.session)
		}
		w.session = &session{order: o, received: w.Now(), chain: sha256.Sum256(o.Nonce[:]), frames: make([]access.FrameEvidence, 0, access.MaxFrames),
			camera: w.Source.Camera().Identity()}
	case ipc.KindConclude:
		var c ipc.Conclude
		if err := ipc.Decode(m, &c); err != nil {
			return err
		}
		if w.session != nil && w.session.order.Session == c.Session {
			w.session.until = c.Until
		}
		return w.presentIfReady()
	case ipc.KindGauge:
		var g ipc.Gauge
		if err := ipc.Decode(m, &g); err != nil {
			return err
		}
		w.gauging = &gauge{until: g.Until}
	case ipc.KindTiming:
		return ipc.Decode(m, &w.timing)
	case ipc.KindSeal:
		var q ipc.Seal
		if err := ipc.Decode(m, &q); err != nil {
			return err
		}
		return w.give(q)
	case ipc.KindAbort:
		var a ipc.Abort
		if err := ipc.Decode(m, &a); err != nil {
			return err
		}
		if w.keeper.session == a.Session {
			w.keeper.wipe()
		}
		if w.session != nil && w.session.order.Session == a.Session {
			w.forget(w.session)
			w.session = nil
		}
	}
	return nil
}
