// Package walkup leads one walk-up from start to end: it opens a session when a face is at the door, plays the lamp's code, has
// eye's Presentation checked, has the gallery walked, asks access.Decide, writes the record and hands the Pass to the portal.
//
// One goroutine owns the state (Run); everything else posts to it. What is decided, and in which order, is in package access; here
// are the clock, the lamp, eye and the log.
package walkup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/abuse"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// Eye takes door's orders. An error means that the order did not reach it.
type Eye interface {
	Observe(ipc.Observe) error
	Conclude(ipc.Conclude) error
	Abort(ipc.Abort) error
	Gauge(ipc.Gauge) error
	Timing(ipc.Timing) error
}

// Door is the access point that a grant releases.
type Door interface {
	// Release uses a Pass and returns when the relay was set. An error means that the relay stays as it was.
	Release(context.Context, access.Pass) (time.Duration, error)
	State() access.AccessPoint
}

// Log makes a record durable before it returns nil.
type Log interface {
	Append(access.Record) error
}

// Gallery holds the references of the enrolled.
type Gallery interface {
	// Search walks the whole gallery. The zero Candidate, with Second -1, means that nobody is enrolled for this bundle.
	Search(probe []float32, bundle [32]byte) (access.Candidate, error)
	// Keep stores references of a person durably, permits them until a Unix second (0: no end) and says how many are kept for them now.
	Keep(person access.PersonID, references [][]float32, bundle [32]byte, until int64) (int, error)
	// Look is a person as they stand, without a score; NotPermitted when nobody of that id is here.
	Look(access.PersonID) access.Candidate
	// Holds reports whether a permitted person has references here.
	Holds(access.PersonID) bool
	// Subject is the pseudonym under which a person stands in the audit log on the day of a Unix second.
	Subject(p access.PersonID, wall int64) [16]byte
}

// Config is what a Walkup works with. All fields but MinLearned, Objection, Stalled, Trail and Keep are needed.
type Config struct {
	Policy     access.Policy
	PolicyHash [32]byte
	Boot       uint64
	Lamps      []Lamp // one; or two, the left one first
	Door       Door
	Log        Log
	Gallery    Gallery
	// Threshold translates the policy's false-match rate for a model bundle; false when no table was measured for it.
	Threshold func(bundle [32]byte) (float32, bool)
	// MinLearned is the learned score that was measured for the policy's budget and this bundle; 0: none was, and who asks for the check is denied.
	MinLearned float32
	// Failures are the failed walk-ups that were remembered over a restart; SaveFailures remembers them, durably, and whether the
	// door's limit on them is in force.
	Failures     []time.Duration
	SaveFailures func(f []time.Duration, limited bool) error
	// PersonFailures are the refusals that are remembered of a person, as CLOCK_MONOTONIC, oldest first; SavePersonFailures remembers
	// them, durably, and whether the person is locked out by them.
	PersonFailures     func(access.PersonID) ([]time.Duration, error)
	SavePersonFailures func(id access.PersonID, f []time.Duration, locked bool) error
	// Objection is why the site's rules let somebody not pass now; ReasonNone when they do. It must not block. Without it the site has no rules.
	Objection func(access.PersonID) access.Reason
	// Able tells whether people may be recognised now: no session begins without. Free tells whether the lamp is not somebody else's at the moment.
	// Neither may block.
	Able, Free func() bool
	// Signals are what weighs against every walk-up at the moment; those that the walk-up itself knows are not asked for. It must not block.
	Signals func() access.Signals
	// Trail follows faces that failed; nil where the policy does not say so.
	Trail *Trail
	// Gauged is told how the camera answers the lamp, once it is known, or that it does not seem to, after some tries; it must not block.
	Gauged func(r access.Response, found bool)
	// Stalled is told that no frame comes any more, and that frames have come for a minute again; it must not block. It may be nil.
	Stalled func(bool)
	// Show is told what the person shall see; it must not block.
	Show func(access.Indication)
	Now  func() time.Duration // CLOCK_MONOTONIC
	// Wall is the time of day for the record, and who vouches for it.
	Wall func() (time.Time, access.ClockState)
	// Changed is called after every change that View shows; it must not block.
	Changed func()
	// Keep takes a walk-up that the policy selects as evidence, and when its outcome is shown. The Case is its own, and it wipes it; it must not block.
	// Without it nothing is selected.
	Keep func(c *abuse.Case, shown time.Duration)
}

// View is what the bench may see of the walk-ups.
type View struct {
	State     access.SessionState
	Sighting  ipc.Approach
	Outcomes  []ipc.Outcome // newest first, at most maxOutcomes
	Enrolling bool
	Pending   ipc.Pending
	Eye       bool
	Gauged    bool // it is known how the camera answers the lamp, or it has been tried often enough
	Provider  string
	Degraded  []string // of eye
}

const (
	maxOutcomes = 16
	// steadySightings is how many sightings in a row must show the same face before a session opens: one who stays, not one who passes.
	steadySightings = 2
	// maxStretch is the most frames that a chip is shown for. One is enough on an idle processor; when frames or switches come too
	// late the next code is shown more slowly, and faster again after relaxAfter codes without a loss.
	maxStretch = 3
	relaxAfter = 4
	// missed sightings in a row mean that the person has left; one blurred frame must not end a session's presence.
	missedToLeave = 3
	// fruitlessBeforeRest sessions in a row that decided nothing lengthen the cool-down, whoever stood there. Without it a guess at
	// the lamp's code could be taken back by turning away, and a compromised eye could fill the audit log as fast as codes run.
	fruitlessBeforeRest = 8
	// maxSightingAge is how old a sighting may be that the lamp is timed by: the slowest board in use needs 2 s a frame.
	maxSightingAge = 5 * time.Second
)

// Walkup leads the walk-ups of one door, one at a time.
type Walkup struct {
	cfg   Config
	books [access.High + 1]access.Book // by profile
	// gaugeBook has codes whose length serves to measure with.
	gaugeBook access.Book
	inbox     chan func(context.Context)
	over      chan struct{} // closed when Run has returned

	// Owned by Run's goroutine.
	state     access.SessionState
	eye       Eye
	hello     ipc.Hello
	camera    [32]byte
	sighting  ipc.Approach
	steady    int // sightings in a row of sighting.Track
	missed    int
	attempts  int           // of this presence since it last rested
	spent     bool          // this presence has used up its quota
	tried     access.Tried  // materials, by whomever
	fruitless int           // sessions in a row that decided nothing
	granted   uint32        // the track that was granted last; it opens nothing more for a while, or until it has left
	pause     time.Duration // when it may try again
	gauging   *gauge        // the measurement that runs
	response  *access.Response
	measured  [32]byte // the camera that response is of
	gauges    uint64
	doubts    int  // sessions in a row in which the lamp was not answered well
	unlit     bool // the lamp could not be lit
	// gaugeFailed measurements in a row found nothing; the next one is not before gaugeNext.
	gaugeFailed int
	gaugeNext   time.Duration
	lookNext    time.Duration // when it is looked anew whether the camera sees the lamp
	looked      time.Duration // when that was found out last
	stalled     bool          // no frame came at stallAt, and that is not over yet
	stallAt     time.Duration
	number      uint64
	session     session
	closer      bool     // the last session of this presence was ambiguous: the next one takes more frames
	doubted     bool     // the last session of this presence left it in doubt whether it was a head
	pending     *pending // waits for an operator
	stretch     int      // frames that a chip is shown for
	clean       int      // codes since the last one that lost frames
	enrol       *enrolment
	shown       []access.PixelHash // of the last sessions' frames
	failures    []time.Duration
	inForce     bool // the door's limit on failures
	unsaved     bool // the newest failures could not be kept
	unblamed    bool // nor the newest refusals of a person
	timer       *time.Timer
	outcomes    []ipc.Outcome
	lamps       sync.WaitGroup // codes that are being played

	mu   sync.Mutex
	view View
}

// session is what belongs to one walk-up.
type session struct {
	opened   access.Opened
	book     access.Book    // that its code is of
	bar      access.Bar     // that it must clear
	up       access.Signals // when it was opened, and when it was compared
	first    time.Duration
	start    time.Duration // first chip
	stop     context.CancelFunc
	reveal   time.Duration      // when a denial is shown
	later    *access.Indication // what is shown then
	conclude bool               // Conclude was sent
	track    uint32             // whom the session is about
	enrol    *enrolment         // the enrolment that it was opened for
	shown    *access.Presentation
	reason   access.Reason
	decision access.Decision
	question access.Question // that decision answers
	refusals []time.Duration // remembered of the nearest person
	// recurrence is that of a face that failed, where faces are followed; again says that its material was presented too often.
	recurrence Recurrence
	again      bool

	findings  access.Findings
	minFused  uint8    // that was asked for
	reviewers []string // whom eye may encrypt the frames to
}

// New checks the configuration. Nothing runs before Run.
func New(cfg Config) (*Walkup, error) {
	if err := cfg.Policy.Validate(); err != nil {
		return nil, err
	}
	if len(cfg.Lamps) < 1 || len(cfg.Lamps) > 2 || slices.Contains(cfg.Lamps, nil) || cfg.Door == nil || cfg.Log == nil || cfg.Gallery == nil || cfg.Threshold == nil || cfg.Show == nil || cfg.Able == nil || cfg.Free == nil || cfg.Signals == nil || cfg.Gauged == nil || cfg.SaveFailures == nil ||
		cfg.PersonFailures == nil || cfg.SavePersonFailures == nil || cfg.Now == nil || cfg.Wall == nil || cfg.Changed == nil {
		return nil, errors.New("make walk-up: a part is missing")
	}
	w := &Walkup{cfg: cfg, failures: cfg.Failures, stretch: 1, inbox: make(chan func(context.Context), 64), over: make(chan struct{})}
	for p := access.Office; p <= access.High; p++ {
		var err error
		if w.books[p], err = p.BookFor(len(cfg.Lamps) == 2); err != nil {
			return nil, err
		}
	}
	// A pair of short codes has too few chips to tell two lamps and a delay apart.
	if w.gaugeBook = w.books[access.Office]; len(cfg.Lamps) == 2 {
		w.gaugeBook = w.books[access.High]
	}
	w.inForce = w.limited()
	return w, nil
}

// Run leads walk-ups until ctx ends. It can be called once.
func (w *Walkup) Run(ctx context.Context) error {
	w.timer = time.NewTimer(time.Hour)
	w.timer.Stop()
	defer w.timer.Stop()
	defer w.lamps.Wait()
	defer close(w.over)
	defer func() {
		if w.session.stop != nil {
			w.session.stop()
		}
	}()
	if w.light(); w.unlit {
		// Nobody is recognised without the lamp, and each session will say so; REX and alarms must not end with it.
		w.note(access.EventDegradedEntered, access.ReasonNotReady)
	}
	w.publish()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case f := <-w.inbox:
			f(ctx)
		case <-w.timer.C:
			w.timeOver(ctx)
		}
		w.publish()
	}
}

// post hands f to Run's goroutine; it is dropped when ctx ends or Run has returned.
func (w *Walkup) post(ctx context.Context, f func(context.Context)) {
	select {
	case w.inbox <- f:
	case <-w.over:
	case <-ctx.Done():
	}
}

// EyeUp says that eye is there, and what it sees with.
func (w *Walkup) EyeUp(ctx context.Context, eye Eye, hello ipc.Hello, camera [32]byte) {
	w.post(ctx, func(ctx context.Context) {
		if w.eye != nil {
			w.lose(ctx) // its session is nothing to the new one
		}
		w.eye, w.hello, w.camera = eye, hello, camera
		w.stalled = false // whoever is told of stalls takes a new eye for the end of one: if no frame comes again, it is said again
		if w.measured != camera {
			w.response, w.measured, w.gaugeFailed, w.gaugeNext = nil, camera, 0, 0
		}
		w.tell()
	})
}

// EyeDown says that this eye is gone. An eye that has been replaced meanwhile is not touched.
func (w *Walkup) EyeDown(ctx context.Context, eye Eye) {
	w.post(ctx, func(ctx context.Context) {
		if w.eye == eye {
			w.lose(ctx)
		}
	})
}

// lose ends what eye had begun.
func (w *Walkup) lose(ctx context.Context) {
	w.ungauge()
	w.eye, w.sighting, w.steady = nil, ipc.Approach{Hint: access.HintNobody}, 0
	w.session.reason = access.ReasonEyeLost
	w.step(ctx, access.EyeLost)
}

// Saw takes a sighting of eye.
func (w *Walkup) Saw(ctx context.Context, eye Eye, a ipc.Approach) {
	w.post(ctx, func(ctx context.Context) {
		if w.eye == eye {
			w.saw(ctx, a)
		}
	})
}

// Presented takes eye's evidence. p is the walk-up's from then on, and its probes are wiped.
func (w *Walkup) Presented(ctx context.Context, eye Eye, p *access.Presentation) {
	w.post(ctx, func(ctx context.Context) {
		if w.eye != eye || !w.session.conclude || w.session.shown != nil {
			p.Wipe()
			return // not asked for: a late or second one belongs to nobody
		}
		w.session.shown = p
		w.step(ctx, access.Presented)
	})
}

// View is a copy of what the bench may see.
func (w *Walkup) View() View {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.view
	v.Outcomes = append([]ipc.Outcome(nil), v.Outcomes...)
	return v
}

func (w *Walkup) publish() {
	w.mu.Lock()
	w.view = View{
		State: w.state, Sighting: w.sighting, Outcomes: w.outcomes, Enrolling: w.enrol != nil, Pending: w.pending.view(),
		Eye: w.eye != nil, Gauged: w.response != nil || w.gaugeFailed >= gaugeTries, Provider: w.hello.Provider, Degraded: w.hello.Degraded,
	}
	w.mu.Unlock()
	w.cfg.Changed()
}

func (w *Walkup) saw(ctx context.Context, a ipc.Approach) {
	if a.Track != 0 && a.Track == w.sighting.Track {
		w.steady++
		w.missed = 0
	} else if a.Track != 0 {
		w.steady, w.missed = 1, 0
	} else {
		w.steady = 0
		w.missed++
	}
	w.sighting = a
	w.stall(ctx, a)
	if g := w.gauging; g != nil && w.cfg.Now() > g.until {
		w.gauged(access.Response{}, false)
	}
	if w.missed == missedToLeave {
		w.attempts, w.spent, w.granted, w.closer, w.doubted = 0, false, 0, false, false
		if w.pending != nil {
			w.pending = nil
			w.cfg.Show(access.Indication{})
		}
		w.session.reason = access.ReasonLeft
		w.step(ctx, access.Left)
	}
	if w.granted != 0 && (a.Track != 0 && a.Track != w.granted || w.cfg.Now() >= w.pause) {
		w.granted, w.attempts, w.spent = 0, 0, false
	}
	if w.state != access.Idle || w.waits(a.Track) {
		return
	}
	if w.unlit {
		w.light()
	}
	if w.gaugeable() {
		w.measure(ctx)
	}
	if w.gauging != nil || !w.cfg.Able() {
		return
	}
	if w.granted == 0 {
		w.cfg.Show(access.IndicateHint(a.Hint))
	}
	if w.eye != nil && w.granted == 0 && w.steady >= steadySightings && starts(a.Hint) && !a.Adjusting && w.timely(a) {
		w.step(ctx, access.Approached)
	}
}

// timely tells whether the lamp can be timed by a sighting. eye is not trusted with it: a stamp of tomorrow would have door wait
// until then.
func (w *Walkup) timely(a ipc.Approach) bool {
	age := w.cfg.Now() - a.Stamp
	return age >= 0 && age <= maxSightingAge && a.First <= a.Stamp && a.Exposure > 0 && a.Exposure < maxStretch*w.hello.Camera.Interval
}

// starts tells whether a face may open a session. What the lamp or the next frame can mend does not hold it back; a person who is
// too far, does not look, or is one of several does.
func starts(h access.Hint) bool {
	return h == access.HintNone || h == access.HintBlurred || h == access.HintSaturated
}

// objection is what the site's rules say against somebody at this moment.
func (w *Walkup) objection(p access.PersonID) access.Reason {
	if w.cfg.Objection == nil {
		return access.ReasonNone
	}
	return w.cfg.Objection(p)
}

// profile is what this session asks of the lamp's code: when a signal asks for it, more than the policy does.
func (w *Walkup) profile() access.Profile { return w.session.bar.Profile }

// draw takes a code uniformly from a book, from the kernel's random source.
func draw(b access.Book) (access.Code, error) {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(b.Size())))
	if err != nil {
		return access.Code{}, fmt.Errorf("draw lamp code: %w", err)
	}
	return b.Code(int(i.Int64()))
}
