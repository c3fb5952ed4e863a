package walkup

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/abuse"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// bench is a small real door: a lamp with a history, an eye that sees that lamp on whoever stands there, a gallery of vectors.
type bench struct {
	t   *testing.T
	w   *Walkup
	ctx context.Context

	mu       sync.Mutex
	lamp     []access.Chip // history: each entry holds until the next
	order    []string      // what happened, in order: "recorded granted", "released"
	records  []access.Record
	shown    []access.Indication
	released int
	logErr   error
	keepErr  error
	doorErr  error
	lampErr  error
	hello    ipc.Hello

	person    int  // component of the probe that is 1
	deaf      bool // the face does not follow the lamp
	silent    bool // eye never presents
	known     map[int]access.Candidate
	nearest   access.Candidate // of a probe that is nobody's
	bend      func(*access.Presentation)
	door      access.AccessPoint
	session   ipc.Observe
	seq       uint64
	presented int
	saved     []time.Duration
	limited   []bool // what was said of the door's limit with each saving
	refusals  map[access.PersonID]refusals
	shelfErr  error // of reading and saving refusals
	lease     int64 // of the newest enrolment

	lag     time.Duration // from light to stamp
	gauges  int           // how often the lamp was measured
	timing  ipc.Timing
	told    []bool // what was said of the lamp
	kept    []*abuse.Case
	shownAt []time.Duration // when the outcomes of kept are shown
	aborted []access.SessionID
	unable  bool

	objections map[access.PersonID]access.Reason // of the site's rules

	signals access.Signals // that door says
}

// refusals are what the bench's store remembers of a person.
type refusals struct {
	at     []time.Duration
	locked bool
}

const (
	benchInterval = 20 * time.Millisecond
	benchExposure = 2 * time.Millisecond
)

var began = time.Now()

func now() time.Duration { return time.Since(began) + time.Hour }

func start(t *testing.T, bend func(*access.Policy), remembered ...time.Duration) *bench {
	t.Helper()
	p := access.DefaultPolicy()
	p.RevealAfter, p.ShowFor, p.Cooldown = 400*time.Millisecond, 20*time.Millisecond, 100*time.Millisecond
	p.FailureCooldown = 150 * time.Millisecond
	p.Deadline = 2 * time.Second
	p.Quota, p.MaterialLimit = 10, 20 // a busy machine needs time for longer codes
	if bend != nil {
		bend(&p)
	}
	b := &bench{t: t, known: map[int]access.Candidate{}, refusals: map[access.PersonID]refusals{}}
	b.nearest = access.Candidate{Person: access.PersonID{1}, Score: 0.1, Second: -1}
	b.hello = ipc.Hello{Camera: frames.Camera{Interval: benchInterval}, Bundle: [32]byte{9}}
	var trail *Trail
	if p.Follow.On {
		var err error
		if trail, err = NewTrail(p.Follow, b.hello.Bundle, make([]float32, FollowFloats)); err != nil {
			t.Fatal(err)
		}
	}
	w, err := New(Config{
		Policy: p, Boot: 4, Lamps: []Lamp{(*benchLamp)(b)}, Door: (*benchDoor)(b), Log: (*benchLog)(b), Gallery: (*benchGallery)(b),
		Threshold: func(bundle [32]byte) (float32, bool) { return 0.5, bundle == b.hello.Bundle },
		Show: func(i access.Indication) {
			b.mu.Lock()
			b.shown = append(b.shown, i)
			b.mu.Unlock()
		},
		Keep: func(c *abuse.Case, shown time.Duration) {
			b.mu.Lock()
			b.kept, b.shownAt = append(b.kept, c), append(b.shownAt, shown)
			b.mu.Unlock()
		},
		Failures: remembered,
		SaveFailures: func(f []time.Duration, limited bool) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.saved, b.limited = append(b.saved[:0], f...), append(b.limited, limited)
			return nil
		},
		PersonFailures: func(p access.PersonID) ([]time.Duration, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.refusals[p].at, b.shelfErr
		},
		SavePersonFailures: func(p access.PersonID, f []time.Duration, locked bool) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.shelfErr == nil {
				b.refusals[p] = refusals{f, locked}
			}
			return b.shelfErr
		},
		Objection: func(p access.PersonID) access.Reason {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.objections[p]
		},
		Able: func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return !b.unable
		},
		Free:  func() bool { return true },
		Trail: trail,
		Signals: func() access.Signals {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.signals
		},
		Gauged: func(_ access.Response, found bool) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.told = append(b.told, found)
		}, Now: now, Wall: func() (time.Time, access.ClockState) { return time.Now(), access.ClockUntrusted }, Changed: func() {},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.response, w.measured = &access.Response{Exposure: benchExposure}, [32]byte{7} // TestGauge measures; the others have it behind them
	w.looked, w.lookNext = now(), now()+lookEvery
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("walk-up ended: %v", err)
		}
	})
	b.w, b.ctx = w, ctx
	w.EyeUp(ctx, (*benchEye)(b), b.hello, [32]byte{7})
	return b
}

type (
	benchLamp    bench
	benchDoor    bench
	benchLog     bench
	benchGallery bench
	benchEye     bench
)

func (b *benchLamp) Set(on bool) (time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lampErr != nil {
		return 0, b.lampErr
	}
	at := now()
	b.lamp = append(b.lamp, access.Chip{From: at, Lit: on})
	return at, nil
}

func (b *benchDoor) Release(_ context.Context, p access.Pass) (time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !p.Valid() {
		return 0, errors.New("pass is not valid")
	}
	if b.doorErr != nil {
		return 0, b.doorErr
	}
	b.order = append(b.order, "released")
	b.released++
	return now(), nil
}

func (b *benchDoor) State() access.AccessPoint {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.door
}

func (b *benchLog) Append(r access.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.logErr != nil {
		return b.logErr
	}
	b.order = append(b.order, "recorded "+r.Verdict.String())
	b.records = append(b.records, r)
	return nil
}

func (b *benchGallery) Search(probe []float32, _ [32]byte) (access.Candidate, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, c := range b.known {
		if probe[k] == 1 {
			return c, nil
		}
	}
	c := b.nearest
	c.Found = len(b.known) > 0
	return c, nil
}

func (b *benchGallery) Keep(p access.PersonID, refs [][]float32, _ [32]byte, until int64) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.keepErr != nil {
		return 0, b.keepErr
	}
	b.lease = until
	for k, v := range refs[0] {
		if v == 1 {
			b.known[k] = access.Candidate{Found: true, Person: p, Standing: access.Permitted, Score: 0.9, Second: -1}
		}
	}
	return len(refs), nil
}

func (b *benchGallery) Look(p access.PersonID) access.Candidate {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.known {
		if c.Person == p {
			return access.Candidate{Person: p, Standing: c.Standing}
		}
	}
	return access.Candidate{Person: p}
}

func (b *benchGallery) Holds(p access.PersonID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.known {
		if c.Person == p && c.Standing == access.Permitted {
			return true
		}
	}
	return false
}

// Subject names the day, too, so that a record with another day than its own Wall is seen.
func (b *benchGallery) Subject(p access.PersonID, wall int64) [16]byte {
	day := wall / 86400
	return [16]byte{0xee, p[0], byte(day >> 8), byte(day)}
}

func (b *benchEye) Observe(o ipc.Observe) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.session = o
	return nil
}

func (b *benchEye) Abort(a ipc.Abort) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.aborted = append(b.aborted, a.Session)
	return nil
}

// Gauge tells how bright the room was, by frames that are stamped lag after their light, once the time is over.
func (b *benchEye) Gauge(g ipc.Gauge) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gauges++
	lag, blind := b.lag, b.deaf
	time.AfterFunc(g.Until-now()+5*time.Millisecond, func() {
		var seen []access.Glimpse
		b.mu.Lock()
		for stamp := grid(g.Until) - (access.MaxGlimpses-1)*benchInterval; stamp <= g.Until; stamp += benchInterval {
			level := float32(20)
			if b.litDuring(stamp-lag) && !blind {
				level = 30
			}
			seen = append(seen, access.Glimpse{Stamp: stamp, Level: level})
		}
		b.mu.Unlock()
		(*bench)(b).w.Gauged(b.ctx, b, seen)
	})
	return nil
}

func (b *benchEye) Timing(t ipc.Timing) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timing = t
	return nil
}

// Conclude makes the frames that a camera would have taken of the lamp since the session began.
func (b *benchEye) Conclude(c ipc.Conclude) error {
	b.mu.Lock()
	if b.silent {
		b.mu.Unlock()
		return nil
	}
	p := &access.Presentation{
		Session: b.session.Session, Nonce: b.session.Nonce, Camera: [32]byte{7}, Bundle: b.hello.Bundle,
		Probe: make([]float32, access.ProbeSize), ProbeFrom: 6, Liveness: -1,
	}
	p.Probe[b.person] = 1
	p.Reflected = slices.Clone(p.Probe)
	// Stamps lie where the sightings lay: on the grid of the camera.
	from := b.session.Deadline - b.w.cfg.Policy.Deadline
	for stamp := grid(from) + benchInterval; stamp < c.Until; stamp += benchInterval {
		if stamp-benchExposure < from {
			continue
		}
		b.seq++
		f := access.FrameEvidence{Seq: b.seq, Stamp: stamp, Exposure: benchExposure, Track: b.session.Track, Ring: 40, Texture: 20, Restless: 1}
		f.Chain[0], f.Chain[1] = byte(b.seq), byte(b.seq>>8)
		binary.BigEndian.PutUint64(f.Pixels[:], b.seq)
		for i := range f.Level {
			f.Level[i] = 60
			if b.litDuring(stamp) && !b.deaf {
				f.Level[i] = 150
			}
		}
		for i := range f.Edge { // turned away from the lamp
			f.Edge[i] = 60
			if b.litDuring(stamp) && !b.deaf {
				f.Edge[i] = 120
				if i == access.Edges-1 { // the ridge of the nose
					f.Edge[i] = 150
				}
			}
		}
		p.Frames = append(p.Frames, f)
	}
	if b.bend != nil {
		b.bend(p)
	}
	b.presented++
	b.mu.Unlock()
	go b.w.Presented(b.ctx, b, p)
	return nil
}

// litDuring reports the lamp at the middle of an exposure.
func (b *benchEye) litDuring(stamp time.Duration) bool {
	lit := false
	for _, c := range b.lamp {
		if c.From <= stamp-benchExposure/2 {
			lit = c.Lit
		}
	}
	return lit
}

func grid(at time.Duration) time.Duration { return at / benchInterval * benchInterval }

// stand lets somebody stand at the door until stop returns true, and fails when it never does.
func (b *bench) stand(track uint32, hint access.Hint, stop func() bool) {
	b.t.Helper()
	first := grid(now())
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(4 * time.Millisecond) {
		b.w.Saw(b.ctx, (*benchEye)(b), ipc.Approach{Stamp: grid(now()), First: first, Track: track, Hint: hint, Exposure: benchExposure, Faces: 1})
		if stop() {
			return
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.t.Fatalf("nothing happened in a minute; state %v, order %v, outcomes %+v", b.w.View().State, b.order, b.w.View().Outcomes)
}

// decided waits until the newest outcome is anything but a technical retry, and returns it.
func (b *bench) decided(track uint32) ipc.Outcome {
	b.t.Helper()
	var o ipc.Outcome
	b.stand(track, access.HintNone, func() bool {
		for _, o = range b.w.View().Outcomes {
			if o.Verdict != access.Retry {
				return true
			}
		}
		return false
	})
	return o
}

func (b *bench) enrolled(component int, standing access.Standing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[component] = access.Candidate{Found: true, Person: access.PersonID{byte(component + 1)}, Standing: standing, Score: 0.9, Second: 0.1}
}

func (b *bench) locked(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}
