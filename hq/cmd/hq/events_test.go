package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/hq/ledger"
	"github.com/lintel-access/lintel/sync/wire"
)

// kept is headquarters' folder with the records of kiosks, each under one checkpoint.
func kept(t *testing.T, doors ...string) string {
	t.Helper()
	state := t.TempDir()
	l, err := ledger.Open(filepath.Join(state, ledger.Folder), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() }) // it stays open: whoever reads needs no leave
	for i, door := range doors {
		keep(t, l, [32]byte{byte(0xa0 + i)}, []access.Record{
			{Event: access.EventBooted, Boot: 1, Door: door},
			{Event: access.EventWalkupGranted, Verdict: access.Granted, Reason: access.ReasonAllowed, Session: access.SessionID{Boot: 1, Number: 2}, Door: door},
			{Event: access.EventDoorForcedOpen, Door: door},
		})
	}
	return state
}

// keep has a ledger take in all that a kiosk has recorded, under one checkpoint.
func keep(t *testing.T, l *ledger.Ledger, id [32]byte, records []access.Record) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k := ledger.Kiosk{ID: id, Audit: &key.PublicKey, Attestation: &key.PublicKey}
	m := wire.Records{}
	var hashes []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) (list []tlog.Hash, err error) {
		for _, x := range indexes {
			list = append(list, hashes[x])
		}
		return list, nil
	})
	for n, r := range records {
		r.Version = access.RecordVersion
		data, err := wire.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		m.Records = append(m.Records, data)
		more, err := tlog.StoredHashes(int64(n), data, read)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, more...)
	}
	size := int64(len(records))
	root, err := tlog.TreeHash(size, read)
	if err == nil {
		m.Checkpoint, err = proof.Checkpoint{Origin: "lintel/" + wire.Name(k.ID), Size: uint64(size), Root: root}.Sign(key)
	}
	if err == nil {
		err = l.Add(k)
	}
	if err == nil {
		_, err = l.Ingest(k.ID, m)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// hq runs a command line.
func hq(args ...string) (out, progress string, err error) {
	var o, p bytes.Buffer
	err = run(context.Background(), args, &o, &p)
	return o.String(), p.String(), err
}

func TestEvents(t *testing.T) {
	state := kept(t, "front", "back")
	for _, c := range []struct {
		args  string
		lines int
		with  string
	}{
		{"", 6, "door forced open"},
		{"-door front", 3, `"front"`},
		{"-kind 307", 2, "alert"},
		{"-kind 3xx -kiosk a0", 1, "a0000000 #2"},
		{"-severity alert -json", 2, `"name":"door forced open"`},
		{"-since 1h", 6, "granted"},
		{"-since 2100-01-01T00:00:00Z", 0, ""},
		{"-vouched", 6, ""},
		{"-kind silence", 0, ""},
		{"-kind 3xx -door nodoor", 0, ""},
	} {
		out, _, err := hq(append([]string{"events", "-dir", state}, strings.Fields(c.args)...)...)
		if err != nil || strings.Count(out, "\n") != c.lines || !strings.Contains(out, c.with) {
			t.Errorf("%q: %v\n%s", c.args, err, out)
		}
	}
	for _, args := range []string{"", "-dir x word", "-dir x -since yesterday", "-dir x -severity loud", "-dir x -nonsense", "-dir x -since -1h",
		"-dir x -kind nosuch", "-dir x -kind 999", "-dir x -kind -1", "-dir x -kind 99999999999", "-dir x -kind 99xx", "-dir x -follow -kind forcd"} {
		if _, _, err := hq(append([]string{"events"}, strings.Fields(args)...)...); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, _, err := hq("events", "-dir", t.TempDir()); err == nil || errors.Is(err, errUsage) {
		t.Errorf("an empty folder: %v", err)
	}
	if out, _, err := hq("events", "-h"); !errors.Is(err, flag.ErrHelp) || !strings.Contains(out, "-follow") {
		t.Errorf("%v\n%s", err, out)
	}
}

// What can be read is shown, and then it is an error that something cannot; no receipt is made beside it.
func TestEventsOfADamagedLedger(t *testing.T) {
	state := kept(t, "front", "back")
	segment := filepath.Join(state, ledger.Folder, "a0"+strings.Repeat("0", 30), strings.Repeat("0", 20)+".seg")
	data, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-9] ^= 0xff // in the last of three
	write(t, filepath.Dir(segment), filepath.Base(segment), string(data))
	const damage = "ledger is damaged: record 2 cannot be read"
	out, _, err := hq("events", "-dir", state)
	if err == nil || errors.Is(err, errUsage) || !strings.Contains(err.Error(), damage) {
		t.Errorf("events: %v", err)
	}
	if strings.Count(out, "\n") != 6 || strings.Count(out, "walk-up granted") != 2 || !strings.Contains(out, "ALARM: damaged ledger: \""+damage) {
		t.Errorf("events:\n%s", out)
	}
	if out, _, err := hq("events", "-dir", state, "-kind", "damaged"); err == nil || strings.Count(out, "\n") != 1 {
		t.Errorf("events of that kind: %v\n%s", err, out)
	}
	if _, _, err := hq("events", "-dir", state, "-kiosk", "a1"); err != nil {
		t.Errorf("events of the other: %v", err)
	}
	for _, session := range []string{"1/2", "2/3"} {
		if _, _, err := hq("receipt", "-dir", state, "-kiosk", "a0", "-o", filepath.Join(t.TempDir(), "receipt"), session); !errors.Is(err, ledger.ErrDamaged) {
			t.Errorf("receipt of %s: %v", session, err)
		}
	}
}

// Whoever mistypes a kiosk or a door is told, and waits all the same for one that may come.
func TestEventsOfNobody(t *testing.T) {
	state := kept(t, "front", "back")
	for args, want := range map[string]string{
		"-kiosk zz": `no kiosk begins with "zz"; it may come later`, "-door nodoor": `names door "nodoor"; it may come later`, "-kiosk a1 -door front": `names door "front"`,
		"": "", "-kiosk a1 -door back": "", "-door front": "",
	} {
		_, says, err := hq(append([]string{"events", "-dir", state}, strings.Fields(args)...)...)
		if err != nil || !strings.Contains(says, want) || strings.Count(says, "\n") != min(1, len(want)) {
			t.Errorf("%q: %v, %q", args, err, says)
		}
	}
	_, _, err := hq("events", "-dir", state, "-kind", "nosuch")
	if want := `-kind "nosuch": no event and no alarm has such a number or words in its name`; err == nil || !strings.Contains(err.Error(), want) {
		t.Error(err)
	}
}

// Followed, the past is shown only where it is asked for.
func TestEventsFollowed(t *testing.T) {
	state := kept(t, "front")
	for since, lines := range map[string]int{"": 0, "1h": 3} {
		ctx, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer stop()
		args := []string{"events", "-dir", state, "-follow"}
		if since != "" {
			args = append(args, "-since", since)
		}
		var out bytes.Buffer
		if err := run(ctx, args, &out, &out); err != nil || strings.Count(out.String(), "\n") != lines {
			t.Errorf("since %q: %v\n%s", since, err, out.String())
		}
	}
}

// Control: G9
func TestReceipt(t *testing.T) {
	state, dir := kept(t, "front", "back"), t.TempDir()
	file := filepath.Join(dir, "receipt")
	if _, _, err := hq("receipt", "-dir", state, "-o", file, "1/2"); err == nil || !strings.Contains(err.Error(), `door "back"`) {
		t.Fatalf("two kiosks have the session: %v", err)
	}
	out, _, err := hq("receipt", "-dir", state, "-kiosk", "a1", "-o", file, "1/2")
	if err != nil || !strings.Contains(out, "record 1: walk-up granted") {
		t.Fatalf("%s, %v", out, err)
	}
	key := func(n string) string {
		return filepath.Join(state, ledger.Folder, n+strings.Repeat("0", 30), "audit.pub")
	}
	out, _, err = hq("verify-receipt", "-key", key("a1"), file)
	if err != nil || !strings.Contains(out, "receipt holds") || !strings.Contains(out, `"back"`) || !strings.Contains(out, "walk-up granted") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, _, err := hq("verify-receipt", "-key", key("a0"), file); err == nil {
		t.Error("it holds under another kiosk's key")
	}
	if _, _, err := hq("receipt", "-dir", state, "-kiosk", "a1", "-o", file, "1/2"); !errors.Is(err, os.ErrExist) {
		t.Errorf("a receipt was overwritten: %v", err)
	}
	if _, _, err := hq("receipt", "-dir", state, "9/9"); !errors.Is(err, ledger.ErrNoSession) {
		t.Error(err)
	}
	for args, want := range map[string]string{"-kiosk zz -dir " + state: `no kiosk begins with "zz"`, "-dir " + kept(t): "no kiosk has sent a record yet"} {
		if _, _, err := hq(strings.Fields("receipt 1/2 " + args)...); err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ledger.ErrNoSession) {
			t.Errorf("%q: %v", args, err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/3] ^= 1
	bent := filepath.Join(dir, "bent")
	if err := os.WriteFile(bent, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _, err := hq("verify-receipt", "-key", key("a1"), bent); err == nil || strings.Contains(out, "holds") {
		t.Errorf("a bent receipt: %v\n%s", err, out)
	}
	empty := write(t, dir, "empty", "")
	if _, _, err := hq("key", filepath.Join(dir, "ada")); err != nil {
		t.Fatal(err)
	}
	operator := "-operator " + filepath.Join(dir, "ada.pub")
	for args, want := range map[string]string{
		empty:                  "/empty\" is no receipt",
		key("a0"):              "/audit.pub\" is no receipt",
		operator + " " + file:  "/receipt\" is the receipt of a walk-up and no proof of hq forgotten: leave -operator out",
		operator + " " + empty: "/empty\" is no proof of hq forgotten",
	} {
		_, _, err := hq(strings.Fields("verify-receipt -key " + key("a1") + " " + args)...)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "cbor") {
			t.Errorf("%q: %v", args, err)
		}
	}
	for _, args := range []string{"receipt", "receipt -dir x", "receipt -dir x 1", "receipt -dir x 1/02", "verify-receipt", "verify-receipt -key x"} {
		if _, _, err := hq(strings.Fields(args)...); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
	for _, args := range []string{"verify-receipt -key /nowhere x", "verify-receipt -key " + file + " x", "verify-receipt -key " + key("a1") + " /nowhere"} {
		if _, _, err := hq(strings.Fields(args)...); err == nil || errors.Is(err, errUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
