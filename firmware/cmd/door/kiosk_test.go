package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/walkup"
)

// wiring is a board in memory: every output can be set, every input reads off until somebody presses it.
type wiring struct {
	mu     sync.Mutex
	levels map[board.Line]bool
	relay  int           // how often it was released
	lamp   []access.Chip // history; each entry holds until the next
	edges  chan board.Edge
}

func newWiring() *wiring {
	return &wiring{levels: map[board.Line]bool{}, edges: make(chan board.Edge, 16)}
}

func (w *wiring) Set(l board.Line, on bool) (time.Duration, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l == board.Relay && on {
		w.relay++
	}
	w.levels[l] = on
	at := frames.Now()
	if l == board.Lamp {
		w.lamp = append(w.lamp, access.Chip{From: at, Lit: on})
	}
	return at, nil
}

func (w *wiring) Level(l board.Line) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.levels[l], nil
}

func (w *wiring) Edges() <-chan board.Edge { return w.edges }

func (w *wiring) released() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.relay
}

// running is a kiosk on a state folder, with its parts running.
type running struct {
	*kiosk
	wires *wiring
	run   string // folder of the sockets
	stop  func()
}

// startKiosk starts a kiosk as run does, without confinement.
func startKiosk(t *testing.T, state string, o auditlog.Options) *running {
	t.Helper()
	b, err := board.Load("desk")
	if err != nil {
		t.Fatal(err)
	}
	b.Gallery.References = 64
	store, err := vault.Open(filepath.Join(state, "vault.db"), vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	log, recovery, err := auditlog.Open(filepath.Join(state, "audit"), o)
	if err != nil {
		t.Fatal(err)
	}
	return stand(t, b, &ground{state: state, vault: store, log: log, recovery: recovery, slab: make([]float32, walkup.SlabFloats(b.Gallery.References)), release: func() {}})
}

// stand starts a kiosk on a ground.
func stand(t *testing.T, b board.Board, g *ground) *running {
	t.Helper()
	return standUnder(t, b, g, func(*kiosk) {}, t.Logf)
}

// standUnder is stand with a kiosk that bend has changed before it is furnished, and that talks to log.
func standUnder(t *testing.T, b board.Board, g *ground, bend func(*kiosk), log func(format string, a ...any)) *running {
	t.Helper()
	w := newWiring()
	k, err := newKiosk(b, w)
	if err != nil {
		t.Fatal(err)
	}
	k.able = func() bool { return true } // no eye of these tests has models and camera to show
	bend(k)
	dir, err := os.MkdirTemp("", "door-") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	portalCtx, stopPortal := context.WithCancel(context.Background())
	ended, portalEnded := make(chan error, 1), make(chan error, 1)
	go func() { portalEnded <- k.portal.Run(portalCtx) }()
	lockdown, err := k.furnish(b, g, w)
	if err == nil {
		err = k.portal.Found(ctx, lockdown)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &server{door: k, log: log}
	if err := s.listen(dir, clients(b)); err != nil {
		t.Fatal(err)
	}
	k.booted(g)
	go func() { ended <- k.run(ctx, s) }()
	if err := k.portal.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		cancel()
		for _, part := range []chan error{ended, portalEnded} {
			select {
			case err := <-part:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("door ended: %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Error("door did not end within 10 s")
			}
			stopPortal()
		}
		if err := errors.Join(g.clear(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return &running{k, w, dir, stop}
}

func stateFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLockdownSurvivesARestart(t *testing.T) {
	dir := stateFolder(t)
	k := startKiosk(t, dir, auditlog.Options{})
	if err := k.lockdown(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	k.stop()
	k = startKiosk(t, dir, auditlog.Options{})
	if p := k.portal.State(); !p.Lockdown || p.State != access.LockedDown {
		t.Errorf("after a restart the door is %v, lockdown %v", p.State, p.Lockdown)
	}
	if err := k.lockdown(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	k.stop()
	k = startKiosk(t, dir, auditlog.Options{})
	if p := k.portal.State(); p.Lockdown || p.State != access.Secured {
		t.Errorf("after the lockdown was lifted and a restart the door is %v, lockdown %v", p.State, p.Lockdown)
	}
}

func record(e access.Event, session uint64) access.Record {
	return access.Record{Version: access.RecordVersion, Event: e, Session: access.SessionID{Boot: 1, Number: session}}
}

func TestUnresolvedGrants(t *testing.T) {
	for name, tt := range map[string]struct {
		records []access.Record
		want    []uint64
	}{
		"empty log":         {},
		"released":          {records: []access.Record{record(access.EventWalkupGranted, 1), record(access.EventDoorReleased, 1)}},
		"refused":           {records: []access.Record{record(access.EventWalkupGranted, 1), record(access.EventReleaseRefused, 1)}},
		"noted already":     {records: []access.Record{record(access.EventWalkupGranted, 1), record(access.EventGrantUnresolved, 1)}},
		"power cut":         {records: []access.Record{record(access.EventWalkupGranted, 1)}, want: []uint64{1}},
		"another's release": {records: []access.Record{record(access.EventWalkupGranted, 1), record(access.EventDoorReleased, 2)}, want: []uint64{1}},
		"REX in between":    {records: []access.Record{record(access.EventWalkupGranted, 1), record(access.EventDoorReleased, 0)}, want: []uint64{1}},
		"two of three": {records: []access.Record{
			record(access.EventWalkupGranted, 1), record(access.EventWalkupGranted, 2), record(access.EventDoorReleased, 2), record(access.EventWalkupGranted, 3),
		}, want: []uint64{1, 3}},
	} {
		got := unresolved(tt.records)
		if len(got) != len(tt.want) {
			t.Errorf("%s: %d unresolved, want %d", name, len(got), len(tt.want))
			continue
		}
		for i, r := range got {
			if r.Session.Number != tt.want[i] {
				t.Errorf("%s: session %v is unresolved, want %d", name, r.Session, tt.want[i])
			}
		}
	}
}

// The power goes between the record of a grant and the relay: the next start says so, once, and releases nothing.
func TestUnresolvedGrantIsRecordedAtPowerOn(t *testing.T) {
	dir := stateFolder(t)
	k := startKiosk(t, dir, auditlog.Options{})
	g := k.blank(access.EventWalkupGranted)
	g.Session, g.Verdict, g.Subject = access.SessionID{Boot: k.boot, Number: 5}, access.Granted, [16]byte{7}
	if err := k.Append(g); err != nil {
		t.Fatal(err)
	}
	k.stop()
	for range 2 {
		k = startKiosk(t, dir, auditlog.Options{})
		if n := k.wires.released(); n != 0 {
			t.Errorf("the relay was released %d times at power-on", n)
		}
		records, err := tail(k.audit, tailRecords)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, r := range records {
			if r.Event == access.EventGrantUnresolved {
				found++
				if r.Session != g.Session || r.Subject != g.Subject || r.Boot != g.Boot+1 {
					t.Errorf("record %+v does not name the grant, its subject and the boot that found it", r)
				}
			}
		}
		if found != 1 {
			t.Errorf("%d records of one unresolved grant", found)
		}
		k.stop()
	}
}

// Whoever stands at the door, or took over eye, fills a part of the log and no more: what repeats is counted, and what is counted stands in the log
// once the flood is over.
func TestFloodIsCounted(t *testing.T) {
	k := startKiosk(t, stateFolder(t), auditlog.Options{})
	before := k.audit.Head()
	for i := range 5000 {
		r := k.blank(access.EventLampAnswerWrong)
		r.Session, r.Reason = access.SessionID{Boot: k.boot, Number: uint64(i + 1)}, access.ReasonWrongAnswer
		if err := k.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	k.fold.flush()
	records, err := tail(k.audit, tailRecords)
	if err != nil {
		t.Fatal(err)
	}
	counted := 0
	for _, r := range records {
		if r.Event == access.EventLampAnswerWrong && strings.Contains(r.Detail, "4990 more of the same") {
			counted++
		}
	}
	if n := k.audit.Head() - before; n > 40 || counted != 1 {
		t.Errorf("5000 records became %d, of which %d tell the count", n, counted)
	}
}

// Behind the quota, too, refusals never take the room of grants and alarms.
func TestRefusalsNeverTakeTheReserve(t *testing.T) {
	k := startKiosk(t, stateFolder(t), auditlog.Options{SegmentBytes: 32 << 10, MaxSegments: 8})
	flood := []access.Event{
		access.EventPresentationRefused, access.EventLampAnswerWrong, access.EventWalkupDenied, access.EventWalkupRetry,
		access.EventWalkupLeft, access.EventWalkupUncertain,
	}
	full := false
	for i := 0; i < 4000 && !full; i++ {
		r := k.blank(flood[i%len(flood)])
		r.Session = access.SessionID{Boot: 1, Number: uint64(i + 1)}
		full = errors.Is(k.append(class(r.Event), r), auditlog.ErrFull)
	}
	if !full {
		t.Fatal("4000 refusals found room in a small log")
	}
	for _, e := range flood {
		if err := k.append(class(e), k.blank(e)); !errors.Is(err, auditlog.ErrFull) {
			t.Errorf("%v took from the reserve: %v", e, err)
		}
	}
	for _, e := range []access.Event{access.EventWalkupGranted, access.EventDoorForcedOpen, access.EventRevoked, access.EventFailuresLimited} {
		if err := k.Append(k.blank(e)); err != nil {
			t.Errorf("%v found no room: %v", e, err)
		}
	}
	low, broken := 0, false
	records, err := tail(k.audit, tailRecords)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.Event == access.EventStorageLow {
			low++
		}
	}
	s := k.status()
	for _, d := range s.Degraded {
		broken = broken || strings.Contains(d, "cannot be written")
	}
	if low != 1 || broken {
		t.Errorf("%d records say that storage is low, want one; status says that nobody is granted: %v", low, broken)
	}
}

func TestComingsAreBounded(t *testing.T) {
	var c comings
	now, written := 100*time.Hour, 0
	for range 24 * 60 * 60 * 4 { // flapping four times a second, for a day
		now += 250 * time.Millisecond
		if _, ok := c.pass(now); ok {
			written++
		}
	}
	if most := comingsBurst + 24*60 + 1; written > most || written < 24*60 {
		t.Errorf("%d records in a day of flapping, want about %d", written, most)
	}
	c.pass(now)
	now += 24 * time.Hour
	if detail, ok := c.pass(now); !ok || detail == "" {
		t.Errorf("after a quiet day: %v, %q; want a record that says how many were left out", ok, detail)
	}
	if detail, ok := c.pass(now); !ok || detail != "" {
		t.Errorf("then: %v, %q; want a plain record", ok, detail)
	}
}

func TestClipKeepsLettersWhole(t *testing.T) {
	long := strings.Repeat("ä", 150)
	if c := clip(long, 199); len(c) != 198 || !utf8.ValidString(c) {
		t.Errorf("clipped to %d bytes, valid: %v", len(c), utf8.ValidString(c))
	}
	if clip("short", 200) != "short" {
		t.Error("a short text was changed")
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{}, {"-run", "x"}, {"-state", "x"}, {"-run", "x", "-state", "y", "extra"}, {"-nonsense"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("parse %q: accepted", args)
		}
	}
	if o, err := parse([]string{"-run", "x", "-state", "y"}); err != nil || o.board != "desk" {
		t.Errorf("parse: %+v, %v", o, err)
	}
}
