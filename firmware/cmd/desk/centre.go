//go:build !kiosk

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/lintel-access/lintel/firmware/cmd/desk/cable"
	"github.com/lintel-access/lintel/firmware/cmd/desk/runner"
	"github.com/lintel-access/lintel/firmware/root"
)

// centre is a headquarters beside the desk, with a cable between it and the kiosk. The desk moves it by its commands alone, as its operators would, and
// imports nothing of it. On a desk fleet root, operators' keys and server lie in one folder; anywhere else that would be wrong.
type centre struct {
	dir      string // holds what the constants name
	hq, door string // programs
	models   []string
	network  *cable.Cable
	serve    *runner.Runner
	progress io.Writer
}

// What lies in the folder of headquarters on a desk.
const (
	hqFolder   = "hq"          // headquarters' own
	safeFolder = "safe"        // the fleet root's; elsewhere it leaves the machine
	pushedFile = "policy.sha"  // of the policy that was pushed
	policyFile = "policy.toml" // the rules
	recordFile = "proofing"    // what an enroller says about who somebody is
)

// deskDoor is the kiosk's door: as the policy names it, and as headquarters is told.
const deskDoor = "front"

// loopback is how everything on a desk is reached.
const loopback = "127.0.0.1"

// operators are whose keys the desk holds, one of each role, by the name of the role.
func operators() []string { return []string{"administrator", "enroller", "releaser"} }

func keyOf(role string) string { return role + ".pem" }

// setUpWithin bounds what is done once. It takes a second; a machine that is busy needs more.
const setUpWithin = 60 * time.Second

// openCentre sets up what is missing of a headquarters, starts it, and tells the kiosk about it. What was done before a cut is found, or done again. The
// TPM at tpm must be free. end stops it.
func (o options) openCentre(ctx context.Context, at site, tpm string, progress io.Writer) (c *centre, end func(), err error) {
	began := time.Now()
	c = &centre{
		dir: absolute(filepath.Join(o.state, "headquarters")), hq: filepath.Join(at.programs, "hq"), door: filepath.Join(at.programs, "door"), progress: progress,
		models: []string{"-bundle", absolute(filepath.Join(o.cache, "bundle")), "-library", absolute(filepath.Join(o.cache, "ort", "libonnxruntime.so.1"))},
	}
	if _, err := os.Stat(c.hq); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		if err != nil {
			cancel()
		}
	}()
	within, stop := context.WithTimeout(ctx, setUpWithin)
	defer stop()
	told, known, err := root.ReadHeadquarters(o.disk())
	if err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat(c.dir); known && errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%q is gone, and this kiosk obeys no other headquarters: to begin anew, remove %q", c.dir, o.state)
	}
	if err := c.make(within); err != nil {
		return nil, nil, err
	}
	broker, err := freeAddress()
	if err != nil {
		return nil, nil, err
	}
	if c.network, err = cable.Lay(told.Broker, broker); err != nil || !known {
		c.network, err = cable.Lay(net.JoinHostPort(loopback, "0"), broker) // the old port is somebody else's now
	}
	if err != nil {
		return nil, nil, err
	}
	c.serve, err = runner.New(progress, runner.Program{
		Name: "hq", Path: c.hq, Dir: c.dir, Env: []string{"PATH=/usr/bin:/bin"}, Args: []string{"serve", "-dir", hqFolder, "-name", loopback, "-listen", broker, "-room", "512"},
	})
	if err != nil {
		return nil, nil, err
	}
	served, carried := make(chan struct{}), make(chan struct{})
	go func() { defer close(served); c.serve.Run(ctx) }()
	go func() { defer close(carried); _ = c.network.Run(ctx) }() // it ends with ctx
	end = func() { cancel(); <-served; <-carried }
	if !known || told.Broker != c.network.Address() {
		err = c.introduce(within, at, tpm, absolute(o.disk()))
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	if !known {
		fmt.Fprintf(progress, "headquarters is set up in %s, in %.1f s; its fleet root lies beside it, as on no other machine\n", c.dir, time.Since(began).Seconds())
	}
	return c, end, nil
}

// make makes headquarters' folders, keys and trust, all or nothing, unless they are there.
func (c *centre) make(ctx context.Context) error {
	if _, err := os.Stat(c.dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	whole := c.dir
	c.dir += ".new"
	defer func() { c.dir = whole }()
	if err := os.RemoveAll(c.dir); err != nil { // of a start that was cut
		return err
	}
	if err := makePrivate(c.dir); err != nil {
		return err
	}
	steps := [][]string{{"init", hqFolder, "-offline", safeFolder}}
	for _, role := range operators() {
		steps = append(steps, []string{"key", keyOf(role)},
			[]string{"trust", "add", role, "-role", role, "-key", keyOf(role) + ".pub", "-days", "3650", "-dir", hqFolder, "-offline", safeFolder})
	}
	for _, words := range append(steps, []string{"people", "init", "-dir", hqFolder}) {
		if _, err := c.ask(ctx, words...); err != nil {
			return err
		}
	}
	const record = "Enrolled on a desk from its own photographs. Nobody's identity was checked.\n"
	if err := root.Replace(filepath.Join(c.dir, recordFile), []byte(record)); err != nil {
		return err
	}
	return os.Rename(c.dir, whole)
}

// introduce makes the kiosk known to headquarters and headquarters to the kiosk, as an installer does.
func (c *centre) introduce(ctx context.Context, at site, tpm, disk string) error {
	carried, err := os.MkdirTemp("", "lintel-introduction-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(carried)
	introduction, told := filepath.Join(carried, "kiosk"), filepath.Join(carried, "told")
	if _, err := c.command(ctx, c.door, "identity", "-board", at.board, "-tpm", tpm, "-state", disk, "-out", introduction); err != nil {
		return err
	}
	if err := c.answers(ctx); err != nil {
		return err
	}
	broker := c.network.Address()
	if _, err := c.ask(ctx, "kiosk", "add", introduction, "-door", deskDoor, "-broker", broker, "-out", told, "-dir", hqFolder); err != nil {
		return err
	}
	_, err = c.command(ctx, c.door, "headquarters", "-state", disk, "-root-key", filepath.Join(told, "root.pub"), "-broker", broker, "-server", loopback,
		"-trust", filepath.Join(told, "trust.cose"), "-certificate", filepath.Join(told, "certificate.pem"))
	return err
}

// answers waits until hq serve does.
func (c *centre) answers(ctx context.Context) error {
	for {
		_, err := c.kiosk(ctx)
		if err == nil || errors.Is(err, errNoKiosk) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for hq serve: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// freeAddress is a port of the loopback that nobody uses now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
