package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/sync/wire"
)

// Whatever somebody changes, exchanges or brings along from another kiosk, nothing of it holds, and it is said why.
//
// Control: G4
func TestForgedReceipts(t *testing.T) {
	w, other := newWitnessed(t, "kiosk.test/1"), newWitnessed(t, "kiosk.test/2")
	for _, k := range []*witnessed{w, other} {
		k.append(t, aDay()...)
		k.checkpoint(t)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "receipt")
	take := func(k *witnessed, session string) proof.Receipt {
		var r proof.Receipt
		path := filepath.Join(t.TempDir(), "r")
		if err := receiptCommand([]string{"-state", k.state, "-o", path, session}, &bytes.Buffer{}, &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := wire.Unmarshal(b, &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	denied, granted, foreign := take(w, "12/2"), take(w, "12/1"), take(other, "12/2")
	for what, c := range map[string]struct {
		forge func(*proof.Receipt)
		why   string
	}{
		"record exchanged":           {func(r *proof.Receipt) { r.Record = granted.Record }, "record is not the one"},
		"place exchanged":            {func(r *proof.Receipt) { r.Seq = granted.Seq }, "record is not the one"},
		"place behind the log":       {func(r *proof.Receipt) { r.Seq = 8 }, "not among the 8"},
		"path changed":               {func(r *proof.Receipt) { r.Path = granted.Path }, "record is not the one"},
		"path cut":                   {func(r *proof.Receipt) { r.Path = r.Path[1:] }, "record is not the one"},
		"another kiosk's checkpoint": {func(r *proof.Receipt) { r.Checkpoint = foreign.Checkpoint }, `of "kiosk.test/2" and is signed by another key`},
		"another kiosk's altogether": {func(r *proof.Receipt) { *r = foreign }, `of "kiosk.test/2" and is signed by another key`},
		"record of another kiosk":    {func(r *proof.Receipt) { r.Record = append(foreign.Record, 0) }, "record is not the one"},
		"checkpoint's text changed": {func(r *proof.Receipt) {
			r.Checkpoint = bytes.Replace(r.Checkpoint, []byte("\n8\n"), []byte("\n9\n"), 1)
		}, "invalid signature"},
		"checkpoint without signature": {func(r *proof.Receipt) { r.Checkpoint, _, _ = bytes.Cut(r.Checkpoint, []byte("—")) }, "malformed note"},
	} {
		r := denied
		r.Path = append([][32]byte{}, denied.Path...)
		c.forge(&r)
		b, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		putFile(t, file, b)
		if out, err := verifyIn(w, file); err == nil || out != "" || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}

	good, err := denied.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string][]byte{
		"nothing": nil, "cut off": good[:len(good)-1], "more behind": append(bytes.Clone(good), 0), "too large": make([]byte, proof.MaxReceipt+1), "text": []byte("receipt holds\n"),
	} {
		putFile(t, file, b)
		if out, err := verifyIn(w, file); err == nil || out != "" {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
	putFile(t, file, good)
	if _, err := verifyIn(w, file); err != nil {
		t.Fatal(err)
	}

	// The right key under another kiosk's name is not the key of that kiosk.
	renamed, err := proof.VerifierKey("kiosk.test/2", &w.private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile(w.key)
	if err != nil {
		t.Fatal(err)
	}
	for what, key := range map[string][]byte{
		"another name": []byte(renamed), "nothing": nil, "two lines": append(bytes.Clone(line), line...), "blank line behind": append(bytes.Clone(line), '\n'), "too large": make([]byte, maxKeyFile+1),
	} {
		putFile(t, w.key, key)
		if out, err := verifyIn(w, file); err == nil || out != "" {
			t.Errorf("key file with %s: %v\n%s", what, err, out)
		}
	}
	for _, args := range [][]string{nil, {file}, {"-key", w.key}, {"-key", other.key, file, file}, {"-key", filepath.Join(dir, "none"), file}, {"-key", other.key, filepath.Join(dir, "none")}, {"-key", other.key, dir}} {
		if err := verifyReceiptCommand(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%q verified", args)
		}
	}
}

// A log that was changed behind the kiosk's back yields no receipt at all.
//
// Control: G4
func TestNoReceiptFromAChangedLog(t *testing.T) {
	w := newWitnessed(t, "kiosk.test/1")
	w.append(t, aDay()...)
	w.checkpoint(t)
	// Somebody who knows the format writes the history anew, checksums and hashes and all, and keeps the checkpoint.
	forged := newWitnessed(t, "kiosk.test/1")
	history := aDay()
	history[4].Verdict, history[4].Event = access.Granted, access.EventWalkupGranted
	forged.append(t, history...)
	forged.checkpoint(t)
	checkpoint, err := os.ReadFile(filepath.Join(w.state, "audit", "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	putFile(t, filepath.Join(forged.state, "audit", "checkpoint"), checkpoint)
	for _, session := range []string{"12/1", "12/2"} { // the one that was not touched neither
		file := filepath.Join(t.TempDir(), "r")
		err := receiptCommand([]string{"-state", forged.state, "-o", file, session}, &bytes.Buffer{}, &bytes.Buffer{})
		if !errors.Is(err, auditlog.ErrCutOff) {
			t.Errorf("%s: %v", session, err)
		}
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s: a file was written", session)
		}
	}
}

func FuzzVerifyReceiptCommand(f *testing.F) {
	receipt, key := golden(f)
	f.Add(receipt, key)
	f.Add(receipt[:len(receipt)-1], key)
	f.Add(receipt, strings.Replace(key, "/1", "/2", 1))
	f.Add([]byte{}, "")
	f.Fuzz(func(t *testing.T, b []byte, k string) {
		dir := t.TempDir()
		putFile(t, filepath.Join(dir, "key"), []byte(k))
		putFile(t, filepath.Join(dir, "receipt"), b)
		var out strings.Builder
		err := verifyReceiptCommand([]string{"-key", filepath.Join(dir, "key"), filepath.Join(dir, "receipt")}, &out)
		held := bytes.Equal(b, receipt) && strings.TrimSuffix(k, "\n") == strings.TrimSuffix(key, "\n")
		if (err == nil) != held || (err != nil) != (out.Len() == 0) {
			t.Fatalf("%v: %s", err, out.String())
		}
	})
}
