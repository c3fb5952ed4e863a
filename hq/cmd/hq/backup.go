package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/lintel-access/lintel/hq/broker"
	"github.com/lintel-access/lintel/hq/store"
)

const backupAbout = `Writes the state of the hq serve that runs on DIR to a new file: which kiosks there are, their streams, orders in the clear. It is not encrypted,
and has no references of anybody, no people's names, no kiosk's records and no key: DIR/ledger and DIR/people are copied as files, those of keys by hand, once.`

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
	return say(out, err, "%d values in %s\n", n.Values, file)
}

const restoreAbout = `Puts a backup into the empty state of DIR, which has the files of keys. hq serve must not run. Kiosks that have been told something since the
backup are quarantined at their next greeting, because they stand at commands that this state does not know: hq kiosk adopt has each carry on.`

// restoreCommand takes a backup back.
func restoreCommand(ctx context.Context, args []string, out, progress io.Writer) error {
	p := newPage("restore", "FILE -dir DIR", restoreAbout, progress)
	words, err := p.words(args, 1, 1)
	if err != nil {
		return err
	}
	release, err := hold(p.dir)
	if err != nil {
		return err
	}
	defer release()
	f, err := os.Open(words[0])
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := broker.Start(ctx, broker.Config{Dir: filepath.Join(p.dir, stateFolder), Log: slog.New(slog.NewTextHandler(progress, nil))})
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
		return err
	}
	_, err = fmt.Fprintf(out, "%d values restored\n", n)
	return err
}
