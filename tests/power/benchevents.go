package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/board"
)

const (
	limitEvents = 1_000_000 // records within the budget, at least

	// Of the 256 segments of a log, 4 are its reserve and one is being made ready; ordinary records fill the others.
	segments     = 256 - 4 - 1
	segmentBytes = 1<<20 - 24
)

// benchEvents writes a sample of a day's records and reckons what a million of them need on the disk, hashes, reserve and all.
func benchEvents(dir string, c chip) ([]measurement, error) {
	b, err := board.Load("desk")
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(dir, "sample")
	l, err := openDefault(folder, c)
	if err != nil {
		return nil, err
	}
	empty, err := folderBytes(folder)
	if err != nil {
		return nil, err
	}
	records, err := day(rand.New(rand.NewPCG(3, 3)), 1000)
	if err != nil {
		return nil, err
	}
	if _, _, err = appendMany(l, records); err != nil {
		return nil, err
	}
	n := float64(l.Head())
	if _, err := l.Checkpoint(context.Background()); err != nil { // the hashes are durable with it
		return nil, err
	}
	filled, err := folderBytes(folder)
	if err := errors.Join(err, l.Close()); err != nil {
		return nil, err
	}
	each := float64(filled-empty) / n
	whole := (float64(empty) + each*limitEvents) / (1 << 20)
	return []measurement{
		{"bytes an event on disk", each, fmt.Sprintf("of %.0f measured, its frame and hashes included", n), 0, false},
		{"disk of 1,000,000 events", whole, fmt.Sprintf("MiB: %.0f x 1e6 + %d of reserve", each, empty), float64(b.Storage.Budget), false},
		{"records of the default log", math.Floor(segments * segmentBytes / (mean(records) + 24)), "in 251 segments of 1 MiB", limitEvents, true},
	}, nil
}

// benchBudget fills a log of the default size with a day's mix until ordinary records are refused.
func benchBudget(dir string, c chip) ([]measurement, error) {
	folder := filepath.Join(dir, "full")
	defer os.RemoveAll(folder)
	l, err := openDefault(folder, c)
	if err != nil {
		return nil, err
	}
	records, err := day(rand.New(rand.NewPCG(2, 2)), 2100)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	for err == nil {
		_, _, err = appendMany(l, records)
	}
	if !errors.Is(err, auditlog.ErrFull) {
		return nil, err
	}
	filled, n := time.Since(start), float64(l.Head())
	if _, err := l.Checkpoint(context.Background()); err != nil { // as the timer does: the hashes are durable with it
		return nil, err
	}
	onDisk, err := folderBytes(folder)
	if err := errors.Join(err, l.Close()); err != nil {
		return nil, err
	}
	start = time.Now()
	if l, err = openDefault(folder, c); err != nil {
		return nil, err
	}
	opened := time.Since(start)
	start = time.Now()
	damage, err := l.Check()
	if err != nil {
		return nil, err
	}
	if len(damage) > 0 {
		return nil, fmt.Errorf("check of a full log finds %v", damage)
	}
	checked := time.Since(start)
	return []measurement{
		{"records of the full log", n, "until ordinary ones are refused", limitEvents, true},
		{"the full log on disk", float64(onDisk) / 1e6, "MB, hashes and reserve included", 512, false},
		{"append when in a hurry", filled.Seconds() * 1e6 / n, "us a record, filling it", 0, false},
		{"open of the full log", float64(opened.Milliseconds()), "ms", 0, false},
		{"check of the full log", checked.Seconds(), "s: every record and every hash", 0, false},
	}, l.Close()
}

func folderBytes(dir string) (int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	sum := int64(0)
	for _, e := range entries {
		var s unix.Stat_t
		if err := unix.Stat(filepath.Join(dir, e.Name()), &s); err != nil {
			return 0, err
		}
		sum += s.Blocks * 512
	}
	return sum, nil
}
