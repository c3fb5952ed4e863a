//go:build lab

package gpio

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"
	_ "periph.io/x/host/v3/sysfs" // door has it for the TPM's bus, so its drivers start there together with that of the lines
)

// These tests run on the kernel's gpio-sim, in the lab's VM. periph finds chips once in the life of a process: TestMain makes those
// of the process itself, and what needs a beginning of its own runs in a child (hold).

// Offsets on the simulated doors.
const (
	relayAt = iota
	lampAt
	contactAt
	rexAt
	fireAt
	ledAt
	wires
)

var names = []string{"RELAY", "LAMP", "CONTACT", "REX", "FIRE", "LED"}

// What TestMain makes.
var (
	chips = map[string]*sim{} // by label
	self  string              // the test program
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "hold" {
		if err := hold(os.Args[2], os.Args[3:]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	link := "/dev/gpiochip99"
	err := func() error {
		var err error
		if self, err = os.Executable(); err != nil {
			return err
		}
		for _, label := range []string{"door", "fleeting", "fleeting-out", "busy", "twin", "cycles", "flood"} {
			if chips[label], err = newSim(label, names...); err != nil {
				return err
			}
		}
		if chips["other twin"], err = newSim("twin", "A"); err != nil {
			return err
		}
		if chips["nameless"], err = newSim("nameless", "", "", "SAME", "SAME", "SAME"); err != nil {
			return err
		}
		// As on a Raspberry Pi; it springs periph's trap for standard input.
		return os.Symlink(chips["door"].path(), link)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests need the lab's VM:", err)
		os.Exit(1)
	}
	code := m.Run()
	for _, s := range chips { // another run in the same machine finds it as this one did
		if err := s.remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	_ = os.Remove(link)
	os.Exit(code)
}

// wiring is a whole door on a chip.
func wiring(chip string) Config {
	return Config{Lines: map[string]Line{
		"relay":   {Chip: chip, Offset: relayAt, Kind: Output, Active: High},
		"lamp":    {Chip: chip, Offset: lampAt, Kind: Output, Active: Low},
		"contact": {Chip: chip, Offset: contactAt, Kind: Input, Active: High, Debounce: 30 * ms, Alarm: true},
		"rex":     {Chip: chip, Offset: rexAt, Kind: Input, Active: Low, Debounce: 10 * ms},
		"fire":    {Chip: chip, Offset: fireAt, Kind: Input, Active: High, Debounce: 20 * ms},
		"led":     {Chip: chip, Offset: ledAt, Kind: Indicator, Active: Low},
	}}
}

// hold is the child: it claims the lines of a configuration and follows orders.
func hold(config string, orders []string) error {
	if slices.Equal(orders, []string{"periph"}) { // the way that this package does not go
		if _, err := discover(); err != nil {
			return err
		}
		for _, c := range gpioioctl.Chips {
			if c.Label() == config {
				return c.ByNumber(relayAt).Out(gpio.High)
			}
		}
		return errors.New("no such chip")
	}
	var cfg Config
	if err := json.Unmarshal([]byte(config), &cfg); err != nil {
		return err
	}
	l, err := Open(cfg)
	if err != nil {
		return err
	}
	fmt.Println("open")
	for _, order := range orders {
		switch order {
		case "on", "off":
			if _, err := l.Set("relay", order == "on"); err != nil {
				return err
			}
		case "stay":
			fmt.Println("staying")
			select {}
		case "crash":
			panic("as ordered")
		}
	}
	return l.Close()
}

func (c Config) text(t *testing.T) string {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, cfg Config) *Lines {
	t.Helper()
	l, err := Open(cfg)
	must(t, err)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func wireIs(t *testing.T, s *sim, offset int, want bool) {
	t.Helper()
	p, err := s.probe(offset)
	must(t, err)
	defer p.file.Close()
	if high, err := p.high(); err != nil || high != want {
		t.Errorf("wire %s is high=%v (%v), want %v", names[offset], high, err, want)
	}
}

func TestOutputsDriveTheirWires(t *testing.T) {
	s := chips["door"]
	must(t, s.pull(lampAt, true))
	l := open(t, wiring("door"))
	for _, c := range []struct {
		line      string
		offset    int
		activeLow bool
	}{{"relay", relayAt, false}, {"lamp", lampAt, true}, {"led", ledAt, true}} {
		wireIs(t, s, c.offset, c.activeLow)
		for _, on := range []bool{true, true, false, true, false} {
			before := now()
			at, err := l.Set(c.line, on)
			if err != nil || at < before || at > now() {
				t.Fatalf("set %s at %v, between %v and now: %v", c.line, at, before, err)
			}
			wireIs(t, s, c.offset, on != c.activeLow)
			if got, err := l.Level(c.line); err != nil || got != on {
				t.Errorf("%s reads %v, %v after it was set %v", c.line, got, err, on)
			}
		}
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = l.Set("lamp", true) }); n != 0 {
		t.Errorf("switching the lamp allocates %v times", n)
	}
	for _, line := range []string{"contact", "siren"} {
		if _, err := l.Set(line, true); err == nil {
			t.Errorf("%s can be set", line)
		}
	}
}

// TestPulls: an input that nothing drives goes where the board says, and inputs of several pulls all tell their edges.
func TestPulls(t *testing.T) {
	s := chips["door"]
	for _, at := range []int{contactAt, rexAt, fireAt} {
		must(t, s.pull(at, at == rexAt)) // where the wire was left before
	}
	l := open(t, Config{Lines: map[string]Line{
		"contact": {Chip: "door", Offset: contactAt, Kind: Input, Active: High, Pull: Up},
		"rex":     {Chip: "door", Offset: rexAt, Kind: Input, Active: High, Pull: Down},
		"fire":    {Chip: "door", Offset: fireAt, Kind: Input, Active: High},
	}})
	for name, want := range map[string]bool{"contact": true, "rex": false, "fire": false} {
		if on, err := l.Level(name); err != nil || on != want {
			t.Errorf("%s rests at %v (%v), want %v", name, on, err, want)
		}
	}
	for _, c := range []struct {
		line string
		at   int
		on   bool
	}{{"contact", contactAt, false}, {"rex", rexAt, true}, {"fire", fireAt, true}} {
		must(t, s.pull(c.at, c.on))
		if e, alive := next(l, time.Second); !alive || e.Line != c.line || e.On != c.on {
			t.Errorf("%s switched to %v: edge %+v, %v", c.line, c.on, e, alive)
		}
	}
}

// TestStandardInputSurvives: periph closes it when it finds a chip under two names, and gpiochip99 is such a name.
func TestStandardInputSurvives(t *testing.T) {
	var before, after unix.Stat_t
	must(t, unix.Fstat(0, &before))
	out, err := exec.Command(self, "hold", wiring("cycles").text(t), "on", "off").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	open(t, wiring("cycles"))
	must(t, unix.Fstat(0, &after))
	if before.Ino != after.Ino || before.Rdev != after.Rdev {
		t.Errorf("standard input was %+v and is %+v", before, after)
	}
}

func TestChipVanishes(t *testing.T) {
	for _, c := range []struct {
		chip string
		cfg  Config
	}{
		{"fleeting", wiring("fleeting")},
		{"fleeting-out", Config{Lines: map[string]Line{"relay": {Chip: "fleeting-out", Offset: relayAt, Kind: Output, Active: High}}}},
	} {
		before := runtime.NumGoroutine()
		l, err := Open(c.cfg)
		must(t, err)
		_, err = l.Set("relay", true)
		must(t, err)
		time.Sleep(alive / 4) // the workers wait by now
		must(t, chips[c.chip].remove())
		gone := time.Now()
		if _, err := l.Set("relay", false); !errors.Is(err, unix.ENODEV) {
			t.Errorf("%s: set answers %v", c.chip, err)
		}
		for name := range c.cfg.Lines {
			if _, err := l.Level(name); !errors.Is(err, unix.ENODEV) {
				t.Errorf("%s: %s reads %v", c.chip, name, err)
			}
		}
		if e, alive := next(l, time.Second); alive {
			t.Errorf("%s: a second later the edges are open (%+v)", c.chip, e)
		}
		t.Logf("%s: edges closed %v after the chip had gone: %v", c.chip, time.Since(gone).Round(ms), l.Err())
		if !errors.Is(l.Err(), unix.ENODEV) {
			t.Errorf("%s: the cause is %v", c.chip, l.Err())
		}
		must(t, l.Close())
		if _, err := l.Set("relay", true); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: set after close answers %v", c.chip, err)
		}
		if after := runtime.NumGoroutine(); after > before {
			t.Errorf("%s: %d goroutines became %d", c.chip, before, after)
		}
		if _, err := Open(c.cfg); err == nil {
			t.Errorf("%s can be opened", c.chip)
		}
	}
}

func TestTaken(t *testing.T) {
	first := open(t, wiring("busy"))
	only := func(name string, line Line) Config { return Config{Lines: map[string]Line{name: line}} }
	all := wiring("busy").Lines
	for name, want := range map[string]string{
		"relay": `"busy" offset 0 is taken by "lintel relay"`, "rex": `"busy" offset 3 is taken by "`, "led": `"busy" offset 5 is taken by "`,
	} {
		l, err := Open(only("other", all[name]))
		if name == "led" { // a door works without
			must(t, err)
			if _, err := l.Set("other", true); !errors.Is(err, errWithout) {
				t.Errorf("a taken LED is set: %v", err)
			}
			if _, err := l.Level("other"); !errors.Is(err, errWithout) {
				t.Errorf("a taken LED is read: %v", err)
			}
			err = l.Without()
			must(t, l.Close())
		}
		if !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `line "other"`) {
			t.Errorf("%s: error %v, want %s", name, err, want)
		}
	}
	_, err := first.Set("relay", true)
	must(t, err)
	wireIs(t, chips["busy"], relayAt, true)
	must(t, first.Close())

	// A line of others stops the door from starting, and not from securing its relay first.
	must(t, chips["busy"].pull(relayAt, true)) // as after a crash on a controller that holds
	other := open(t, only("other", all["rex"]))
	p, err := chips["busy"].probe(relayAt)
	must(t, err)
	levels, out, err := history(p, self, "hold", wiring("busy").text(t))
	if err == nil || !strings.Contains(out, "is taken by") || levels != "1 0 1" {
		t.Errorf("levels %q (%v), want the relay off from the failed start to the return of its line: %s", levels, err, out)
	}
	must(t, chips["busy"].pull(relayAt, false))
	must(t, other.Close())
}

func TestRefusals(t *testing.T) {
	one := func(f func(*Line)) Config {
		l := wiring("door").Lines["rex"]
		f(&l)
		return Config{Lines: map[string]Line{"rex": l}}
	}
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"wrong label":    {one(func(l *Line) { l.Chip = "hall" }), `chip "hall": not on this machine, which has ["busy" `},
		"no such path":   {one(func(l *Line) { l.Chip = "/dev/gpiochip77" }), `chip "/dev/gpiochip77": not on this machine`},
		"two of a label": {one(func(l *Line) { l.Chip = "twin" }), "have this label, name one by its path"},
		"input beyond":   {one(func(l *Line) { l.Offset = wires }), `chip "door" has 6 lines, offset 6 is not among them`},
		"output beyond":  {one(func(l *Line) { l.Kind, l.Debounce, l.Offset = Output, 0, wires }), `chip "door" has 6 lines, offset 6`},
		"nameless input": {one(func(l *Line) { l.Chip, l.Offset = "nameless", 1 }), `is called "", which is no name of its own`},
		// periph gives the second of a name another one, and the third that of the second.
		"name of another": {one(func(l *Line) { l.Chip, l.Offset = "nameless", 4 }), `-SAME", which is no name of its own`},
	} {
		l, err := Open(c.cfg)
		if l != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s", name, err, c.want)
		}
	}
	// By path, also by one that periph does not know; outputs need no name.
	for _, chip := range []string{chips["door"].path(), "/dev/gpiochip99"} {
		must(t, open(t, one(func(l *Line) { l.Chip = chip })).Close())
	}
	must(t, open(t, one(func(l *Line) { l.Chip, l.Kind, l.Debounce, l.Offset = "nameless", Output, 0, 4 })).Close())
}

// TestCycles opens and closes a door again and again: it keeps no descriptor and no goroutine.
func TestCycles(t *testing.T) {
	open(t, wiring("cycles")).Close() // what periph keeps, it has now
	descriptors := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(d)
	}
	before, routines := descriptors(), runtime.NumGoroutine()
	for range 30 {
		l, err := Open(wiring("cycles"))
		must(t, err)
		must(t, l.Close())
		must(t, l.Close())
		if _, alive := <-l.Edges(); alive || l.Err() != nil {
			t.Fatalf("after close the edges are open (%v) or have a cause: %v", alive, l.Err())
		}
	}
	if after := descriptors(); after != before {
		t.Errorf("%d descriptors became %d", before, after)
	}
	if after := runtime.NumGoroutine(); after > routines {
		t.Errorf("%d goroutines became %d", routines, after)
	}
}

// TestLampJitter measures what the PAD lives on: how long after the order the level stands on the wire, and how evenly.
func TestLampJitter(t *testing.T) {
	l := open(t, wiring("door"))
	const turns = 2000
	measure := func(what string, f func(i int) (at time.Duration, err error)) (p50 time.Duration) {
		took := make([]time.Duration, 0, turns)
		for i := range turns {
			before := now()
			at, err := f(i)
			must(t, err)
			took = append(took, at-before)
		}
		slices.Sort(took)
		t.Logf("%s: p50 %v, p95 %v, p99 %v, worst %v of %d", what, took[turns/2], took[turns*95/100], took[turns*99/100], took[turns-1], turns)
		return took[turns/2]
	}
	floor := measure("a system call", func(int) (time.Duration, error) { return now(), nil })
	set := measure("lamp, order to level", func(i int) (time.Duration, error) { return l.Set("lamp", i%2 == 0) })
	// Two calls, of which one goes through the chip's driver and its locks. The tail belongs to whoever else runs on the machine.
	if ratio := float64(set) / float64(floor); ratio > 20 {
		t.Errorf("switching the lamp costs %.1f times a system call", ratio)
	}
}
