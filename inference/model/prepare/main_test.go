package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/inference/model"
)

const noNPM = "no-such-program"

// artefacts is the folder that this very program has filled. What is absent there is a failure, not a reason to skip.
func artefacts(t testing.TB) string {
	t.Helper()
	dir := filepath.Join("..", "..", "..", ".lintel")
	if _, err := os.Stat(filepath.Join(dir, "origin")); err != nil {
		t.Fatalf("%v: run make deps", err)
	}
	return dir
}

func TestSecondRunFetchesNothing(t *testing.T) {
	var out bytes.Buffer
	start := time.Now()
	if err := run(context.Background(), artefacts(t), runtime.GOARCH, noNPM, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "in place") {
		t.Errorf("it says %q", out.String())
	}
	if took := time.Since(start); took > 30*time.Second { // two at most, unless the disk is busy
		t.Errorf("it took %v", took)
	}
}

// The rewrites give the same bytes on every machine: the pinned ones.
func TestBundleIsMadeAgain(t *testing.T) {
	dir, whole := t.TempDir(), artefacts(t)
	for _, part := range []string{"ort", "origin", "photos"} {
		full, err := filepath.Abs(filepath.Join(whole, part))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(full, filepath.Join(dir, part)); err != nil {
			t.Fatal(err)
		}
	}
	licence, err := os.ReadFile(filepath.Join(whole, "bundle", "LICENSE"))
	if err != nil {
		t.Fatal(err)
	}
	if err := write(filepath.Join(dir, "bundle", "LICENSE"), licence); err != nil {
		t.Fatal(err)
	}
	if err := write(filepath.Join(dir, "bundle", "fr_feature.onnx"), []byte("half a fi")); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(context.Background(), dir, runtime.GOARCH, noNPM, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "4 networks prepared") {
		t.Errorf("it says %q", out.String())
	}
	m, err := model.Default()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range m.Specs {
		if _, err := m.Load(filepath.Join(dir, "bundle"), s.Role); err != nil {
			t.Error(err)
		}
	}
}

func TestRunWithoutNPM(t *testing.T) {
	err := run(context.Background(), t.TempDir(), runtime.GOARCH, noNPM, new(bytes.Buffer))
	if err == nil || !strings.Contains(err.Error(), "npm is not installed") {
		t.Errorf("error is %v", err)
	}
	if err := run(context.Background(), t.TempDir(), "mips", noNPM, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), `"mips"`) {
		t.Errorf("error is %v", err)
	}
}

// pack makes a tarball and its pin.
func pack(t *testing.T, members map[string]string) ([]byte, tarball) {
	t.Helper()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	w := tar.NewWriter(z)
	for name, text := range members {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes(), tarball{"@scope/thing", "1.2.3", fmt.Sprintf("%x", sha256.Sum256(packed.Bytes())), int64(packed.Len())}
}

// registry writes a program that stands for npm: it notes each call and does what the script says in the folder it is told.
func registry(t *testing.T, script string) (npm string, calls func() int) {
	t.Helper()
	dir := t.TempDir()
	npm, log := filepath.Join(dir, "npm"), filepath.Join(dir, "calls")
	text := "#!/bin/sh\necho \"$2\" >> " + log + "\ncd \"$4\"\n" + script + "\n"
	if err := os.WriteFile(npm, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return npm, func() int {
		data, err := os.ReadFile(log)
		if err != nil {
			return 0
		}
		return bytes.Count(data, []byte("@scope/thing@1.2.3\n"))
	}
}

func TestFetch(t *testing.T) {
	data, pin := pack(t, map[string]string{"package/a": "alpha"})
	served := filepath.Join(t.TempDir(), "served")
	if err := os.WriteFile(served, data, 0o644); err != nil {
		t.Fatal(err)
	}
	npm, calls := registry(t, "cp "+served+" thing-1.2.3.tgz")
	var out bytes.Buffer
	f := fetcher{npm, filepath.Join(t.TempDir(), "cache"), &out}
	fetch := func(wantCalls int) string {
		t.Helper()
		path, err := f.fetch(context.Background(), pin)
		if err != nil {
			t.Fatal(err)
		}
		if calls() != wantCalls {
			t.Fatalf("npm was called %d times, want %d", calls(), wantCalls)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("tarball is other than served: %v", err)
		}
		return path
	}
	path := fetch(1)
	if !strings.Contains(out.String(), "fetching @scope/thing@1.2.3") {
		t.Errorf("it says %q", out.String())
	}
	fetch(1)
	for _, broken := range [][]byte{data[:len(data)/2], append(bytes.Clone(data), 0), bytes.Repeat([]byte{7}, len(data)), nil} {
		if err := os.WriteFile(path, broken, 0o644); err != nil {
			t.Fatal(err)
		}
		fetch(calls() + 1)
	}
	if left, _ := filepath.Glob(filepath.Join(f.cache, "part-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFetchFails(t *testing.T) {
	_, pin := pack(t, map[string]string{"package/a": "alpha"})
	for _, c := range []struct{ name, script, want string }{
		{"wrong bytes", "head -c " + fmt.Sprint(pin.size) + " /dev/zero > thing-1.2.3.tgz", "sha256"},
		{"wrong size", "echo short > thing-1.2.3.tgz", "bytes"},
		{"nothing", "true", "0 tarballs"},
		{"no network", "echo 'npm error code ENOTFOUND' >&2; echo 'npm error network request to registry failed' >&2; exit 1", "network request to registry failed"},
		{"silent failure", "exit 3", "is there a network?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			npm, _ := registry(t, c.script)
			f := fetcher{npm, t.TempDir(), new(bytes.Buffer)}
			_, err := f.fetch(context.Background(), pin)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is %q, want one line with %q", err, c.want)
			}
			if left, _ := os.ReadDir(f.cache); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	t.Run("folder cannot be made", func(t *testing.T) {
		npm, calls := registry(t, "true")
		blocked := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(blocked, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		f := fetcher{npm, filepath.Join(blocked, "cache"), new(bytes.Buffer)}
		if _, err := f.fetch(context.Background(), pin); err == nil || calls() != 0 || !strings.Contains(err.Error(), "not a directory") {
			t.Errorf("error is %v after %d calls", err, calls())
		}
	})
	t.Run("stopped", func(t *testing.T) {
		npm, _ := registry(t, "exec sleep 60")
		ctx, stop := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer stop()
		start := time.Now()
		if _, err := (fetcher{npm, t.TempDir(), new(bytes.Buffer)}).fetch(ctx, pin); err == nil || time.Since(start) > 10*time.Second {
			t.Errorf("error is %v after %v", err, time.Since(start))
		}
	})
}

func TestUnpack(t *testing.T) {
	data, _ := pack(t, map[string]string{"package/a": "alpha", "../../escape": "outside", "package/b": "beta"})
	archive := filepath.Join(t.TempDir(), "a.tgz")
	alpha := model.Hash(sha256.Sum256([]byte("alpha")))
	for _, c := range []struct {
		name, want string
		data       []byte
		wanted     file
	}{
		{"in place", "", data, file{member: "package/a", sha256: alpha, size: 5, path: "x/a"}},
		{"wrong hash", "sha256", data, file{member: "package/b", sha256: alpha, size: 4, path: "x/a"}},
		{"longer than pinned", "does not have 4 bytes", data, file{member: "package/a", sha256: alpha, size: 4, path: "x/a"}},
		{"absent", "it is not there", data, file{member: "package/c", sha256: alpha, size: 5, path: "x/a"}},
		{"cut off", "unpack", data[:len(data)/2], file{member: "package/b", sha256: alpha, size: 5, path: "x/a"}},
		{"no archive", "unpack", []byte("text"), file{member: "package/a", sha256: alpha, size: 5, path: "x/a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(archive, c.data, 0o644); err != nil {
				t.Fatal(err)
			}
			err := unpack(archive, dir, []file{c.wanted})
			got, readErr := os.ReadFile(filepath.Join(dir, "x/a"))
			if c.want == "" {
				if err != nil || string(got) != "alpha" {
					t.Errorf("unpacked %q: %v, %v", got, err, readErr)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || readErr == nil {
				t.Errorf("error is %v, want one with %q; the file holds %q", err, c.want, got)
			}
		})
	}
}

// A write that fails at its last step leaves what was there, and no part of the new file.
func TestWriteLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := os.MkdirAll(filepath.Join(path, "occupied"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := write(path, []byte("new")); err == nil || !strings.Contains(err.Error(), "write") {
		t.Errorf("error is %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".part-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
