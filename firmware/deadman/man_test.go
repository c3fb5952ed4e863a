package deadman

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lintel-access/lintel/firmware/frames"
)

// quick are limits for a machine under load that shall not wait long. Silence is more than one look counts: no single stall of the machine condemns.
func quick() Limits {
	return Limits{Silence: 2*longestStep + 500*time.Millisecond, Grace: 5 * time.Second, Words: 2 * time.Second}
}

// hardware counts feeds.
type hardware struct {
	mu   sync.Mutex
	fed  int
	last time.Time
	err  error
}

func (h *hardware) Feed() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fed, h.last = h.fed+1, time.Now()
	return h.err
}

func (h *hardware) feeds() (int, time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fed, h.last
}

// log collects lines.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// running is a Man at work.
type running struct {
	*Man
	log    *log
	dog    *hardware
	ended  chan error
	cancel context.CancelFunc
}

func start(t *testing.T, limits Limits) *running {
	t.Helper()
	r := &running{log: new(log), dog: new(hardware), ended: make(chan error, 1)}
	m, err := New(Config{Limits: limits, Now: frames.Now, Log: r.log.add, Hardware: r.dog})
	if err != nil {
		t.Fatal(err)
	}
	r.Man = m
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() { r.ended <- m.Run(ctx) }()
	t.Cleanup(cancel)
	return r
}

// result waits for the end of Run.
func (r *running) result(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(time.Minute):
		t.Fatalf("still running after a minute\n%s", r.log)
		return nil
	}
}

// alive fails the test if Run ends within d.
func (r *running) alive(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case err := <-r.ended:
		t.Fatalf("ended: %v\n%s", err, r.log)
	case <-time.After(d):
	}
}

// loop is a loop that can be hung, such as the portal's.
type loop struct {
	mu    sync.Mutex
	words chan struct{}
}

func (l *loop) ping(ctx context.Context) error {
	for ctx.Err() == nil {
		if l.mu.TryLock() {
			l.mu.Unlock()
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return ctx.Err()
}

// program is a living one in this process.
func (r *running) program(t *testing.T, ready bool) *loop {
	t.Helper()
	line, f := ends(t)
	f.pace = 50 * time.Millisecond
	if ready {
		f.Ready()
	}
	l := &loop{words: make(chan struct{}, 1)}
	go f.Run(t.Context(), l.ping, func() error { l.words <- struct{}{}; return nil })
	r.Started(line, line.pid)
	return l
}

// While the loop turns the hardware is fed. When it hangs the program is asked for its last record, which it still can write, and nothing is fed
// any more.
func TestHungLoopIsCondemned(t *testing.T) {
	began := time.Now()
	r := start(t, quick())
	l := r.program(t, true)
	r.alive(t, 2*quick().Silence)
	before, _ := r.dog.feeds()
	if took := time.Since(began); before < 3 || before > 1+int(took/time.Second) {
		t.Errorf("the hardware was fed %d times in %v, want one a second", before, took)
	}
	l.mu.Lock()
	hung := time.Now()
	if err := r.result(t); !errors.Is(err, ErrSilent) {
		t.Errorf("Run: %v, want %v", err, ErrSilent)
	}
	if took := time.Since(hung); took < quick().Silence/2 || took > 4*quick().Silence {
		t.Errorf("condemned %v after the loop hung, want about %v", took, quick().Silence)
	}
	select {
	case <-l.words:
	default:
		t.Error("it was not asked for its last record")
	}
	if strings.Contains(r.log.String(), "no last record") {
		t.Errorf("the record was not waited for:\n%s", r.log)
	}
	fed, _ := r.dog.feeds()
	time.Sleep(1200 * time.Millisecond)
	if after, _ := r.dog.feeds(); after != fed {
		t.Error("the hardware is fed after the end")
	}
	line := newLine(t)
	r.Started(line, 1) // both return at once
	r.Ended()
}

// A program that cannot even write its last record is waited for as long as the limits say.
func TestNoLastWords(t *testing.T) {
	r := start(t, quick())
	line, f := ends(t) // nobody reads its end
	if err := f.send(kindReady); err != nil {
		t.Fatal(err)
	}
	r.Started(line, line.pid)
	if err := r.result(t); !errors.Is(err, ErrSilent) || !strings.Contains(r.log.String(), fmt.Sprint("no last record within ", quick().Words)) {
		t.Errorf("Run: %v\n%s", err, r.log)
	}
}

func TestNeverReady(t *testing.T) {
	t.Run("nobody starts", func(t *testing.T) {
		if err := start(t, quick()).result(t); !errors.Is(err, ErrNeverReady) {
			t.Errorf("Run: %v", err)
		}
	})
	t.Run("feeds only", func(t *testing.T) {
		r := start(t, quick())
		r.program(t, false)
		if err := r.result(t); !errors.Is(err, ErrNeverReady) {
			t.Errorf("Run: %v", err)
		}
	})
}

// A program that is started again goes on living on its new line; the old line counts nothing any more.
func TestRestart(t *testing.T) {
	r := start(t, quick())
	old, oldFeeder := ends(t)
	r.Started(old, old.pid)
	if err := oldFeeder.send(kindReady); err != nil {
		t.Fatal(err)
	}
	r.Ended()
	if err := oldFeeder.send(kindReady); err == nil {
		t.Error("the line of a program that has ended is open")
	}
	l := r.program(t, true)
	r.alive(t, 2*quick().Silence)
	l.mu.Lock()
	if err := r.result(t); !errors.Is(err, ErrSilent) {
		t.Errorf("Run: %v", err)
	}
}

// Replayed feeds keep nobody alive, and do not fill the log.
func TestReplayFeedsNothing(t *testing.T) {
	r := start(t, quick())
	line, f := ends(t)
	r.Started(line, line.pid)
	if err := f.send(kindReady); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if _, err := f.conn.Write(packet{kindReady, 1}.encode()); err != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := r.result(t); !errors.Is(err, ErrSilent) {
		t.Errorf("Run: %v", err)
	}
	if n := strings.Count(r.log.String(), "count nothing"); n < 2 || n > 9 {
		t.Errorf("%d lines about packets that count nothing:\n%s", n, r.log)
	}
}

// Hardware that cannot be fed is said once, and tried on.
func TestHardwareFails(t *testing.T) {
	r := start(t, quick())
	r.dog.mu.Lock()
	r.dog.err = errors.New("feed watchdog: watchdog is absent")
	r.dog.mu.Unlock()
	r.program(t, true)
	r.alive(t, 2500*time.Millisecond)
	if fed, _ := r.dog.feeds(); fed < 2 || strings.Count(r.log.String(), "absent") != 1 {
		t.Errorf("tried %d times:\n%s", fed, r.log)
	}
	r.cancel()
	if err := r.result(t); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, bend := range map[string]func(*Config){
		"no clock":  func(c *Config) { c.Now = nil },
		"no log":    func(c *Config) { c.Log = nil },
		"no limits": func(c *Config) { c.Limits = Limits{} },
	} {
		c := Config{Limits: quick(), Now: frames.Now, Log: t.Logf}
		bend(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: taken", name)
		}
		line := newLine(t)
		if err := Watch(t.Context(), line, 1, c); err == nil || line.near.SetDeadline(time.Time{}) == nil {
			t.Errorf("%s: Watch %v, and its line is open", name, err)
		}
	}
}

// A feeder whose supervisor is gone, or whose loop has ended, ends too.
func TestFeederEnds(t *testing.T) {
	line, f := ends(t)
	line.Close()
	if err := f.Run(t.Context(), (&loop{}).ping, nil); err == nil {
		t.Error("it feeds nobody")
	}
	stopped := errors.New("portal has stopped")
	_, f = ends(t)
	if err := f.Run(t.Context(), func(context.Context) error { return stopped }, nil); !errors.Is(err, stopped) {
		t.Errorf("Run: %v, want %v", err, stopped)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, f = ends(t)
	hung := &loop{}
	hung.mu.Lock()
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := f.Run(ctx, hung.ping, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v after its context ended", err)
	}
}
