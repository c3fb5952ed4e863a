//go:build !kiosk

// Command hq proves what docs/HQ.md and docs/WIRE.md promise, on the real programs: one hq serve, several kiosks of door, link, a software TPM and a
// simulated board each, and between them networks and brokers that fail, lie and are killed.
//
//	make hq-test
//
// Everything is set up by the commands that a person would type. What is not the product's: references are drawn at random instead of being made of
// photographs (hq/people takes them through the extractor that it asks for), no eye runs, and the bulk of the records that the scene of events carries was
// written into the kiosks' own logs by access/auditlog under the kiosk's own TPM while door was down, since no door has that many events in a few minutes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return // the usage was printed
		}
		fmt.Fprintln(os.Stderr, "hq:", err)
		os.Exit(1)
	}
}

const usage = `usage: hq -programs folder [-long] [-scenes 1,2,…] [-keep]

Plays scenes with a headquarters and its kiosks, prints a line for each, and then "hq: N passed, N failed". Exit status 1 unless all passed.
It needs swtpm and mosquitto and works in a temporary folder.

`

var errFailed = errors.New("not every scene passed")

// sizes are the counts of a run.
type sizes struct {
	kiosks, enrolments, events, people int
}

func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	flags := flag.NewFlagSet("hq", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.Usage = func() {
		fmt.Fprint(progress, usage)
		flags.PrintDefaults()
	}
	programs := flags.String("programs", "", "folder of the built programs: door, eye, link and hq (required)")
	long := flags.Bool("long", false, "full counts: 8 kiosks, 300 enrolments, 100,000 events, 10,000 people")
	only := flags.String("scenes", "", "numbers of the scenes to play, with commas; all by default")
	keep := flags.Bool("keep", false, "leave the folder, for whoever looks into a failure")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *programs == "" {
		return errors.New("say -programs FOLDER; see hq -h")
	}
	wanted, err := numbers(*only)
	if err != nil {
		return err
	}
	size := sizes{kiosks: 4, enrolments: 60, events: 10_000, people: 1_000}
	if *long {
		size = sizes{kiosks: 8, enrolments: 300, events: 100_000, people: 10_000}
	}
	dir, err := os.MkdirTemp("", "hqt") // the paths of sockets are short
	if err != nil {
		return err
	}
	if *keep {
		fmt.Fprintln(progress, "everything stays in", dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	ctx, end := context.WithCancel(ctx)
	s := newSite(ctx, dir, *programs, size, progress)
	defer func() { end(); err = errors.Join(err, s.close()) }()
	return s.play(out, scenes(), wanted)
}

// numbers reads a list such as 1,4,5; an empty one wants all.
func numbers(list string) (wanted []int, err error) {
	for word := range strings.SplitSeq(list, ",") {
		if word == "" {
			continue
		}
		n, err := strconv.Atoi(word)
		if err != nil {
			return nil, fmt.Errorf("-scenes %q: want numbers with commas", list)
		}
		wanted = append(wanted, n)
	}
	return wanted, nil
}

// scene is one promise, tried out. What it returns are the figures of its line.
type scene struct {
	name string
	play func(*site) (figures string, err error)
}

// play plays scenes in their order: each leaves all kiosks connected and agreed with headquarters, or is followed by an attempt to get there.
func (s *site) play(out io.Writer, scenes []scene, wanted []int) error {
	passed, failed := 0, 0
	for i, c := range scenes {
		number := i + 1
		if number != 1 && wanted != nil && !slices.Contains(wanted, number) {
			continue // the first sets up what all others need
		}
		began := time.Now()
		figures, err := c.play(s)
		took := time.Since(began).Seconds()
		if err != nil {
			failed++
			fmt.Fprintf(out, "%2d %-44s FAILED %6.1f s  %s\n   %v\n", number, c.name, took, figures, err)
			if number == 1 || s.ctx.Err() != nil {
				break
			}
			if err := s.mend(); err != nil {
				fmt.Fprintf(out, "   the scenes that follow cannot be played: %v\n", err)
				failed++
				break
			}
			continue
		}
		passed++
		fmt.Fprintf(out, "%2d %-44s passed %6.1f s  %s\n", number, c.name, took, figures)
	}
	fmt.Fprintf(out, "hq: %d passed, %d failed\n", passed, failed)
	if failed > 0 {
		return errFailed
	}
	return nil
}
