package watch

import (
	"errors"
	"testing"

	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// exchanged is a camera of which the kernel says something else than when it was opened.
type exchanged struct {
	still
	now frames.Camera
	err error
}

func (e *exchanged) Reread() (frames.Camera, error) { return e.now, e.err }

// Control: A19
func TestCameraIsReadAgainInEachSession(t *testing.T) {
	s := newStage(t)
	was := frames.Camera{Card: "as opened", Interval: interval}
	source := &exchanged{still: still{was}, now: was}
	s.w.Source = source
	s.f.Image = portrait(t, s.w.Engine)
	shows := func(number uint64) [32]byte {
		t.Helper()
		id := s.session(t, number)
		s.next(t)
		s.order(t, ipc.KindConclude, ipc.Conclude{Session: id, Until: s.f.Stamp})
		s.next(t)
		if s.door.shown == nil {
			t.Fatal("nothing is presented")
		}
		return s.door.shown.Camera
	}
	s.work(t)
	if shows(1) != was.Identity() {
		t.Error("the camera as it was opened has another identity")
	}
	source.now.Card = "another one"
	if shows(2) != source.now.Identity() {
		t.Error("another camera has the identity of the one that was opened")
	}
	s.session(t, 3)
	source.err = errors.New("gone")
	s.f.Seq++
	s.f.Stamp += interval
	if err := s.w.frame(s.f); !errors.Is(err, source.err) {
		t.Errorf("a camera that cannot be looked at: %v", err)
	}
}
