package portal

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
)

// write is one call of Set that reached the board.
type write struct {
	at   time.Duration
	line board.Line
	on   bool
}

// bench is a small real board: levels, edges, and a history of what was written.
type bench struct {
	now   func() time.Duration
	edges chan board.Edge

	mu      sync.Mutex
	fault   func(line board.Line, on bool) error // ahead of every write; may block or refuse it
	levels  map[board.Line]bool
	history []write
}

func (b *bench) Set(line board.Line, on bool) (time.Duration, error) {
	b.mu.Lock()
	fault := b.fault
	b.mu.Unlock()
	if fault != nil {
		if err := fault(line, on); err != nil {
			return 0, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.levels[line] = on
	b.history = append(b.history, write{b.now(), line, on})
	return b.now(), nil
}

func (b *bench) Level(line board.Line) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.levels[line], nil
}

func (b *bench) Edges() <-chan board.Edge { return b.edges }

// input changes an input, as a person or a door does.
func (b *bench) input(line board.Line, on bool) {
	b.mu.Lock()
	b.levels[line] = on
	b.mu.Unlock()
	b.edges <- board.Edge{Line: line, On: on, Stamp: b.now()}
}

// breaks installs a fault.
func (b *bench) breaks(fault func(line board.Line, on bool) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = fault
}

// writes are those of one line.
func (b *bench) writes(line board.Line) []write {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.history), func(w write) bool { return w.line != line })
}

// book is a recorder that keeps what it is given. block, when set, is waited for by every record.
type book struct {
	block chan struct{}
	fail  bool

	mu      sync.Mutex
	entries []Entry
}

func (b *book) Record(ctx context.Context, e Entry) error {
	if b.block != nil {
		select {
		case <-b.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail {
		return errors.New("disk full")
	}
	b.entries = append(b.entries, e)
	return nil
}

func (b *book) events() []access.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []access.Event
	for _, e := range b.entries {
		all = append(all, e.Event)
	}
	return all
}

func (b *book) has(e access.Event) bool { return slices.Contains(b.events(), e) }

// last is the newest entry, zero where there is none.
func (b *book) last() (e Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.entries); n > 0 {
		e = b.entries[n-1]
	}
	return e
}

// door is a portal on a bench, inside a synctest bubble: its time passes only while everybody waits.
type door struct {
	*Portal
	bench *bench
	book  *book
	now   func() time.Duration
	stop  context.CancelFunc
	ended chan error
}

var times = access.DoorTimes{
	Release: 5 * time.Second, ExtendedRelease: 15 * time.Second,
	HeldOpen: 30 * time.Second, ExtendedHeldOpen: 90 * time.Second,
	PreAlarm: 10 * time.Second, RelockOnOpen: true,
}

func desk(t testing.TB) board.Board {
	t.Helper()
	b, err := board.Load("desk")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// atDoor runs a story at a door that has powered on. prepare may change what it starts with; the story ends with the door stopped.
func atDoor(t *testing.T, prepare func(*Config, *bench, *book), story func(*testing.T, *door)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now().Add(-time.Hour) // a machine that has been up for an hour
		now := func() time.Duration { return time.Since(begun) }
		d := &door{now: now, ended: make(chan error, 1), book: &book{},
			bench: &bench{now: now, edges: make(chan board.Edge, 16), levels: map[board.Line]bool{board.Relay: true}}}
		cfg := Config{Board: desk(t), Lines: d.bench, Recorder: d.book, Times: times, Now: now}
		if prepare != nil {
			prepare(&cfg, d.bench, d.book)
		}
		var err error
		if d.Portal, err = New(cfg); err != nil {
			t.Fatal(err)
		}
		var ctx context.Context
		ctx, d.stop = context.WithCancel(t.Context())
		go func() { d.ended <- d.Run(ctx) }()
		synctest.Wait()
		story(t, d)
		d.stop()
		synctest.Wait()
	})
}

// end stops the door and returns what Run said.
func (d *door) end() error {
	d.stop()
	return <-d.ended
}

// press gives an input edge and waits until the door has done all that follows at once.
func (d *door) press(line board.Line, on bool) {
	d.bench.input(line, on)
	synctest.Wait()
}

// after lets time pass.
func (d *door) after(t time.Duration) {
	time.Sleep(t)
	synctest.Wait()
}

func (d *door) relayOn() bool {
	on, _ := d.bench.Level(board.Relay)
	return on
}

func (d *door) want(t *testing.T, state access.DoorState, relay bool) {
	t.Helper()
	if a := d.State(); a.State != state || d.relayOn() != relay || a.Relay != relay {
		t.Fatalf("door is %v, relay line %v, believed %v; want %v, %v", a.State, d.relayOn(), a.Relay, state, relay)
	}
}

// pass is a real one: access mints it for a walk-up that was granted, good for two seconds.
func (d *door) pass(t testing.TB, number uint64) access.Pass { return d.passFor(t, number, false) }

func (d *door) passFor(t testing.TB, number uint64, extended bool) access.Pass {
	t.Helper()
	decision := access.Decide(access.DefaultPolicy(), access.Question{
		Session: access.SessionID{Boot: 1, Number: number}, Checked: true, Threshold: 0.5, Calibrated: true, Bar: access.DefaultPolicy().Bar(0), Now: d.now(),
		Candidate: access.Candidate{Found: true, Person: access.PersonID{1}, Standing: access.Permitted, Score: 0.95, Second: -1, Extended: extended},
	})
	if !decision.Pass().Valid() {
		t.Fatalf("no pass was minted: %v", decision.Reason)
	}
	return decision.Pass()
}
