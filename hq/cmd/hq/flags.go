package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/lintel-access/lintel/hq/hatch"
)

// Names in headquarters' folder.
const (
	stateFolder = "state"   // of the broker
	socketName  = "hq.sock" // of hq serve
)

// page is what a command takes: its flags, and the words among them.
type page struct {
	*flag.FlagSet
	dir  string
	json bool
}

// newPage begins a command's flags with the folder, which all have in common.
func newPage(name, words, about string, out io.Writer) *page {
	p := &page{FlagSet: flag.NewFlagSet("hq "+name, flag.ContinueOnError)}
	p.SetOutput(out)
	p.StringVar(&p.dir, "dir", "", "headquarters' `folder` (required)")
	p.Usage = func() {
		fmt.Fprintf(out, "usage: hq %s %s\n\n%s\n\n", name, words, about)
		p.PrintDefaults()
	}
	return p
}

// words reads flags and words in any order, and wants that many words.
func (p *page) words(args []string, least, most int) (words []string, err error) {
	for {
		if err := p.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, fmt.Errorf("%w: %s -h", errUsage, p.Name())
		}
		if p.NArg() == 0 {
			break
		}
		words, args = append(words, p.Arg(0)), p.Args()[1:]
	}
	if p.dir == "" {
		return nil, fmt.Errorf("say where headquarters' folder is, -dir FOLDER: %w", errUsage)
	}
	if len(words) < least || len(words) > most {
		return nil, fmt.Errorf("%d words, which are too few or too many; %s -h says which: %w", len(words), p.Name(), errUsage)
	}
	return words, nil
}

func (p *page) socket() string { return filepath.Join(p.dir, socketName) }

// ask has the hq serve that runs on the folder do something.
func ask[A any](ctx context.Context, p *page, verb string, body any) (A, error) {
	return hatch.Call[A](ctx, p.socket(), verb, body)
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// ago says a time for people.
func ago(unix int64, now time.Time) string {
	if unix == 0 {
		return "never"
	}
	return now.Sub(time.Unix(unix, 0)).Round(time.Second).String() + " ago"
}
