package watch

import (
	"bytes"
	"context"
	"errors"
	"image"
	"io"
	"slices"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/abuse"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/inference/face"
)

// tray is door: it takes what eye gives of the frames.
type tray chan ipc.Sealed

func (t tray) Send(_ ipc.Kind, body any) error {
	if s, ok := body.(ipc.Sealed); ok {
		t <- s
	}
	return nil
}

// desk is a Watcher without a camera, whose sealing runs.
func desk(t *testing.T) (*stage, tray) {
	t.Helper()
	given := make(tray, 1)
	w := &Watcher{Door: given, Now: frames.Now}
	w.begin()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.seal(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &stage{w: w}, given
}

// presented leaves a session of five frames as one that was just presented.
func (s *stage) presented(number uint64, reviewers ...string) (id access.SessionID, pix [][]byte) {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	id = access.SessionID{Boot: 1, Number: number}
	of := &session{order: ipc.Observe{Session: id, Reviewers: reviewers}, fused: 1 << 3}
	frame := func(seq uint64) frames.Frame {
		img := image.NewGray(image.Rect(0, 0, 64, 48))
		for i := range img.Pix {
			img.Pix[i] = byte(uint64(i)*seq + number)
		}
		return frames.Frame{Image: img, Seq: seq, Stamp: time.Hour + time.Duration(seq)*interval, Exposure: time.Millisecond}
	}
	w.keeper.saw(frame(1))
	for seq := uint64(2); seq < 7; seq++ {
		f := frame(seq)
		w.reel.add(f, new(face.Face), true)
		of.frames = append(of.frames, access.FrameEvidence{Seq: f.Seq, Stamp: f.Stamp, Exposure: f.Exposure})
	}
	w.keeper.take(of, &w.reel)
	w.forget(of)
	for _, p := range w.keeper.pictures {
		pix = append(pix, p.Image.Pix)
	}
	return id, pix
}

// Frames of a session leave eye encrypted to the reviewers that door named, and nothing of them stays behind.
func TestFramesAreGivenEncrypted(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	s, given := desk(t)
	for number := range uint64(3) { // the slabs go round
		id, pix := s.presented(number+1, key.Recipient().String())
		want := make([][]byte, len(pix))
		for i := range pix {
			want[i] = slices.Clone(pix[i])
		}
		var file bytes.Buffer
		w, err := abuse.NewWriter(&file)
		if err != nil {
			t.Fatal(err)
		}
		for from, size := uint32(0), uint32(1); from < size; {
			s.order(t, ipc.KindSeal, ipc.Seal{Session: id, From: from})
			part := <-given
			if part.Session != id || part.From != from || part.Validate() != nil {
				t.Fatalf("part %+v, asked for %d", part, from)
			}
			if err := w.Film(part.Part); err != nil {
				t.Fatal(err)
			}
			from, size = from+uint32(len(part.Part)), part.Size
		}
		for i := range pix {
			if slices.Max(pix[i]) != 0 {
				t.Errorf("session %d: frame %d stays behind", number, i)
			}
		}
		if _, err := w.Finish(&abuse.Case{}, "", []age.Recipient{key.Recipient()}); err != nil {
			t.Fatal(err)
		}
		_, film, err := abuse.Open(bytes.NewReader(file.Bytes()), int64(file.Len()), key)
		if err != nil {
			t.Fatal(err)
		}
		if len(film) != 6 || len(want) != 6 {
			t.Fatalf("a film of %d pictures, %d kept, want 6", len(film), len(want))
		}
		for i, p := range film {
			if p.Seq != uint64(i+1) || p.Before != (i == 0) || p.Extracted != (i == 4) || !bytes.Equal(p.Image.Pix, want[i]) {
				t.Errorf("picture %d comes back otherwise: %d, %v, %v", i, p.Seq, p.Before, p.Extracted)
			}
		}
		// Once fetched, they are gone.
		s.order(t, ipc.KindSeal, ipc.Seal{Session: id})
		if again := <-given; again.Size != 0 {
			t.Errorf("the frames are given twice: %d bytes", again.Size)
		}
	}
}

// stalled is a camera that delivers nothing once, and then is gone.
type stalled struct {
	still
	asked bool
}

func (c *stalled) Next(context.Context) (frames.Frame, error) {
	if c.asked {
		return frames.Frame{}, io.EOF
	}
	c.asked = true
	return frames.Frame{}, frames.ErrStalled
}

// stalls has the camera deliver nothing at that time.
func (s *stage) stalls(t *testing.T, now time.Duration) {
	t.Helper()
	s.w.Source, s.w.Now = new(stalled), func() time.Duration { return now }
	if err := s.w.look(t.Context()); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

// A session whose camera stalls is forgotten at its deadline, and not before.
func TestSessionOfAStalledCameraIsForgotten(t *testing.T) {
	s, _ := desk(t)
	s.w.session = &session{order: ipc.Observe{Deadline: time.Hour}}
	if s.stalls(t, time.Hour); s.w.session == nil {
		t.Error("it is forgotten before its deadline")
	}
	if s.stalls(t, time.Hour+1); s.w.session != nil {
		t.Error("it outlives its deadline")
	}
}

// Nobody's frames are kept beyond what door asked for.
func TestFramesAreForgotten(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	reviewer := key.Recipient().String()
	for name, end := range map[string]func(s *stage, id access.SessionID){
		"door says so":        func(s *stage, id access.SessionID) { s.order(t, ipc.KindAbort, ipc.Abort{Session: id}) },
		"door says nothing":   func(s *stage, _ access.SessionID) { s.w.keeper.expire(2 * time.Hour) },
		"the next is shown":   func(s *stage, _ access.SessionID) { s.presented(7) },
		"camera stalls":       func(s *stage, _ access.SessionID) { s.stalls(t, 2*time.Hour) },
		"reviewer is no age1": nil,
	} {
		s, given := desk(t)
		to := reviewer
		if end == nil {
			to = "age1nobody"
		}
		var lost error
		s.w.Lost = func(err error) { lost = err }
		id, pix := s.presented(1, to)
		if len(pix) == 0 {
			t.Fatal("no frames were kept")
		}
		if end != nil {
			end(s, id)
			for i := range pix {
				if slices.Max(pix[i]) != 0 {
					t.Errorf("%s: frame %d stays", name, i)
				}
			}
		}
		s.order(t, ipc.KindSeal, ipc.Seal{Session: id})
		if got := <-given; got.Size != 0 {
			t.Errorf("%s: frames are given", name)
		}
		if (lost != nil) != (end == nil) {
			t.Errorf("%s: why no frames are given: %v", name, lost)
		}
	}
	s, given := desk(t)
	id, pix := s.presented(1)
	s.order(t, ipc.KindSeal, ipc.Seal{Session: id})
	if got := <-given; got.Size != 0 || len(pix) != 0 {
		t.Error("frames are kept although door named nobody")
	}
	s.order(t, ipc.KindSeal, ipc.Seal{Session: id, From: 77})
	if got := <-given; got.Size != 0 || got.Validate() != nil {
		t.Errorf("a part of nothing: %+v", got)
	}
	s.w.keeper.lost()
	if slices.Max(s.w.keeper.before.Image.Pix[:64]) != 0 {
		t.Error("the frame before a session stays when its face is gone")
	}
}
