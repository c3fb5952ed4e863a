package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/walkup"
	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/sync/wire"
)

// reached is what link may ask, again and again until stop is closed.
func (v *visits) reached(stop <-chan struct{}) error {
	conn, err := v.connect(ipc.Link, func(ipc.Message) {})
	if err != nil {
		return err
	}
	defer conn.Close()
	verify := append(bytes.Repeat([]byte{' '}, 64), "TLS 1.3, client CertificateVerify\x00"...) // RFC 8446, 4.4.3
	for id := uint64(1); ; id++ {
		kind, body := ipc.KindOutboxHead, any(nil)
		switch id % 64 {
		case 1:
			kind, body = ipc.KindSignTLS, ipc.SignTLS{Message: append(verify, make([]byte, sha256.Size)...)}
		case 2:
			kind = ipc.KindPulse
		}
		if err := conn.Send(kind, id, body); err != nil {
			return err
		}
		select {
		case <-stop:
			return nil
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// forbidden is all that must not leave this kiosk.
func (v *visits) forbidden(d *dictionary) {
	for _, id := range v.people {
		d.secret("person id", id[:])
	}
	for _, x := range v.vectors {
		d.vector("probe or template", x)
	}
	for _, x := range v.levels {
		d.vector("gray levels of a face", x)
	}
	for _, s := range v.scores {
		d.score(s)
	}
}

// unnamed is what door told a client, without the ids that this client may hear. The bench operator alone may, and of these people alone: who was
// granted, which two an operator is to tell apart, who was enrolled and who looks like them.
func unnamed(role ipc.Role, m ipc.Message) ([]byte, error) {
	switch {
	case role == ipc.Desk && m.Kind == ipc.KindStatus:
		var s ipc.Status
		if err := ipc.Decode(m, &s); err != nil {
			return nil, err
		}
		for i, o := range s.Decisions {
			if !o.Person.IsZero() && o.Verdict != access.Granted {
				return nil, fmt.Errorf("status names a person who was %v: %v", o.Verdict, o.Reason)
			}
			s.Decisions[i].Person = access.PersonID{}
			if s.Pending.Session == o.Session && o.Reason == access.ReasonAmbiguous {
				s.Pending.First, s.Pending.Second = access.PersonID{}, access.PersonID{}
			}
		}
		return wire.Marshal(s)
	case role == ipc.Desk && m.Kind == ipc.KindEnrolled:
		var e ipc.Enrolled
		if err := ipc.Decode(m, &e); err != nil {
			return nil, err
		}
		e.Person, e.LookAlike = access.PersonID{}, access.PersonID{}
		return wire.Marshal(e)
	}
	return m.Body, nil
}

// said searches what door told its clients.
func (v *visits) said(d *dictionary, h *haul) (packets, size int, err error) {
	for role, messages := range v.heard {
		for _, m := range messages {
			body, err := unnamed(role, m)
			if err != nil {
				return 0, 0, err
			}
			d.read(fmt.Sprintf("%v to %v", m.Kind, role), body, h)
			packets, size = packets+1, size+len(body)
		}
	}
	return packets, size, nil
}

// files searches every file below a folder, names included.
func files(dir string, d *dictionary, h *haul) (number, size int, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		d.read("the name of a file", []byte(path), h)
		d.read(filepath.Base(path), bytes.Trim(data, "\x00"), h) // what is reserved is all zero
		number, size = number+1, size+len(data)
		return err
	})
	return number, size, err
}

// A thousand walk-ups of all kinds, enrolments, revocations and deletions among them: in all that left door afterwards, on disk, on its sockets and
// in what it said, is no person id, no name (door is told none), no probe and no template, plain or turned, no score and nothing that was measured in
// an image (door is given none). Records name a person by a pseudonym of the day.
//
// Control: A32
func TestAThousandWalkupsGiveNobodyAway(t *testing.T) {
	const kiosks, sessions = 12, 1000
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	calibration, err := model.DefaultCalibration()
	if err != nil {
		t.Fatal(err)
	}
	stderr := catchStderr(t)
	var words lines
	var places [kiosks]*visits
	var states [kiosks]string
	for i := range places {
		states[i] = stateFolder(t)
		b, g := groundOnTPM(t, states[i])
		k := standUnder(t, b, g, hasten, words.add)
		places[i] = &visits{
			running: k, t: t, rng: rand.New(rand.NewPCG(seed, uint64(i))), bundle: calibration.Bundle,
			run: k.run, view: k.status, lit: k.wires.litAt, deadline: k.policy.Deadline,
		}
		if err := places[i].open("twin"); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	var concluded atomic.Int64
	var work, beside sync.WaitGroup
	stop := make(chan struct{})
	for _, v := range places {
		work.Go(func() {
			if err := v.day(&concluded, sessions); err != nil {
				t.Error(err)
				concluded.Add(sessions) // nobody waits for this kiosk
			}
		})
		beside.Go(func() {
			if err := v.reached(stop); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	close(stop)
	beside.Wait()
	took := time.Since(begun)
	if t.Failed() {
		t.FailNow()
	}

	var d dictionary
	reasons := map[access.Reason]int{}
	now := time.Now().Unix()
	for _, v := range places {
		v.forbidden(&d)
		for r, n := range v.reasons {
			reasons[r] += n
		}
		checkSubjects(t, v, now)
		work.Go(v.stop)
	}
	work.Wait()
	for _, want := range []access.Reason{
		access.ReasonAllowed, access.ReasonUnknown, access.ReasonRevoked, access.ReasonSuspended, access.ReasonLockedOut, access.ReasonAmbiguous, access.ReasonNoAnswer,
		access.ReasonFlat, access.ReasonOtherSession, access.ReasonNoProbe, access.ReasonFewFrames, access.ReasonLockdown, access.ReasonEnrolled,
	} {
		if reasons[want] == 0 {
			t.Errorf("no walk-up ended with %v", want)
		}
	}
	emergency(t, states[0], &words)

	var found haul
	packets, fileCount, size := 0, 0, 0
	for i, v := range places {
		n, bytes, err := v.said(&d, &found)
		if err != nil {
			t.Fatal(err)
		}
		packets, size = packets+n, size+bytes
		if n, bytes, err = files(states[i], &d, &found); err != nil {
			t.Fatal(err)
		}
		fileCount, size = fileCount+n, size+bytes
	}
	said := append(words.all(), stderr()...)
	d.read("log lines", said, &found)
	for _, f := range found.faults() {
		t.Error("door gave away:", f)
	}
	t.Logf("%d sessions concluded on %d kiosks in %v: %v", concluded.Load(), kiosks, took.Round(time.Second), reasons)
	t.Logf("searched %d packets, %d files and %d bytes of text, %d MB, for %d words and %d scores; bare scores: %d, by chance %.1f", packets, fileCount, len(said),
		size>>20, len(d.words), len(d.scores), len(found.bare), found.chance)
	if n := concluded.Load(); n < sessions {
		t.Errorf("%d sessions concluded, want %d", n, sessions)
	}
	if strings.Count(string(said), "is gone") < 2*kiosks {
		t.Errorf("what door said was not recorded: %q", said)
	}
}

// checkSubjects reads the records back: whoever is named in one is named by today's pseudonym, which is not tomorrow's.
func checkSubjects(t *testing.T, v *visits, now int64) {
	t.Helper()
	names := map[[16]byte]bool{}
	for _, id := range v.people {
		today, tomorrow := v.gallery.Subject(id, now), v.gallery.Subject(id, now+86400)
		if today == tomorrow || today == [16]byte(id) || today == [16]byte{} {
			t.Error("a pseudonym lasts longer than a day, or is none")
		}
		names[today], names[v.gallery.Subject(id, now-300)] = true, true // midnight may pass
	}
	records, err := tail(v.audit, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	walkups, named := 0, map[[16]byte]bool{}
	for _, r := range records {
		if r.Session.Number != 0 && r.Reason != access.ReasonNone {
			walkups++
		}
		if r.Subject != [16]byte{} {
			named[r.Subject] = true
			if !names[r.Subject] {
				t.Errorf("%v names somebody by no pseudonym of the day", r.Event)
			}
		}
	}
	if walkups < 50 || len(named) < 8 {
		t.Errorf("%d records of walk-ups name %d people: too little to search", walkups, len(named))
	}
}

// emergency starts the kiosk once more, without its TPM: so that there is an emergency log.
func emergency(t *testing.T, state string, words *lines) {
	t.Helper()
	g := &ground{slab: make([]float32, walkup.SlabFloats(1)), release: func() {}}
	g.missing(access.EventTPMSilent, "TPM: gone")
	if err := g.openLog(state); err != nil {
		t.Fatal(err)
	}
	b, err := board.Load("desk")
	if err != nil {
		t.Fatal(err)
	}
	standUnder(t, b, g, hasten, words.add).stop()
	if _, err := os.Stat(filepath.Join(state, emergencyFolder)); err != nil {
		t.Error(err)
	}
}

// lines is what door says, from several goroutines.
type lines struct {
	mu   sync.Mutex
	text []byte
}

func (l *lines) add(format string, a ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = fmt.Appendf(l.text, format+"\n", a...)
}

func (l *lines) all() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]byte(nil), l.text...)
}

// catchStderr keeps what is written to the standard error until the test ends.
func catchStderr(t *testing.T) (text func() []byte) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stderr
	os.Stderr = f
	t.Cleanup(func() { os.Stderr = before; f.Close() })
	return func() []byte {
		data, err := os.ReadFile(f.Name())
		if err != nil {
			t.Error(err)
		}
		return data
	}
}
