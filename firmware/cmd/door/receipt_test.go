package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/sync/wire"
)

// witnessed is a state folder whose audit log is signed by a key of the test, open as a running door has it.
type witnessed struct {
	state, key string // folder and key file
	private    *ecdsa.PrivateKey
	log        *auditlog.Log
}

func newWitnessed(t testing.TB, origin string) *witnessed {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &witnessed{state: t.TempDir(), private: private}
	w.key = filepath.Join(w.state, "kiosk.key")
	line, err := proof.VerifierKey(origin, &private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	putFile(t, w.key, []byte(line+"\n"))
	w.log, _, err = auditlog.Open(filepath.Join(w.state, "audit"), auditlog.Options{Merkle: &auditlog.Merkle{Origin: origin, Key: private}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.log.Close() })
	return w
}

func putFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *witnessed) append(t testing.TB, records ...access.Record) {
	t.Helper()
	for _, r := range records {
		b, err := wire.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.log.Append(auditlog.Vital, b); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *witnessed) checkpoint(t testing.TB) {
	t.Helper()
	if _, err := w.log.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// walkupOf is a record of session 12/number.
func walkupOf(number uint64, e access.Event, v access.Verdict, r access.Reason) access.Record {
	return access.Record{
		Version: access.RecordVersion, Event: e, Boot: 12, Stamp: 3e9, Wall: 1763800000, Door: "front", Session: access.SessionID{Boot: 12, Number: number},
		Verdict: v, Reason: r, Subject: [16]byte{1: 0xab}, Evidence: [32]byte{0xee},
	}
}

// aDay has a walk-up of each kind: 1 granted and released, 2 denied, 3 granted and refused, 4 granted with nothing behind it.
func aDay() []access.Record {
	return []access.Record{
		{Version: access.RecordVersion, Event: access.EventBooted, Boot: 12},
		walkupOf(1, access.EventWalkupGranted, access.Granted, access.ReasonAllowed),
		walkupOf(1, access.EventDoorReleased, access.Denied, access.ReasonNone),
		walkupOf(2, access.EventFailuresLimited, access.Denied, access.ReasonNone),
		walkupOf(2, access.EventWalkupDenied, access.Denied, access.ReasonUnknown),
		walkupOf(3, access.EventWalkupGranted, access.Granted, access.ReasonAllowed),
		walkupOf(3, access.EventReleaseRefused, access.Denied, access.ReasonNotReady),
		walkupOf(4, access.EventWalkupGranted, access.Granted, access.ReasonAllowed),
	}
}

func verifyIn(w *witnessed, file string) (string, error) {
	var out, turned strings.Builder
	err := verifyReceiptCommand([]string{"-key", w.key, file}, &out)
	if other := verifyReceiptCommand([]string{file, "-key", w.key}, &turned); fmt.Sprint(other) != fmt.Sprint(err) || turned.String() != out.String() {
		return "", fmt.Errorf("%w; with the file before the key: %w", err, other)
	}
	return out.String(), err
}

// What the door logged of a walk-up is proven to whoever has its public key, beside the running door and without a trace in its folder.
func TestReceiptOfASession(t *testing.T) {
	w := newWitnessed(t, "kiosk.test/1")
	w.append(t, aDay()...)
	w.checkpoint(t)
	before := contents(t, filepath.Join(w.state, "audit"))
	for session, want := range map[string]struct{ said, printed string }{
		"12/1": {"record 2 says door released", "walk-up granted (number 200), severity info"},
		"12/2": {"", "walk-up denied (number 201), severity notice"},
		"12/3": {"attention: nothing came of it: record 6 says release refused", "walk-up granted"},
		"12/4": {"attention: no record says yet what came of the grant", "walk-up granted"},
	} {
		file := filepath.Join(t.TempDir(), "receipt")
		var out, progress strings.Builder
		if err := receiptCommand([]string{"-state", w.state, "-o", file, session}, &out, &progress); err != nil {
			t.Errorf("%s: %v", session, err)
			continue
		}
		if strings.TrimSpace(progress.String()) != want.said || !strings.Contains(out.String(), "session "+session) {
			t.Errorf("%s: said %q, %q", session, out.String(), progress.String())
		}
		printed, err := verifyIn(w, file)
		if err != nil || !strings.Contains(printed, want.printed) || !strings.HasSuffix(printed, "\nreceipt holds\n") {
			t.Errorf("%s: %v\n%s", session, err, printed)
		}
		for _, word := range []string{
			"session      " + session + "\n", `door         "front"`, `in the log of kiosk "kiosk.test/1"`, "over 8 records", "for which nobody vouches", "12, 3s after power-on",
			"00ab0000000000000000000000000000 (pseudonym)", "evidence     ee00", "policy       none", "2025-11-22T08:26:40Z",
		} {
			if !strings.Contains(printed, word) {
				t.Errorf("%s: lacks %q:\n%s", session, word, printed)
			}
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", session, info.Mode(), err)
		}
		// Never over what is there: it may be somebody's evidence.
		if err := receiptCommand([]string{"-state", w.state, "-o", file, session}, &out, &progress); !errors.Is(err, os.ErrExist) {
			t.Errorf("%s: written over: %v", session, err)
		}
	}
	if !maps.Equal(before, contents(t, filepath.Join(w.state, "audit"))) {
		t.Error("the commands changed the audit log's folder")
	}
}

func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(b)
	}
	return all
}

func TestReceiptDefaultName(t *testing.T) {
	o, err := parseReceipt([]string{"-state", "s", "12/3"}, nil)
	if err != nil || o.file != "receipt-12-3.lintel" {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestReceiptRefuses(t *testing.T) {
	w := newWitnessed(t, "kiosk.test/1")
	w.append(t, aDay()...)
	try := func(session string) error {
		return receiptCommand([]string{"-state", w.state, "-o", filepath.Join(t.TempDir(), "r"), session}, &bytes.Buffer{}, &bytes.Buffer{})
	}
	if err := try("12/1"); !errors.Is(err, auditlog.ErrUncovered) || !strings.Contains(err.Error(), "at most a minute") {
		t.Errorf("no checkpoint: %v", err)
	}
	w.checkpoint(t)
	w.append(t, walkupOf(5, access.EventWalkupDenied, access.Denied, access.ReasonUnknown))
	if err := try("12/5"); !errors.Is(err, auditlog.ErrUncovered) {
		t.Errorf("behind the checkpoint: %v", err)
	}
	if err := try("12/6"); err == nil || !strings.Contains(err.Error(), "-list") {
		t.Errorf("no such session: %v", err)
	}
	for _, args := range [][]string{
		{}, {"12/1"}, {"-state", w.state}, {"-state", w.state, "12/1", "12/2"}, {"-state", w.state, "-list", "3", "12/1"}, {"-state", w.state, "-list", "-1"},
		{"-state", w.state, "-list", "1001"}, {"-state", w.state, "-list", "3", "-o", "f"}, {"-state", filepath.Join(w.state, "none"), "12/1"}, {"-nonsense"},
		{"-state", w.state, "0/0"}, {"-state", w.state, "12"}, {"-state", w.state, "12/"}, {"-state", w.state, "+12/1"}, {"-state", w.state, "012/1"},
		{"-state", w.state, "12/1/1"}, {"-state", w.state, "12/18446744073709551616"},
	} {
		if err := receiptCommand(args, &bytes.Buffer{}, &bytes.Buffer{}); err == nil || errors.Is(err, auditlog.ErrUncovered) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// Two records that claim to be the end of one session are said; one record that stands there twice is not worth a word.
func TestReceiptOfASessionThatEndedTwice(t *testing.T) {
	w := newWitnessed(t, "kiosk.test/1")
	granted := walkupOf(1, access.EventWalkupGranted, access.Granted, access.ReasonAllowed)
	w.append(t, granted, walkupOf(1, access.EventDoorReleased, 0, 0), granted, walkupOf(2, access.EventWalkupDenied, 0, access.ReasonUnknown), walkupOf(2, access.EventWalkupGranted, access.Granted, access.ReasonAllowed))
	w.checkpoint(t)
	for session, want := range map[string]string{
		"12/1": "record 1 says door released\n",
		"12/2": "attention: record 3 is an end of this session, too; the receipt is of record 4\nattention: no record says yet what came of the grant\n",
	} {
		var progress strings.Builder
		if err := receiptCommand([]string{"-state", w.state, "-o", filepath.Join(t.TempDir(), "r"), session}, &bytes.Buffer{}, &progress); err != nil || progress.String() != want {
			t.Errorf("%s: %v, %q", session, err, progress.String())
		}
	}
}

func TestReceiptList(t *testing.T) {
	w := newWitnessed(t, "kiosk.test/1")
	w.append(t, aDay()...)
	if _, err := w.log.Append(auditlog.Vital, []byte("of a later layout")); err != nil {
		t.Fatal(err)
	}
	var out, progress strings.Builder
	if err := receiptCommand([]string{"-state", w.state, "-list", "3"}, &out, &progress); err != nil {
		t.Fatal(err)
	}
	want := `SESSION  TIME                  CLOCK      EVENT            VERDICT  REASON   RECORD
12/2     2025-11-22T08:26:40Z  untrusted  walk-up denied   denied   unknown  4
12/3     2025-11-22T08:26:40Z  untrusted  walk-up granted  granted  allowed  5
12/4     2025-11-22T08:26:40Z  untrusted  walk-up granted  granted  allowed  7
`
	if out.String() != want || !strings.Contains(progress.String(), "1 records are not of a layout") {
		t.Errorf("%s\n%s", out.String(), progress.String())
	}
}

func TestVerifyWhatIsNoReceipt(t *testing.T) {
	w := newWitnessed(t, "kiosk.test/1")
	for _, text := range []string{"", "something else"} {
		file := filepath.Join(t.TempDir(), "other")
		putFile(t, file, []byte(text))
		if _, err := verifyIn(w, file); err == nil || !strings.HasSuffix(err.Error(), "/other\" is no receipt") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestReceiptHelp(t *testing.T) {
	for what, run := range map[string]func(*strings.Builder) error{
		"door receipt -state DIR":      func(b *strings.Builder) error { return receiptCommand([]string{"-h"}, b, &bytes.Buffer{}) },
		"door verify-receipt -key KEY": func(b *strings.Builder) error { return verifyReceiptCommand([]string{"-h"}, b) },
	} {
		var b strings.Builder
		if err := run(&b); !errors.Is(err, flag.ErrHelp) || !strings.Contains(b.String(), what) {
			t.Errorf("%s: %v\n%s", what, err, b.String())
		}
	}
}

// The receipt and the key that FORMAT.md publishes are all that a stranger needs.
func TestVerifyGoldenReceipt(t *testing.T) {
	receipt, key := golden(t)
	dir := t.TempDir()
	putFile(t, filepath.Join(dir, "key"), []byte(key))
	putFile(t, filepath.Join(dir, "receipt"), receipt)
	var out strings.Builder
	err := verifyReceiptCommand([]string{"-key", filepath.Join(dir, "key"), filepath.Join(dir, "receipt")}, &out)
	want := `record       number 1, counted from 0, in the log of kiosk "kiosk.test/1"
event        booted (number 100), severity notice
verdict      none
reason       none
door         "front"
session      none
boot         1, 0s after power-on
time         1970-01-01T00:00:00Z, by the machine's own clock, for which nobody vouches
subject      nobody was identified
policy       none
models       none
evidence     none
checkpoint   of kiosk "kiosk.test/1" over 3 records, root lwBFdGIvSbyCJyB+XWszsgxUWXiTKQ2uqNu9vTv3jX8=
counter      17
time digest  %x
receipt holds
`
	if want = fmt.Sprintf(want, sha256.Sum256([]byte("attestation"))); err != nil || out.String() != want {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// golden reads the first receipt and the key of FORMAT.md.
func golden(t testing.TB) (receipt []byte, key string) {
	t.Helper()
	doc, err := os.ReadFile("../../../access/auditlog/FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "Golden receipt")
	_, text, _ = strings.Cut(text, "```\n")
	text, _, _ = strings.Cut(text, "```")
	if receipt, err = hex.DecodeString(strings.ReplaceAll(text, "\n", "")); err != nil || len(receipt) == 0 {
		t.Fatalf("FORMAT.md has no receipt: %v", err)
	}
	_, text, _ = strings.Cut(string(doc), "Golden key")
	_, text, _ = strings.Cut(text, "```\n")
	key, _, ok := strings.Cut(text, "```")
	if !ok {
		t.Fatal("FORMAT.md has no key")
	}
	return receipt, key
}
