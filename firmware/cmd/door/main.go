// Command door decides who may enter and alone can open: it keeps the references, the policy and the audit log, drives the lamp and
// the relay, and has no network.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/confine"
	"github.com/lintel-access/lintel/firmware/deadman"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/portal"
	"github.com/lintel-access/lintel/firmware/walkup"
)

// commands are what else this program does; without one it is the door.
func command(args []string) (run func() error, found bool) {
	if len(args) == 0 {
		return nil, false
	}
	switch rest := args[1:]; args[0] {
	case "provision":
		return func() error { return provisionCommand(rest, os.Stdout) }, true
	case "identity":
		return func() error { return identityCommand(rest, os.Stdout) }, true
	case "headquarters":
		return func() error { return headquartersCommand(rest, os.Stdout) }, true
	case "receipt":
		return func() error { return receiptCommand(rest, os.Stdout, os.Stderr) }, true
	case "verify-receipt":
		return func() error { return verifyReceiptCommand(rest, os.Stdout) }, true
	}
	return nil, false
}

func main() {
	if run, found := command(os.Args[1:]); found {
		syscall.Umask(0o077)
		if err := run(); err != nil && !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "door:", err)
			os.Exit(exitOf(err))
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	switch err := run(ctx, os.Args[1:]); {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "door:", err)
		os.Exit(exitOf(err))
	}
}

type options struct {
	board, run, state string
	deadman           int // descriptor of the dead-man's line; 0: none
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("door", flag.ContinueOnError)
	fs.StringVar(&o.board, "board", "desk", "name of the board that this program runs on")
	fs.StringVar(&o.run, "run", "", "folder of the sockets (required)")
	fs.StringVar(&o.state, "state", "", "folder of the vault and the audit log (required)")
	fs.IntVar(&o.deadman, "deadman", 0, "descriptor of the dead-man's line that the supervisor left (0: none)")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "door decides who may enter and drives the lock. The desk and the device's supervisor start it.\n"+
			"Other commands: door provision, door identity, door headquarters, door receipt, door verify-receipt; each has a -h.")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return o, &usageError{err}
	}
	if fs.NArg() > 0 {
		return o, &usageError{fmt.Errorf("unexpected argument %q; see door -h", fs.Arg(0))}
	}
	if o.run == "" || o.state == "" {
		return o, &usageError{errors.New("say where sockets and state are: -run folder -state folder")}
	}
	return o, nil
}

func run(ctx context.Context, args []string) (err error) {
	syscall.Umask(0o077)
	o, err := parse(args)
	if err != nil {
		return err
	}
	var feeder *deadman.Feeder
	if o.deadman != 0 {
		if feeder, err = deadman.Inherit(o.deadman); err != nil {
			return &configError{err}
		}
	}
	b, err := board.Load(o.board)
	if err != nil {
		return &configError{err}
	}
	lines, err := openLines(b, o.run)
	if err != nil {
		return err
	}
	defer lines.Close()
	// The relay is made safe before anything else is looked at: opening a vault takes a while, and may fail.
	if err := safe(b, lines); err != nil {
		return err
	}
	k, err := newKiosk(b, lines)
	if err != nil {
		return &configError{err}
	}
	k.portal.Show(access.IndicateStarting())
	// The portal works from here to the very end: neither a slow TPM nor a large vault keeps anybody from leaving.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	portalCtx, stopPortal := context.WithCancel(context.WithoutCancel(ctx))
	portalEnded := make(chan error, 1)
	go func() {
		err := k.portal.Run(portalCtx)
		cancel(fmt.Errorf("portal: %w", err))
		portalEnded <- err
	}()
	ready := func() {}
	if feeder != nil {
		// The proof of life passes through the portal's loop: where that hangs, this hangs, and the supervisor ends us.
		go func() { _ = feeder.Run(portalCtx, k.portal.Ping, k.lastWords) }() // a supervisor that is gone ends us by other means
		ready = feeder.Ready
	}
	end := sync.OnceFunc(func() { stopPortal(); <-portalEnded })
	defer end()
	return k.work(ctx, b, lines, o, ready, end)
}

// lastWords records that the door hangs and is about to be ended.
func (k *kiosk) lastWords() error {
	select {
	case <-k.whole:
		return k.append(auditlog.Vital, k.blank(access.EventDoorHung))
	default:
		return errNoLog
	}
}

// work lays the ground, furnishes the kiosk on it and serves until ctx ends. Then it ends the portal, last of all but the ground: its last records
// need one.
func (k *kiosk) work(ctx context.Context, b board.Board, lines portal.Lines, o options, ready, endPortal func()) (err error) {
	g, err := layGround(b, o)
	if err != nil {
		return &configError{err}
	}
	defer func() { endPortal(); err = errors.Join(err, g.clear()) }()
	lockdown, err := k.furnish(b, g, lines)
	if err != nil {
		return &configError{err}
	}
	defer k.gallery.Wipe()
	if err := k.portal.Found(ctx, lockdown); err != nil {
		return err
	}
	s := &server{door: k, log: func(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }}
	if err := s.listen(o.run, clients(b)); err != nil {
		return err
	}
	report, err := confine.Apply(confine.Door(o.state, o.run, b.TPM.Device()))
	if err != nil {
		return errors.Join(err, s.close())
	}
	k.reasons = append(k.reasons, report.Degraded...)
	k.test.supports(report.Degraded, o.deadman != 0)
	k.booted(g)
	for _, why := range k.reasons {
		fmt.Fprintln(os.Stderr, "degraded:", why)
	}
	fmt.Fprintf(os.Stderr, "ready: boot %d, %d people, %d records, %d threads confined\n", k.boot, k.gallery.Len(), k.outbox().Records, report.Threads)
	ready()
	err = k.run(ctx, s)
	k.fold.flush()
	k.note(access.EventShutDown, "")
	if k.notary != nil {
		k.notary.anchor(context.WithoutCancel(ctx)) // what the last minute brought shall not wait for the next start
	}
	return err
}

// clients are the users that may connect in each role. A bench operator exists on a lab board alone.
func clients(b board.Board) map[ipc.Role]int {
	uids := map[ipc.Role]int{ipc.Eye: user(b.Programs.Users.Eye), ipc.Link: user(b.Programs.Users.Link)}
	if b.Lab {
		uids[ipc.Desk] = os.Geteuid()
	}
	return uids
}

// safe secures the relay at once, unless the fire input says otherwise.
func safe(b board.Board, lines portal.Lines) error {
	if b.Has(board.Fire) {
		if fire, err := lines.Level(board.Fire); err != nil || fire {
			return err
		}
	}
	if _, err := lines.Set(board.Relay, false); err != nil {
		return fmt.Errorf("secure relay at start: %w", err)
	}
	return nil
}

// lamp is an infrared lamp on its line.
type lamp struct {
	lines portal.Lines
	line  board.Line
}

func (l lamp) Set(on bool) (at time.Duration, err error) { return l.lines.Set(l.line, on) }

// lamps are those of a board, the left one first.
func lamps(b board.Board, lines portal.Lines) []walkup.Lamp {
	list := []walkup.Lamp{lamp{lines, board.Lamp}}
	if b.Lamp.Count == 2 {
		list = append(list, lamp{lines, board.Lamp2})
	}
	return list
}
