package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/abuse"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// noted is what evidence had recorded.
type noted struct {
	mu   sync.Mutex
	list []string
}

func (n *noted) note(e access.Event, _ access.SessionID, detail string) {
	n.mu.Lock()
	n.list = append(n.list, fmt.Sprintf("%v: %s", e, detail))
	n.mu.Unlock()
}

func (n *noted) all() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.list, "\n")
}

// archive is door's evidence on a folder of its own.
type archive struct {
	*evidence
	state string
	key   *age.X25519Identity
	noted *noted

	degraded map[string]error // by part
}

func newArchive(t *testing.T, framed bool) *archive {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	a := &archive{state: t.TempDir(), key: key, noted: new(noted), degraded: map[string]error{}}
	p := access.Evidence{Select: access.SelectAttacks, Frames: framed, Reviewers: []string{key.Recipient().String()}, Keep: 24 * time.Hour, MaxBytes: 1 << 20}
	if a.evidence, err = newEvidence(p, "desk", a.state, a.noted.note, func(part string, err error) { a.degraded[part] = err }); err != nil {
		t.Fatal(err)
	}
	return a
}

// attack is a walk-up that ended as one.
func attack(number uint64) *abuse.Case {
	c := &abuse.Case{Policy: access.DefaultPolicy(), Bar: access.Bar{Profile: access.Office}, Wall: time.Now().Unix(), Why: access.ReasonFlat, Reason: access.ReasonFlat}
	c.Opened.Session = access.SessionID{Boot: 1, Number: number}
	c.Presentation.Probe = make([]float32, access.ProbeSize)
	c.Presentation.Probe[3] = 1
	c.Question = access.Question{Checked: true, Check: access.ReasonFlat}
	return c
}

// one makes the bundle of a walk-up and opens it.
func (a *archive) one(t *testing.T, c *abuse.Case) (*abuse.Bundle, []abuse.Picture) {
	t.Helper()
	if err := a.bundle(t.Context(), selected{c, frames.Now()}); err != nil {
		t.Fatalf("%v; %s", err, a.noted.all())
	}
	files, err := filepath.Glob(filepath.Join(a.state, evidenceFolder, fmt.Sprintf("*-%010d-*%s", c.Opened.Session.Number, abuse.Ending)))
	if err != nil || len(files) != 1 {
		t.Fatalf("bundles %q: %v", files, err)
	}
	info, err := os.Stat(files[0])
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the bundle has mode %v: %v", info.Mode(), err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(raw); !strings.Contains(a.noted.all(), "abuse bundle made: "+filepath.Base(files[0])) || !strings.Contains(a.noted.all(), hex.EncodeToString(sum[:])) {
		t.Errorf("the bundle is not recorded: %s", a.noted.all())
	}
	b, film, err := abuse.Open(bytes.NewReader(raw), int64(len(raw)), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return b, film
}

// An attack becomes one file for the reviewers, which names its audit record, and holds the frames as eye encrypted them.
//
// Control: B28
func TestEvidenceIsKept(t *testing.T) {
	a := newArchive(t, true)
	picture := abuse.Picture{Seq: 4, Stamp: time.Hour, Exposure: time.Millisecond, Image: *image.NewGray(image.Rect(0, 0, 300, 400))}
	for i := range picture.Image.Pix {
		picture.Image.Pix[i] = byte(i * i >> 3 * i >> 5) // little of it can be compressed: several parts
	}
	sealed, err := abuse.Seal(a.policy.Reviewers, []abuse.Picture{picture})
	if err != nil {
		t.Fatal(err)
	}
	if len(sealed) <= ipc.MaxPart {
		t.Fatalf("%d bytes are one part", len(sealed))
	}
	a.eyeUp(1, func(s ipc.Seal) error {
		part := ipc.Sealed{Session: s.Session, From: s.From, Size: uint32(len(sealed)), Part: sealed[s.From:min(int(s.From)+ipc.MaxPart, len(sealed))]}
		if err := part.Validate(); err != nil {
			t.Error(err)
		}
		a.took(part)
		a.took(part) // one that nobody asked for
		return nil
	})
	c := attack(5)
	a.recorded(access.Record{Session: c.Opened.Session, Evidence: [32]byte{1}}, 41)
	a.recorded(access.Record{Session: access.SessionID{Boot: 1, Number: 9}}, 42) // of no presentation
	a.keep(c, frames.Now())
	s := <-a.cases
	b, film := a.one(t, s.c)
	if len(film) != 1 || !bytes.Equal(film[0].Image.Pix, picture.Image.Pix) {
		t.Errorf("a film of %d pictures", len(film))
	}
	if b.Report.Request != "record 41 of the audit log" || b.Report.Session != "1/5" || b.Case.Made.Board != "desk" || b.Report.Exploit != "see the film of this file" {
		t.Errorf("the report says %+v", b.Report)
	}
}

// An eye that gives no frames, others, or not all of them leaves a bundle without: what was measured is evidence all the same.
func TestEvidenceWithoutFrames(t *testing.T) {
	for name, ask := range map[string]func(*evidence, ipc.Seal) error{
		"has none":     func(e *evidence, s ipc.Seal) error { e.took(ipc.Sealed{Session: s.Session}); return nil },
		"is gone":      func(*evidence, ipc.Seal) error { return errors.New("gone") },
		"is not there": nil,
		"of another":   func(e *evidence, s ipc.Seal) error { e.took(ipc.Sealed{Size: 9, Part: make([]byte, 9)}); return nil },
		"of another part": func(e *evidence, s ipc.Seal) error {
			e.took(ipc.Sealed{Session: s.Session, From: 1, Size: 9, Part: make([]byte, 8)})
			return nil
		},
		"too large": func(e *evidence, s ipc.Seal) error {
			e.took(ipc.Sealed{Session: s.Session, Size: 1 << 20, Part: make([]byte, 9)})
			return nil
		},
		"too large for the disk": func(e *evidence, s ipc.Seal) error {
			e.took(ipc.Sealed{Session: s.Session, Size: 10, Part: make([]byte, 10)})
			return nil
		},
		"byte by byte": func(e *evidence, s ipc.Seal) error {
			e.took(ipc.Sealed{Session: s.Session, From: s.From, Size: 10, Part: make([]byte, 1)})
			return nil
		},
		"grows": func(e *evidence, s ipc.Seal) error {
			e.took(ipc.Sealed{Session: s.Session, From: s.From, Size: 10 + s.From, Part: make([]byte, 1)})
			return nil
		},
	} {
		a := newArchive(t, true)
		if ask != nil {
			a.eyeUp(1, func(s ipc.Seal) error { return ask(a.evidence, s) })
			a.eyeDown(2) // another one
		}
		if name == "too large for the disk" {
			a.free = func() (uint64, error) { return leastFree + besides + 9, nil }
		}
		b, film := a.one(t, attack(6))
		if len(film) != 0 || b.Film.Bytes != 0 || !strings.Contains(b.Report.Exploit, "eye gave no frames") || !strings.Contains(a.noted.all(), "abuse bundle not made: none, although") {
			t.Errorf("%s: %d pictures, %q, %s", name, len(film), b.Report.Exploit, a.noted.all())
		}
	}
}

// Evidence leaves room for others, is not made faster than it wears the disk, and ends.
func TestEvidenceIsBounded(t *testing.T) {
	a := newArchive(t, false)
	if b, film := a.one(t, attack(1)); film != nil || b.Report.Exploit != "none: the policy keeps no frames" {
		t.Errorf("%d pictures, %q", len(film), b.Report.Exploit)
	}
	a.free = func() (uint64, error) { return leastFree + besides - 1, nil }
	if err := a.bundle(t.Context(), selected{attack(2), 0}); err == nil {
		t.Error("a full disk was filled further")
	}
	a.free = func() (uint64, error) { return leastFree + besides, nil }

	first, second := attack(3), attack(4)
	a.keep(first, 0)
	<-a.cases // it is being made
	a.keep(second, 0)
	if len(a.cases) != 0 || strings.Contains(a.noted.all(), "another one is being made") || second.Presentation.Probe[3] != 0 || first.Presentation.Probe[3] != 1 {
		t.Errorf("two at once, or keep waits for the log: %s", a.noted.all())
	}
	a.busy.Store(false)
	for a.hourly.Take(frames.Now()) {
	}
	for n := range uint64(maxRefused + 1) {
		a.keep(attack(5+n), 0)
	}
	a.end()
	if all := a.noted.all(); len(a.cases) != 0 || strings.Count(all, "another one is being made; 2 more are not recorded") != 1 ||
		strings.Count(all, "too many within an hour") != maxRefused-1 {
		t.Errorf("more than the hour allows: %s", all)
	}

	a.policy.MaxBytes = 1
	if err := a.bundle(t.Context(), selected{attack(7), 0}); !errors.Is(err, abuse.ErrNoRoom) {
		t.Errorf("a bundle above all bounds: %v", err)
	}
	old := attack(8)
	old.Wall = time.Now().Add(-25 * time.Hour).Unix()
	a.policy.MaxBytes = 1 << 20
	a.one(t, old)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); a.run(ctx) }()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(a.noted.all(), "abuse bundle expired: 1 bundles"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nothing expires: %s", a.noted.all())
		}
	}
	made := attack(9)
	a.cases <- selected{made, 0}
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(a.noted.all(), "0000000009-"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nothing is made: %s", a.noted.all())
		}
	}
	cancel()
	<-ended
	if made.Presentation.Probe[3] != 0 {
		t.Error("the probe is not wiped")
	}
}

// What could not be made or removed before door ended, or at all, is on record.
func TestEvidenceThatIsNotMade(t *testing.T) {
	a := newArchive(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); a.run(ctx) }()
	under := attack(1)
	a.keep(under, frames.Now()+time.Hour) // its outcome is not shown yet
	for deadline := time.Now().Add(10 * time.Second); len(a.cases) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is begun")
		}
	}
	cancel()
	<-ended
	queued := attack(2)
	a.keep(queued, 0) // the walk-up may end after the evidence
	a.end()
	if n := strings.Count(a.noted.all(), "abuse bundle not made: door was stopped"); n != 2 || under.Presentation.Probe[3] != 0 || queued.Presentation.Probe[3] != 0 {
		t.Errorf("%d of two on record and wiped: %s", n, a.noted.all())
	}

	stuck := filepath.Join(a.state, evidenceFolder, "0000000001-0000000001-1"+abuse.Ending)
	if err := os.MkdirAll(filepath.Join(stuck, "full"), 0o700); err != nil { // a file that cannot be removed
		t.Fatal(err)
	}
	a.expire()
	if err := a.degraded["evidence that is too old"]; err == nil || strings.Contains(a.noted.all(), "drop") {
		t.Errorf("what stays for ever: %v", err)
	}
	a.policy.MaxBytes = 1
	a.fit("")
	if a.degraded["evidence that has no room"] == nil {
		t.Error("more than policy allows is kept, and nobody is told")
	}
	if err := os.RemoveAll(stuck); err != nil {
		t.Fatal(err)
	}
	a.expire()
	a.fit("")
	for part, err := range a.degraded {
		if err != nil {
			t.Errorf("%s: %v", part, err)
		}
	}
}

// Who stands at the door cannot have the TPM sign by what they make of evidence.
func TestEvidenceIsNotUrgent(t *testing.T) {
	for _, e := range []access.Event{access.EventBundleMade, access.EventBundleExpired, access.EventBundleDropped, access.EventBundleNotMade} {
		if urgent, grave := weigh(e); urgent || grave {
			t.Errorf("%v: urgent %v, grave %v", e, urgent, grave)
		}
	}
}

// Where nothing is to be kept there is no folder; one that is there of another policy is still emptied.
func TestNoEvidenceByDefault(t *testing.T) {
	state := t.TempDir()
	e, err := newEvidence(access.DefaultPolicy().Evidence, "desk", state, nil, nil)
	if e != nil || err != nil {
		t.Errorf("evidence %v: %v", e, err)
	}
	e.recorded(access.Record{Evidence: [32]byte{1}}, 1) // and none of these minds
	e.eyeUp(1, nil)
	e.eyeDown(1)
	e.took(ipc.Sealed{})
	if _, err := os.Stat(filepath.Join(state, evidenceFolder)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder: %v", err)
	}
	if err := os.Mkdir(filepath.Join(state, evidenceFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	if e, err = newEvidence(access.Evidence{}, "desk", state, new(noted).note, nil); e == nil || err != nil {
		t.Errorf("what is left is not looked after: %v", err)
	}
	if _, err := newEvidence(access.Evidence{Select: access.SelectAll, Reviewers: []string{"age1nobody"}}, "desk", state, nil, nil); err == nil {
		t.Error("a reviewer that is none was accepted")
	}
}
