package mishap

import (
	"context"
	"errors"
	"image"
	"io"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/twin"
)

// mishap is what goes wrong with the camera or the lamp while it is set. The zero mishap is none.
type mishap struct {
	bend  func(f *frames.Frame) // what becomes of a frame
	fails func() error          // instead of a frame
	lamp  func(on bool) bool    // what the lamp does when it is switched
	line  error                 // the lamp's line cannot be set
	jump  time.Duration         // of the camera's clock
}

// While nobody is there most frames need not be drawn: door is told so with each, and after three times believes it.
const (
	calmEvery = 3900 * time.Millisecond
	calmAfter = 60 // frames
	// answered is how long after a measurement frames still come as they do: eye gives its answer with the first of them.
	answered = 4 * interval
)

// camera is the twin's, as a driver delivers it.
type camera struct {
	rig   *rig
	about frames.Camera
	image *image.Gray
	seq   uint64
}

func (c *camera) Camera() frames.Camera { return c.about }
func (c *camera) Close() error          { return nil }

// Next waits until the next frame has been exposed and read out.
func (c *camera) Next(ctx context.Context) (frames.Frame, error) {
	r := c.rig
	r.mu.Lock()
	calm := !r.present && c.seq > calmAfter && r.measure+answered < r.now()
	r.mu.Unlock()
	if calm {
		select {
		case <-ctx.Done():
		case <-r.hurry:
		case <-time.After(calmEvery):
		}
	}
	stamp := ((r.now()-lag)/interval + 1) * interval
	if err := sleep(ctx, stamp+lag-r.now()); err != nil {
		return frames.Frame{}, err
	}
	r.mu.Lock()
	m := r.mishap
	if m.fails != nil {
		r.mu.Unlock()
		err := m.fails()
		if errors.Is(err, frames.ErrStalled) { // which takes its time
			if err := sleep(ctx, frames.StallTimeout(c.about)); err != nil {
				return frames.Frame{}, err
			}
		}
		return frames.Frame{}, err
	}
	defer r.mu.Unlock()
	scene := r.scenes[0]
	if r.present {
		scene = r.scenes[1]
	}
	if r.staged != scene {
		if err := r.studio.Stage(scene, &r.cast); err != nil {
			return frames.Frame{}, err
		}
		r.staged = scene
	}
	c.seq++
	f := frames.Frame{Image: c.image, Seq: c.seq, Stamp: stamp, Exposure: twin.Exposure}
	r.studio.Draw(f.Image.Pix, max(stamp-r.since, 0)%time.Minute, c.seq, twin.Light{Lamp: r.lit(stamp)})
	f.Stamp += m.jump
	if m.bend != nil {
		m.bend(&f)
	}
	return f, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// lit is the share of an exposure that ends at t in which the lamp was on. The caller holds mu.
func (r *rig) lit(t time.Duration) float64 {
	var on time.Duration
	for i, c := range r.lamp {
		end := t
		if i+1 < len(r.lamp) {
			end = min(end, r.lamp[i+1].From)
		}
		if c.Lit {
			on += max(end-max(c.From, t-twin.Exposure), 0)
		}
	}
	return float64(on) / float64(twin.Exposure)
}

type (
	lamp    rig
	door    rig
	journal rig
)

// Set switches the lamp at once, and says when.
func (l *lamp) Set(on bool) (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mishap.line != nil {
		return 0, l.mishap.line
	}
	at, does := (*rig)(l).now(), on
	if l.mishap.lamp != nil {
		does = l.mishap.lamp(on)
	}
	l.lamp = append(l.lamp[max(0, len(l.lamp)-64):], access.Chip{From: at, Lit: does})
	return at, nil
}

// Release counts.
func (d *door) Release(_ context.Context, p access.Pass) (time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !p.Valid() {
		return 0, errors.New("pass is not valid")
	}
	d.released++
	d.known = d.gauges
	return (*rig)(d).now(), nil
}

func (d *door) State() access.AccessPoint { return access.AccessPoint{} }

// Append keeps the record.
func (j *journal) Append(r access.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.records = append(j.records, r)
	if r.Session.Number != 0 {
		j.session = false
	}
	return nil
}

// everybody knows whoever comes: what is tried here ends before anybody is compared.
type everybody struct{}

func (everybody) Search([]float32, [32]byte) (access.Candidate, error) {
	return access.Candidate{Found: true, Person: access.PersonID{1}, Standing: access.Permitted, Score: 0.9, Second: 0.1}, nil
}
func (everybody) Keep(access.PersonID, [][]float32, [32]byte, int64) (int, error) {
	return 0, io.ErrUnexpectedEOF
}
func (everybody) Look(p access.PersonID) access.Candidate        { return access.Candidate{Person: p} }
func (everybody) Holds(access.PersonID) bool                     { return true }
func (everybody) Subject(access.PersonID, int64) (none [16]byte) { return none }
