package people

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The columns of a table of people. Order does not matter; those that are not required may be absent. Groups and photographs are separated by |.
const (
	columnName     = "name" // required
	columnNumber   = "number"
	columnGroups   = "groups"
	columnUntil    = "valid_until" // required, YYYY-MM-DD
	columnConsent  = "consent"     // required
	columnProofing = "proofing"    // required: a file in the folder
	columnPhotos   = "photos"      // required: files in the folder
	columnExtended = "extended"    // yes or no
)

// Bounds of a table.
const (
	maxRows = 100_000
	maxLine = 16 << 10 // bytes
)

// ErrTable means that a table cannot be read at all.
var ErrTable = errors.New("read table")

// row is one line of a table.
type row struct {
	line     int
	request  Request // without photographs and proofing record
	proofing string
	photos   []string
	err      error // why it cannot be read; then the rest is empty
}

// readRows reads a table. A line that cannot be read is a row with an error, and the rest goes on: a row is one line, so that a quote that is never closed
// spoils no other. Only a table whose head is wrong is an error.
func readRows(r io.Reader) (rows []row, err error) {
	in := bufio.NewReaderSize(r, maxLine)
	head, whole, err := readLine(in)
	if err != nil && !errors.Is(err, io.EOF) || !whole { // an empty table has an empty first line
		return nil, fmt.Errorf("%w: its first line: %w", ErrTable, errors.Join(err, errUnless(whole)))
	}
	head = bytes.TrimPrefix(head, []byte("\ufeff"))
	comma := ','
	if bytes.ContainsRune(head, ';') && !bytes.ContainsRune(head, ',') {
		comma = ';' // what spreadsheets of half of Europe write
	}
	names, err := fields(head, comma)
	if err != nil {
		return nil, fmt.Errorf("%w: its first line: %w", ErrTable, err)
	}
	if err := checkColumns(names); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTable, err)
	}
	for line := 2; ; line++ {
		text, whole, err := readLine(in)
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrTable, line, err)
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		if len(rows) == maxRows {
			return nil, fmt.Errorf("%w: more than %d rows", ErrTable, maxRows)
		}
		w := row{line: line}
		if w.err = errUnless(whole); w.err == nil {
			w.err = w.parse(text, names, comma)
		}
		rows = append(rows, w)
	}
}

func errUnless(whole bool) error {
	if whole {
		return nil
	}
	return fmt.Errorf("it is longer than %d bytes", maxLine)
}

// readLine reads one line, without its end. whole is false of one that is too long, which is skipped.
func readLine(in *bufio.Reader) (line []byte, whole bool, err error) {
	line, err = in.ReadSlice('\n')
	line = bytes.Clone(line)
	whole = !errors.Is(err, bufio.ErrBufferFull)
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = in.ReadSlice('\n')
	}
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = nil
	}
	return bytes.TrimRight(line, "\r\n"), whole, err
}

func fields(line []byte, comma rune) ([]string, error) {
	if !utf8.Valid(line) {
		return nil, errors.New("it is not UTF-8: save the table as UTF-8")
	}
	r := csv.NewReader(bytes.NewReader(line))
	r.Comma = comma
	list, err := r.Read()
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return nil, parse.Err // the library counts lines of its own
	}
	if errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty")
	}
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list, nil
}

func checkColumns(names []string) error {
	known := []string{columnName, columnNumber, columnGroups, columnUntil, columnConsent, columnProofing, columnPhotos, columnExtended}
	for i, n := range names {
		if !slices.Contains(known, n) {
			return fmt.Errorf("column %q is not known: the first line names the columns, of %s", n, strings.Join(known, ", "))
		}
		if slices.Contains(names[:i], n) {
			return fmt.Errorf("column %q stands twice", n)
		}
	}
	for _, n := range []string{columnName, columnUntil, columnConsent, columnProofing, columnPhotos} {
		if !slices.Contains(names, n) {
			return fmt.Errorf("column %q is missing", n)
		}
	}
	return nil
}

func (w *row) parse(text []byte, names []string, comma rune) error {
	values, err := fields(text, comma)
	if err != nil {
		return err
	}
	if len(values) != len(names) {
		return fmt.Errorf("it has %d fields, want %d", len(values), len(names))
	}
	for i, v := range values {
		if err := w.set(names[i], v); err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
	}
	return nil
}

func (w *row) set(column, v string) (err error) {
	switch column {
	case columnName:
		w.request.Name = v
	case columnNumber:
		w.request.Number = v
	case columnGroups:
		w.request.Groups = split(v)
	case columnUntil:
		w.request.Until, err = ParseUntil(v)
	case columnConsent:
		w.request.Consent = v
	case columnProofing:
		if w.proofing = v; v == "" {
			err = errors.New("no file is named")
		}
	case columnPhotos:
		if w.photos = split(v); len(w.photos) == 0 {
			err = errors.New("no file is named")
		}
	case columnExtended:
		if v != "" && v != "yes" && v != "no" {
			err = fmt.Errorf("%s, want yes or no", strconv.Quote(v))
		}
		w.request.Extended = v == "yes"
	}
	return err
}

func split(v string) (list []string) {
	for s := range strings.SplitSeq(v, "|") {
		if s = strings.TrimSpace(s); s != "" {
			list = append(list, s)
		}
	}
	return list
}

// ParseUntil reads a date, YYYY-MM-DD, as the end of that day in UTC.
func ParseUntil(s string) (time.Time, error) {
	day, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no date like 2027-06-30", s)
	}
	return day.AddDate(0, 0, 1), nil
}
