package walkup

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
)

// One desk, broken in turn: what dies comes back by itself, and the door keeps its duties meanwhile.
func TestProgramsDieAndComeBack(t *testing.T) {
	d := startDesk(t, enrolledState(t))

	t.Run("eye", func(t *testing.T) {
		d.t = t
		before, err := d.state()
		if err != nil {
			t.Fatal(err)
		}
		d.act("kill", "eye")
		d.act("rex", "")
		d.until(untilReleased, "REX releases the door while eye is dead", func(s state) bool { return s.Door.Released })
		after := d.until(20*time.Second, "eye is back", func(s state) bool {
			return s.phase("eye") == "running" && s.pid("eye") != before.pid("eye")
		})
		if after.pid("door") != before.pid("door") {
			t.Error("door was restarted although only eye died")
		}
		d.walkUp("enrolled-1", "granted")
	})

	t.Run("link", func(t *testing.T) {
		d.t = t
		before, err := d.state()
		if err != nil {
			t.Fatal(err)
		}
		d.act("kill", "link")
		d.until(20*time.Second, "link is back", func(s state) bool {
			return s.phase("link") == "running" && s.pid("link") != before.pid("link")
		})
		d.walkUp("stranger-1", "denied")
	})

	t.Run("door", func(t *testing.T) {
		d.t = t
		before := d.until(10*time.Second, "the door is at rest", func(s state) bool { return s.Door.State == "secured" })
		d.act("rex", "")
		d.until(2500*time.Millisecond, "the relay is released", func(s state) bool { return s.Door.Released })
		d.act("kill", "door")
		// The release would last five seconds: the relay must fall at once, not then. Both limits together are less.
		d.until(2*time.Second, "the relay falls with door", func(s state) bool { return !s.Door.Released })
		d.until(20*time.Second, "door and eye are back", func(s state) bool {
			return s.phase("door") == "running" && s.phase("eye") == "running" && s.pid("door") != before.pid("door")
		})
		after := d.until(5*time.Second, "nobody was forgotten", func(s state) bool { return s.Enrolled == before.Enrolled })
		if after.Records <= before.Records {
			t.Errorf("%d audit records after the restart, %d before: history was lost", after.Records, before.Records)
		}
		if after.Door.Released {
			t.Error("the relay is released after the restart of door")
		}
		d.walkUp("enrolled-1", "granted")
	})

	// A door that hangs instead of dying proves no more that it lives: the dead-man ends it, and it comes back.
	t.Run("door hangs", func(t *testing.T) {
		d.t = t
		before := d.until(10*time.Second, "the door is at rest", func(s state) bool { return s.Door.State == "secured" })
		if err := syscall.Kill(before.pid("door"), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		d.until(30*time.Second, "door was ended and is back", func(s state) bool {
			return s.phase("door") == "running" && s.phase("eye") == "running" && s.pid("door") != before.pid("door")
		})
		d.walkUp("enrolled-1", "granted")
	})

	t.Run("second instance", func(t *testing.T) {
		out, err := exec.Command(program("desk"), "-no-headquarters", "-addr", freePort(t), "-cache", cache, "-state", d.dir).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "another instance runs already") {
			t.Errorf("second desk on one state: %v\n%s", err, out)
		}
		out, err = exec.Command(program("desk"), "-no-headquarters", "-addr", d.addr, "-cache", cache, "-state", t.TempDir()).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "the port is already in use") {
			t.Errorf("second desk on one port: %v\n%s", err, out)
		}
	})

	t.Run("lockdown, fire, tamper", func(t *testing.T) {
		d.t = t
		d.act("lockdown", "on")
		d.until(3*time.Second, "the door is locked down", func(s state) bool { return s.Door.State == "locked down" && s.Door.Lockdown })
		d.act("rex", "")
		d.until(untilReleased, "REX works in a lockdown", func(s state) bool { return s.Door.Released })
		d.until(15*time.Second, "the lockdown stands after it", func(s state) bool { return s.Door.State == "locked down" && !s.Door.Released })
		d.act("fire", "on")
		d.until(3*time.Second, "fire releases a locked-down door", func(s state) bool { return s.Door.State == "fire released" && s.Door.Released })
		d.act("fire", "off")
		before := d.until(15*time.Second, "the lockdown comes back after the fire", func(s state) bool { return s.Door.State == "locked down" })
		d.act("kill", "door")
		d.until(20*time.Second, "the lockdown survives the death of door", func(s state) bool {
			return s.phase("door") == "running" && s.pid("door") != before.pid("door") && s.Door.State == "locked down" && s.Door.Lockdown
		})
		d.act("lockdown", "off")
		d.until(3*time.Second, "the door is secured", func(s state) bool { return s.Door.State == "secured" })
	})
}

// A desk that starts again knows its people, and history goes on and says why it was interrupted.
func TestRestartKeepsPeopleAndHistory(t *testing.T) {
	dir := enrolledState(t)
	audit := filepath.Join(dir, "kiosk", "audit")
	before := recorded(t, audit)
	d := startDesk(t, dir)
	d.walkUp("enrolled-2", "granted")
	must(t, d.cmd.Process.Kill()) // as a power cut: the desk, its TPM and its programs go at once
	_ = d.cmd.Wait()
	d = startDesk(t, dir)
	if strings.Contains(d.out.String(), "Enrolling") {
		t.Errorf("people were enrolled again after a restart\n%s", d.out)
	}
	d.walkUp("enrolled-2", "granted")
	d.stop()
	after := recorded(t, audit)
	if len(after) <= len(before) {
		t.Fatalf("%d audit records after the restarts, %d before", len(after), len(before))
	}
	var causes []string
	for _, r := range after[len(before):] {
		if r.Event == access.EventPoweredOn {
			causes = append(causes, r.Detail)
		}
	}
	if want := []string{"after an orderly stop", "the kiosk had not been stopped in order: crash or power cut"}; !slices.Equal(causes, want) {
		t.Errorf("the log has the causes %q, want %q", causes, want)
	}
	if n := count(after[len(before):], access.EventWalkupGranted); n != 2 {
		t.Errorf("%d grants are recorded, want 2", n)
	}
}

// Every program of a running desk has given up its privileges: the kernel's word for each of its threads.
//
// Control: C21
// Control: C22
func TestProgramsAreConfined(t *testing.T) {
	d := startDesk(t, enrolledState(t))
	s, err := d.state()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"eye", "door", "link"} {
		statuses, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", s.pid(name)))
		if err != nil || len(statuses) < 2 {
			t.Fatalf("%s: %d threads, %v", name, len(statuses), err)
		}
		for _, path := range statuses {
			data, err := os.ReadFile(path)
			if err != nil {
				continue // a thread that has just ended
			}
			for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000"} {
				if !strings.Contains(string(data), want) {
					t.Errorf("%s, %s: not %q", name, path, want)
				}
			}
		}
		// No program but the desk has a socket of the network.
		for _, table := range []string{"tcp", "tcp6", "udp", "udp6", "raw"} {
			if inodes := sockets(t, s.pid(name)); len(inodes) > 0 {
				data, err := os.ReadFile("/proc/net/" + table)
				if err != nil {
					continue // this kernel has no such protocol
				}
				for _, inode := range inodes {
					if strings.Contains(string(data), " "+inode+" ") {
						t.Errorf("%s holds a %s socket", name, table)
					}
				}
			}
		}
	}
}

// sockets are the inodes of a process's sockets.
func sockets(t *testing.T, pid int) []string {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	var inodes []string
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil {
			if inode, ok := strings.CutPrefix(to, "socket:["); ok {
				inodes = append(inodes, strings.TrimSuffix(inode, "]"))
			}
		}
	}
	return inodes
}
