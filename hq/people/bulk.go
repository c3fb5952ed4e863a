package people

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/bounded"
	"github.com/lintel-access/lintel/hq/extract"
)

// MaxTable is the largest table of a bulk enrolment, bytes.
const MaxTable = 64 << 20

// Line is what became of one row of a bulk enrolment. It says no name.
type Line struct {
	Line     int
	Enrolled Enrolled // zero unless the row was enrolled, now or before
	Before   bool     // by an earlier run
	Err      error    // why it was not
}

// Report is what became of a bulk enrolment.
type Report struct {
	Batch                    string // names it, for approval
	Enrolled, Before, Failed int
}

// Bulk enrols the people of a table, whose photographs and proofing records lie in a folder. Each row is told as soon as it is done. It may be interrupted
// at any time and run again: a row that was done is not done again, in the same table or another. All of them wait for a second operator. An error means
// that the rest was not tried. One row is enrolled by enrol: People.Enrol, or what drafts it.
func (p *People) Bulk(ctx context.Context, table []byte, folder *os.Root, enrol func(context.Context, Request) (Enrolled, error), tell func(Line)) (Report, error) {
	sum := sha256.Sum256(table)
	report := Report{Batch: hex.EncodeToString(sum[:8])}
	rows, err := readRows(bytes.NewReader(table))
	if err != nil {
		return report, err
	}
	for _, w := range rows {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		l := Line{Line: w.line}
		l.Enrolled, l.Before, l.Err = p.row(ctx, w, report.Batch, folder, enrol)
		if l.Err != nil && !rowsOwn(l.Err) {
			return report, fmt.Errorf("line %d: %w", w.line, l.Err)
		}
		switch {
		case l.Err != nil:
			report.Failed++
		case l.Before:
			report.Before++
		default:
			report.Enrolled++
		}
		tell(l)
	}
	return report, nil
}

// errRow marks what is wrong with one row alone.
type errRow struct{ error }

func (e errRow) Unwrap() error { return e.error }

// rowsOwn reports whether an error is one row's, so that the rest can go on.
func rowsOwn(err error) bool {
	var row errRow
	var refused Refused
	return errors.As(err, &row) || errors.As(err, &refused)
}

func (p *People) row(ctx context.Context, w row, batch string, folder *os.Root, enrol func(context.Context, Request) (Enrolled, error)) (Enrolled, bool, error) {
	if w.err != nil {
		return Enrolled{}, false, errRow{w.err}
	}
	r := w.request
	r.batch = batch
	var err error
	if r.Proofing, err = readFile(folder, w.proofing, MaxProofing); err != nil {
		return Enrolled{}, false, errRow{fmt.Errorf("proofing record: %w", err)}
	}
	if len(w.photos) > extract.MaxPhotos {
		return Enrolled{}, false, errRow{fmt.Errorf("%d photographs, at most %d", len(w.photos), extract.MaxPhotos)}
	}
	for i, name := range w.photos {
		photo, err := readFile(folder, name, extract.MaxPhoto)
		if err != nil {
			return Enrolled{}, false, errRow{fmt.Errorf("photograph %d: %w", i+1, err)}
		}
		r.Photos = append(r.Photos, photo)
	}
	r.row = p.rowName(r)
	done, before, err := p.rowDone(r.row)
	if err != nil || before {
		return done, before, err
	}
	done, err = enrol(ctx, r)
	return done, false, err
}

// readFile reads a file of the folder, which no path leaves.
func readFile(folder *os.Root, name string, most int) ([]byte, error) {
	f, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a file", name)
	}
	return bounded.Read(f, name, int64(most))
}

// rowName names a row by all that it says, its files included, so that one that was corrected is a new one.
func (p *People) rowName(r Request) []byte {
	h := sha256.New()
	part := func(b []byte) {
		sum := sha256.Sum256(b)
		h.Write(sum[:])
	}
	for _, s := range []string{r.Name, r.Number, r.Consent, fmt.Sprintf("%q", sortedGroups(r.Groups)), fmt.Sprint(r.Until.Unix(), r.Extended)} {
		part([]byte(s))
	}
	part(r.Proofing)
	for _, photo := range r.Photos {
		part(photo)
	}
	return p.name(bucketJournal, h.Sum(nil))
}

// rowDone looks a row up in the journal. Who was deleted or rejected since is not done.
func (p *People) rowDone(row []byte) (done Enrolled, before bool, err error) {
	err = p.read(func(t *txn, all *roll) error {
		plain, _, _, err := t.get(bucketJournal, row)
		if errors.Is(err, ErrUnknown) {
			return nil
		}
		if err != nil {
			return err
		}
		var id access.PersonID
		if copy(id[:], plain) != len(plain) {
			return errors.New("the journal of bulk enrolments is damaged")
		}
		for _, m := range []member{all.waiting[id], all.members[id]} {
			if m.Generation > 0 {
				done, before = Enrolled{Person: id, Order: m.Order, Alike: m.Alike}, true
			}
		}
		return nil
	})
	return done, before, err
}
