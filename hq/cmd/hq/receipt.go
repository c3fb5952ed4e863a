package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/hq/bounded"
	"github.com/lintel-access/lintel/hq/ledger"
	"github.com/lintel-access/lintel/sync/wire"
)

const receiptUsage = `hq receipt writes the receipt of one walk-up: the kiosk's record of how it ended, with the proof that this record stands in the log that
the kiosk signed. It is the same file that "door receipt" writes at the kiosk. hq serve may run meanwhile; nothing is changed.

BOOT/SESSION is the number of a walk-up: 12/3 is the third since the kiosk's twelfth start. hq events shows it in each line of a walk-up
("session 12/3"), door receipt -list at the kiosk itself.

  hq receipt BOOT/SESSION [-kiosk NAME] [-o FILE] -dir DIR

Example:
  hq receipt 12/3 -kiosk a0b1 -o receipt -dir hq

`

const verifyReceiptUsage = `hq verify-receipt checks a receipt that "hq receipt" or "door receipt" wrote: that the kiosk whose audit key this is had this record in
its log, at this place, when it signed the checkpoint. Take the key from provisioning (audit.pub), not from whoever hands you the receipt.
Exit status 0 means that the receipt holds.

  hq verify-receipt -key KEYFILE FILE
  hq verify-receipt -key KEYFILE -operator PUBLICKEY FILE

With -operator the file is a proof that "hq forgotten" wrote: that the kiosk has carried out the deletion that the operator with this
public key has signed.

Example:
  hq verify-receipt -key audit.pub receipt-12-3.lintel

`

// maxKeyFile bounds a key file in bytes: a name of 128, a hash and a P-256 key take fewer than 300.
const maxKeyFile = 1024

// parseSession reads the form that access.SessionID.String writes.
func parseSession(s string) (access.SessionID, error) {
	boot, number, _ := strings.Cut(s, "/")
	b, bootErr := strconv.ParseUint(boot, 10, 64)
	n, numberErr := strconv.ParseUint(number, 10, 64)
	id := access.SessionID{Boot: b, Number: n}
	if bootErr != nil || numberErr != nil || id.String() != s || id == (access.SessionID{}) {
		return access.SessionID{}, fmt.Errorf("session %q: want BOOT/SESSION, such as 12/3: %w", s, errUsage)
	}
	return id, nil
}

// receiptCommand is hq receipt.
func receiptCommand(_ context.Context, args []string, out, progress io.Writer) error {
	fs := flag.NewFlagSet("hq receipt", flag.ContinueOnError)
	state := fs.String("dir", "", "headquarters' folder (required)")
	kiosk := fs.String("kiosk", "", "the kiosk, as its name begins (needed where several have such a session)")
	file := fs.String("o", "", "file to write, which must not exist (receipt-BOOT-SESSION.lintel)")
	if err := parseLedgerFlags(fs, args, out, receiptUsage); err != nil {
		return err
	}
	if *state == "" || fs.NArg() != 1 {
		return fmt.Errorf("name headquarters' folder and one session: -dir DIR BOOT/SESSION: %w", errUsage)
	}
	session, err := parseSession(fs.Arg(0))
	if err != nil {
		return err
	}
	r, err := ledger.Inspect(filepath.Join(*state, ledger.Folder))
	if err != nil {
		return err
	}
	end, err := findSession(r, *kiosk, session)
	if err != nil {
		return err
	}
	receipt, err := r.Receipt(end.Kiosk, end.Index)
	if errors.Is(err, ledger.ErrUncovered) {
		return fmt.Errorf("session %v: %w: wait for the kiosk's next checkpoint, at most a minute, and try again", session, err)
	}
	if err != nil {
		return err
	}
	if *file == "" {
		*file = fmt.Sprintf("receipt-%d-%d.lintel", session.Boot, session.Number)
	}
	if err := saveNew(*file, receipt); err != nil {
		return fmt.Errorf("write receipt: %w", err)
	}
	if end.Earlier > 0 {
		fmt.Fprintf(progress, "attention: %d earlier records are an end of this session, too; the receipt is of the last\n", end.Earlier)
	}
	_, err = fmt.Fprintf(out, "%s: session %v of kiosk %s, record %d: %v, %v\n", *file, session, end.Kiosk, end.Index, end.Record.Event, end.Record.Reason)
	return err
}

// findSession looks at all kiosks whose name begins so. Sessions are numbered by each kiosk for itself.
func findSession(r *ledger.Reader, prefix string, session access.SessionID) (ledger.Ending, error) {
	var found []ledger.Ending
	names, err := r.Kiosks()
	if err != nil {
		return ledger.Ending{}, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, prefix) })
	if len(names) == 0 && prefix != "" {
		return ledger.Ending{}, fmt.Errorf("no kiosk begins with %q", prefix)
	}
	if len(names) == 0 {
		return ledger.Ending{}, errors.New("no kiosk has sent a record yet")
	}
	for _, name := range names {
		end, err := r.Session(name, session)
		switch {
		case err == nil:
			found = append(found, end)
		case !errors.Is(err, ledger.ErrNoSession):
			return end, err
		}
	}
	switch len(found) {
	case 0:
		return ledger.Ending{}, fmt.Errorf("session %v: %w", session, ledger.ErrNoSession)
	case 1:
		return found[0], nil
	}
	text := fmt.Sprintf("%d kiosks have a session %v; say which one by -kiosk:", len(found), session)
	for _, f := range found {
		text += fmt.Sprintf("\n  %s  door %q, arrived %s", f.Kiosk, f.Record.Door, f.Arrived.UTC().Format(time.RFC3339))
	}
	return ledger.Ending{}, errors.New(text)
}

// saveNew writes a file that did not exist: an older receipt may be somebody's evidence.
func saveNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}

// verifyReceiptCommand is hq verify-receipt.
func verifyReceiptCommand(_ context.Context, args []string, out, _ io.Writer) error {
	fs := flag.NewFlagSet("hq verify-receipt", flag.ContinueOnError)
	keyFile := fs.String("key", "", "file of the kiosk's public audit key (required)")
	operator := fs.String("operator", "", "file of the public key of whoever signed the deletion, of which the file is the proof")
	if err := parseLedgerFlags(fs, args, out, verifyReceiptUsage); err != nil {
		return err
	}
	if *keyFile == "" || fs.NArg() != 1 {
		return fmt.Errorf("name the kiosk's key and one receipt: -key KEYFILE FILE: %w", errUsage)
	}
	line, err := bounded.File(*keyFile, maxKeyFile)
	if err != nil {
		return fmt.Errorf("read key: %w", err)
	}
	name, key, err := proof.ParseVerifierKey(strings.TrimSuffix(string(line), "\n"))
	if err != nil {
		return fmt.Errorf("read key %q: %w", *keyFile, err)
	}
	if *operator != "" {
		return verifyDeletion(out, fs.Arg(0), *operator, key)
	}
	receipt, err := bounded.File(fs.Arg(0), proof.MaxReceipt)
	if err != nil {
		return fmt.Errorf("read receipt: %w", err)
	}
	v, err := proof.VerifyReceipt(receipt, key)
	if errors.Is(err, proof.ErrNoReceipt) {
		return noReceipt(fs.Arg(0), receipt)
	}
	if err == nil && v.Checkpoint.Origin != name {
		err = fmt.Errorf("it is of kiosk %q, the key is of %q", v.Checkpoint.Origin, name)
	}
	if err == nil && v.Version != access.RecordVersion {
		err = fmt.Errorf("its record has layout %d and this version reads %d", v.Version, access.RecordVersion)
	}
	if err != nil {
		return fmt.Errorf("receipt %q does not hold: %w", fs.Arg(0), err)
	}
	return printReceipt(out, v)
}

// noReceipt says what a file is instead.
func noReceipt(file string, data []byte) error {
	var d ledger.Deletion
	if wire.Unmarshal(data, &d) == nil && d.Kind == ledger.DeletionKind {
		return fmt.Errorf("%q is a proof of hq forgotten: name by -operator the public key of whoever signed the deletion", file)
	}
	return fmt.Errorf("%q is no receipt", file)
}

// printReceipt says what the receipt proves. Text that the kiosk wrote is quoted: it must not move the cursor.
func printReceipt(out io.Writer, v proof.Verified) error {
	clock := "the machine's own clock, for which nobody vouches"
	if v.Clock == access.ClockTrusted {
		clock = "headquarters' signed time"
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"record", fmt.Sprintf("number %d, counted from 0, in the log of kiosk %q", v.Seq, v.Checkpoint.Origin)},
		{"event", fmt.Sprintf("%v (number %d), severity %v", v.Event, v.Event, v.Event.Severity())},
		{"session", fmt.Sprintf("%v, verdict %v, reason %v", v.Session, v.Verdict, v.Reason)},
		{"door", fmt.Sprintf("%q", v.Door)},
		{"boot", fmt.Sprintf("%d, %v after power-on", v.Boot, v.Stamp)},
		{"time", fmt.Sprintf("%s, by %s", time.Unix(v.Wall, 0).UTC().Format(time.RFC3339), clock)},
		{"subject", fmt.Sprintf("%x (pseudonym; zeros: nobody was identified)", v.Subject)},
		{"policy", fmt.Sprintf("%x", v.Policy)},
		{"models", fmt.Sprintf("%x", v.Bundle)},
		{"evidence", fmt.Sprintf("%x", v.Evidence)},
		{"detail", fmt.Sprintf("%q", v.Detail)},
		{"checkpoint", fmt.Sprintf("over %d records, root %s, counter %d", v.Checkpoint.Size, v.Checkpoint.Root, v.Checkpoint.Counter)},
	} {
		fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "receipt holds")
	return err
}
