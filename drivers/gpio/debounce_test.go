package gpio

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// TestDebounce plays lines: each step is a time at which there is an edge or at which the line is looked at.
func TestDebounce(t *testing.T) {
	type step struct {
		at    time.Duration
		edge  bool // else a look
		level bool
		want  string // of a look: "", "on 10ms" with the stamp
	}
	edge := func(at time.Duration) step { return step{at: at, edge: true} }
	look := func(at time.Duration, level bool, want string) step { return step{at: at, level: level, want: want} }
	for name, c := range map[string]struct {
		start debouncer
		steps []step
	}{
		"clean change": {debouncer{hold: 30 * ms}, []step{
			edge(100 * ms), look(129*ms, true, ""), look(130*ms, true, "on 100ms"), look(200*ms, true, ""),
		}},
		"bounces keep the first stamp": {debouncer{hold: 30 * ms}, []step{
			edge(100 * ms), edge(101 * ms), edge(120 * ms), look(131*ms, true, ""), look(150*ms, true, "on 100ms"),
		}},
		"a knock is nothing": {debouncer{hold: 30 * ms}, []step{
			edge(100 * ms), edge(110 * ms), look(140*ms, false, ""), edge(500 * ms), look(530*ms, true, "on 500ms"),
		}},
		"no hold tells at once": {debouncer{}, []step{edge(5 * ms), look(5*ms, true, "on 5ms"), edge(6 * ms), look(6*ms, false, "off 6ms")}},
		"a lost edge is found": {debouncer{hold: 30 * ms}, []step{
			look(100*ms, false, ""), look(200*ms, true, ""), look(230*ms, true, "on 200ms"),
		}},
		"back to off": {debouncer{hold: 30 * ms, level: true}, []step{edge(100 * ms), look(130*ms, false, "off 100ms")}},
		"restless keeps its level": {debouncer{hold: 30 * ms}, []step{
			edge(0), edge(990 * ms), look(1000*ms, true, ""), edge(1010 * ms), look(1040*ms, true, "on 1s"),
		}},
		"restless alarm is on": {debouncer{hold: 30 * ms, alarm: true}, []step{
			edge(0), edge(990 * ms), look(999*ms, false, ""), look(1000*ms, false, "on 0s"),
			edge(1500 * ms), edge(1995 * ms), look(2000*ms, false, ""), look(2025*ms, false, "off 2s"),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d := c.start
			for _, s := range c.steps {
				if s.edge {
					d.edge(s.at)
					continue
				}
				got := ""
				if stamp, changed := d.settle(s.at, s.level); changed {
					got = "off " + stamp.String()
					if d.level {
						got = "on " + stamp.String()
					}
				}
				if got != s.want {
					t.Errorf("at %v the line tells %q, want %q", s.at, got, s.want)
				}
			}
		})
	}
}

// FuzzDebounce plays arbitrary lines: each byte is a time in milliseconds, odd ones turn the line over at its end.
func FuzzDebounce(f *testing.F) {
	f.Add([]byte{1, 3, 5, 100, 1, 200, 7}, byte(30), true)
	f.Add([]byte{9, 9, 9, 9, 9, 9, 9, 9, 255, 254}, byte(50), false)
	f.Add([]byte{}, byte(0), true)
	f.Fuzz(func(t *testing.T, play []byte, hold byte, alarm bool) {
		d := debouncer{hold: time.Duration(hold) * ms, alarm: alarm}
		var at, turned, latest time.Duration
		line, told := false, false
		look := func() {
			before := d.first
			stamp, changed := d.settle(at, line)
			if !changed {
				return
			}
			switch {
			case d.level == told:
				t.Fatalf("%v twice", told)
			case stamp > at || stamp < latest:
				t.Fatalf("at %v stamp %v after %v", at, stamp, latest)
			case d.level == line && at-turned >= d.hold: // it has lasted
			case alarm && d.level && at-before >= restless: // it does not come to rest
			default:
				t.Fatalf("at %v told %v of a line that is %v since %v", at, d.level, line, turned)
			}
			told, latest = d.level, stamp
		}
		for _, b := range play {
			for range b { // a look every millisecond
				at += ms
				look()
			}
			if b&1 != 0 {
				line, turned = !line, at
				d.edge(at)
				look()
			}
		}
		for range int(hold) + 1 {
			at += ms
			look()
		}
		if d.level != line {
			t.Fatalf("at rest the line is %v and was told as %v", line, d.level)
		}
	})
}
