package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/health"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/portal"
)

// TestSelfTestTells goes through a start: what is found before there is a log is recorded once there is one, what others record is not recorded again,
// and the test is passed when every part was looked at.
//
// Control: A12
func TestSelfTestTells(t *testing.T) {
	b, err := board.Load("desk")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	s := newSelfTest(b, func(e access.Event, detail string) { told = append(told, fmt.Sprintf("%d %s", e, detail)) }, func() {})
	want := func(list ...string) {
		t.Helper()
		s.tell()
		if !slices.Equal(told, list) {
			t.Errorf("told %q, want %q", told, list)
		}
		told = nil
	}
	s.readBack(false, true, nil)
	s.readBack(false, false, nil)
	want("111 relay stuck: relay: set to secure, reads released", "103 relay stuck: relay")

	s.saw(portal.Entry{Event: access.EventPortalStarted, Stamp: time.Hour})
	s.stands(&ground{found: []finding{{access.EventTPMSilent, "dial tpm: no such file"}}, closed: "the TPM is absent"})
	want() // the TPM's absence is recorded by the ground
	if got := s.found.Sentences(); len(got) == 0 || got[0] != "no TPM: nobody is recognised; see the reason (the TPM is absent)" {
		t.Errorf("says %q", got)
	}
	for _, p := range []health.Part{health.TPM, health.Measurements, health.Vault, health.AuditLog, health.Signing, health.Memory, health.Guessing, health.LearnedCheck} {
		s.judge(p, health.Works, "")
	}
	want()

	camera := frames.Camera{Driver: "twin", Card: "twin", Format: "GREY 640x480", Interval: time.Second / 30}
	s.eyeUp(ipc.Hello{Camera: camera, Held: true})
	s.gauged(access.Response{Frames: 24}, false)
	want("111 lamp unseen: lamp: it does not answer in 24 frames", "111 lamp untimed: lamp delay: it does not answer in 24 frames")
	s.gauged(access.Response{Depth: 9, Exposure: time.Millisecond, Frames: 24}, true)
	s.link(false)
	s.supports(nil, false)
	s.often(time.Now(), time.Now().Add(-time.Hour), false, health.Space{Free: 1 << 30, Reserve: 2, Want: 2}, nil)
	want("103 lamp unseen: lamp", "103 lamp untimed: lamp delay", "102 clock unvouched: clock",
		"110 recognised: all; alarms: all; recorded: all")

	s.stalled(true)
	s.stalled(true)
	want("703 camera stalls: camera: no frame comes")
	s.stalled(false)
	want("103 camera stalls: camera")

	s.suffers(health.TPM, errors.New("time-out"))
	s.suffers(health.TPM, nil)
	want()
	for range 20 {
		s.saw(portal.Entry{Event: access.EventReleaseUnused, Stamp: 2 * time.Hour})
	}
	want("111 contact dead: contact: it did not move at the last 20 releases")
	s.saw(portal.Entry{Event: access.EventDoorOpened, Stamp: 2 * time.Hour})
	want("103 contact dead: contact", "110 recognised: all; alarms: all; recorded: all")
	s.blind(ipc.TwoCameras)
	s.blind(ipc.TwoCameras) // it is started again and again
	want("111 no camera: camera: more than one fits the board")
	s.eyeUp(ipc.Hello{Camera: camera, Held: true})
	want("103 no camera: camera", "110 recognised: all; alarms: all; recorded: all")
	s.eyeDown()
	s.often(time.Now(), time.Now().Add(time.Hour), false, health.Space{}, errors.New("statfs: stale handle"))
	s.tell()
	if got := strings.Join(told, "; "); !strings.Contains(got, "clock wrong") || !strings.Contains(got, "storage full") || strings.Contains(got, "eye") {
		t.Errorf("told %q", got)
	}
	if s.found.Profile().Recognises() {
		t.Error("a kiosk without eye and storage recognises")
	}
}
