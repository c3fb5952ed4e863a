package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/lintel-access/lintel/hq/people"
	"github.com/lintel-access/lintel/hq/policy"
)

const policyUsage = `usage: hq policy check FILE [-people CSV|-dir DIR] [-on DATE]
       hq policy diff OLD NEW [-people CSV|-dir DIR] [-on DATE]
       hq policy compile FILE -o OUT [-people CSV|-dir DIR] [-on DATE]
       hq policy push FILE -key FILE|-draft FILE [-yes] [-people CSV] -dir DIR|-socket PATH
       hq policy show [-text] [-json] -dir DIR

  check    says in sentences what the rules of a site do, and what is wrong or odd about them
  diff     says what would change, and for whom
  compile  writes what kiosks decide by; push does that itself
  push     puts rules in force at every kiosk, signed by an administrator
  show     says which rules are in force, and which kiosks have them

hq policy push -h says more, and so for each. docs/POLICY.md describes the document FILE. Example:
  hq policy show -text -dir hq > old.toml; hq policy diff old.toml new.toml -dir hq
`

// policyOrder is what hq policy was asked for.
type policyOrder struct {
	files  []string
	out    string
	people []policy.Person
	now    time.Time
}

// policyWords are hq policy's commands.
var policyWords = map[string]func(ctx context.Context, args []string, out, progress io.Writer) error{
	"check": onFiles{"check", 1, "FILE", "Says in sentences what the rules in FILE do, and what is wrong or odd about them. Example:\n  hq policy check site.toml -dir hq", checkPolicy}.run,
	"diff": onFiles{"diff", 2, "OLD NEW", "Says what would change if the rules in NEW took the place of those in OLD: for each group, and with -dir or -people for each person. Example:\n" +
		"  hq policy show -text -dir hq > old.toml; hq policy diff old.toml new.toml -dir hq", diffPolicy}.run,
	"compile": onFiles{"compile", 1, "FILE -o OUT", "Writes what kiosks decide by, to be looked at: hq policy push makes it by itself. Example:\n  hq policy compile site.toml -o site.policy", compilePolicy}.run,
	"push":    pushPolicy,
	"show":    showPolicy,
}

// onFiles is a command that needs nothing but files, and how many.
type onFiles struct {
	name        string
	files       int
	words, does string
	do          func(policyOrder, io.Writer) error
}

func (c onFiles) run(_ context.Context, args []string, out, progress io.Writer) error {
	o, err := c.order(args, progress)
	if err != nil {
		return err
	}
	return c.do(o, out)
}

func runPolicy(ctx context.Context, args []string, out, progress io.Writer) error {
	if len(args) == 0 || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" || args[0] == "help" {
		fmt.Fprint(out, policyUsage)
		if len(args) == 0 {
			return errUsage
		}
		return flag.ErrHelp
	}
	run, known := policyWords[args[0]]
	if !known {
		return fmt.Errorf("policy %q is no command: %w", args[0], errUsage)
	}
	return run(ctx, args[1:], out, progress)
}

// order takes flags before and after the files.
func (c onFiles) order(args []string, progress io.Writer) (o policyOrder, err error) {
	var at office
	p := at.flags("policy "+c.name, c.words+" [-people CSV|-dir DIR] [-on DATE]", c.does, progress)
	p.Lookup("dir").Usage = "headquarters' `folder`, whose people say what changes for whom"
	if c.name == "compile" {
		p.StringVar(&o.out, "o", "", "`file` to write (required)")
	}
	table := p.String("people", "", "`CSV` of people and their groups, in place of -dir: its first line is person,groups; several groups of one person stand with a space between them")
	on := p.String("on", "", "`date` to look ahead from, as 2026-12-24 (default today)")
	if o.files, err = wordsOf(p.FlagSet, args); err != nil {
		return o, err
	}
	switch {
	case len(o.files) != c.files:
		return o, fmt.Errorf("%d files, want %d; hq policy %s -h says which: %w", len(o.files), c.files, c.name, errUsage)
	case c.name == "compile" && o.out == "":
		return o, fmt.Errorf("say where to, -o FILE: %w", errUsage)
	case *table != "" && p.dir != "":
		return o, fmt.Errorf("people come from -people or from -dir, not from both: %w", errUsage)
	}
	o.now = time.Now()
	if *on != "" {
		if o.now, err = time.Parse(time.DateOnly, *on); err != nil {
			return o, fmt.Errorf("-on %q: want a date as 2026-12-24: %w", *on, errUsage)
		}
		o.now = o.now.Add(12 * time.Hour) // that day almost everywhere
	}
	if p.dir != "" {
		at.settle(p)
		o.people, err = at.members()
		return o, err
	}
	o.people, err = readPeople(*table)
	return o, err
}

// members are those whom headquarters has enrolled and nobody has stopped for good. Who is called as somebody else is told apart by the id.
func (o *office) members() ([]policy.Person, error) {
	vault, err := o.open()
	if err != nil {
		return nil, err
	}
	all, _, err := vault.List()
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(l people.Listed) bool { return l.Pending || l.State == people.Revoked })
	called := map[string]int{}
	for _, l := range all {
		called[l.Name]++
	}
	list := []policy.Person{} // not nil, which is a list that nobody gave
	for _, l := range all {
		name := l.Name
		if called[name] > 1 {
			name += " (" + l.ID.String()[:8] + ")"
		}
		list = append(list, policy.Person{Name: name, Groups: l.Groups})
	}
	return list, nil
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
		found.Line = max(1, found.Line) // what is wrong with the whole is at its beginning: editors go there
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
