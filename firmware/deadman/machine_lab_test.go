//go:build lab

package deadman

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/lintel-access/lintel/drivers/watchdog"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/tests/lab/plan"
	"github.com/lintel-access/lintel/tests/lab/vm"
)

// bite is the time-out of the hardware in the laboratory: short, so that a life of eight seconds proves that it was fed.
const bite = 4 * time.Second

// slack is for the reset itself and the next boot, on a machine that others use too.
const slack = 15 * time.Second

// One boot, one death; the next boot sees how long it took. All with the product's limits.
func TestMachineResets(t *testing.T) {
	deaths := []struct {
		name     string
		die      func(*testing.T, *watched)
		from, to time.Duration // from the moment of the hang to the next boot's test
	}{
		{"the door's driver hangs: last record, sync, reboot(2)", func(t *testing.T, w *watched) {
			if err := w.door.Process.Signal(syscall.SIGUSR1); err != nil {
				t.Fatal(err)
			}
			if !w.door.out.Scan() || w.door.out.Text() != "last words" {
				t.Errorf("door says %q", w.door.out.Text())
			}
			if err := <-w.ended; !errors.Is(err, ErrSilent) {
				t.Fatalf("Run: %v", err)
			}
			t.Fatal(Reboot(Kernel{}, t.Logf))
		}, 3 * time.Second, 5*time.Second + slack},
		{"the door is stopped, and nobody can reboot: the hardware bites", func(t *testing.T, w *watched) {
			if err := w.door.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			if err := <-w.ended; !errors.Is(err, ErrSilent) {
				t.Fatalf("Run: %v", err)
			}
		}, 3*time.Second + bite, 6*time.Second + bite + slack},
		{"the judge hangs: the hardware bites", func(t *testing.T, w *watched) { w.hang() }, bite - period, bite + slack},
		{"reboot(2) is not to be had: sysrq", func(t *testing.T, w *watched) {
			if err := (Kernel{}).Force(); err != nil {
				t.Fatal(err)
			}
		}, 0, slack},
	}
	boot := vm.Plan(t).Boot
	if boot > 0 {
		before, took := deaths[boot-1], time.Since(hung(t, boot-1))
		if took < before.from || took > before.to {
			t.Fatalf("%s: next boot after %v, want %v to %v", before.name, took, before.from, before.to)
		}
		save(t, "took", boot-1, took.Round(100*time.Millisecond).String())
	}
	if boot == len(deaths) {
		for i, d := range deaths {
			vm.Measured(t, "%s: next boot after %s", d.name, saved(t, "took", i))
		}
		return
	}
	w := watch(t)
	select {
	case err := <-w.ended:
		t.Fatalf("a living door was condemned: %v", err)
	case <-time.After(2 * bite): // it would have bitten by now, were it not fed
	}
	save(t, "hung", boot, time.Now().Format(time.RFC3339Nano))
	vm.ResetIn(t, deaths[boot].to)
	deaths[boot].die(t, w)
	select {} // until the machine resets; the runner knows when it should have
}

// save keeps something of a boot for the boots after it.
func save(t *testing.T, what string, boot int, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(plan.Outside, what+strconv.Itoa(boot)), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func saved(t *testing.T, what string, boot int) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(plan.Outside, what+strconv.Itoa(boot)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func hung(t *testing.T, boot int) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, saved(t, "hung", boot))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// watched is a door with its dead-man and the machine's watchdog, wired as PID 1 wires them.
type watched struct {
	door  *started
	ended chan error
	hang  func()
}

func watch(t *testing.T) *watched {
	t.Helper()
	dog, err := watchdog.Open(watchdog.Path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dog.SetTimeout(bite); err != nil {
		t.Fatal(err)
	}
	stuck := make(chan struct{})
	m, err := New(Config{Limits: DefaultLimits(), Log: t.Logf, Hardware: dog, Now: func() time.Duration {
		select {
		case <-stuck:
			select {}
		default:
			return frames.Now()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{ended: make(chan error, 1), hang: func() { close(stuck) }}
	go func() { w.ended <- m.Run(context.Background()) }()
	w.door = startDoor(t)
	m.Started(w.door.line, w.door.Process.Pid)
	return w
}
