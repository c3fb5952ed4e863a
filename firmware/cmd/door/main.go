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
	"path/filepath"
	"syscall"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/confine"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/portal"
)

// exitConfig is EX_CONFIG: the installation is wrong, and starting again at once cannot help.
const exitConfig = 78

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	switch err := run(ctx, os.Args[1:]); {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "door:", err)
		var c *configError
		if errors.As(err, &c) {
			os.Exit(exitConfig)
		}
		os.Exit(1)
	}
}

// configError is an error that only a change of the installation can mend.
type configError struct{ error }

func (e *configError) Unwrap() error { return e.error }

type options struct {
	board, run, state string
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("door", flag.ContinueOnError)
	fs.StringVar(&o.board, "board", "desk", "name of the board that this program runs on")
	fs.StringVar(&o.run, "run", "", "folder of the sockets (required)")
	fs.StringVar(&o.state, "state", "", "folder of the vault and the audit log (required)")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "door decides who may enter and drives the lock. The desk and the device's supervisor start it.")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; see door -h", fs.Arg(0))
	}
	if o.run == "" || o.state == "" {
		return o, errors.New("say where sockets and state are: -run folder -state folder")
	}
	return o, nil
}

func run(ctx context.Context, args []string) (err error) {
	syscall.Umask(0o077)
	o, err := parse(args)
	if err != nil {
		return err
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
	store, err := vault.Open(filepath.Join(o.state, "vault.db"), vault.Options{})
	if err != nil {
		return &configError{err}
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	log, recovery, err := auditlog.Open(filepath.Join(o.state, "audit"), auditlog.Options{})
	if err != nil {
		return &configError{err}
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	k, err := assemble(b, store, log, lines)
	if err != nil {
		return &configError{err}
	}
	defer k.gallery.Wipe()
	s := &server{door: k, log: func(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }}
	if err := s.listen(o.run, clients(b)); err != nil {
		return err
	}
	report, err := confine.Apply(confine.Door(o.state, o.run))
	if err != nil {
		return errors.Join(err, s.close())
	}
	k.degraded = append(k.degraded, report.Degraded...)
	k.booted(recovery)
	fmt.Fprintf(os.Stderr, "ready: boot %d, %d people, %d records, %d threads confined\n", k.boot, k.gallery.Len(), log.Head(), report.Threads)
	err = k.run(ctx, s)
	k.note(access.EventShutDown, "")
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

// lamp is the infrared lamp on its line.
type lamp struct{ lines portal.Lines }

func (l lamp) Set(on bool) (at time.Duration, err error) { return l.lines.Set(board.Lamp, on) }
