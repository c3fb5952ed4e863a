package quota

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
)

func denied(at time.Duration, person byte) access.Record {
	return access.Record{
		Version: 1, Event: access.EventWalkupDenied, Boot: 1, Stamp: at, Reason: access.ReasonUnknown,
		Subject: [16]byte{person}, Session: access.SessionID{Boot: 1, Number: uint64(at)}, Evidence: [32]byte{1},
	}
}

// count adds up what records tell of: themselves, or as many as they say.
func count(t *testing.T, list []access.Record) (n int) {
	t.Helper()
	for _, r := range list {
		var more int
		if _, err := fmt.Sscanf(r.Detail, "%d more of the same", &more); err != nil {
			more = 1
		}
		n += more
	}
	return n
}

func TestFloodIsFoldedAndCounted(t *testing.T) {
	var c Coalescer
	var out []access.Record
	for i := range 100 {
		out = append(out, c.Take(denied(time.Duration(i)*time.Second, 1))...)
	}
	if len(out) != defaultPerKey {
		t.Fatalf("%d records written, want %d", len(out), defaultPerKey)
	}
	if due := c.Due(99 * time.Second); due != nil {
		t.Fatalf("due before the window ended: %v", due)
	}
	due := c.Due(defaultWindow)
	if len(due) != 1 || due[0].Detail != "90 more of the same within 1m29s" || due[0].Session != (access.SessionID{}) || due[0].Evidence != [32]byte{} {
		t.Fatalf("due: %+v", due)
	}
	if due[0].Subject != [16]byte{1} || due[0].Reason != access.ReasonUnknown || due[0].Event != access.EventWalkupDenied {
		t.Fatalf("the count is not of the same: %+v", due[0])
	}
	if again := c.Due(2 * defaultWindow); again != nil {
		t.Fatalf("counted twice: %v", again)
	}
	if got := c.Take(denied(defaultWindow+time.Second, 1)); len(got) != 1 {
		t.Fatalf("first of the next window: %v", got)
	}
}

// Every kind that is not listed is written, always: also those that are added later.
func TestVitalKindsAreNeverFolded(t *testing.T) {
	var c Coalescer
	foldable := 0
	for e := range access.Event(2000) {
		if Foldable(e) {
			foldable++
			if e.Severity() == access.Alert {
				t.Errorf("%v is an alert and may be folded", e)
			}
			continue
		}
		for range 200 {
			if out := c.Take(access.Record{Event: e}); len(out) != 1 {
				t.Fatalf("%v was folded", e)
			}
		}
	}
	if foldable != 7 {
		t.Errorf("%d foldable kinds, want 7", foldable)
	}
	if c.Flush() != nil {
		t.Error("vital kinds were counted")
	}
}

// Nothing gets lost: over any flood, what was written plus what is counted is what came; and memory stays bounded.
func TestManyKeys(t *testing.T) {
	var c Coalescer
	var out []access.Record
	const people, rounds = 200, 5
	for i := range people * rounds {
		r := denied(time.Duration(i)*time.Second/10, byte(i%people))
		r.Verdict = access.Verdict(i % 4)
		out = append(out, c.Take(r)...)
	}
	if len(out) != defaultPerKind {
		t.Fatalf("%d written, want %d", len(out), defaultPerKind)
	}
	if n := len(c.kinds[0].keys); n > maxKeys+4 {
		t.Fatalf("%d keys are kept apart", n)
	}
	last := c.Flush()
	if len(last) > maxKeys+4 {
		t.Fatalf("%d counts", len(last))
	}
	if n := count(t, append(out, last...)); n != people*rounds {
		t.Fatalf("%d of %d are told of", n, people*rounds)
	}
	for _, r := range last {
		if strings.Contains(r.Detail, "more") && r.Subject != [16]byte{} && count(t, []access.Record{r}) > rounds {
			t.Fatalf("a person is charged with another's: %+v", r)
		}
	}
}

func TestOneFoldedRecordIsWrittenWhole(t *testing.T) {
	c := Coalescer{Limits: Limits{PerKey: 1}}
	c.Take(denied(0, 1))
	want := denied(time.Second, 1)
	if c.Take(want) != nil {
		t.Fatal("written")
	}
	if out := c.Flush(); len(out) != 1 || out[0] != want {
		t.Fatalf("%+v", out)
	}
}

// Windows end with the boot and when the clock goes back.
func TestWindows(t *testing.T) {
	c := Coalescer{Limits: Limits{PerKey: 1, Window: time.Minute}}
	next := denied(5*time.Second, 1)
	next.Boot = 2
	for i, step := range []struct {
		r    access.Record
		want int
	}{
		{denied(10*time.Second, 1), 1}, {denied(20*time.Second, 1), 0}, {denied(30*time.Second, 1), 0},
		{denied(70*time.Second, 1), 2}, {denied(71*time.Second, 1), 0}, {denied(3*time.Second, 1), 2}, {next, 1},
	} {
		if out := c.Take(step.r); len(out) != step.want {
			t.Errorf("step %d: %d records, want %d: %+v", i, len(out), step.want, out)
		}
	}
}

// A flood of every foldable kind at ten a second must not fill the log's million records within four weeks.
func TestFloodCannotEvictHistory(t *testing.T) {
	var c Coalescer
	kinds := []access.Event{
		access.EventWalkupDenied, access.EventWalkupRetry, access.EventWalkupUncertain, access.EventWalkupLeft,
		access.EventPresentationRefused, access.EventLampAnswerWrong,
	}
	written, came := 0, 0
	const day = 24 * time.Hour
	for at := time.Duration(0); at < day; at += time.Second / 2 {
		for _, e := range kinds {
			r := denied(at, byte(at/time.Second))
			r.Event = e
			written += len(c.Take(r))
			came++
		}
	}
	t.Logf("a day's flood of %d records writes %d: a million last %d days", came, written, 1_000_000/written)
	if written*28 > 1_000_000 {
		t.Errorf("a day's flood writes %d records: a million last %d days", written, 1_000_000/written)
	}
}
