package walkup

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const soon = 30 * time.Second

func connected(s state) bool { return s.Afar.Connected && s.Afar.Timed }

// ordered presses a button of headquarters, and again while it is busy with something else.
func (d *desk) ordered(name, arg string) {
	d.t.Helper()
	for end := time.Now().Add(soon); ; time.Sleep(100 * time.Millisecond) {
		said := d.refused(name, arg)
		if said == "" {
			return
		}
		if !strings.Contains(said, "busy") || time.Now().After(end) {
			d.t.Fatalf("act %s %q: %s", name, arg, said)
		}
	}
}

// A headquarters beside the desk: somebody is enrolled there and walks up, the network is cut and joined, the door is released from afar and locked down,
// headquarters is killed, and whoever is deleted there is unknown at the door.
func TestHeadquarters(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	left := filepath.Join(dir, "headquarters.new") // of a start that was cut
	if err := os.MkdirAll(filepath.Join(left, "hq"), 0o700); err != nil {
		t.Fatal(err)
	}
	d := launch(t, dir)
	d.untilWell(90 * time.Second)
	d.until(soon, "the kiosk is connected, and knows the time", connected)

	d.ordered("afar-enrol", "")
	d.until(soon, "the visitor is enrolled at the door", func(s state) bool { return s.Afar.Enrolled && s.Enrolled == 4 && s.Afar.Applied > 0 })
	d.act("network", "off")
	d.until(soon, "the kiosk is cut off", func(s state) bool { return !s.Afar.Connected && !s.Afar.Network })
	d.walkUp("visitor", "granted")
	d.act("network", "on")
	d.until(soon, "the kiosk is connected again", connected)

	d.ordered("afar-release", "")
	d.until(soon, "the door is released from afar", func(s state) bool { return s.Door.Released })
	d.until(soon, "the door is secured again", func(s state) bool { return s.Door.State == "secured" })
	d.ordered("afar-lockdown", "on")
	d.until(soon, "the door is locked down", func(s state) bool { return s.Door.Lockdown })
	d.ordered("afar-lockdown", "off")
	d.until(soon, "lockdown is over", func(s state) bool { return !s.Door.Lockdown })

	d.act("kill", "hq")
	d.until(soon, "the kiosk is cut off", func(s state) bool { return !s.Afar.Connected })
	d.until(soon, "the kiosk is connected again", connected)

	d.ordered("afar-delete", "")
	d.until(soon, "the visitor is deleted at the door", func(s state) bool { return !s.Afar.Enrolled && s.Enrolled == 3 })
	d.walkUp("visitor", "denied")
}

// The desk is killed before the kiosk was told of headquarters; then its port is somebody else's; then headquarters' folder is gone. The door works, and
// but for the last headquarters does.
func TestHeadquartersFoundAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	d := launch(t, dir)
	d.untilWell(90 * time.Second)
	d.until(soon, "the kiosk is connected", connected)
	if err := d.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Wait() // killed
	told := filepath.Join(dir, "kiosk", "root", "headquarters")
	if err := os.Remove(told); err != nil {
		t.Fatal(err)
	}
	d = launch(t, dir)
	d.untilWell(90 * time.Second)
	d.until(soon, "the kiosk is connected, told once more", connected)
	d.stop()

	was, err := os.ReadFile(told)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(was), "127.0.0.1:")
	port := string(was[at : at+len("127.0.0.1:")+5])
	taken, err := net.Listen("tcp", port)
	if err != nil {
		t.Fatalf("take %q: %v", port, err)
	}
	defer taken.Close()
	d = launch(t, dir)
	d.untilWell(90 * time.Second)
	d.until(soon, "the kiosk is connected by another port", connected)
	d.stop()

	if err := os.RemoveAll(filepath.Join(dir, "headquarters")); err != nil {
		t.Fatal(err)
	}
	d = launch(t, dir)
	s := d.untilWell(90 * time.Second)
	if s.Afar.Known {
		t.Error("there is a headquarters that the kiosk does not obey")
	}
	if !strings.Contains(d.out.String(), "obeys no other headquarters") {
		t.Errorf("the desk does not say that headquarters is gone:\n%s", d.out)
	}
	d.walkUp("enrolled-1", "granted")
}
