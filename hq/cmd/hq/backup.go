package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/lintel-access/lintel/hq/broker"
	"github.com/lintel-access/lintel/hq/people"
	"github.com/lintel-access/lintel/hq/store"
)

// peopleEnding is of the second file of a backup.
const peopleEnding = ".people"

const backupAbout = `Writes two new files while hq serve runs on DIR. FILE is its state: which kiosks there are, their streams, orders in the clear; it is not encrypted, and
has no references of anybody, no people's names and no key. FILE.people is the people, if there are any: encrypted as they lie in DIR/people, whole as of one
moment whoever is enrolled meanwhile, and of no use without DIR/people/people.keys, which belongs in no backup: deletions would not reach it.
DIR/ledger is copied as files, keys by hand, once.

While FILE.people is written nobody is enrolled or deleted: whoever tries waits for 20 seconds, and is then refused. If FILE's disk is slow, write beside DIR
and copy from there.

Example:
  hq backup /mnt/backup/hq-2026-11-23 -dir hq`

// backupCommand writes a backup.
func backupCommand(ctx context.Context, args []string, out, progress io.Writer) error {
	p := newPage("backup", "FILE -dir DIR", backupAbout, progress)
	words, err := p.words(args, 1, 1)
	if err != nil {
		return err
	}
	file, err := filepath.Abs(words[0])
	if err != nil {
		return err
	}
	n, err := ask[counted](ctx, p, verbBackup, backupRequest{file})
	with := ""
	if n.People {
		with = ", people in " + file + peopleEnding
	}
	return say(out, err, "%d values in %s%s\n", n.Values, file, with)
}

const restoreAbout = `Fills DIR/state, which must be empty or absent, from a file that hq backup wrote; and DIR/people from FILE.people, if it is there: people.keys must be in
DIR/people, and where people.db is, it is newer, and stays. The files of keys must be in DIR already, and hq serve must not run.

A kiosk that was told something after that backup is quarantined when it next connects: it stands at a command that the restored state does not know, and so would
a kiosk that somebody else has commanded. For each that is yours: hq kiosk adopt KIOSK, and it carries on. Nobody is handed on to a kiosk before it has connected; order
nothing else before.

Example:
  hq restore /mnt/backup/hq-2026-11-23 -dir hq`

// restoreCommand takes a backup back.
func restoreCommand(ctx context.Context, args []string, out, progress io.Writer) error {
	var o office
	p := o.flags("restore", "FILE -dir DIR", restoreAbout, progress)
	alone := p.Bool("people", false, "put back the people alone, beside the state that is there")
	words, err := o.parse(p, args, 1, 1)
	if err != nil {
		return err
	}
	release, err := hold(p.dir)
	if err != nil {
		return err
	}
	defer release()
	m, stay, err := o.beforePeople(words[0] + peopleEnding) // before anything is changed
	if err != nil {
		return err
	}
	if *alone && stay != "" {
		return errors.New(stay)
	}
	if !*alone {
		if err := o.restoreState(ctx, words[0], out, progress); err != nil {
			return err
		}
	}
	if stay != "" {
		return say(out, nil, "%s\n", stay)
	}
	return o.restorePeople(words[0]+peopleEnding, m, out)
}

func (o *office) restoreState(ctx context.Context, file string, out, progress io.Writer) error {
	f, err := openBackup(file)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := broker.Start(ctx, broker.Config{Dir: filepath.Join(o.dir, stateFolder), Log: slog.New(slog.NewTextHandler(progress, nil))})
	if err != nil {
		return err
	}
	defer b.Close()
	s, err := store.Open(ctx, b.JetStream())
	if err != nil {
		return err
	}
	n, err := s.Restore(ctx, f)
	if err != nil {
		return fmt.Errorf("%q: %w", file, err)
	}
	_, err = fmt.Fprintf(out, "%d values restored\n", n)
	return err
}

// openBackup opens a file that hq backup wrote. A pipe may bring it, but no folder is one.
func openBackup(file string) (*os.File, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%q is a folder, and no file that hq backup wrote", file)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// beforePeople looks whether the people of a backup can be taken back, and with which master key, which it asks for only then; or says why there is nothing to do.
func (o *office) beforePeople(file string) (m people.Master, stay string, err error) {
	f, err := openBackup(file)
	if errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Sprintf("no people: there is no %s", file), nil
	}
	if err != nil {
		return m, "", err
	}
	defer f.Close()
	if err := people.Vacant(o.folder()); errors.Is(err, people.ErrThere) {
		return m, fmt.Sprintf("people stay as they are in %s: to have those of the backup, move people.db away, then hq restore -people", o.folder()), nil
	} else if err != nil {
		return m, "", err
	}
	if m, err = people.LoadMaster(o.master, askPassphrase); err == nil {
		err = people.CheckBackup(o.folder(), m, bufio.NewReader(f))
	}
	if errors.Is(err, people.ErrBackup) {
		err = fmt.Errorf("%q: %w", file, err)
	}
	if err != nil {
		err = fmt.Errorf("nothing was restored: %w", err)
	}
	return m, "", err
}

// restorePeople takes the people of a backup back, which beforePeople has looked at.
func (o *office) restorePeople(file string, m people.Master, out io.Writer) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return say(out, people.Restore(o.folder(), m, bufio.NewReader(f)), "people restored\n")
}

// backup writes the state, and then the people, to new files of this account: a state that is older than the people hands on again what it does not
// remember, while the other way round orders would be missing.
func (s *served) backup(ctx context.Context, q backupRequest) (any, error) {
	if s.vault == nil {
		if _, err := os.Stat(filepath.Join(s.options.dir, peopleFolder)); !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(errors.New("hq serve was started before there were people, and cannot back them up: start it again"), err)
		}
	}
	c := counted{People: s.vault != nil}
	err := writeNew(q.File, func(w io.Writer) (err error) {
		c.Values, err = s.store.Backup(ctx, w)
		return err
	})
	if err != nil || !c.People {
		return c, err
	}
	if err := writeNew(q.File+peopleEnding, s.vault.Backup); err != nil {
		return nil, errors.Join(err, os.Remove(q.File))
	}
	return c, nil
}
