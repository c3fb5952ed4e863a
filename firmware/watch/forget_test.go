package watch

import (
	"image"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// A session ends at its deadline even when door never says so, and a face that is gone is not held on to.
func TestSessionAndFaceAreForgotten(t *testing.T) {
	s := newStage(t)
	s.work(t)
	s.f.Image = portrait(t, s.w.Engine)
	for range 3 {
		s.next(t)
	}
	if s.door.last.Track == 0 {
		t.Fatal("nobody is seen in the portrait")
	}
	id := s.session(t, 1)
	s.next(t)
	if s.w.session == nil || len(s.w.session.frames) == 0 {
		t.Fatal("the session gathers no frames")
	}
	s.f.Stamp = s.w.session.order.Deadline
	s.next(t)
	if s.w.session != nil {
		t.Error("the session outlives its deadline")
	}
	s.order(t, ipc.KindConclude, ipc.Conclude{Session: id, Until: s.f.Stamp})
	if s.door.shown != nil {
		t.Error("a session past its deadline was presented")
	}

	// Frames of which nothing can be measured: the track is given up after a few, whatever made them so.
	s.f.Image = image.NewGray(s.f.Image.Rect)
	before := s.w.face.Track
	for range coast + 1 {
		if !s.w.have {
			t.Fatal("the face was given up before the dark chips of a code are over")
		}
		s.next(t)
	}
	if s.w.have {
		t.Errorf("the face is still held after %d frames without it", coast+1)
	}
	if got := s.w.unseen(access.HintBlurred); got != access.HintNobody {
		t.Errorf("with nobody followed a failed measurement is %v, want %v", got, access.HintNobody)
	}
	s.f.Image = portrait(t, s.w.Engine)
	for range 10 { // looks are rare while nobody is there
		s.next(t)
	}
	if !s.w.have || s.w.face.Track == before {
		t.Errorf("track %d after %d: who comes back is somebody new", s.w.face.Track, before)
	}
}
