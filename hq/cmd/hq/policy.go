package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/lintel-access/lintel/hq/policy"
)

const policyUsage = `usage: hq policy check FILE [-people CSV] [-on DATE]
       hq policy diff OLD NEW [-people CSV] [-on DATE]
       hq policy compile FILE -o OUT [-people CSV] [-on DATE]
       hq policy push FILE -key FILE -dir DIR …
       hq policy show -dir DIR …

check says what the rules of a site do and what is wrong or odd about them, diff what would change for whom, compile writes
what an administrator signs and kiosks decide by, push puts it in force, show says what is in force and where; push -h and
show -h say more. docs/POLICY.md describes the document. The people are CSV: person,groups.

`

// policyOrder is what hq policy was asked for.
type policyOrder struct {
	files  []string
	out    string
	people []policy.Person
	now    time.Time
}

func runPolicy(ctx context.Context, args []string, out, progress io.Writer) error {
	if len(args) == 0 || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" || args[0] == "help" {
		fmt.Fprint(out, policyUsage)
		if len(args) == 0 {
			return errUsage
		}
		return flag.ErrHelp
	}
	switch args[0] {
	case "push":
		return pushPolicy(ctx, args[1:], out, progress)
	case "show":
		return showPolicy(ctx, args[1:], out, progress)
	}
	does, known := map[string]func(policyOrder, io.Writer) error{"check": checkPolicy, "diff": diffPolicy, "compile": compilePolicy}[args[0]]
	if !known {
		return fmt.Errorf("policy %q is no command: %w", args[0], errUsage)
	}
	o, err := readPolicyOrder(args[1:], progress)
	if err != nil {
		return err
	}
	if want := map[string]int{"check": 1, "diff": 2, "compile": 1}[args[0]]; len(o.files) != want || (args[0] == "compile") != (o.out != "") {
		fmt.Fprint(progress, policyUsage)
		return errUsage
	}
	return does(o, out)
}

// readPolicyOrder takes flags before and after the files.
func readPolicyOrder(args []string, progress io.Writer) (o policyOrder, err error) {
	flags := flag.NewFlagSet("hq policy", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.Usage = func() {
		fmt.Fprint(progress, policyUsage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.out, "o", "", "`file` to write what kiosks decide by")
	peopleFile := flags.String("people", "", "`CSV` of people and their groups, for counts and for what changes for whom")
	on := flags.String("on", "", "`date` to look ahead from, as 2026-12-24; today")
	for {
		if err := flags.Parse(args); err != nil {
			return o, errors.Join(err, errUsage)
		}
		if flags.NArg() == 0 {
			break
		}
		o.files, args = append(o.files, flags.Arg(0)), flags.Args()[1:]
	}
	o.now = time.Now()
	if *on != "" {
		if o.now, err = time.Parse(time.DateOnly, *on); err != nil {
			return o, fmt.Errorf("-on %q: want a date as 2026-12-24: %w", *on, errUsage)
		}
		o.now = o.now.Add(12 * time.Hour) // that day almost everywhere
	}
	o.people, err = readPeople(*peopleFile)
	return o, err
}

// readPeople reads a list of people; no file is nobody.
func readPeople(file string) ([]policy.Person, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	people, err := policy.ReadPeople(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return people, nil
}

// buildPolicy builds a file, says what was found, and fails when some of it is an error.
func buildPolicy(file string, o policyOrder, out io.Writer) (policy.Built, error) {
	f, err := os.Open(file)
	if err != nil {
		return policy.Built{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, policy.MaxText+1))
	if err != nil {
		return policy.Built{}, err
	}
	b := policy.Build(text, o.people, o.now)
	for _, found := range b.Findings {
		fmt.Fprintf(out, "%s:%v\n", file, found)
	}
	if b.Encoded == nil {
		return b, fmt.Errorf("%s is no policy that may come into force", file)
	}
	return b, nil
}

func checkPolicy(o policyOrder, out io.Writer) error {
	b, err := buildPolicy(o.files[0], o, out)
	if err != nil {
		return err
	}
	if len(b.Findings) > 0 {
		fmt.Fprintln(out)
	}
	b.Document.Explain(out, b.Site, o.people)
	fmt.Fprintf(out, "\nFor a kiosk: %d bytes.\n", len(b.Encoded))
	return nil
}

func diffPolicy(o policyOrder, out io.Writer) error {
	// The old one may be in force with what is an error by now; it is compared as long as it says something.
	was, err := buildPolicy(o.files[0], o, io.Discard)
	if err != nil && was.Site.Validate() != nil {
		return fmt.Errorf("%w: hq policy check says why", err)
	}
	is, err := buildPolicy(o.files[1], o, out)
	if err != nil {
		return err
	}
	policy.Diff(out, was.Site, is.Site, o.people, is.Today)
	return nil
}

// compilePolicy writes beside the place and renames: what is there stays until all of the new one is on the disk.
func compilePolicy(o policyOrder, out io.Writer) error {
	b, err := buildPolicy(o.files[0], o, out)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(o.out), ".policy-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone by then when all went well
	_, err = f.Write(b.Encoded)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write policy: %w", err)
	}
	if err := os.Rename(f.Name(), o.out); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %d bytes of %q, from a document with SHA-256 %x\n", o.out, len(b.Encoded), b.Site.Name, b.Site.Text)
	return nil
}
