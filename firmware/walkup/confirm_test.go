package walkup

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// alike enrols two people who can hardly be told apart, and one of them stands at the door until door waits for an operator.
func alike(t *testing.T, bend func(*access.Policy)) (*bench, ipc.Pending) {
	t.Helper()
	b := start(t, bend)
	b.enrolled(0, access.Permitted)
	b.enrolled(1, access.Permitted)
	b.locked(func() {
		c := b.known[0]
		c.Second, c.SecondPerson = c.Score-0.01, access.PersonID{2}
		b.known[0] = c
	})
	o := b.decided(5)
	if o.Verdict != access.Uncertain || o.Reason != access.ReasonAmbiguous || o.Released != 0 {
		t.Fatalf("outcome %+v, want uncertain", o)
	}
	p := b.w.View().Pending
	if p.Session != o.Session || p.First != (access.PersonID{1}) || p.Second != (access.PersonID{2}) {
		t.Fatalf("waiting for an operator: %+v, after %+v", p, o)
	}
	return b, p
}

// Two who look alike: another try with more frames, then an operator's word, once, about one of the two.
func TestLookAlikesNeedAnOperatorsWord(t *testing.T) {
	b, p := alike(t, nil)
	b.locked(func() {
		tries := 0
		for _, r := range b.records {
			if r.Event == access.EventWalkupRetry && r.Reason == access.ReasonAmbiguous {
				tries++
			}
			if r.Verdict == access.Granted {
				t.Errorf("granted before anybody confirmed: %+v", r)
			}
		}
		if tries != 1 {
			t.Errorf("%d tries with more frames before an operator was asked, want 1", tries)
		}
	})
	// While door waits, the person who goes on standing there starts nothing.
	number := p.Session.Number
	until := time.Now().Add(400 * time.Millisecond)
	b.stand(5, access.HintNone, func() bool { return time.Now().After(until) })
	if now := b.w.View().Outcomes[0].Session.Number; now != number {
		t.Errorf("session %d began while door waited for an operator about %d", now, number)
	}
	if err := b.w.Confirm(b.ctx, access.SessionID{Boot: 4, Number: 999}, p.Second, ""); !errors.Is(err, ErrNothingToConfirm) {
		t.Errorf("another session was confirmed: %v", err)
	}
	if err := b.w.Confirm(b.ctx, p.Session, p.Second, "by operator 0a1b"); err != nil {
		t.Fatal(err)
	}
	b.locked(func() {
		for _, r := range b.records {
			if by := strings.HasPrefix(r.Detail, "by operator 0a1b"); by != (r.Event == access.EventWalkupConfirmed || r.Event == access.EventWalkupGranted) {
				t.Errorf("%v: %q", r.Event, r.Detail)
			}
		}
	})
	if err := b.w.Confirm(b.ctx, p.Session, p.Second, ""); !errors.Is(err, ErrNothingToConfirm) {
		t.Errorf("confirmed twice: %v", err)
	}
	o := b.w.View().Outcomes[0]
	if o.Session != p.Session || o.Verdict != access.Granted || o.Person != p.Second || o.Released == 0 {
		t.Errorf("outcome %+v, want a grant to the one who was confirmed", o)
	}
	b.locked(func() {
		if b.released != 1 {
			t.Errorf("released %d times", b.released)
		}
		n := len(b.records)
		settled, granted := b.records[n-2], b.records[n-1]
		want := (*benchGallery)(b).Subject(p.Second, granted.Wall)
		if settled.Event != access.EventWalkupConfirmed || granted.Event != access.EventWalkupGranted || granted.Session != p.Session || granted.Subject != want {
			t.Errorf("recorded %+v and %+v", settled, granted)
		}
	})
}

func TestWhatAnOperatorsWordDoesNotOpen(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(*bench)
		who   access.PersonID
		want  string
	}{
		"somebody else":         {nil, access.PersonID{3}, "unknown"},
		"who was revoked since": {func(b *bench) { b.enrolled(1, access.Revoked) }, access.PersonID{2}, "revoked"},
		"who is locked out": {func(b *bench) {
			b.refusals[access.PersonID{2}] = refusals{at: []time.Duration{now(), now(), now(), now(), now()}}
		}, access.PersonID{2}, "locked out"},
		"lockdown":               {func(b *bench) { b.door.Lockdown = true }, access.PersonID{1}, "lockdown"},
		"the enclosure open":     {func(b *bench) { b.door.Tamper = true }, access.PersonID{1}, "tamper"},
		"a log that is full":     {func(b *bench) { b.logErr = errors.New("full") }, access.PersonID{1}, "full"},
		"lockouts not readable":  {func(b *bench) { b.shelfErr = errors.New("no answer") }, access.PersonID{1}, "no answer"},
		"a door that is not set": {func(b *bench) { b.doorErr = errors.New("relay stuck") }, access.PersonID{1}, "relay stuck"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, p := alike(t, nil)
			if name == "who was revoked since" {
				tt.spoil(b)
			} else if tt.spoil != nil {
				b.locked(func() { tt.spoil(b) })
			}
			if err := b.w.Confirm(b.ctx, p.Session, tt.who, ""); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			b.locked(func() {
				if b.released != 0 {
					t.Error("the door was released")
				}
			})
		})
	}
}

// Who has left is not let in, nor who stands there instead.
func TestConfirmationEndsWithThePresence(t *testing.T) {
	for name, track := range map[string]uint32{"left": 0, "another face": 6} {
		b, p := alike(t, nil)
		b.stand(track, access.HintNone, func() bool { return b.w.View().Pending.Session != p.Session })
		if err := b.w.Confirm(b.ctx, p.Session, p.First, ""); !errors.Is(err, ErrNothingToConfirm) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
