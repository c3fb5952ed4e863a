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
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/root"
)

//go:embed policy.toml
var rules []byte

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

// recorded is a record of the kiosk, as `hq events -json` says it.
type recorded struct {
	Event  uint16 `json:"event"`
	Reason string `json:"reason"`
}

// records are those of the kiosk's records that headquarters finds so, oldest first.
func (c *centre) records(ctx context.Context, words ...string) (all []recorded, err error) {
	said, err := c.ask(ctx, append([]string{"events", "-json", "-dir", hqFolder}, words...)...)
	if err != nil {
		return nil, err
	}
	for lines := json.NewDecoder(bytes.NewReader(said)); ; {
		var r recorded
		if err := lines.Decode(&r); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("read hq events: %w", err)
		}
		all = append(all, r)
	}
}

// refusedRelease asks for the kiosk's newest record of a release that it refused, and why; empty when there is none since then.
func (c *centre) refusedRelease(ctx context.Context, since time.Time) (why string, err error) {
	all, err := c.records(ctx, "-kind", fmt.Sprint(uint16(access.EventRemoteReleaseRefused)), "-since", since.UTC().Format(time.RFC3339))
	if len(all) > 0 {
		why = all[len(all)-1].Reason
	}
	return why, err
}

// enrolments are the kiosk's records of whom it enrolled itself, and of whom it did not.
func (c *centre) enrolments(ctx context.Context) ([]recorded, error) {
	all, err := c.records(ctx, "-kind", "4xx")
	return slices.DeleteFunc(all, func(r recorded) bool {
		return r.Event != uint16(access.EventEnrolled) && r.Event != uint16(access.EventEnrolmentRefused)
	}), err
}
