package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

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
	sock string // of an hq serve elsewhere
	json bool
}

// newPage begins a command's flags with the folder, which all have in common.
func newPage(name, words, about string, out io.Writer) *page {
	p := &page{FlagSet: flag.NewFlagSet("hq "+name, flag.ContinueOnError)}
	p.SetOutput(out)
	p.StringVar(&p.dir, "dir", "", "headquarters' `folder` (required)")
	p.Usage = func() {
		if p.Lookup("socket") != nil {
			words = strings.Replace(words, "-dir DIR", "-dir DIR|-socket PATH", 1)
		}
		fmt.Fprintf(out, "usage: hq %s %s\n\n%s\n\n", name, words, about)
		p.PrintDefaults()
	}
	return p
}

// reaches adds the flag of commands that need no more of headquarters than its socket, which ssh can bring to an operator's machine.
func (p *page) reaches() {
	p.Lookup("dir").Usage = "headquarters' `folder` (required, unless there is -socket)"
	p.StringVar(&p.sock, "socket", "", "`path` of hq serve's socket, where it is not DIR/hq.sock: brought to your machine by ssh -L, so that your key stays there")
}

// wordsOf reads flags and words in any order.
func wordsOf(fs *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, fmt.Errorf("%w: %s -h", errUsage, fs.Name())
		}
		if fs.NArg() == 0 {
			return words, nil
		}
		words, args = append(words, fs.Arg(0)), fs.Args()[1:]
	}
}

// words reads flags and words in any order, and wants that many words.
func (p *page) words(args []string, least, most int) ([]string, error) {
	words, err := wordsOf(p.FlagSet, args)
	if err != nil {
		return nil, err
	}
	if p.dir == "" && p.sock == "" {
		return nil, fmt.Errorf("say where headquarters' folder is, -dir FOLDER: %w", errUsage)
	}
	if len(words) < least || len(words) > most {
		return nil, fmt.Errorf("%d words, which are too few or too many; %s -h says which: %w", len(words), p.Name(), errUsage)
	}
	return words, nil
}

// follow refuses other words behind a verb than those that it wants.
func (p *page) follow(verb string, words, wanted []string) error {
	line := strings.Join(append([]string{"hq", verb}, wanted...), " ")
	switch n := len(words); {
	case n < len(wanted):
		return fmt.Errorf("%s is missing: %s; %s -h says more: %w", strings.Join(wanted[n:], " "), line, p.Name(), errUsage)
	case n > len(wanted):
		return fmt.Errorf("%q is too much: %s; %s -h says more: %w", words[len(wanted)], line, p.Name(), errUsage)
	}
	return nil
}

func (p *page) socket() string {
	if p.sock != "" {
		return p.sock
	}
	return filepath.Join(p.dir, socketName)
}

// where is the flags that lead another command to the same headquarters, as they would be typed.
func (p *page) where() string {
	text := " -dir DIR"
	if p.dir != "" {
		text = " -dir " + shellWord(p.dir)
	}
	p.Visit(func(f *flag.Flag) {
		if f.Name == "master" {
			text += " -master " + shellWord(f.Value.String())
		}
	})
	return text
}

// shellWord is a word as a shell takes it for one.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("+,-./:=@_", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// ask has the hq serve that runs on the folder do something.
func ask[A any](ctx context.Context, p *page, verb string, body any) (A, error) {
	a, err := hatch.Call[A](ctx, p.socket(), verb, body)
	if _, absent := os.Stat(filepath.Dir(p.socket())); errors.Is(err, hatch.ErrClosed) && errors.Is(absent, os.ErrNotExist) {
		return a, fmt.Errorf("there is no folder %q", filepath.Dir(p.socket()))
	}
	return a, err
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

// greeted says when a kiosk last greeted. Headquarters stores that once an hour: of one that it has not heard since its start it knows no more.
func greeted(unix int64, sinceStart bool, now time.Time) string {
	if unix == 0 || sinceStart {
		return ago(unix, now)
	}
	return ago(unix, now) + " or less"
}
