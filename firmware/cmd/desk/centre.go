//go:build !kiosk

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
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

//go:embed policy.toml
var rules []byte

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

// listed is what `hq kiosk list -json` says of a kiosk, as far as the desk shows it. Times are Unix seconds.
type listed struct {
	Kiosk   string   `json:"kiosk"`
	Online  int64    `json:"onlineSince"`
	Applied uint64   `json:"commandApplied"`
	Newest  uint64   `json:"commandNewest"`
	Policy  uint64   `json:"policyVersion"`
	Alarms  []string `json:"alarms"`
}

var errNoKiosk = errors.New("headquarters knows no kiosk of this door")

// kiosk asks what headquarters thinks of the kiosk.
func (c *centre) kiosk(ctx context.Context) (listed, error) {
	said, err := c.ask(ctx, "kiosk", "list", "-json", "-dir", hqFolder)
	if err != nil {
		return listed{}, err
	}
	var all []struct {
		listed
		Door string `json:"door"`
	}
	if err := json.Unmarshal(said, &all); err != nil {
		return listed{}, fmt.Errorf("read hq kiosk list: %w", err)
	}
	for _, k := range all {
		if k.Door == deskDoor {
			return k.listed, nil
		}
	}
	return listed{}, errNoKiosk
}

// guest is somebody whom headquarters has enrolled, as `hq people list -json` says it.
type guest struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// people asks whom headquarters has enrolled.
func (c *centre) people(ctx context.Context) (all []guest, err error) {
	said, err := c.ask(ctx, "people", "list", "-json", "-dir", hqFolder)
	if err != nil {
		return nil, err
	}
	for lines := json.NewDecoder(bytes.NewReader(said)); ; {
		var g guest
		if err := lines.Decode(&g); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("read hq people list: %w", err)
		}
		all = append(all, g)
	}
}

// pushed reports whether the desk's rules, as they are now, were put into force before.
func (c *centre) pushed() (bool, error) {
	was, err := os.ReadFile(filepath.Join(c.dir, pushedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return string(was) == rulesHash(), err
}

// push puts the desk's rules into force.
func (c *centre) push(ctx context.Context) error {
	if err := root.Replace(filepath.Join(c.dir, policyFile), rules); err != nil {
		return err
	}
	_, err := c.ask(ctx, "policy", "push", policyFile, "-yes", "-key", keyOf("administrator"), "-dir", hqFolder)
	if err != nil && strings.Contains(err.Error(), "is no command") {
		return errNoPolicy
	}
	if err != nil {
		return err
	}
	return root.Replace(filepath.Join(c.dir, pushedFile), []byte(rulesHash()))
}

func rulesHash() string {
	sum := sha256.Sum256(rules)
	return hex.EncodeToString(sum[:])
}

// ask runs a command of headquarters in its folder.
func (c *centre) ask(ctx context.Context, words ...string) ([]byte, error) {
	return c.command(ctx, c.hq, words...)
}

// command runs a program as a person would, and returns what it said. Its own words are the error.
func (c *centre) command(ctx context.Context, program string, words ...string) ([]byte, error) {
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, program, words...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = c.dir, []string{"PATH=/usr/bin:/bin"}, &out, &complaint, time.Second
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(complaint.String()), "\n")
		said := strings.TrimPrefix(lines[len(lines)-1], filepath.Base(program)+": ")
		if ctx.Err() != nil || said == "" {
			said = err.Error()
		}
		return nil, fmt.Errorf("%s %s: %s", filepath.Base(program), strings.Join(words[:min(2, len(words))], " "), said)
	}
	return out.Bytes(), nil
}

// freeAddress is a port of the loopback that nobody uses now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// refusedRelease asks for the kiosk's newest record of a release that it refused, and why; empty when there is none since then.
func (c *centre) refusedRelease(ctx context.Context, since time.Time) (why string, err error) {
	said, err := c.ask(ctx, "events", "-json", "-kind", fmt.Sprint(uint16(access.EventRemoteReleaseRefused)), "-since", since.UTC().Format(time.RFC3339), "-dir", hqFolder)
	if err != nil {
		return "", err
	}
	for lines := json.NewDecoder(bytes.NewReader(said)); ; {
		var e struct {
			Reason string `json:"reason"`
		}
		if err := lines.Decode(&e); err == io.EOF {
			return why, nil
		} else if err != nil {
			return "", fmt.Errorf("read hq events: %w", err)
		}
		why = e.Reason
	}
}
