package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/lintel-access/lintel/hq/bounded"
	"github.com/lintel-access/lintel/hq/draft"
	"github.com/lintel-access/lintel/hq/people"
)

const aboutBulk = `Enrols the people of a table (UTF-8, its first line names the columns name, number, groups, valid_until,
consent, proofing, photos, extended; several groups or photographs are separated by |). Files are looked for
in the folder. What became of each line is told as soon as it is done; a line that cannot be done is told and
the rest goes on. Interrupted, it is simply run again: what was done is not done twice. All of it waits for a
second operator: hq approve BATCH, for each batch that is named at the end. Who was done with an earlier form of the
table waits in that one's.

Example:
  hq bulk people.csv -folder photos -key eve.pem -dir hq`

func bulk(ctx context.Context, args []string, out, progress io.Writer) error {
	var (
		o      office
		folder string
		asJSON bool
	)
	fs := o.flags("bulk", "FILE.csv -folder FOLDER -key FILE|-draft FILE -dir DIR", aboutBulk, progress)
	o.signing.flags(fs, "an enroller's")
	o.looks(fs)
	fs.StringVar(&folder, "folder", "", "`folder` of the photographs and proofing records (required)")
	fs.BoolVar(&asJSON, "json", false, "a line of JSON for each row instead of a sentence")
	words, err := o.parse(fs, args, 1, 1)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	if folder == "" {
		return fmt.Errorf("say where the table's files are, -folder FOLDER: %w", errUsage)
	}
	table, err := bounded.File(words[0], people.MaxTable)
	if err != nil {
		return err
	}
	files, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer files.Close()
	p, err := o.open()
	if err != nil {
		return err
	}
	take, err := o.enroller()
	if err != nil {
		return err
	}
	began, n, wait := time.Now(), 0, map[string]int{}
	report, err := p.Bulk(ctx, table, files, take.enrol, func(l people.Line) {
		if l.Waits {
			wait[l.Batch]++
		}
		if n++; asJSON {
			json.NewEncoder(out).Encode(jsonLine(l))
		} else {
			fmt.Fprintf(out, "line %d: %s\n", l.Line, sentence(l))
		}
		if n%100 == 0 {
			fmt.Fprintf(progress, "bulk: %d rows in %v\n", n, time.Since(began).Round(time.Second))
		}
	})
	if errors.Is(err, people.ErrTable) {
		return err
	}
	fmt.Fprintf(progress, "bulk: %d enrolled, %d before, %d not\n%s", report.Enrolled, report.Before, report.Failed, toApprove(wait, fs.where()))
	o.sayUnplaced(ctx, progress, take.placed)
	if o.draft != "" && report.Enrolled > 0 { // also those of before an interruption: when they are handed in, the table goes on behind them
		err = errors.Join(err, o.end(fs, take.drafts, out, nil))
	}
	if err != nil {
		return fmt.Errorf("%w; run it again to go on", err)
	}
	if report.Failed > 0 {
		return fmt.Errorf("%d lines were not enrolled", report.Failed)
	}
	return nil
}

// toApprove has a line for each batch under which people of the table wait: who was done by an earlier run waits under what the table was then.
func toApprove(wait map[string]int, where string) string {
	var b strings.Builder
	for _, batch := range slices.Sorted(maps.Keys(wait)) {
		how := fmt.Sprintf("hq approve %s -key KEY%s", batch, where)
		if batch == "" {
			how = fmt.Sprintf("hq approve%s lists what waits", where)
		}
		fmt.Fprintf(&b, "bulk: %d of them wait for a second operator: %s\n", wait[batch], how)
	}
	return b.String()
}

func sentence(l people.Line) string {
	switch {
	case l.Err != nil:
		return l.Err.Error()
	case l.Before && l.Waits && l.Batch != "":
		return fmt.Sprintf("was done before, and waits in batch %s", l.Batch)
	case l.Before:
		return "was done before"
	case l.Enrolled.Order == [32]byte{}:
		return "drafted"
	case len(l.Enrolled.Alike) > 0:
		return fmt.Sprintf("enrolled as %v; looks like %d others: hq people show %v", l.Enrolled.Person, len(l.Enrolled.Alike), l.Enrolled.Person)
	}
	return fmt.Sprintf("enrolled as %v", l.Enrolled.Person)
}

func jsonLine(l people.Line) any {
	line := struct {
		Line   int    `json:"line"`
		Person string `json:"person,omitempty"`
		Order  string `json:"order,omitempty"`
		Before bool   `json:"before,omitempty"`
		Batch  string `json:"batch,omitempty"` // under which it waits
		Error  string `json:"error,omitempty"`
	}{Line: l.Line, Before: l.Before}
	if l.Waits {
		line.Batch = l.Batch
	}
	if l.Err != nil {
		line.Error = l.Err.Error()
	} else if l.Enrolled.Order != [32]byte{} {
		line.Person, line.Order = l.Enrolled.Person.String(), hex.EncodeToString(l.Enrolled.Order[:])
	}
	return line
}

const aboutApprove = `Signs, as a second operator, for enrolments that wait: one (ORDER), or those of a bulk enrolment (BATCH).
Without either it lists what waits. Whoever enrolled somebody cannot approve it. -reject has it deleted instead, everywhere: it was
signed, and a copy of it could still be handed on. Who had been enrolled before stays, and then there is nothing to sign.

Example:
  hq approve -dir hq; hq approve 0123…cdef -key bob.pem -dir hq`

func approve(ctx context.Context, args []string, out, progress io.Writer) error {
	var (
		o      office
		reject bool
	)
	fs := o.flags("approve", "[ORDER|BATCH [-reject] -key FILE|-draft FILE] -dir DIR", aboutApprove, progress)
	o.signing.flags(fs, "your own")
	fs.BoolVar(&reject, "reject", false, "drop the enrolment instead")
	words, err := o.parse(fs, args, 0, 1)
	if err != nil {
		return err
	}
	p, err := o.open()
	if err != nil {
		return err
	}
	all, err := p.Pending("")
	if err != nil {
		return err
	}
	if len(words) == 0 {
		for _, w := range all {
			fmt.Fprintln(out, waits(w))
		}
		return nil
	}
	if err := o.check(); err != nil {
		return err
	}
	var drafts []draft.Draft
	found := false
	for _, w := range all {
		if order := hex.EncodeToString(w.Order[:]); words[0] != order && (words[0] != w.Batch || w.Batch == "") {
			continue
		}
		found = true
		drafted := p.DraftApproval
		if reject {
			drafted = p.Reject
		}
		d, err := drafted(w.Order)
		switch {
		case err != nil:
			return fmt.Errorf("%x: %w", w.Order, err)
		case len(d.Orders) == 0:
			fmt.Fprintf(out, "%x dropped: %v stays as before\n", w.Order, w.ID)
		default:
			drafts = append(drafts, d)
		}
	}
	if !found {
		return fmt.Errorf("nothing waits that is called %q", words[0])
	}
	if len(drafts) == 0 {
		return nil
	}
	return o.end(fs, drafts, out, func(signed []draft.Signed) error { return o.hand(ctx, fs, signed, out, progress) })
}

// waits is a line for whoever is to approve.
func waits(w people.Waiting) string {
	text := fmt.Sprintf("%x\n    %s, groups %s, until %s; %s; enrolled by %s, consent %s, proofing record of %d bytes (hq people proofing)", w.Order, w.Name,
		strings.Join(w.Groups, ", "), lastDay(w.Until), w.Why, w.Enroller.Name, w.Consent, len(w.Proofing))
	if w.Batch != "" {
		text += ", batch " + w.Batch
	}
	for _, l := range w.Alike {
		text += fmt.Sprintf("\n    %s %v", likeness(l), l.Person)
	}
	return text
}
