package main

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog/proof"
)

const verifyUsage = `door verify-receipt checks a receipt that "door receipt" wrote and says what it proves: that the kiosk whose audit key this is had
this record in its log, at this place, when it signed the checkpoint. It needs no kiosk, no network and no other file. It does not
prove that the kiosk's clock was right, nor who the subject is: headquarters alone can resolve the pseudonym.

  door verify-receipt -key KEYFILE FILE

KEYFILE is a text file of one line, name+hash+base64: the kiosk's public audit key. Provisioning writes it to root/audit.pub in the
kiosk's state folder, for headquarters to keep. Take it from there and not from whoever hands you the receipt. Exit status 0 means
that the receipt holds.

`

// maxKeyFile bounds a key file in bytes: a name of 128, a hash and a P-256 key take fewer than 300.
const maxKeyFile = 1024

// verifyReceiptCommand is door verify-receipt.
func verifyReceiptCommand(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("door verify-receipt", flag.ContinueOnError)
	keyFile := fs.String("key", "", "file of the kiosk's public audit key (required)")
	if err := parseFlags(fs, args, out, verifyUsage); err != nil {
		return err
	}
	if *keyFile == "" || fs.NArg() != 1 {
		return &usageError{errors.New("name the kiosk's key and one receipt: -key keyfile file")}
	}
	line, err := readBounded(*keyFile, maxKeyFile)
	if err != nil {
		return fmt.Errorf("read key: %w", err)
	}
	name, key, err := proof.ParseVerifierKey(strings.TrimSuffix(string(line), "\n"))
	if err != nil {
		return fmt.Errorf("read key %q: %w", *keyFile, err)
	}
	receipt, err := readBounded(fs.Arg(0), proof.MaxReceipt)
	if err != nil {
		return fmt.Errorf("read receipt: %w", err)
	}
	v, err := proof.VerifyReceipt(receipt, key)
	if errors.Is(err, proof.ErrNoReceipt) {
		return fmt.Errorf("%q is no receipt", fs.Arg(0))
	}
	if err == nil && v.Checkpoint.Origin != name {
		err = fmt.Errorf("it is of kiosk %q, the key is of %q", v.Checkpoint.Origin, name)
	}
	if err != nil {
		return fmt.Errorf("receipt %q does not hold: %w", fs.Arg(0), err)
	}
	if v.Version != access.RecordVersion {
		return fmt.Errorf("receipt %q holds, but its record has layout %d and this version reads %d", fs.Arg(0), v.Version, access.RecordVersion)
	}
	return printVerified(out, v)
}

// readBounded reads a whole file of at most so many bytes.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("file %q has more than %d bytes", path, most)
	}
	return b, err
}

// printVerified says in words what the receipt proves. Text that the kiosk wrote is quoted: it must not move the cursor.
func printVerified(out io.Writer, v proof.Verified) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(what, format string, a ...any) { fmt.Fprintf(w, what+"\t"+format+"\n", a...) }
	row("record", "number %d, counted from 0, in the log of kiosk %q", v.Seq, v.Checkpoint.Origin)
	row("event", "%v (number %d), severity %v", v.Event, v.Event, v.Event.Severity())
	row("verdict", "%s", verdictWord(v.Record))
	row("reason", "%v", v.Reason)
	row("door", "%q", v.Door)
	if v.Session == (access.SessionID{}) {
		row("session", "none")
	} else {
		row("session", "%v", v.Session)
	}
	row("boot", "%d, %v after power-on", v.Boot, v.Stamp)
	switch v.Clock {
	case access.ClockTrusted:
		row("time", "%s, by headquarters' signed time", wallTime(v.Wall))
	default:
		row("time", "%s, by the machine's own clock, for which nobody vouches", wallTime(v.Wall))
	}
	if v.Subject == [16]byte{} {
		row("subject", "nobody was identified")
	} else {
		row("subject", "%x (pseudonym)", v.Subject)
	}
	row("policy", "%s", hashWord(v.Policy))
	row("models", "%s", hashWord(v.Bundle))
	row("evidence", "%s", hashWord(v.Evidence))
	if v.Detail != "" {
		row("detail", "%q", v.Detail)
	}
	c := v.Checkpoint
	row("checkpoint", "of kiosk %q over %d records, root %s", c.Origin, c.Size, c.Root)
	row("counter", "%d", c.Counter)
	row("time digest", "%s", hashWord(c.Time))
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "receipt holds")
	return err
}

// hashWord is the lower-case hexadecimal form.
func hashWord(h [32]byte) string {
	if h == [32]byte{} {
		return "none"
	}
	return hex.EncodeToString(h[:])
}
