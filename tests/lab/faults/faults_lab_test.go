//go:build lab

package faults

import (
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/camera"
	"github.com/lintel-access/lintel/firmware/health"
	"github.com/lintel-access/lintel/tests/lab/kiosk"
	"github.com/lintel-access/lintel/tests/lab/plan"
	"github.com/lintel-access/lintel/tests/lab/vm"
)

// fault is one thing that is wrong.
type fault struct {
	name  string
	first func(*site)   // before the start
	fails func(*site)   // while the kiosk works; nil: it was so from the start
	says  []string      // on standard error
	soon  time.Duration // that is said, after the failure
	modes []health.Mode // as door tells them; none: door does not run
	told  map[health.Mode]string
	heals func(*site)
	mends time.Duration // from being mended to a kiosk that recognises
	then  *fault        // happens to it next
}

const (
	starting = 40 * time.Second // a whole kiosk, on this machine with a busy host; 5 s on an idle one
	again    = 40 * time.Second // eye or door is started again, 5 s later at most, and looks at everything; 10 s
)

// faults are in this order because the last is not to be mended: a TPM forgets wrong guesses after hours.
func faults() []fault {
	none := func(*site) {}
	return []fault{
		{
			name: "no camera", first: none,
			says:  []string{"no camera matches", "/dev/video10: device is no camera that streams"},
			modes: []health.Mode{health.NoCamera},
			heals: right, mends: again,
			then: &fault{
				name: "the camera is unplugged", fails: func(s *site) { s.unplug() }, soon: 15 * time.Second, // after five seconds of silence
				says:  []string{"no frame from the camera within the stall time-out", "/dev/video10: device is no camera that streams"},
				modes: []health.Mode{health.NoCamera},
				heals: right, mends: again,
			},
		},
		{
			name: "a camera for colour", first: wrong("YUYV", 640, 480),
			says:  []string{"no camera matches", `/dev/video10: camera shows no evidence of infrared: offers colour: ["YUYV"]`},
			modes: []health.Mode{health.NoInfrared},
			then: &fault{
				name: "a camera of another size", fails: func(s *site) { s.unplug(); wrong("GREY", 320, 240)(s) }, soon: again,
				says:  []string{"no camera matches", "/dev/video10: camera does not deliver what was asked: GREY 640×480 at 15 frames a second is not among its modes"},
				modes: []health.Mode{health.NoCamera},
				heals: func(s *site) { s.unplug(); right(s) }, mends: again,
			},
		},
		{
			name: "the camera freezes", first: func(s *site) { right(s); s.frozen.Store(true) },
			says:  []string{"no frame from the camera within the stall time-out"},
			modes: []health.Mode{health.NoCamera},
			heals: func(s *site) { s.frozen.Store(false) }, mends: again,
		},
		{
			name: "the relay's line is taken", first: func(s *site) { right(s); s.take(board.Relay); s.take(board.LEDRed) },
			says:  []string{`request line "relay": chip "lintel-lab" offset 0 is taken by "` + holder + `"`},
			heals: func(s *site) { s.release(board.Relay) }, mends: again,
			then: &fault{
				name:  "an LED's line is taken",
				says:  []string{`degraded: request line "led-red": chip "lintel-lab" offset 6 is taken by "` + holder + `"`},
				modes: []health.Mode{health.IndicatorDead},
				heals: func(s *site) { s.release(board.LEDRed); s.restart() }, mends: again,
				then: &fault{
					name: "the chip vanishes", fails: func(s *site) { s.must(s.wires.Remove()) }, soon: 10 * time.Second, // a second for the driver, the others for this machine
					says:  []string{"the lines of the door are gone: ", `chip "lintel-lab"`, "no such device"},
					heals: rewire, mends: again,
				},
			},
		},
		{
			name: "no TPM", first: func(s *site) { right(s); s.tpm.Stop() },
			says:  []string{"missing ground: TPM: TPM is absent: "},
			modes: []health.Mode{health.TPMAbsent},
			told:  map[health.Mode]string{health.TPMAbsent: "nobody is recognised: the TPM is absent: check the chip and its driver, then restart the kiosk"},
			heals: func(s *site) { s.machine.tpm = vm.StartTPM(s.machine.t, s.chipState); s.restart() }, mends: again,
		},
		{
			name: "the clock stands in 1970", first: func(s *site) { right(s); setClock(s.t, time.Unix(3600, 0)) },
			says:  []string{"degraded: clock wrong: ", "(it says 1970-01-01, which is before 20"},
			modes: []health.Mode{health.ClockWrong},
			heals: func(s *site) { setClock(s.t, s.began.Add(time.Since(s.began))) }, mends: starting, // door looks every 10 s
		},
		{
			name: "the TPM is in lockout", first: func(s *site) { right(s); guess(s) },
			says:  []string{"degraded: TPM in lockout: somebody gave the TPM wrong authorisations; the kiosk's own keys are exempt and all works"},
			modes: []health.Mode{health.TPMLockout},
		},
	}
}

// One fault after the other happens to the real programs on real devices. Each is a clear sentence, and the degraded mode of the table, in which the
// kiosk does what the mode's row says; and when it is mended the kiosk heals by itself, or where the sentence asks for it by a restart.
//
// Control: A12
// Control: N3
func TestFaults(t *testing.T) {
	m := &machine{
		t: t, plan: vm.Plan(t), state: filepath.Join(plan.Scratch, "kiosk"), chipState: filepath.Join(plan.Scratch, "chip"), began: time.Now(),
	}
	var err error
	if m.board, err = board.Load("lab"); err != nil {
		t.Fatal(err)
	}
	m.tpm = vm.StartTPM(t, m.chipState)
	if err := kiosk.Provision(m.plan.Programs, m.board, m.tpm.Path, m.state); err != nil {
		t.Fatal(err)
	}
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			s := newSite(t, m)
			f.first(s)
			s.start()
			f.strikes(s, false)
		})
	}
}

// strikes has the fault happen to a kiosk that was started, and what comes after it. A kiosk that was whole is whole again first.
func (f fault) strikes(s *site, whole bool) {
	s.t.Helper()
	within := starting
	if f.fails != nil {
		if whole {
			s.wait(starting, "the kiosk recognises", s.recognises)
		}
		s.forget()
		f.fails(s)
		within = f.soon
	}
	began := time.Now()
	for _, sentence := range f.says {
		s.hears(within, sentence)
	}
	said := time.Since(began)
	if len(f.modes) > 0 {
		f.holds(s)
	} else {
		s.wait(starting, "door is down", func() bool { _, up := s.status(); return !up })
	}
	if f.heals == nil {
		vm.Measured(s.t, "%-26s said after %5.1f s", f.name, said.Seconds())
	} else {
		f.mended(s, said)
	}
	if f.then != nil {
		f.then.strikes(s, f.heals != nil)
	}
}

// mended mends the fault and waits until all is well.
func (f fault) mended(s *site, said time.Duration) {
	s.t.Helper()
	f.heals(s)
	healed := s.wait(f.mends, "it heals", func() bool {
		status, _ := s.status()
		return s.recognises() && !slices.ContainsFunc(f.modes, func(m health.Mode) bool { return f.tells(status, m) })
	})
	vm.Measured(s.t, "%-26s said after %5.1f s, healed %5.1f s after it was mended", f.name, said.Seconds(), healed.Seconds())
	if len(f.modes) == 0 {
		s.leave() // which was not possible before
	}
}

// TestTwoCameras: of two that fit, none is taken until the board names the one that it means; it is said which they are.
//
// Control: C07
func TestTwoCameras(t *testing.T) {
	p := vm.Plan(t)
	for _, path := range []string{"/dev/video10", "/dev/video11"} {
		feed, err := vm.NewFeed(path, 640, 480, "GREY")
		if err != nil {
			t.Fatal(err)
		}
		defer feed.Close()
		if err := feed.SetRate(15); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(filepath.Join(p.Programs, "eye"), "cameras").CombinedOutput()
	if err != nil {
		t.Fatalf("eye cameras: %v: %s", err, out)
	}
	list, want := camera.List(), camera.Settings{Format: "GREY", Width: 640, Height: 480, Rate: 15, AllowVirtual: true}
	if _, err := camera.Match(list, "", want); !errors.Is(err, camera.ErrAmbiguous) || err.Error() != `more than one camera matches: ["/dev/video10" "/dev/video11"]` {
		t.Errorf("of two: %v", err)
	}
	for _, f := range list {
		if !strings.Contains(string(out), f.String()) {
			t.Errorf("eye cameras lacks\n%s", f)
		}
		if f.Driver != "v4l2 loopback" {
			continue
		}
		if got, err := camera.Match(list, f.Bus, want); err != nil || got.Path != f.Path {
			t.Errorf("on bus %q: %q, %v", f.Bus, got.Path, err)
		}
		want.Path = f.Path
		if got, err := camera.Match(list, "", want); err != nil || got.Path != f.Path {
			t.Errorf("at %q: %q, %v", f.Path, got.Path, err)
		}
		want.Path = ""
	}
}

// holds waits for the modes, and holds the kiosk to what their rows of the table allow.
func (f fault) holds(s *site) {
	s.t.Helper()
	nobody := slices.ContainsFunc(f.modes, func(m health.Mode) bool { return !m.Policy().Allows.Recognises() })
	s.wait(starting, "door is in its modes, and people are treated as they say", func() bool {
		status, up := s.status()
		for _, m := range f.modes {
			up = up && f.tells(status, m)
		}
		if nobody {
			return up && !s.recognises() && status.Indication == access.IndicateOutOfOrder()
		}
		return up && s.recognises()
	})
	if slices.ContainsFunc(f.modes, func(m health.Mode) bool { return m.Policy().Allows.Egress != health.ByKiosk }) {
		s.t.Fatal("the kiosk lets nobody out in this mode")
	}
	s.leave()
}
