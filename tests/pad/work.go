package main

import (
	"cmp"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/twin"
)

// A process has one ONNX Runtime and so one engine: several of them work side by side, each on every so manieth presentation, and give
// their outcomes as a gob stream. The first item is the number of people in the cast.

// work is such a process.
func work(o options, chosen []species, out io.Writer) (err error) {
	b, err := openBooth(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	to := gob.NewEncoder(out)
	if err := to.Encode(len(b.cast.Enrolled)); err != nil {
		return err
	}
	for _, k := range chosen {
		for i := o.worker; i < o.size(k); i += o.workers {
			got, err := b.one(o, k, i)
			if err != nil {
				return fmt.Errorf("%s/%d: %w", k.name, i, err)
			}
			if err := to.Encode(got); err != nil {
				return err
			}
		}
	}
	return nil
}

// one runs one presentation.
func (b *booth) one(o options, k species, index int) (outcome, error) {
	s, inject := k.script(o.set, index, len(b.cast.Enrolled))
	scene, err := twin.ParseScene(k.name, []byte(s.String()))
	if err != nil {
		return outcome{}, err
	}
	b.binder.name(k.name, index)
	got, err := b.present(scene, inject, s.Rand)
	got.Species, got.Index, got.Notes = k.name, index, s.notes
	return got, err
}

// gather starts the workers and collects what they found. When one fails the others are ended.
func gather(o options, chosen []species, args []string, progress io.Writer) (all []outcome, people int, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, 0, err
	}
	total := 0
	for _, k := range chosen {
		total += o.size(k)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	items, ends := make(chan item), make(chan error)
	for w := range o.workers {
		cmd := exec.CommandContext(ctx, self, append(slices.Clone(args), "-work", "-workers", strconv.Itoa(o.workers), "-worker", strconv.Itoa(w))...)
		cmd.Stderr = progress
		go func() { ends <- receive(cmd, items) }()
	}
	for running := o.workers; running > 0; {
		select {
		case i := <-items:
			all, people = append(all, i.outcome), i.people
			if len(all)%20 == 0 || len(all) == total {
				fmt.Fprintf(progress, "\r%d of %d presentations ", len(all), total)
			}
		case ended := <-ends:
			running--
			if ended != nil && err == nil {
				err = fmt.Errorf("worker: %w", ended)
				cancel()
			}
		}
	}
	fmt.Fprintln(progress)
	if err == nil && len(all) != total {
		err = fmt.Errorf("%d of %d presentations came back", len(all), total)
	}
	return all, people, err
}

// item is an outcome with the size of the cast that it was found with.
type item struct {
	outcome outcome
	people  int
}

// receive runs a worker and passes on what it gives.
func receive(cmd *exec.Cmd, items chan<- item) error {
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	from := gob.NewDecoder(pipe)
	var i item
	err = from.Decode(&i.people)
	for err == nil {
		i.outcome = outcome{}
		if err = from.Decode(&i.outcome); err == nil {
			items <- i
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return cmp.Or(cmd.Wait(), err)
}

// printScene prints the scene of one presentation, for a file of one's own.
func printScene(o options, out io.Writer) error {
	name, number, _ := strings.Cut(o.print, "/")
	index, err := strconv.Atoi(number)
	if err != nil {
		return fmt.Errorf("want name/number, not %q", o.print)
	}
	const people = 9 // in the photographs that make deps fetches
	for _, k := range catalogue {
		if k.name == name {
			s, _ := k.script(o.set, index, people)
			_, err := io.WriteString(out, s.String())
			return err
		}
	}
	return fmt.Errorf("no species is called %q; see pad -h", name)
}

// writeValues writes what each check measured: a line a presentation, "-" where it was not asked.
func writeValues(file string, all []outcome) error {
	var s strings.Builder
	s.WriteString("species\tindex\taccepted\tsessions\treason\tms")
	for c := range access.Criterion(access.Criteria) {
		s.WriteString("\t" + c.String())
	}
	s.WriteString("\tconditions\n")
	for _, o := range all {
		fmt.Fprintf(&s, "%s\t%d\t%v\t%d\t%v\t%d", o.Species, o.Index, o.Accepted, o.Sessions, o.Reason, o.Took.Milliseconds())
		for _, f := range o.First {
			if f.Asked {
				fmt.Fprintf(&s, "\t%.3f", f.Value)
			} else {
				s.WriteString("\t-")
			}
		}
		fmt.Fprintf(&s, "\t%s\n", strings.Join(o.Notes, "; "))
	}
	return os.WriteFile(file, []byte(s.String()), 0o644)
}
