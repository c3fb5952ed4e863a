package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/health"
	"github.com/lintel-access/lintel/firmware/portal"
)

// acceptWithin is how long after the start of a wiring test another camera is accepted: eye, which was sent away, looks again within a minute.
const acceptWithin = 10 * time.Minute

// pin holds the door to one camera, where the board names its port. The first that comes is accepted. Another one is accepted by the installer alone: by
// the wiring test, which begins by an opened case and a held exit button, and after a restart no longer. The zero pin accepts every camera.
type pin struct {
	wanted bool
	until  atomic.Int64 // CLOCK_MONOTONIC: until then another camera is accepted

	mu      sync.Mutex
	refused [32]byte // the last that was: eye comes again and again with it
	told    comings
}

// saw hears what the portal records.
func (p *pin) saw(e portal.Entry) {
	if e.Event == access.EventWiringStarted {
		p.until.Store(int64(e.Stamp + acceptWithin))
	}
}

var errExchanged = errors.New("it has another camera than the one that was accepted; the installer's wiring test accepts it")

// admits says whether the evidence of a camera counts at this door, and remembers the first. A camera that cannot be looked up or remembered does not.
func (k *kiosk) admits(c frames.Camera) error {
	p := &k.pin
	if !p.wanted || k.store == nil {
		return nil // without a vault nobody is recognised anyway
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	id := c.Identity()
	known, found, err := k.store.Camera()
	k.raise(access.SignalCameraChanged, found && known != id)
	switch {
	case err != nil:
		return err
	case found && known == id:
		p.refused = [32]byte{}
		return nil
	case found && int64(frames.Now()) >= p.until.Load():
		if p.refused != id {
			more, ok := p.told.pass(frames.Now())
			if !ok {
				return errExchanged
			}
			p.refused = id
			if more != "" {
				more += "; " // before what the device says, which may be longer than a record
			}
			k.note(access.EventCameraChanged, fmt.Sprintf("%.8x instead of %.8x: %s%s", id, known, more, describe(c)))
		}
		return errExchanged
	}
	if err := k.store.SetCamera(id); err != nil {
		return err
	}
	p.refused = [32]byte{}
	k.raise(access.SignalCameraChanged, false)
	k.note(access.EventConfigurationChanged, fmt.Sprintf("camera from %.8x to %.8x: %s", known, id, describe(c)))
	return nil
}

// describe is a camera for whoever compares two of them. Its texts come from the device.
func describe(c frames.Camera) string {
	return fmt.Sprintf("%.24q at %.24q, %.12q release %.8q serial %.24q", c.Card, c.Port+c.Bus, c.Device, c.Release, c.Serial)
}

// exchanged hears that eye came with a camera that the door does not accept, and was sent away.
func (s *selfTest) exchanged(why error) {
	s.eyeDown()
	if s.board.Camera.Infrared {
		s.judge(health.Infrared, health.Unknown, "")
	}
	s.judge(health.Camera, health.Missing, clip(why.Error(), health.MaxSentence))
}
