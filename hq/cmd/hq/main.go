// Command hq is headquarters: it enrols people, tells kiosks what they must know, and takes in what they have recorded.
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
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/hq/extract"
	"github.com/lintel-access/lintel/hq/extract/worker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := hide()
	if err == nil {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "hq:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "hq:", err)
		os.Exit(1)
	}
}

// hide lets no other program of this account read hq's memory, where keys and references are, and leaves no core image: the child that parses photographs
// is such a program, and an operator's editor is another.
func hide() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("hide memory: %w", err)
	}
	return nil
}

// errUsage means that the words on the command line make no sense.
var errUsage = errors.New("see hq -h")

// command is one word that follows hq on the command line.
type command struct {
	name, does string
	run        func(ctx context.Context, args []string, out, progress io.Writer) error
}

// commands are all there are, in the order in which a stranger needs them.
func commands() []command {
	return slices.Concat([]command{
		{"init", "make headquarters' keys and folders", initCommand},
		{"key", "make an operator's key", keyCommand},
		{"trust", "say who may do what (with the keys from the safe)", trustCommand},
		{"serve", "run headquarters", serveCommand},
		{"kiosk", "add, list, quarantine, replace, decommission kiosks", kioskCommand},
	}, peopleCommands(), []command{
		{"forgotten", "say which kiosks may still hold somebody who was deleted, and write the proofs of the others", forgottenCommand},
		{"roster", "compare whom a kiosk holds with whom it should hold", rosterCommand},
		{"sign", "sign, on your own machine, what headquarters has drafted", signCommand},
		{"hand", "take in what was signed", handCommand},
		{"policy", "check, explain, compare the rules of a site, and put them in force", runPolicy},
		{"events", "show what kiosks have recorded, and what is wrong with it", eventsCommand},
		{"receipt", "write the proof that a walk-up stands in the kiosk's log", receiptCommand},
		{"verify-receipt", "check such a proof with the kiosk's public key alone", verifyReceiptCommand},
		{"release", "open one door once, from afar", releaseCommand},
		{"begin", "have a person enrolled at a kiosk, now: what follows hq enrol -at", beginCommand},
		{"lockdown", "lock all doors or one", lockdownCommand},
		{"disable", "have nobody recognised", disableCommand},
		{"certificate", "make a certificate for somebody else's broker", certificateCommand},
		{"cluster", "make what the house's own NATS servers need", clusterCommand},
		{"backup", "write the state to a file", backupCommand},
		{"restore", "take a backup back", restoreCommand},
	})
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	if len(args) == 0 || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" || args[0] == "help" {
		usage(out)
		if len(args) == 0 {
			return errUsage
		}
		return nil
	}
	if args[0] == extract.Word {
		return worker.Run(args[1:], os.Stdin, out)
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, args[1:], out, progress)
		}
	}
	return fmt.Errorf("%q is no command: %w", args[0], errUsage)
}

func usage(out io.Writer) {
	fmt.Fprint(out, "usage: hq COMMAND …; hq COMMAND -h says more\n\n")
	for _, c := range commands() {
		fmt.Fprintf(out, "  %-14s %s\n", c.name, c.does)
	}
}
