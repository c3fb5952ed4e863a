package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/firmware/twin"
	"github.com/lintel-access/lintel/sync/wire"
)

// doorRows start door itself, on a simulated board, from stolen disks. It must start, name its trouble, recognise nobody, and open to who leaves.
func (t *theft) doorRows() []row {
	v := t.victim
	end := v.moments[theEnd]
	degraded := func(disk, chip moment, programs func() (string, error), why error) func() (string, error) {
		return func() (string, error) {
			folder, err := programs()
			if err != nil {
				return "", err
			}
			s, err := t.startDoor(folder, disk, chip)
			if err != nil {
				return "", err
			}
			if !strings.Contains(s.said, "nobody is recognised") || !strings.Contains(s.said, clause(why)) || !strings.Contains(s.said, ", 0 people,") || !s.left {
				return "", fmt.Errorf("%w: door let out: %v; it said %q", errDoor, s.left, s.said)
			}
			return "nobody is known, people are let out: " + clause(why), nil
		}
	}
	as := func() (string, error) { return t.programs, nil }
	return []row{
		{"10.0", "control: door started on its own disk, which is read afterwards", nil, func() (string, error) {
			s, err := t.startDoor(t.programs, end, end)
			if err == nil && (strings.Contains(s.said, "nobody is recognised") || strings.Contains(s.said, ", 0 people,") || !s.left) {
				err = fmt.Errorf("%w: door let out: %v; it said %q", errDoor, s.left, s.said)
			}
			if err != nil {
				return "", err
			}
			found := findings{}
			err = files(s.kiosk.disk(), func(_ string, content []byte) error {
				t.wanted.raw(content, found)
				t.wanted.strings(content, found)
				return nil
			})
			if err != nil {
				return "", err
			}
			_, err = verdictOf("", found)
			return "its people are known, people are let out; nothing found on the disk that door leaves", err
		}},
		{"10.1", "door started on the disk of before", nil, degraded(v.moments[atAnchor], end, as, vault.ErrRolledBack)},
		{"10.2", "door started on the disk at the thief's TPM", nil, degraded(end, t.thief.moments["begun"], as, tpm.ErrOtherTPM)},
		{"10.3", "door with one byte more started on the disk", nil, degraded(end, end, t.changedPrograms, tpm.ErrPCR)},
		{"10.4", "emergency log with three forged grants laid onto the disk, door started", nil, t.plantRecords},
	}
}

var errDoor = errors.New("door did not do what it should")

// changedPrograms is a folder with an image that nobody approved.
func (t *theft) changedPrograms() (string, error) {
	dir := filepath.Join(t.work, "changed")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	for _, name := range root.Programs() {
		program, err := os.ReadFile(filepath.Join(t.programs, name))
		if err != nil {
			return "", err
		}
		if name == "door" {
			program = append(program, 0)
		}
		if err := os.WriteFile(filepath.Join(dir, name), program, 0o700); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// stand is what was seen of a door that ran for a moment.
type stand struct {
	kiosk *kiosk // its power is off again
	said  string
	left  bool // the exit button opened
}

// startDoor runs door from a folder of programs on a disk at a TPM, presses the exit button, and ends it.
func (t *theft) startDoor(programs string, disk, chip moment) (s stand, err error) {
	if s.kiosk, err = t.stage(disk, chip); err != nil {
		return s, err
	}
	return s, t.runDoor(programs, &s)
}

const doorWait = 20 * time.Second // for the start of door on a busy machine; 1 s on an idle one

func (t *theft) runDoor(programs string, s *stand) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), doorWait)
	defer cancel()
	k := s.kiosk
	if err := k.power(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.off()) }()
	if err := os.Rename(k.socket(), filepath.Join(k.dir, "tpm.sock")); err != nil { // where door of the desk's board looks
		return err
	}
	b, err := twin.New(twin.Config{FramesPath: filepath.Join(k.dir, "frames.sock"), LinesPath: filepath.Join(k.dir, "lines.sock")})
	if err != nil {
		return err
	}
	boardCtx, stopBoard := context.WithCancel(context.Background())
	boardEnded := make(chan error, 1)
	go func() { boardEnded <- b.Run(boardCtx) }()
	defer func() { stopBoard(); err = errors.Join(err, <-boardEnded) }()

	cmd := exec.CommandContext(ctx, filepath.Join(programs, "door"), "-board", t.victim.board.Name, "-run", k.dir, "-state", k.disk())
	cmd.Env = []string{}
	out, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.said, err = untilReady(out)
	if err == nil {
		s.left, err = leave(ctx, b)
	}
	err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM))
	rest, _ := io.ReadAll(out)
	s.said += string(rest)
	return errors.Join(err, cmd.Wait())
}

// untilReady reads what door says until it serves.
func untilReady(out io.Reader) (said string, err error) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said += lines.Text() + "\n"
		if strings.HasPrefix(lines.Text(), "ready:") {
			return said, nil
		}
	}
	return said, fmt.Errorf("%w: it ended, and said %q", errDoor, said)
}

// leave presses the exit button and sees whether the relay releases the door.
func leave(ctx context.Context, b *twin.Board) (bool, error) {
	if err := b.Press(board.REX, 200*time.Millisecond); err != nil {
		return false, err
	}
	until := time.After(3 * time.Second)
	for {
		if b.Lines()[board.Relay] {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-until:
			return false, nil
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// plantRecords lays an emergency log of the thief's onto the disk. door takes it over at its next good start, but nothing in it that a degraded mode
// cannot have done.
func (t *theft) plantRecords() (string, error) {
	const forged = 3
	v := t.victim
	end := v.moments[theEnd]
	s := stand{}
	var err error
	if s.kiosk, err = t.stage(end, end); err != nil {
		return "", err
	}
	own, _, err := auditlog.Open(filepath.Join(s.kiosk.disk(), "emergency"), auditlog.Options{SegmentBytes: 256 << 10, Reserve: 2, MaxSegments: 64})
	if err != nil {
		return "", err
	}
	for range forged {
		data, marshalErr := wire.Marshal(access.Record{Version: access.RecordVersion, Event: access.EventWalkupGranted, Boot: 1, Door: doorName, Detail: "forged"})
		_, appendErr := own.Append(auditlog.Vital, data)
		err = errors.Join(err, marshalErr, appendErr)
	}
	if err = errors.Join(err, own.Close()); err != nil {
		return "", err
	}
	if err := t.runDoor(t.programs, &s); err != nil {
		return "", err
	}
	if err := s.kiosk.startLog(v.image); err != nil {
		return "", err
	}
	entries, err := s.kiosk.log.Read(0, 1000)
	if err != nil {
		return "", err
	}
	taken, named := 0, false
	for _, e := range entries {
		var r access.Record
		if err := wire.Unmarshal(e.Record, &r); err != nil {
			return "", err
		}
		if strings.Contains(r.Detail, "forged") {
			taken++
		}
		named = named || r.Event == access.EventEmergencyLogTaken && strings.Contains(r.Detail, fmt.Sprintf("%d were left out", forged))
	}
	if taken > 0 || !named {
		return "", fmt.Errorf("%d FORGED GRANTS STAND IN THE SIGNED LOG (event 506 tells of them: %v)", taken, named)
	}
	return "none of them stands in the signed log, and that they were there does", nil
}
