//go:build !kiosk

package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lintel-access/lintel/hq/fleet"
	"github.com/lintel-access/lintel/hq/ledger"
)

// An alarm that was lifted while its end could not be written ends in hq events at the next start; another one of the kiosk's stands.
func TestLiftedAlarmsEndAtTheStart(t *testing.T) {
	s := newSite(t)
	end := s.serve()
	file, id := s.introduction()
	s.must("kiosk", "add", file, "-dir", s.dir, "-broker", "hq.example:8883", "-out", s.file("told"))
	end(syscall.SIGTERM)
	l, err := ledger.Open(filepath.Join(s.dir, ledger.Folder), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Raise(id, ledger.AlarmStranger, "command 9"), l.Raise(id, ledger.AlarmFork, "two histories"), l.Close()); err != nil {
		t.Fatal(err)
	}
	s.serve()
	events := s.must("events", "-dir", s.dir, "-kind", "alarm")
	if !strings.Contains(events, "ALARM OVER: forked stream") || strings.Contains(events, "ALARM: forked stream") || !strings.Contains(events, "ALARM: fork: ") {
		t.Errorf("events are\n%s", events)
	}
}

// Every alarm of the fleet has one of the ledger, of the same word; what the ledger has no number for is said and not written.
func TestEveryAlarmOfTheFleetIsKept(t *testing.T) {
	kept := map[ledger.AlarmKind]bool{}
	kind := fleet.Fork
	for ; kind.String() != fmt.Sprintf("alarm %d", kind); kind++ {
		in, known := found()[kind]
		if !known || kept[in] || in.String() != kind.String() {
			t.Errorf("%v is kept as %v (%v), which another one is: %v", kind, in, known, kept[in])
		}
		kept[in] = true
	}
	if len(kept) < 6 || len(kept) != len(found()) {
		t.Errorf("%d alarms of the fleet are kept as %v", len(kept), found())
	}
	var said bytes.Buffer
	s := &served{log: slog.New(slog.NewTextHandler(&said, nil))} // without a ledger: nothing can be written
	for _, on := range []bool{true, false} {
		said.Reset()
		s.note([32]byte{1}, fleet.Alarm{Kind: kind}, on)
		if !strings.Contains(said.String(), "level=ERROR") || !strings.Contains(said.String(), kind.String()) {
			t.Errorf("of one that nobody knows it says %q", said.String())
		}
	}
}

// What is wrong is an error; that it no longer is, is none.
func TestTheEndOfAnAlarmIsNoError(t *testing.T) {
	for ended, want := range map[int64]string{0: "level=ERROR", 1: "level=INFO"} {
		var said bytes.Buffer
		s := &served{log: slog.New(slog.NewTextHandler(&said, nil))}
		s.alarm([32]byte{1}, ledger.Alarm{Kind: ledger.AlarmSilence, Ended: ended})
		if !strings.Contains(said.String(), want) || !strings.Contains(said.String(), "silence") {
			t.Errorf("ended %d: %s", ended, said.String())
		}
	}
}
