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
	Waits    bool     // for a second operator
	Batch    string   // under which it waits: of the table with which it was done; empty when it was enrolled again by itself since
	Err      error    // why it was not
}

// Report is what became of a bulk enrolment.
type Report struct {
	Enrolled, Before, Failed int
}

// Bulk enrols the people of a table, whose photographs and proofing records lie in a folder. Each row is told as soon as it is done. It may be interrupted
// at any time and run again: a row that was done is not done again, in the same table or another. All of them wait for a second operator. An error means
// that the rest was not tried; ErrTable, that nothing was. One row is enrolled by enrol: People.Enrol, or what drafts it.
func (p *People) Bulk(ctx context.Context, table []byte, folder *os.Root, enrol func(context.Context, Request) (Enrolled, error), tell func(Line)) (Report, error) {
	sum := sha256.Sum256(table)
	batch, report := hex.EncodeToString(sum[:8]), Report{}
	rows, err := readRows(bytes.NewReader(table))
	if err != nil {
		return report, err
	}
	for _, w := range rows {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		l := p.row(ctx, w, batch, folder, enrol)
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

func (p *People) row(ctx context.Context, w row, batch string, folder *os.Root, enrol func(context.Context, Request) (Enrolled, error)) Line {
	r, err := w.whole(folder)
	if err != nil {
		return Line{Line: w.line, Err: errRow{err}}
	}
	r.batch, r.row = batch, p.rowName(r)
	l, err := p.rowDone(r.row)
	if l.Line = w.line; err == nil && !l.Before {
		l.Enrolled, err = enrol(ctx, r)
		l.Waits, l.Batch = l.Enrolled.Pending != "", batch
	}
	l.Err = err
	return l
}

// whole is the request with the files that it names.
func (w row) whole(folder *os.Root) (r Request, err error) {
	if w.err != nil {
		return r, w.err
	}
	r = w.request
	if r.Proofing, err = readFile(folder, w.proofing, MaxProofing); err != nil {
		return r, fmt.Errorf("proofing record: %w", err)
	}
	if len(w.photos) > extract.MaxPhotos {
		return r, fmt.Errorf("%d photographs, at most %d", len(w.photos), extract.MaxPhotos)
	}
	for i, name := range w.photos {
		photo, err := readFile(folder, name, extract.MaxPhoto)
		if err != nil {
			return r, fmt.Errorf("photograph %d: %w", i+1, err)
		}
		r.Photos = append(r.Photos, photo)
	}
	return r, nil
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
func (p *People) rowDone(row []byte) (l Line, err error) {
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
				l.Enrolled, l.Before = Enrolled{Person: id, Order: m.Order, Alike: m.Alike}, true
			}
		}
		l.Waits, l.Batch = all.waits(id), all.waiting[id].Batch
		return nil
	})
	return l, err
}
