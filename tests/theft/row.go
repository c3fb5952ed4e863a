package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// row is one attack and what is to come of it.
type row struct {
	number, attack string
	want           error // the kiosk's refusal; nil where it opens, or where there is nothing that could refuse
	// try makes the attack and says what was found. An error is the kiosk's refusal, or a trouble of ours, which is never the wanted one.
	try func() (found string, err error)
}

// print makes the attacks one after the other and prints a line for each.
func (t *theft) print(out io.Writer, rows []row) (all, expected int) {
	fmt.Fprintf(out, "%-4s %-83s %-81s %s\n", "", "attack", "what happened", "")
	for _, r := range rows {
		found, err := r.try()
		if trouble := t.clear(); err == nil {
			err = trouble
		}
		said, verdict := "refused: "+clause(r.want), "expected"
		switch {
		case err == nil && r.want == nil:
			said = found
		case err == nil:
			said, verdict = found, "UNEXPECTED"
		case r.want == nil || !errors.Is(err, r.want):
			said, verdict = err.Error(), "UNEXPECTED"
		}
		all++
		if verdict == "expected" {
			expected++
		}
		fmt.Fprintf(out, "%-4s %-83s %-81s %s\n", r.number, r.attack, said, verdict)
	}
	return all, expected
}

// clause is what an error says before it tells the operator what to do.
func clause(err error) string {
	if err == nil {
		return ""
	}
	what, _, _ := strings.Cut(err.Error(), ": ")
	return what
}

// theft is the stage: the kiosks, and what the attack under way has put up.
type theft struct {
	work     string
	programs string
	victim   *victim // no secret of the processor, as on a desk; the other two are provisioned without door, which reads one from /sys alone
	bound    *victim // its TPM's objects hang on a secret of its processor
	thief    *victim // the thief's own kiosk, provisioned by themselves
	wanted   wanted  // what a thief would like to read of the victim

	staged []*kiosk
	count  int
}

func newTheft(work, programs string) (*theft, error) {
	t := &theft{work: work, programs: programs}
	var err error
	if t.victim, err = newVictim(work+"/v", programs, nil); err == nil {
		err = t.victim.live()
	}
	if err == nil {
		if t.thief, err = newVictim(work+"/t", "", nil); err == nil {
			err = t.thief.begin()
		}
	}
	if err == nil {
		if t.bound, err = newVictim(work+"/b", "", []byte("secret that only the bound kiosk's processor gives")); err == nil {
			err = t.bound.begin()
		}
	}
	if err == nil {
		t.wanted, err = wantedOf(t.victim)
	}
	return t, err
}

func (t *theft) rows() (rows []row) {
	rows = append(rows, t.chipRows()...)
	rows = append(rows, t.olderRows()...)
	rows = append(rows, t.forgedRows()...)
	rows = append(rows, t.identityRows()...)
	rows = append(rows, t.logRows()...)
	rows = append(rows, t.readRows()...)
	rows = append(rows, t.lockoutRows()...)
	rows = append(rows, t.boxRows()...)
	if t.programs != "" {
		rows = append(rows, t.doorRows()...)
	}
	return rows
}

// stage puts a copy of a disk at a copy of a TPM: two moments of the same kiosk or of two. An empty chip is a TPM that was never provisioned.
func (t *theft) stage(disk, chip moment) (*kiosk, error) {
	t.count++
	dir := fmt.Sprintf("%s/%d", t.work, t.count)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	k := &kiosk{dir: dir}
	t.staged = append(t.staged, k)
	err := copyTree(k.disk(), disk.disk())
	if err == nil && chip != "" {
		err = copyTree(k.chip(), chip.chip())
	}
	return k, err
}

// clear puts away what an attack has staged.
func (t *theft) clear() (err error) {
	for _, k := range t.staged {
		err = errors.Join(err, k.off(), os.RemoveAll(k.dir))
	}
	t.staged = nil
	return err
}
