package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/sync/wire"
)

const receiptUsage = `door receipt writes the receipt of one walk-up: the audit record of how it ended, with the proof that this record stands in the
kiosk's log. The kiosk may go on running meanwhile; nothing in its folder is changed. Whoever runs it must be allowed to read that
folder, as root or as the user that door runs as. Anybody who has the kiosk's public key checks the receipt by
"door verify-receipt".

  door receipt -state DIR [-o FILE] BOOT/SESSION
  door receipt -state DIR -list N

`

// Numbers of the two commands.
const (
	maxListed     = 1000   // sessions of a listing: more is not read by anybody
	progressEvery = 200000 // records between two lines of progress: some seconds on the slowest board
)

type receiptOptions struct {
	state, file string
	list        int
	session     access.SessionID
}

func parseReceipt(args []string, help io.Writer) (receiptOptions, error) {
	var o receiptOptions
	fs := flag.NewFlagSet("door receipt", flag.ContinueOnError)
	fs.StringVar(&o.state, "state", "", "folder of the vault and the audit log (required)")
	fs.StringVar(&o.file, "o", "", "file to write, which must not exist (receipt-BOOT-SESSION.lintel)")
	fs.IntVar(&o.list, "list", 0, "list how the last N walk-ups ended, and write nothing")
	if err := parseFlags(fs, args, help, receiptUsage); err != nil {
		return o, err
	}
	var err error
	switch {
	case o.state == "":
		err = errors.New("say where the state is: -state folder")
	case o.list < 0 || o.list > maxListed:
		err = fmt.Errorf("list %d walk-ups: want 1 to %d", o.list, maxListed)
	case o.list > 0 && (fs.NArg() > 0 || o.file != ""):
		err = errors.New("a listing takes neither a session nor a file")
	case o.list > 0:
	case fs.NArg() != 1:
		err = errors.New("name one session as BOOT/SESSION, such as 12/3; -list 20 shows the last ones")
	default:
		o.session, err = parseSession(fs.Arg(0))
	}
	if err != nil {
		return o, &usageError{err}
	}
	if o.list == 0 && o.file == "" {
		o.file = fmt.Sprintf("receipt-%d-%d.lintel", o.session.Boot, o.session.Number)
	}
	return o, nil
}

// parseFlags takes flags and words in any order. It leaves the text of an error to main, which prints it once.
func parseFlags(fs *flag.FlagSet, args []string, help io.Writer, usage string) error {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	words, err := []string{"--"}, fs.Parse(args)
	for ; err == nil && fs.NArg() > 0; err = fs.Parse(fs.Args()[1:]) {
		words = append(words, fs.Arg(0))
	}
	if err == nil {
		err = fs.Parse(words)
	}
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(help, usage)
		fs.SetOutput(help)
		fs.PrintDefaults()
		return err
	}
	if err != nil {
		return &usageError{fmt.Errorf("%w; see %s -h", err, fs.Name())}
	}
	return nil
}

// parseSession reads the form that access.SessionID.String writes.
func parseSession(s string) (access.SessionID, error) {
	boot, number, _ := strings.Cut(s, "/")
	b, bootErr := strconv.ParseUint(boot, 10, 64)
	n, numberErr := strconv.ParseUint(number, 10, 64)
	id := access.SessionID{Boot: b, Number: n}
	if bootErr != nil || numberErr != nil || id.String() != s || id == (access.SessionID{}) {
		return access.SessionID{}, fmt.Errorf("session %q: want BOOT/SESSION, such as 12/3", s)
	}
	return id, nil
}

// receiptCommand is door receipt.
func receiptCommand(args []string, out, progress io.Writer) error {
	o, err := parseReceipt(args, out)
	if err != nil {
		return err
	}
	log, err := auditlog.Inspect(filepath.Join(o.state, auditFolder))
	if err != nil {
		return err
	}
	if o.list > 0 {
		return listSessions(log, o.list, out, progress)
	}
	c, err := findConclusion(log, o.session, progress)
	if err != nil {
		return err
	}
	receipt, err := log.Receipt(c.seq, func(done, all uint64) {
		if done%progressEvery == 0 {
			fmt.Fprintf(progress, "hashed %d of %d records\n", done, all)
		}
	})
	if errors.Is(err, auditlog.ErrUncovered) {
		return fmt.Errorf("session %v: %w: wait for the next checkpoint, at most a minute, and try again", o.session, err)
	}
	if err != nil {
		return fmt.Errorf("session %v: %w", o.session, err)
	}
	if err := saveReceipt(o.file, receipt); err != nil {
		return fmt.Errorf("write receipt: %w", err)
	}
	for _, s := range c.sequel() {
		fmt.Fprintln(progress, s)
	}
	_, err = fmt.Fprintf(out, "%s: session %v, record %d: %v, %v\n", o.file, o.session, c.seq, c.record.Event, c.record.Reason)
	return err
}

// saveReceipt writes a file that did not exist: an older receipt may be somebody's evidence.
func saveReceipt(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}

// verdictWord keeps the zero verdict of a record that decided nothing from reading as a denial.
func verdictWord(r access.Record) string {
	if r.Verdict == access.Denied && (!r.Event.Concludes() || r.Event == access.EventEnrolled) {
		return "none"
	}
	return r.Verdict.String()
}

// conclusion is how a session ended and what came of it.
type conclusion struct {
	seq    uint64
	record access.Record
	others []uint64 // earlier records that claim to be the end of the same session
	after  []follower
}

// follower is a record that follows the conclusion in the same session.
type follower struct {
	seq   uint64
	event access.Event
}

// findConclusion looks through the whole log: what came of a grant stands behind it.
func findConclusion(log *auditlog.Reader, session access.SessionID, progress io.Writer) (conclusion, error) {
	var c conclusion
	found := false
	// The encoding is deterministic, so a record of the session contains these bytes; only those few are decoded.
	mark, err := wire.Marshal(session)
	if err != nil {
		return c, err
	}
	missing, err := log.Walk(func(e auditlog.Entry) error {
		looked(progress, e.Seq)
		if !bytes.Contains(e.Record, mark) {
			return nil
		}
		var r access.Record
		if err := wire.Unmarshal(e.Record, &r); err != nil {
			fmt.Fprintf(progress, "record %d is left out: %v\n", e.Seq, err)
			return nil
		}
		switch {
		case r.Session != session:
		case found && r == c.record: // from an emergency log whose taking over was cut short: the same once more
		case r.Event.Concludes():
			if found {
				c.others = append(c.others, c.seq)
			}
			c.seq, c.record, c.after, found = e.Seq, r, nil, true
		case found:
			c.after = append(c.after, follower{e.Seq, r.Event})
		}
		return nil
	})
	if err != nil {
		return c, err
	}
	tellMissing(progress, missing)
	if !found {
		return c, fmt.Errorf("session %v: no record says how it ended; -list 20 shows the last ones (in a flood some are only counted)", session)
	}
	return c, nil
}

// sequel tells, in sentences, what a reader of the receipt alone would not learn.
func (c conclusion) sequel() []string {
	var list []string
	for _, seq := range c.others {
		list = append(list, fmt.Sprintf("attention: record %d is an end of this session, too; the receipt is of record %d", seq, c.seq))
	}
	released := false
	for _, a := range c.after {
		switch a.event {
		case access.EventReleaseRefused, access.EventGrantUnresolved, access.EventEnrolmentRefused:
			list = append(list, fmt.Sprintf("attention: nothing came of it: record %d says %v", a.seq, a.event))
			released = true
		case access.EventDoorReleased:
			list = append(list, fmt.Sprintf("record %d says %v", a.seq, a.event))
			released = true
		}
	}
	if c.record.Event == access.EventWalkupGranted && !released {
		list = append(list, "attention: no record says yet what came of the grant")
	}
	return list
}

func looked(progress io.Writer, seq uint64) {
	if n := seq + 1; n%progressEvery == 0 {
		fmt.Fprintf(progress, "looked at %d records\n", n)
	}
}

func tellMissing(progress io.Writer, m auditlog.Missing) {
	if m.Expired > 0 {
		fmt.Fprintf(progress, "records before %d have expired\n", m.Expired)
	}
	for _, d := range m.Damage {
		fmt.Fprintln(progress, d)
	}
}

// listSessions prints how the last sessions ended, the latest last.
func listSessions(log *auditlog.Reader, most int, out, progress io.Writer) error {
	type row struct {
		seq    uint64
		record access.Record
	}
	var last []row
	unreadable := 0
	missing, err := log.Walk(func(e auditlog.Entry) error {
		looked(progress, e.Seq)
		var r access.Record
		if wire.Unmarshal(e.Record, &r) != nil {
			unreadable++
			return nil
		}
		if !r.Event.Concludes() || r.Session == (access.SessionID{}) {
			return nil
		}
		if last = append(last, row{e.Seq, r}); len(last) > most {
			last = last[1:]
		}
		return nil
	})
	if err != nil {
		return err
	}
	tellMissing(progress, missing)
	if unreadable > 0 {
		fmt.Fprintf(progress, "%d records are not of a layout that this version knows\n", unreadable)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SESSION\tTIME\tCLOCK\tEVENT\tVERDICT\tREASON\tRECORD")
	for _, r := range last {
		fmt.Fprintf(w, "%v\t%s\t%s\t%v\t%v\t%v\t%d\n",
			r.record.Session, wallTime(r.record.Wall), clockWord(r.record.Clock), r.record.Event, verdictWord(r.record), r.record.Reason, r.seq)
	}
	return w.Flush()
}

func wallTime(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }

// clockWord takes whatever is not known to be trusted for untrusted.
func clockWord(c access.ClockState) string {
	if c == access.ClockTrusted {
		return "trusted"
	}
	return "untrusted"
}
