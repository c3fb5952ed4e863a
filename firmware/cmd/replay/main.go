//go:build !kiosk

// Command replay decides an abuse bundle again: it decrypts the file, runs the evidence through the code that decided at the door, and, where the file
// holds frames, measures them again with the real models.
//
//	replay FILE -identity KEYFILE
//
// It prints what comes out as it did and what does not, a sentence each.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"image/png"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"

	"filippo.io/age"

	"github.com/lintel-access/lintel/firmware/abuse"
	"github.com/lintel-access/lintel/firmware/retrial"
	"github.com/lintel-access/lintel/inference"
	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/model"
)

const usage = `usage: replay FILE -identity KEYFILE [-report] [-frames DIR]

Decides an abuse bundle again. FILE is what a kiosk kept of one walk-up (its folder abuse/, docs/OPERATIONS.md); KEYFILE holds the reviewer's
age identity, a line that begins with AGE-SECRET-KEY-1. Nothing of the bundle is written to disk, unless -frames asks for its pictures.

Exit status 0: it came out as it did at the door. 1: something differs. 2: it could not be tried.

`

// What the program ends with.
const (
	same    = 0
	differs = 1
	cannot  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	agrees, err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(cannot)
	case !agrees:
		os.Exit(differs)
	}
	os.Exit(same)
}

type options struct {
	file, identity, cache, frames string
	report                        bool
}

func parse(args []string, help io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.SetOutput(help)
	flags.Usage = func() {
		fmt.Fprint(help, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.identity, "identity", "", "file of the reviewer's age identity (required)")
	flags.StringVar(&o.cache, "cache", ".lintel", "where make deps has put ONNX Runtime and models; needed for frames alone")
	flags.BoolVar(&o.report, "report", false, "print the nine fields of the abuse report, too")
	flags.StringVar(&o.frames, "frames", "", "write the frames as pictures to this new folder: they show a person")
	// The file may stand before the flags, as people write it.
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		o.file, args = args[0], args[1:]
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.file == "" {
		o.file = flags.Arg(0)
		args = flags.Args()[min(flags.NArg(), 1):]
	} else {
		args = flags.Args()
	}
	switch {
	case o.file == "" || o.identity == "":
		return o, errors.New("say which file, and whose identity opens it: replay FILE -identity KEYFILE; see replay -h")
	case len(args) > 0:
		return o, fmt.Errorf("unexpected argument %q; see replay -h", args[0])
	}
	return o, nil
}

func run(ctx context.Context, args []string, out, help io.Writer) (agrees bool, err error) {
	o, err := parse(args, help)
	if err != nil {
		return false, err
	}
	b, film, err := open(o)
	if err != nil {
		return false, err
	}
	defer b.Case.Wipe()
	c := &b.Case
	here := abuse.Here("replay")
	fmt.Fprintf(out, "session %v at door %q, profile %v: %v, %v\n", c.Opened.Session, c.Policy.Door, c.Bar.Profile, c.Outcome, c.Why)
	fmt.Fprintf(out, "made by %q, %q on %q with %q; tried on %s by %s\n", c.Made.By, c.Made.Go, c.Made.Arch, c.Made.Provider, here.Arch, here.Go)
	if n := len(c.Presentation.Frames); n > 0 {
		fmt.Fprintf(out, "last link of the frame chain, as in the walk-up's audit record: %x\n", c.Presentation.Frames[n-1].Chain)
	}
	if o.report {
		tell(out, b.Report)
	}
	agrees = say(out, retrial.Evidence(c, here))
	if len(film) == 0 {
		fmt.Fprintf(out, "no frames: %s\n", plain(b.Report.Exploit))
		if o.frames != "" {
			return false, errors.New("-frames: the bundle has none")
		}
		return agrees, nil
	}
	if o.frames != "" {
		if err := develop(o.frames, film); err != nil {
			return false, err
		}
	}
	again, err := look(ctx, o, c, film, here)
	if err != nil {
		return false, err
	}
	return say(out, again) && agrees, nil
}

// say prints what was compared, and reports whether all of it is the same.
func say(out io.Writer, list []retrial.Sentence) (agrees bool) {
	agrees = true
	for _, s := range list {
		agrees = agrees && s.Same
		fmt.Fprintln(out, s)
	}
	return agrees
}

func open(o options) (*abuse.Bundle, []abuse.Picture, error) {
	key, err := os.Open(o.identity)
	if err != nil {
		return nil, nil, err
	}
	identities, err := age.ParseIdentities(io.LimitReader(key, 64<<10))
	if err := errors.Join(err, key.Close()); err != nil {
		return nil, nil, fmt.Errorf("read identity %q: no age identity in it", o.identity) // the cause may repeat a line of it
	}
	f, err := os.Open(o.file)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%q is no file", o.file)
	}
	return abuse.Open(f, info.Size(), identities...)
}

// look measures the frames again, exactly if this machine can.
func look(ctx context.Context, o options, c *abuse.Case, film []abuse.Picture, here abuse.Made) (list []retrial.Sentence, err error) {
	m, err := model.Default()
	if err != nil {
		return nil, err
	}
	e, err := inference.Open(inference.Config{
		Library: filepath.Join(o.cache, "ort", "libonnxruntime.so.1"), Bundle: filepath.Join(o.cache, "bundle"), Manifest: m, Threads: 1, Limits: face.DefaultLimits(),
	})
	if err != nil {
		return nil, fmt.Errorf("%w (make deps fetches what frames need)", err)
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	shown, err := retrial.Look(ctx, e, m.Hash(), c, film)
	if err != nil {
		return nil, err
	}
	defer shown.Wipe()
	models := retrial.Sentence{Same: true, Text: fmt.Sprintf("the models: %s, %s", m.Name, e.Report.Provider)}
	exact := here.Arch == c.Made.Arch && e.Report.Provider == c.Made.Provider && m.Hash() == c.Opened.Bundle
	if m.Hash() != c.Opened.Bundle {
		models = retrial.Sentence{Text: fmt.Sprintf("the models: %s here, %q at the door", m.Name, c.Made.Bundle)}
		shown.Bundle = c.Opened.Bundle // so that the rest can be held against it
	}
	return append([]retrial.Sentence{models}, retrial.Frames(c, shown, exact)...), nil
}

// tell prints the report.
func tell(out io.Writer, r abuse.Report) {
	one := func(name, text string) { fmt.Fprintf(out, "%s: %s\n", name, plain(text)) }
	many := func(name string, lines []string) {
		fmt.Fprintf(out, "%s:\n", name)
		for _, l := range lines {
			fmt.Fprintf(out, "\t%s\n", plain(l))
		}
	}
	one("material type", r.Material)
	many("API path", r.Path)
	one("request id", r.Request)
	one("session id", r.Session)
	one("model version", r.Model)
	many("conditions", r.Conditions)
	many("steps", r.Steps)
	one("exploit image", r.Exploit)
	one("business impact", r.Impact)
}

// plain keeps what a file says from moving the cursor of whoever reads it: everybody can encrypt something to a reviewer.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// develop writes the pictures.
func develop(dir string, film []abuse.Picture) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for i := range film {
		f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("%d.png", film[i].Seq)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		if err := errors.Join(png.Encode(f, &film[i].Image), f.Close()); err != nil {
			return err
		}
	}
	return nil
}
