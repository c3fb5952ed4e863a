// Command link is the kiosk's only program with a way to headquarters. It carries sealed envelopes that it cannot read and knows no
// template and no relay.
//
// No headquarters can be configured yet: link watches how many records wait in the outbox, says so, and has no network.
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
)

// exitConfig is EX_CONFIG: the installation is wrong, and starting again at once cannot help.
const exitConfig = 78

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "link:", err)
		if errors.Is(err, errConfig) {
			os.Exit(exitConfig)
		}
		os.Exit(1)
	}
}

var errConfig = errors.New("configuration")

func run(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("link", flag.ContinueOnError)
	name := fs.String("board", "desk", "name of the board that this program runs on")
	dir := fs.String("run", "", "folder of the sockets (required)")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "link carries the audit log to headquarters. No headquarters can be configured yet: it reports how many records wait.")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *dir == "" || fs.NArg() > 0 {
		return errors.New("say where the sockets are: -run folder; see link -h")
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
	report, err := confine.Apply(confine.Link(*dir, false))
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "ready, no headquarters configured, no network, %d threads confined\n", report.Threads)
	return watch(ctx, ipc.NewClient(conn, func(ipc.Message) {}))
}

const (
	patience = 5 * time.Second // for door to open its sockets
	pulse    = time.Second
	report   = time.Minute // how often the backlog is said when it has grown
)

// watch asks for the outbox until door or ctx is gone.
func watch(ctx context.Context, door *ipc.Client) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cancel(door.Run(ctx))
	}()
	defer func() { <-ended }()
	defer cancel(nil)
	tick := time.NewTicker(pulse)
	defer tick.Stop()
	var said uint64
	var when time.Time
	for {
		var out ipc.Outbox
		if err := door.Call(ctx, ipc.KindOutboxHead, nil, &out); err != nil {
			return err
		}
		if waiting := out.Records - out.Cursor; waiting != said && time.Since(when) >= report {
			said, when = waiting, time.Now()
			fmt.Fprintf(os.Stderr, "%d records wait for a headquarters\n", waiting)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
