//go:build !kiosk

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lintel-access/lintel/hq/fleet"
	"github.com/lintel-access/lintel/hq/ledger"
	"github.com/lintel-access/lintel/sync/wire"
)

// Every alarm of a kiosk, the fleet's and the records', is shown by both commands that somebody looks with, until it is lifted. A kiosk whose records are
// damaged keeps nobody from being served.
//
// Control: G5
func TestAlarmsAreShown(t *testing.T) {
	s := newSite(t)
	end := s.serve()
	var ids [2][32]byte
	for i, door := range []string{"front", "back"} {
		var file string
		file, ids[i] = s.introduction()
		s.must("kiosk", "add", file, "-door", door, "-dir", s.dir, "-broker", "hq.example:8883", "-out", s.file(door))
	}
	end(syscall.SIGTERM)
	name := wire.Name(ids[0])
	segment := filepath.Join(s.dir, ledger.Folder, name, strings.Repeat("0", 20)+".seg")
	if err := os.WriteFile(segment, bytes.Repeat([]byte{1}, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(filepath.Join(s.dir, ledger.Folder), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Raise(ids[0], ledger.AlarmFork, "two histories"), l.Close()); err != nil {
		t.Fatal(err)
	}
	s.serve()
	shows := func(open int) {
		t.Helper()
		list, events := s.must("kiosk", "list", "-dir", s.dir), s.must("events", "-dir", s.dir, "-kind", "alarm", "-door", "front")
		for _, kind := range []string{"damaged ledger", "fork"} {
			if strings.Count(list, "ALARM "+kind+" since") != open || strings.Count(events, "ALARM: "+kind+": ") != open || strings.Count(events, "ALARM OVER: "+kind) != 1-open {
				t.Errorf("%s, of which %d should be open:\n%s\n%s", kind, open, list, events)
			}
		}
		if !strings.Contains(list, wire.Name(ids[1])) || strings.Contains(events, wire.Name(ids[1])[:8]) {
			t.Errorf("of the other kiosk:\n%s\n%s", list, events)
		}
	}
	shows(1)
	s.refused("damaged", "kiosk", "lift", name, "-dir", s.dir)
	shows(1)
	if err := os.Remove(segment); err != nil {
		t.Fatal(err)
	}
	s.must("kiosk", "lift", name, "-dir", s.dir)
	shows(0)
}

// The fleet and the ledger keep alarms each for itself, and may part: whatever stands with one of them is listed, once.
//
// Control: G5
func TestEveryAlarmIsListedOnce(t *testing.T) {
	kinds := []ledger.AlarmKind{ledger.AlarmFork, ledger.AlarmDamage, ledger.AlarmLost, ledger.AlarmDamage + 1}
	var proven ledger.Status
	for _, k := range kinds {
		proven.Alarms = append(proven.Alarms, ledger.Alarm{Kind: k, Text: "words"})
	}
	proven.Alarms = append(proven.Alarms, ledger.Alarm{Kind: ledger.AlarmFlood, Ended: 1})
	for _, own := range [][]fleet.Alarm{nil, {{Kind: fleet.Lost}, {Kind: fleet.Damage}}} {
		list := strings.Join(show(fleet.Overview{Alarms: own}, proven).Alarms, "\n")
		for _, k := range kinds {
			if strings.Count(list, k.String()+" since") != 1 {
				t.Errorf("with %d of the fleet's, %q is not there once:\n%s", len(own), k, list)
			}
		}
		if strings.Contains(list, ledger.AlarmFlood.String()) {
			t.Errorf("one that is over is listed:\n%s", list)
		}
	}
}

// When a kiosk greeted before headquarters' start is known to the hour: whoever shows it says so.
func TestGreetingOfBeforeTheStart(t *testing.T) {
	at := time.Now().Add(-3 * time.Hour)
	for since, want := range map[bool]string{false: " ago or less", true: " ago"} {
		k := show(fleet.Overview{Seen: at, Since: since}, ledger.Status{})
		a, err := answered(&ledger.Reader{}, k, inForce{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, is := range []string{a.sentence(), unproven(ledger.Outcome{}, commandAt{}, k)} {
			if !strings.Contains(is, "last greeting 3h0m") || !strings.HasSuffix(is, want) {
				t.Errorf("greeted since the start %v: %q", since, is)
			}
		}
	}
	if is := greeted(0, false, at); is != "never" {
		t.Errorf("of one that never greeted: %q", is)
	}
}
