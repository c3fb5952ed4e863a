package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/fleet"
	"github.com/lintel-access/lintel/hq/ledger"
	"github.com/lintel-access/lintel/sync/wire"
)

// An operator who opens a door from afar is told what the kiosk has recorded of it: by their own key, after it was sent, and under no checkpoint yet.
func TestOperatorIsToldWhatTheKioskRecorded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), ledger.Folder)
	l, err := ledger.Open(dir, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := [32]byte{0xa0}
	if err := l.Add(ledger.Kiosk{ID: id, Audit: &key.PublicKey, Attestation: &key.PublicKey}); err != nil {
		t.Fatal(err)
	}
	envelope, err := wire.Sign(key, id, wire.Release{Challenge: [32]byte{1}, Door: "front", Action: wire.ActionRelease})
	if err != nil {
		t.Fatal(err)
	}
	claim, err := wire.Peek(envelope)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ledger.Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	mine, index := fmt.Sprintf("by operator %.8x", claim.Key), uint64(0)
	comes := func(e access.Event, detail string, before time.Duration) {
		t.Helper()
		data, err := wire.Marshal(access.Record{Version: access.RecordVersion, Event: e, Verdict: access.Granted, Door: "front", Detail: detail,
			Clock: access.ClockTrusted, Wall: time.Now().Add(-before).Unix()})
		if err == nil {
			_, err = l.Ingest(id, wire.Records{From: index, Records: [][]byte{data}})
		}
		if err != nil {
			t.Fatal(err)
		}
		index++
	}
	told := func(want bool) {
		t.Helper()
		time.Sleep(2 * time.Millisecond) // arrival is kept in whole milliseconds
		patience := 600 * time.Millisecond
		if want {
			patience = 20 * time.Second // it ends as soon as it is told
		}
		ctx, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		got, since := make(chan *ledger.Event), time.Now()
		go func() { got <- recordOf(ctx, r, wire.Name(id), envelope, since) }()
		time.Sleep(50 * time.Millisecond)
		comes(access.EventRemoteReleaseGranted, "by operator 0011223344556677", 0)
		comes(access.EventSupervisedBegun, mine, 0)
		comes(access.EventRemoteReleaseGranted, mine, 3*time.Second) // what the operator did before, and what only now is reported
		if want {
			comes(access.EventRemoteReleaseGranted, mine+"; more", 0)
		}
		if e := <-got; (e != nil) != want || want && e.Index != index-1 {
			t.Errorf("told %+v, want one: %v", e, want)
		}
	}
	told(true)
	told(false) // the one before it is another's

	// A refusal that anybody on the way may have written outranks no record.
	time.Sleep(2 * time.Millisecond)
	recorded := make(chan struct{})
	refuses := func(context.Context) error {
		go func() {
			defer close(recorded)
			time.Sleep(100 * time.Millisecond)
			comes(access.EventRemoteReleaseGranted, mine+"; more", 0)
		}()
		return fmt.Errorf("%w: %q", fleet.ErrRefused, "the broker says so")
	}
	within, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	o, err := said(within, r, wire.Name(id), envelope, refuses)
	if <-recorded; err != nil || o.(outcome).Record != index-1 || within.Err() != nil {
		t.Errorf("told %v, %v, after a refusal and a record; waited to the end: %v", o, err, within.Err())
	}
	time.Sleep(2 * time.Millisecond)
	short, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	if _, err := said(short, r, wire.Name(id), envelope, func(context.Context) error { return fleet.ErrRefused }); !errors.Is(err, fleet.ErrRefused) || !strings.Contains(err.Error(), "nobody has signed") {
		t.Errorf("a refusal alone: %v", err)
	}
	if o, err := said(t.Context(), r, wire.Name(id), envelope, func(context.Context) error { return nil }); err != nil || o.(outcome).Says != "" {
		t.Errorf("no word at all: %v, %v", o, err)
	}
	if _, err := said(t.Context(), r, wire.Name(id), envelope, func(context.Context) error { return fleet.ErrOffline }); !errors.Is(err, fleet.ErrOffline) {
		t.Errorf("not sent: %v", err)
	}
}

// What one kiosk's folder holds is its own trouble; what keeps every folder from being opened is headquarters'.
func TestOnlyAKiosksOwnDamageIsItsAlarm(t *testing.T) {
	dir := filepath.Join(t.TempDir(), ledger.Folder)
	l, err := ledger.Open(dir, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	one, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, of := [32]byte{1}, taker{l}
	err = errors.Join(of.Meet(id, &one.PublicKey, &one.PublicKey), of.Part(id))
	if err != nil {
		t.Fatal(err)
	}
	if err := of.Meet(id, &other.PublicKey, &one.PublicKey); !errors.Is(err, fleet.ErrDamage) {
		t.Errorf("a folder of another key: %v", err)
	}
	file, folder := [32]byte{2}, [32]byte{3}
	err = errors.Join(os.WriteFile(filepath.Join(dir, wire.Name(file)), nil, 0o600), os.MkdirAll(filepath.Join(dir, wire.Name(folder), "state"), 0o700))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range [][32]byte{file, folder} {
		if err := of.Meet(id, &one.PublicKey, &one.PublicKey); !errors.Is(err, fleet.ErrDamage) {
			t.Errorf("a file for a folder, or the other way round: %v", err)
		}
	}
	l.Close()
	if err := of.Meet(id, &one.PublicKey, &one.PublicKey); err == nil || errors.Is(err, fleet.ErrDamage) {
		t.Errorf("a ledger that is closed: %v", err)
	}
}
