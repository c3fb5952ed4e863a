// Package policy is the rules of a site as people write and read them: who may pass which door, and when.
//
//	document (TOML) ─ Read ─► Document ─ Compile ─► access.Site ─ Encode ─► bytes that an administrator signs and kiosks decide by
//	                             │                      │
//	                             └── Check, Explain ────┴── Diff ─► what people are told
//
// A kiosk never sees the text: it decodes the compiled form alone, which names the text by its SHA-256. What is explained, checked and compared is the
// compiled form, too, so that what people are told is what doors do.
package policy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
)

// Document is a site's rules as they were written, with the lines that they stand on.
type Document struct {
	text  []byte
	lines lines

	Format    int                 `toml:"format"`
	Site      string              `toml:"site"`
	Zone      string              `toml:"zone"`
	Groups    map[string]group    `toml:"groups"`
	Schedules map[string]schedule `toml:"schedules"`
	Holidays  []holiday           `toml:"holidays"`
	Doors     map[string]door     `toml:"doors"`
}

type group struct {
	Title string `toml:"title"`
}

// schedule: hours by days, as "mon-fri", and by kinds of holiday.
type schedule struct {
	Week     map[string][]string `toml:"week"`
	Holidays map[string][]string `toml:"holidays"`
}

type holiday struct {
	Name  string          `toml:"name"`
	Kind  string          `toml:"kind"`
	From  toml.LocalDate  `toml:"from"`
	Until *toml.LocalDate `toml:"until"` // the last day; without it there is one day
}

type door struct {
	Title string `toml:"title"`
	From  string `toml:"from"` // zone that the reader is in; without it, outside
	To    string `toml:"to"`   // zone behind the door; without it, one of the door's own name
	Exit  string `toml:"exit"`
	Rules []rule `toml:"rules"`

	Profile        string  `toml:"profile"`
	NeedRelief     bool    `toml:"need-relief"`
	FalseMatchRate float64 `toml:"false-match-rate"`
	SiteOffset     float64 `toml:"site-offset"`
	Margin         float64 `toml:"margin"`
	LearnedBudget  float64 `toml:"learned-budget"`
	Stale          string  `toml:"stale"`

	Release          *float64 `toml:"release"` // seconds, as all that follow
	ExtendedRelease  *float64 `toml:"extended-release"`
	HeldOpen         *float64 `toml:"held-open"`
	ExtendedHeldOpen *float64 `toml:"extended-held-open"`
	PreAlarm         *float64 `toml:"pre-alarm"`
	RelockOnOpen     *bool    `toml:"relock-on-open"`
}

type rule struct {
	Groups   []string        `toml:"groups"`
	Schedule string          `toml:"schedule"`
	From     *toml.LocalDate `toml:"from"`
	Until    *toml.LocalDate `toml:"until"` // the last day
}

// Words that the format keeps for itself.
const (
	always  = "always"  // the schedule that needs no clock
	usual   = "usual"   // hours of a holiday: those of its weekday
	outside = "outside" // the zone that everybody may be in
)

// How a door is left.
const (
	exitREX    = "rex"    // by a button or a handle, by anybody at any time
	exitReader = "reader" // by being recognised, under the same rules
	exitNone   = "none"   // not at all
)

// Finding is something about a document that somebody should know.
type Finding struct {
	Line  int // of the document, from 1; 0: it is about the whole
	Error bool
	Text  string
}

// String is "12: error: text".
func (f Finding) String() string {
	word := "warning"
	if f.Error {
		word = "error"
	}
	if f.Line == 0 {
		return word + ": " + f.Text
	}
	return fmt.Sprintf("%d: %s: %s", f.Line, word, f.Text)
}

// Refused reports whether one of the findings is an error: such a document must not come into force.
func Refused(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Error })
}

func wrong(line int, format string, args ...any) Finding {
	return Finding{line, true, fmt.Sprintf(format, args...)}
}

func odd(line int, format string, args ...any) Finding {
	return Finding{line, false, fmt.Sprintf(format, args...)}
}

// Read reads a document. What it refuses it names with its line: text that is no TOML, and keys that the format does not have. What the words mean is for
// Compile.
func Read(text []byte) (*Document, []Finding) {
	switch {
	case len(text) > MaxText:
		return nil, []Finding{wrong(0, "the document has %d bytes, at most %d are read", len(text), MaxText)}
	case !utf8.Valid(text):
		return nil, []Finding{wrong(0, "the document is not UTF-8")}
	}
	d := &Document{text: bytes.Clone(text)}
	decoder := toml.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(d); err != nil {
		return nil, unreadable(err)
	}
	var found []Finding
	d.lines, found = index(d.text)
	if Refused(found) {
		return nil, found
	}
	return d, nil
}

// unreadable is what a person can do about the parser's error.
func unreadable(err error) (found []Finding) {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		for _, e := range strict.Errors {
			line, _ := e.Position()
			found = append(found, wrong(line, "%q is no key of the format", strings.Join(e.Key(), ".")))
		}
		return found
	}
	var syntax *toml.DecodeError
	if errors.As(err, &syntax) {
		line, _ := syntax.Position()
		return []Finding{wrong(line, "%s", strings.TrimPrefix(syntax.Error(), "toml: "))}
	}
	return []Finding{wrong(0, "%q", err.Error())}
}
