//go:build lab

package gpio

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// next is the next edge, or none within the time.
func next(l *Lines, within time.Duration) (e Edge, alive bool) {
	select {
	case e, alive = <-l.Edges():
	case <-time.After(within):
		alive = true
	}
	return e, alive
}

func TestEdgesOfBouncingSwitches(t *testing.T) {
	s := chips["door"]
	must(t, s.pull(rexAt, true))
	must(t, s.pull(contactAt, false))
	l := open(t, wiring("door"))
	var late []time.Duration
	for i := range 20 {
		on := i%2 == 0
		for _, c := range []struct {
			line   string
			offset int
			high   bool
		}{{"contact", contactAt, on}, {"rex", rexAt, !on}} {
			before := now()
			for range 4 { // bounces, and ends where the switch goes
				must(t, s.pull(c.offset, c.high))
				must(t, s.pull(c.offset, !c.high))
			}
			must(t, s.pull(c.offset, c.high))
			after := now()
			e, _ := next(l, time.Second)
			if e.Line != c.line || e.On != on || e.Stamp < before {
				t.Fatalf("%s turned %v at %v and told %+v", c.line, on, before, e)
			}
			if got, err := l.Level(c.line); err != nil || got != on {
				t.Errorf("%s reads %v, %v after its edge to %v", c.line, got, err, on)
			}
			late = append(late, max(0, e.Stamp-after))
		}
	}
	// A knock that is shorter than the debounce time.
	for try := 1; ; try++ {
		began := now()
		must(t, s.pull(contactAt, true))
		time.Sleep(2 * ms)
		must(t, s.pull(contactAt, false))
		took := now() - began
		e, _ := next(l, 300*ms)
		if e == (Edge{}) {
			break
		}
		if took <= 20*ms || try == 10 {
			t.Errorf("a knock of %v told %+v", took, e)
			break
		}
		for e != (Edge{}) { // the machine has stretched the knock beyond the debounce time, so it had to be told: once more
			e, _ = next(l, 300*ms)
		}
	}
	slices.Sort(late)
	t.Logf("stamp later than the last bounce by: p50 %v, worst %v", late[len(late)/2], late[len(late)-1])
}

// TestRestlessLineHidesNoOther: a contact that never comes to rest is told as open within a second or so, and the exit button
// on the same chip works all the while.
func TestRestlessLineHidesNoOther(t *testing.T) {
	s := chips["flood"]
	must(t, s.pull(rexAt, true))
	l := open(t, wiring("flood"))
	stop, over := make(chan struct{}), make(chan struct{})
	turns := 0
	go func() {
		defer close(over)
		for high := true; ; high = !high {
			select {
			case <-stop:
				_ = s.pull(contactAt, false)
				return
			case <-time.After(ms):
				_ = s.pull(contactAt, high)
				turns++
			}
		}
	}()
	begun := now()
	want := []Edge{{Line: "rex", On: true}, {Line: "rex"}, {Line: "contact", On: true}}
	must(t, s.pull(rexAt, false))
	time.AfterFunc(200*ms, func() { _ = s.pull(rexAt, true) })
	for _, w := range want {
		e, _ := next(l, 3*time.Second)
		t.Logf("%v after the start: %+v", now()-begun, e)
		if e.Line != w.Line || e.On != w.On {
			t.Errorf("want %+v", w)
		}
	}
	close(stop)
	<-over
	if e, _ := next(l, 2*time.Second); e.Line != "contact" || e.On {
		t.Errorf("at rest it tells %+v", e)
	}
	t.Logf("%d turns of the contact", turns)
}

// TestUnreadEdgesEndIt: nobody may wait for an edge that a full queue has dropped.
func TestUnreadEdgesEndIt(t *testing.T) {
	s := chips["flood"]
	must(t, s.pull(contactAt, false))
	l := open(t, Config{Lines: map[string]Line{"contact": {Chip: "flood", Offset: contactAt, Kind: Input, Active: High}}})
	for i := 0; l.Err() == nil && i < 20*edgeBacklog; i++ {
		must(t, s.pull(contactAt, i%2 == 0))
		time.Sleep(ms)
	}
	if l.Err() == nil || !strings.Contains(l.Err().Error(), "nobody has read the last 256 edges") {
		t.Fatalf("the cause is %v", l.Err())
	}
	n := 0
	for range l.Edges() {
		n++
	}
	if n != edgeBacklog {
		t.Errorf("%d edges were kept, want %d", n, edgeBacklog)
	}
}
