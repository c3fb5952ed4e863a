package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/ledger"
)

const eventsUsage = `hq events shows what kiosks have recorded, and what is wrong with it. hq serve may run meanwhile; nothing is changed. The events of a
kiosk come in its own order, those of several kiosks one kiosk after the other; with -follow new ones are shown as they arrive. An event
that is "not vouched for yet" is covered by no checkpoint of the kiosk: it came this minute, or somebody between invented it.

  hq events -dir DIR [-follow] [-json] [-door NAME] [-kind WHAT] [-kiosk NAME] [-since WHEN] [-severity WORD] [-vouched]

Example:
  hq events -follow -door front -severity notice -dir hq

`

type eventsOptions struct {
	state        string
	filter       ledger.Filter
	follow, json bool
}

func parseEvents(args []string, help io.Writer, now time.Time) (eventsOptions, error) {
	var o eventsOptions
	var since, severity string
	fs := flag.NewFlagSet("hq events", flag.ContinueOnError)
	fs.StringVar(&o.state, "dir", "", "headquarters' folder (required)")
	fs.BoolVar(&o.follow, "follow", false, "go on with what arrives; of what came before it shows the alarms that stand open, and the rest with -since alone")
	fs.BoolVar(&o.json, "json", false, "one JSON object a line")
	fs.StringVar(&o.filter.Door, "door", "", "of this door, with the alarms of its kiosk")
	fs.StringVar(&o.filter.Kind, "kind", "", "number of an event (307), a hundred of them (3xx), words of a name (forced), also of an alarm's (silence), or alarm: all of those")
	fs.StringVar(&o.filter.Kiosk, "kiosk", "", "of the kiosks whose name begins so")
	fs.StringVar(&since, "since", "", "arrived since: so long ago (90m), or a time (2026-11-23T08:00:00Z)")
	fs.StringVar(&severity, "severity", "info", "at least info, notice, warning or alert")
	fs.BoolVar(&o.filter.Vouched, "vouched", false, "leave out what no checkpoint covers yet: then each record is shown once and never changes")
	if err := parseLedgerFlags(fs, args, help, eventsUsage); err != nil {
		return o, err
	}
	if o.state == "" || fs.NArg() > 0 {
		return o, fmt.Errorf("hq events takes -dir DIR and no other word: %w", errUsage)
	}
	known := false
	for s := access.Info; s <= access.Alert; s++ {
		if s.String() == severity {
			o.filter.Severity, known = s, true
		}
	}
	if !known {
		return o, fmt.Errorf("severity %q: want info, notice, warning or alert: %w", severity, errUsage)
	}
	if !o.filter.Able() {
		return o, fmt.Errorf("-kind %q: no event and no alarm has such a number or words in its name: %w", o.filter.Kind, errUsage)
	}
	if since == "" {
		if o.follow {
			o.filter.Since = now
		}
		return o, nil
	}
	if ago, err := time.ParseDuration(since); err == nil && ago >= 0 {
		o.filter.Since = now.Add(-ago)
	} else if o.filter.Since, err = time.Parse(time.RFC3339, since); err != nil {
		return o, fmt.Errorf("since %q: want so long ago, such as 90m, or a time, such as 2026-11-23T08:00:00Z: %w", since, errUsage)
	}
	return o, nil
}

// eventsCommand is hq events.
func eventsCommand(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parseEvents(args, out, time.Now())
	if err != nil {
		return err
	}
	r, err := ledger.Inspect(filepath.Join(o.state, ledger.Folder))
	if err != nil {
		return err
	}
	if text := absent(r, o.filter); text != "" {
		fmt.Fprintf(progress, "attention: %s; it may come later\n", text)
	}
	return r.Follow(ctx, o.filter, o.follow, func(e ledger.Event) error {
		if !o.json {
			_, err := fmt.Fprintln(out, e.Line(time.Local))
			return err
		}
		line, err := e.JSON()
		if err == nil {
			_, err = out.Write(append(line, '\n'))
		}
		return err
	})
}

// absent says that nobody has named the kiosk or the door that somebody asks for: it may be mistyped. Empty: they are there.
func absent(r *ledger.Reader, f ledger.Filter) string {
	if f.Kiosk == "" && f.Door == "" {
		return ""
	}
	kiosks, err := r.Kiosks()
	kiosks = slices.DeleteFunc(kiosks, func(name string) bool { return !strings.HasPrefix(name, f.Kiosk) })
	switch {
	case err != nil: // Follow says so
		return ""
	case len(kiosks) == 0 && f.Kiosk != "":
		return fmt.Sprintf("no kiosk begins with %q", f.Kiosk)
	case f.Door != "" && !slices.ContainsFunc(kiosks, func(name string) bool { return r.Door(name) == f.Door }):
		return fmt.Sprintf("no kiosk's newest record that is vouched for names door %q", f.Door)
	}
	return ""
}

// parseLedgerFlags leaves the text of an error to main, which prints it once.
func parseLedgerFlags(fs *flag.FlagSet, args []string, help io.Writer, usage string) error {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	words, err := []string{"--"}, fs.Parse(args)
	for ; err == nil && fs.NArg() > 0; err = fs.Parse(fs.Args()[1:]) { // flags and words in any order
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
		return fmt.Errorf("%s; see %s -h: %w", strings.TrimSpace(err.Error()), fs.Name(), errUsage)
	}
	return nil
}
