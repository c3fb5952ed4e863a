package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
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
		ctx, stop := context.WithTimeout(t.Context(), 600*time.Millisecond)
		defer stop()
		got := make(chan *ledger.Event)
		go func() { got <- recordOf(ctx, r, wire.Name(id), envelope) }()
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
}
