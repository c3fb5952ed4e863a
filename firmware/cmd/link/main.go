// Command link is the kiosk's only program with a way to headquarters. It carries sealed envelopes that it cannot read and knows no
// template and no relay.
//
// door says where headquarters is. Without one link watches how many records wait in the outbox, says so, and has no network; what it may reach is
// settled when it starts, so it ends, to be started again, when that changes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/confine"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/sync/link"
)

// What link ends with, besides 0.
const (
	exitFailed = 1
	exitUsage  = 2
	// exitConfig is EX_CONFIG: the installation is wrong, and starting again at once cannot help.
	exitConfig = 78
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "link:", err)
		os.Exit(exitOf(err))
	}
}

var (
	errConfig = errors.New("configuration")
	errUsage  = errors.New("see link -h")
)

// exitOf is what the program ends with after an error.
func exitOf(err error) int {
	switch {
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, errConfig):
		return exitConfig
	}
	return exitFailed
}

func run(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("link", flag.ContinueOnError)
	name := fs.String("board", "desk", "name of the board that this program runs on")
	dir := fs.String("run", "", "folder of the sockets (required)")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "link carries the audit log to headquarters, and what headquarters says to door. Without a headquarters it reports how many records wait.")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return fmt.Errorf("%w; %w", err, errUsage)
	}
	if *dir == "" || fs.NArg() > 0 {
		return fmt.Errorf("say where the sockets are: -run folder; %w", errUsage)
	}
	b, err := board.Load(*name)
	if err != nil {
		return fmt.Errorf("%w: %w", errConfig, err)
	}
	uid := b.Programs.Users.Door
	if uid == 0 {
		uid = os.Geteuid()
	}
	conn, err := ipc.DialWithin(ctx, patience, filepath.Join(*dir, ipc.Link.Socket()), ipc.Link, uid)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	d := &door{}
	carrier := link.New(d, say)
	d.client = ipc.NewClient(conn, func(m ipc.Message) {
		var report ipc.Report
		if m.Kind == ipc.KindReport && ipc.Decode(m, &report) == nil {
			carrier.Report(report.Data)
		}
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cancel(d.client.Run(ctx))
	}()
	defer func() { <-ended }()
	defer cancel(nil)

	at, err := d.ask(ctx)
	if err != nil {
		return err
	}
	d.reach = reach(at.Broker)
	report, err := confine.Apply(confine.Link(*dir, d.reach))
	if err != nil {
		return err
	}
	if at.Broker == "" {
		say("ready, door names no headquarters, no network, %d threads confined", report.Threads)
		return watch(ctx, d)
	}
	for _, d := range report.Degraded {
		say("degraded: %s", d)
	}
	say("ready, headquarters at %q, %d threads confined", at.Broker, report.Threads)
	return carrier.Run(ctx)
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

const (
	patience = 5 * time.Second // for door to open its sockets
	pulse    = time.Second
	report   = time.Minute      // how often the backlog is said when it has grown
	look     = 10 * time.Second // how often door is asked for a headquarters while there is none
)

// watch asks for the outbox until door or ctx is gone, or a headquarters is configured.
func watch(ctx context.Context, d *door) error {
	tick := time.NewTicker(pulse)
	defer tick.Stop()
	var said uint64
	var when time.Time
	for asked := time.Now(); ; {
		records, cursor, err := d.Outbox(ctx)
		if err != nil {
			return err
		}
		if waiting := records - cursor; waiting != said && time.Since(when) >= report {
			said, when = waiting, time.Now()
			say("%d records wait for a headquarters", waiting)
		}
		if time.Since(asked) >= look {
			asked = time.Now()
			if at, err := d.ask(ctx); err != nil || at.Broker != "" {
				return errors.Join(err, errAnew)
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
