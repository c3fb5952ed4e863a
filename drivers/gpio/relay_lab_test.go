//go:build lab

package gpio

import (
	"bufio"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// solo makes a chip whose relay has a resistor to the given level, with the relay alone on it or also a fire input.
func solo(t *testing.T, label string, pull bool, active Level, fire bool) (*sim, *probe, Config) {
	t.Helper()
	s, err := newSim(label, names...)
	must(t, err)
	t.Cleanup(func() { must(t, s.remove()) })
	must(t, s.pull(relayAt, pull))
	must(t, s.pull(fireAt, fire))
	p, err := s.probe(relayAt)
	must(t, err)
	return s, p, Config{Lines: map[string]Line{
		"relay": {Chip: label, Offset: relayAt, Kind: Output, Active: active, KeepIf: "fire"},
		"fire":  {Chip: label, Offset: fireAt, Kind: Input, Active: High, Debounce: 20 * ms},
	}}
}

// TestRelayNeverGlitches proves that the relay's levels are those that were ordered and no other: by the wire's own history, and
// by the kernel's record of every write to it.
func TestRelayNeverGlitches(t *testing.T) {
	for i, c := range []struct {
		name     string
		resistor bool // the level that the board gives a wire that nobody drives
		active   Level
		fire     bool
		orders   []string
		levels   string
		writes   string
		fails    bool
	}{
		{"claimed and given back, active high", false, High, false, nil, "0", "0", false},
		{"claimed and given back, active low", true, Low, false, nil, "1", "1", false},
		{"released once, active high", false, High, false, []string{"on", "off"}, "0 1 0", "0 1 0", false},
		{"released once, active low", true, Low, false, []string{"on", "off"}, "1 0 1", "1 0 1", false},
		{"secured again and again", true, Low, false, []string{"off", "off", "off"}, "1", "1 1 1 1", false},
		{"crash while secured", true, Low, false, []string{"off", "crash"}, "1", "1 1", true},
		{"crash while released", true, Low, false, []string{"on", "crash"}, "1 0 1", "1 0", true},
		// A resistor to the active level stands for a controller that holds what a dead process drove.
		{"found released, is secured", true, High, false, []string{"on", "off"}, "1 0 1 0 1", "0 1 0", false},
		{"found released in a fire, active high", true, High, true, []string{"on"}, "1", "1 1", false},
		{"found released in a fire, active low", false, Low, true, []string{"on"}, "0", "0 0", false},
		{"fire with a secured relay", false, High, true, nil, "0", "0", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, p, cfg := solo(t, fmt.Sprintf("solo-%d", i), c.resistor, c.active, c.fire)
			if c.fire { // the line must be found as an output: let one that is gone by now have driven it
				if _, out, err := history(p, self, "hold", cfg.text(t), "on"); err != nil {
					t.Fatalf("first life: %v: %s", err, out)
				}
			}
			written, err := record()
			must(t, err)
			levels, out, err := history(p, append([]string{self, "hold", cfg.text(t)}, c.orders...)...)
			if (err != nil) != c.fails || levels != c.levels {
				t.Errorf("the wire went %q (%v), want %q: %s", levels, err, c.levels, out)
			}
			if writes, err := written(); err != nil || writes != c.writes {
				t.Errorf("the kernel wrote %q (%v), want %q", writes, err, c.writes)
			}
		})
	}
}

// TestHistorySeesPeriphsPulse shows the instruments on what this package avoids: periph's first Out(High) of an active-low relay.
func TestHistorySeesPeriphsPulse(t *testing.T) {
	_, p, _ := solo(t, "pulse", true, Low, false)
	written, err := record()
	must(t, err)
	if levels, out, err := history(p, self, "hold", "pulse", "periph"); err != nil || levels != "1 0 1" {
		t.Errorf("the wire went %q (%v), want the pulse 1 0 1: %s", levels, err, out)
	}
	if writes, err := written(); err != nil || writes != "0 1" {
		t.Errorf("the kernel wrote %q (%v), want 0 1", writes, err)
	}
}

// TestKilledHolder kills a holder with its relay on, over and over, and looks at the wire all the while.
func TestKilledHolder(t *testing.T) {
	_, p, cfg := solo(t, "killed", false, High, false)
	looks := 0
	until := func(what string, end func() bool) (levels string) {
		for deadline := time.Now().Add(10 * time.Second); ; {
			over := end() // before the last look
			high, err := p.high()
			must(t, err)
			if l := fmt.Sprint(bit(high)); !strings.HasSuffix(levels, l) {
				levels += l
			}
			looks++
			if over {
				return levels
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the wire went %q", what, levels)
			}
		}
	}
	for range 5 {
		cmd := exec.Command(self, "hold", cfg.text(t), "on", "stay")
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		for s := bufio.NewScanner(out); s.Scan() && s.Text() != "staying"; {
		}
		high, err := p.high()
		must(t, err)
		if !high {
			t.Error("the holder's relay is off")
		}
		must(t, cmd.Process.Kill())
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		if levels := until("kill", func() bool { return len(ended) == 1 }); levels != "10" && levels != "0" {
			t.Errorf("after SIGKILL the wire went %q", levels)
		}
		again := exec.Command(self, "hold", cfg.text(t))
		must(t, again.Start())
		go func() { ended <- again.Wait() }()
		<-ended // of the one killed
		if levels := until("restart", func() bool { return len(ended) == 1 }); levels != "0" {
			t.Errorf("at the restart the wire went %q", levels)
		}
		must(t, <-ended)
	}
	t.Logf("looked at the wire %d times", looks)
}
