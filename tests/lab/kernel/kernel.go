// Package kernel builds the laboratory's kernel, or finds the one that was built before: User-Mode Linux of Debian's linux-source-6.1 with
// fragment.config, the module vivid, and v4l2loopback. It is an ordinary program that boots in half a second, needs no KVM, and has the
// kernel interfaces that the kiosk's drivers drive.
//
//	<cache>/<id>/linux            the kernel, stripped
//	<cache>/<id>/modules/NN-x.ko  modules; their names sort in the order in which they load
//
// The id is a hash of all that goes in. The folder gets its name when all is in it: one that has the name is whole.
package kernel

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

//go:embed fragment.config
var fragment string

const (
	source = "linux-source-6.1"
	// loopback is the Debian revision of v4l2loopback-dkms; only its source is unpacked. Installed as a package it would try to build for
	// the kernel of this machine.
	loopback = "0.12.7-2"
	// recipe rises when build.go makes something else of the same sources.
	recipe = 1
)

// packages are the Debian packages that building and booting need.
var packages = []struct{ name, proof string }{ // proof: a program, or a file
	{source, "/usr/src/" + source + ".tar.xz"},
	{"gcc", "gcc"}, {"make", "make"}, {"flex", "flex"}, {"bison", "bison"}, {"bc", "bc"}, {"xz-utils", "xz"}, {"kmod", "/sbin/depmod"},
	{"libelf-dev", "/usr/include/libelf.h"}, {"e2fsprogs", "/sbin/mkfs.ext4"}, {"util-linux", "unshare"}, {"swtpm", "swtpm"},
	{"apt", "apt-get"}, {"dpkg", "dpkg-deb"},
}

// Kernel is a folder with a built kernel.
type Kernel struct{ dir string }

// Program is the kernel: a program of this machine.
func (k Kernel) Program() string { return filepath.Join(k.dir, "linux") }

// Modules are the files of the modules in load order.
func (k Kernel) Modules() ([]string, error) {
	return filepath.Glob(filepath.Join(k.dir, "modules", "*.ko"))
}

// Ensure finds the kernel in cache or builds it there, which takes about four minutes on two processors, and tells progress. Of several that
// want to build one builds, and the others wait.
func Ensure(ctx context.Context, cache string, progress io.Writer) (Kernel, error) {
	if err := missing(); err != nil {
		return Kernel{}, err
	}
	version, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Version}", source).Output()
	if err != nil {
		return Kernel{}, fmt.Errorf("ask version of %s: %w", source, err)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return Kernel{}, err
	}
	k := Kernel{filepath.Join(cache, id(string(version), fragment))}
	if k.whole() {
		return k, nil
	}
	lock, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return Kernel{}, err
	}
	defer lock.Close()
	if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		fmt.Fprintln(progress, "kernel: somebody else is building it; waiting …")
		if err := await(ctx, lock); err != nil {
			return Kernel{}, fmt.Errorf("wait for the kernel's other builder: %w", err)
		}
		if k.whole() {
			return k, nil
		}
	}
	b := builder{work: filepath.Join(cache, "build"), lock: lock, progress: progress}
	if err := b.build(ctx, k.dir); err != nil {
		return Kernel{}, fmt.Errorf("build kernel: %w", err)
	}
	return k, nil
}

func (k Kernel) whole() bool {
	_, err := os.Stat(k.dir)
	return err == nil
}

// id is of the options and not of what is said about them.
func id(version, fragment string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d\n%s\n%s\n", recipe, version, loopback)
	for line := range strings.Lines(fragment) {
		if name, value, ok := option(line); ok {
			fmt.Fprintf(h, "%s=%s\n", name, value)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// missing says in one sentence what this machine lacks.
func missing() error {
	var absent []string
	for _, p := range packages {
		var err error
		if filepath.IsAbs(p.proof) {
			_, err = os.Stat(p.proof)
		} else {
			_, err = exec.LookPath(p.proof)
		}
		if err != nil {
			absent = append(absent, p.name)
		}
	}
	if len(absent) > 0 {
		return fmt.Errorf("packages are missing here; run: sudo apt-get install --no-install-recommends %s", strings.Join(absent, " "))
	}
	return nil
}

// await takes the lock when it is free.
func await(ctx context.Context, lock *os.File) error {
	taken := make(chan error, 1)
	go func() { taken <- unix.Flock(int(lock.Fd()), unix.LOCK_EX) }() // ends with the builder, or with this process
	select {
	case err := <-taken:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unset names the options of the fragment that did not survive into the configuration.
func unset(fragment, config string) error {
	have := map[string]string{}
	for line := range strings.Lines(config) {
		if name, value, ok := option(line); ok {
			have[name] = value
		}
	}
	var lost []string
	for line := range strings.Lines(fragment) {
		if name, value, ok := option(line); ok && have[name] != value {
			lost = append(lost, fmt.Sprintf("%s is %q, want %q", name, have[name], value))
		}
	}
	if len(lost) > 0 {
		return errors.New("configuration lost options: " + strings.Join(lost, "; "))
	}
	return nil
}

// option reads one line of a configuration; the value of an option that is not set is empty, as is that of one that is not there.
func option(line string) (name, value string, ok bool) {
	line = strings.TrimSpace(line)
	if name, ok := strings.CutSuffix(line, " is not set"); ok && strings.HasPrefix(name, "# CONFIG_") {
		return name[len("# "):], "", true
	}
	name, value, ok = strings.Cut(line, "=")
	return name, value, ok && strings.HasPrefix(name, "CONFIG_")
}
