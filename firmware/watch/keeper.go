package watch

import (
	"context"
	"fmt"
	"image"
	"slices"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/abuse"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// keptFor is how long frames wait for door's word after the end of their session: a denial is shown half a second after it, and door may still be fetching
// those of the session before. The next presentation takes their place sooner.
const keptFor = 5 * time.Second

// A keeper holds the frames of the session that was presented last, if door named reviewers when it opened it, until door says what becomes of them.
// They leave this process encrypted to those reviewers, or not at all. The Watcher's mutex guards it.
type keeper struct {
	session   access.SessionID
	reviewers []string
	until     time.Duration // stamp after which the frames are wiped
	pictures  []abuse.Picture
	slab      []byte // that the pictures lie in

	before abuse.Picture // the newest frame outside of sessions in which the face was found; none without an image
	spare  []byte        // of earlier frames, wiped, for the reel's next
	seals  chan keeper
	sealed sealed // what door fetches
}

// sealed are the frames of a session as age encrypted them.
type sealed struct {
	session access.SessionID
	data    []byte
}

func (k *keeper) begin() { k.seals = make(chan keeper, 1) }

// saw remembers a frame outside of sessions, so that a session which begins in the dark can be looked at again. It allocates once.
func (k *keeper) saw(f frames.Frame) {
	pix := append(k.before.Image.Pix[:0], f.Image.Pix...)
	k.before = abuse.Picture{Seq: f.Seq, Stamp: f.Stamp, Exposure: f.Exposure, Before: true, Image: image.Gray{Pix: pix, Stride: f.Image.Stride, Rect: f.Image.Rect}}
}

// lost forgets that frame: the face is gone.
func (k *keeper) lost() {
	clear(k.before.Image.Pix)
	k.before = abuse.Picture{Image: image.Gray{Pix: k.before.Image.Pix[:0]}}
}

// take takes the frames of a session out of the reel, as they were when evidence was measured in them.
func (k *keeper) take(s *session, r *reel) {
	k.wipe()
	if len(s.order.Reviewers) == 0 || r.used == 0 {
		return
	}
	k.session, k.reviewers, k.until = s.order.Session, s.order.Reviewers, r.shots[r.used-1].stamp+keptFor
	if b := k.before; len(b.Image.Pix) > 0 && b.Stamp < s.frames[0].Stamp {
		b.Image.Pix = slices.Clone(b.Image.Pix)
		k.pictures = append(k.pictures, b)
	}
	for i := range r.used {
		f := &s.frames[i]
		k.pictures = append(k.pictures, abuse.Picture{Seq: f.Seq, Stamp: f.Stamp, Exposure: f.Exposure, Extracted: s.fused>>i&1 == 1, Image: r.shots[i].image})
		r.shots[i].image = image.Gray{}
	}
	k.slab, r.slab, k.spare = r.slab, k.spare, nil
}

// wipe forgets the frames that nobody asked for.
func (k *keeper) wipe() {
	if k.pictures == nil {
		return
	}
	k.clear()
	k.spare = k.slab
	k.session, k.reviewers, k.pictures, k.slab = access.SessionID{}, nil, nil, nil
}

// clear wipes the pixels.
func (k *keeper) clear() {
	for i := range k.pictures {
		clear(k.pictures[i].Image.Pix)
	}
}

func (k *keeper) expire(now time.Duration) {
	if k.pictures != nil && now > k.until {
		k.wipe()
	}
}

// give answers door's order for a part of the frames. The first part has them encrypted beside the work, and is answered when that is done. Called with
// mu held.
func (w *Watcher) give(q ipc.Seal) error {
	k := &w.keeper
	if q.From == 0 && k.pictures != nil && k.session == q.Session {
		select {
		case k.seals <- keeper{session: k.session, reviewers: k.reviewers, pictures: k.pictures, slab: k.slab}:
			k.session, k.reviewers, k.pictures, k.slab = access.SessionID{}, nil, nil, nil
			k.sealed = sealed{}
			return nil
		default: // two sessions ago is still being encrypted
		}
	}
	return w.part(q)
}

// part sends door a part, or that there are no frames. After the last one they are forgotten. Called with mu held.
func (w *Watcher) part(q ipc.Seal) error {
	s := &w.keeper.sealed
	answer := ipc.Sealed{Session: q.Session, From: q.From}
	if s.session != q.Session || int64(q.From) >= int64(len(s.data)) {
		answer.From = 0
		return w.Door.Send(ipc.KindSealed, answer)
	}
	answer.Size = uint32(len(s.data))
	answer.Part = s.data[q.From:min(int(q.From)+ipc.MaxPart, len(s.data))]
	err := w.Door.Send(ipc.KindSealed, answer)
	if int(q.From)+len(answer.Part) == len(s.data) {
		*s = sealed{}
	}
	return err
}

// seal encrypts frames until ctx ends.
func (w *Watcher) seal(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case k := <-w.keeper.seals:
			data, err := abuse.Seal(k.reviewers, k.pictures)
			k.clear()
			if err != nil && w.Lost != nil {
				w.Lost(err)
			}
			w.mu.Lock()
			w.keeper.spare = k.slab
			if err == nil { // else door is told that there are none: a film that is too long, a recipient that is none
				w.keeper.sealed = sealed{k.session, data}
			}
			err = w.part(ipc.Seal{Session: k.session})
			w.mu.Unlock()
			if err != nil {
				return fmt.Errorf("give frames: %w", err)
			}
		}
	}
}
