package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/health"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/portal"
)

// The first camera is accepted; another one, however alike, only after the installer's wiring test has begun, and not for long. A restart forgets nothing
// and permits nothing.
//
// Control: A03
// Control: A19
// Control: L11
func TestDoorAcceptsOneCamera(t *testing.T) {
	first := frames.Camera{
		Driver: "uvcvideo", Card: "IR", Bus: "usb-1", Format: "GREY 640x480", Interval: time.Second / 30,
		Port: "1-1.2", Device: "04f2:b67c", Release: "0213", Serial: "0001",
	}
	others := map[string]func(*frames.Camera){
		"serial": func(c *frames.Camera) { c.Serial = "0002" }, "port": func(c *frames.Camera) { c.Port = "1-1.3" },
		"release": func(c *frames.Camera) { c.Release = "0214" }, "device": func(c *frames.Camera) { c.Device = "04f2:b67d" },
		"driver": func(c *frames.Camera) { c.Driver = "other" }, "virtual": func(c *frames.Camera) { c.Virtual = true },
		"no texts at all": func(c *frames.Camera) { *c = frames.Camera{Interval: c.Interval} },
	}
	state := stateFolder(t)
	start := func() *running {
		k := startKiosk(t, state, auditlog.Options{})
		k.pin.wanted = true
		return k
	}
	k := start()
	if err := k.admits(first); err != nil {
		t.Fatalf("the first: %v", err)
	}
	k.stop()
	k = start()
	for name, bend := range others {
		other := first
		bend(&other)
		for range 2 {
			if err := k.admits(other); err != errExchanged {
				t.Errorf("another %s: %v", name, err)
			}
		}
	}
	if err := k.admits(first); err != nil {
		t.Errorf("the first again: %v", err)
	}
	if n := count(t, k, access.EventCameraChanged); n != len(others) {
		t.Errorf("%d records of %d cameras that came twice each", n, len(others))
	}

	second := first
	second.Serial = "0002"
	for range 2 {
		if err := k.admits(second); err != errExchanged {
			t.Errorf("the second camera once more: %v", err)
		}
		if err := k.admits(first); err != nil {
			t.Errorf("the first once more: %v", err)
		}
	}
	if n := count(t, k, access.EventCameraChanged); n != len(others)+2 {
		t.Errorf("%d records, want one each time that another camera comes after the accepted one", n)
	}
	third := first
	third.Serial = "0003"
	for ok := true; ok; {
		_, ok = k.pin.told.pass(frames.Now())
	}
	if err := k.admits(third); err != errExchanged || count(t, k, access.EventCameraChanged) != len(others)+2 {
		t.Errorf("a camera too many to be recorded: %v", err)
	}
	k.pin.told.spent = 0 // an hour later
	if err := k.admits(third); err != errExchanged || count(t, k, access.EventCameraChanged) != len(others)+3 {
		t.Errorf("a camera that may be recorded now: %v", err)
	}
	records, err := tail(k.audit, 1)
	if err != nil || len(records) != 1 || !strings.Contains(records[0].Detail, ": 2 more like it were not recorded before; ") {
		t.Errorf("what was not recorded is not counted: %+v, %v", records, err)
	}

	k.pin.saw(portal.Entry{Event: access.EventTamperOpened, Stamp: frames.Now()})
	if k.admits(second) == nil {
		t.Error("an opened case alone accepts another camera")
	}
	k.pin.saw(portal.Entry{Event: access.EventWiringStarted, Stamp: frames.Now() - acceptWithin})
	if k.admits(second) == nil {
		t.Error("a wiring test of long ago accepts another camera")
	}
	k.pin.saw(portal.Entry{Event: access.EventWiringStarted, Stamp: frames.Now()})
	if err := k.admits(second); err != nil {
		t.Errorf("during the wiring test: %v", err)
	}
	if n := count(t, k, access.EventConfigurationChanged); n != 2 {
		t.Errorf("%d records of two cameras that were accepted", n)
	}
	k.stop()
	k = start()
	if err := k.admits(second); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if k.admits(first) == nil {
		t.Error("the camera that was replaced is accepted again")
	}
}

// count is how many records of an event the log holds.
func count(t *testing.T, k *running, e access.Event) (n int) {
	t.Helper()
	records, err := tail(k.audit, tailRecords)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.Event == e {
			n++
		}
	}
	return n
}

// An eye with another camera is sent away, and the door says why it recognises nobody.
func TestEyeWithAnotherCameraIsSentAway(t *testing.T) {
	k := startKiosk(t, stateFolder(t), auditlog.Options{})
	k.pin.wanted = true
	camera := frames.Camera{Driver: "twin", Format: "GREY 640x480", Interval: time.Second / 30}
	if err := k.admits(camera); err != nil {
		t.Fatal(err)
	}
	camera.Serial = "another"
	conn, err := ipc.DialWithin(t.Context(), patience, filepath.Join(k.run, ipc.Eye.Socket()), ipc.Eye, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Send(ipc.KindHello, 0, ipc.Hello{Camera: camera, Held: true}); err != nil {
		t.Fatal(err)
	}
	if m, err := conn.Recv(t.Context()); err == nil {
		t.Errorf("door answers %v", m.Kind)
	}
	if k.walkup.View().Eye || k.test.found.State(health.Camera) != health.Missing {
		t.Errorf("eye is there: %v; the camera is %v", k.walkup.View().Eye, k.test.found.State(health.Camera))
	}
}
