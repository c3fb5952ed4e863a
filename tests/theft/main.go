// Command theft steals a kiosk: its disk, yesterday's copy of its disk, and the whole box; and prints what each thief gets.
//
//	make theft
//
// A victim is built as a kiosk is: a TPM (swtpm), provisioned by door itself, an approval by a release key, a sealed vault with twelve people, an
// audit log with checkpoints and an anchor. Disk and TPM are copied at each moment of its life. Every attack then works on copies of its own: a
// disk of one moment at a TPM of another. What is to happen was written down beforehand: a refusal, by the error that the kiosk gives, or that it
// opens, where docs/THREAT_MODEL.md says so. A row that comes out otherwise is UNEXPECTED, and the exit status is 1.
//
// "The right TPM" is a copy of swtpm's state: a chip cannot be copied, and no row needs two of them. What stays outside: the chip's own secrets
// read out of its silicon, and the memory of a running kiosk.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return // the usage was printed
		}
		fmt.Fprintln(os.Stderr, "theft:", err)
		os.Exit(1)
	}
}

const usage = `usage: theft [-programs folder]

Steals a kiosk in every way that docs/THREAT_MODEL.md speaks of, prints a row for each attack, and then "theft: N rows, N as expected".
Exit status 1 unless all are. It needs swtpm, works in a temporary folder and takes less than a minute.

`

var errUnexpected = errors.New("not every attack ended as it should")

func run(args []string, out, progress io.Writer) (err error) {
	flags := flag.NewFlagSet("theft", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.Usage = func() {
		fmt.Fprint(progress, usage)
		flags.PrintDefaults()
	}
	programs := flags.String("programs", "", "folder of the built programs; without it firmware/root provisions in the place of door, and the rows that start door are left out")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; see theft -h", flags.Arg(0))
	}
	work, err := os.MkdirTemp("", "theft")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	start := time.Now()
	fmt.Fprintln(progress, "building the kiosk that is to be stolen, the thief's own, and one with a secret of its processor")
	t, err := newTheft(work, *programs)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "built in %.1f s; stealing\n", time.Since(start).Seconds())
	all, expected := t.print(out, t.rows())
	fmt.Fprintf(progress, "%.1f s in all\n", time.Since(start).Seconds())
	fmt.Fprintf(out, "theft: %d rows, %d as expected\n", all, expected)
	if expected != all {
		return errUnexpected
	}
	return nil
}
