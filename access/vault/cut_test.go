package vault

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
)

// summary is what a vault holds, in words.
func summary(t *testing.T, v *Vault) string {
	t.Helper()
	var s strings.Builder
	for n := 1; n <= 4; n++ {
		id := someone(t, n, 0).ID
		g, err := v.Tombstone(id)
		if err != nil {
			t.Fatal(err)
		}
		p, err := v.Get(id, bundle)
		if err != nil && !errors.Is(err, ErrUnknown) {
			t.Fatal(err)
		}
		if errors.Is(err, ErrUnknown) {
			fmt.Fprintf(&s, "%d none %d; ", n, g)
		} else {
			fmt.Fprintf(&s, "%d %v %d/%d; ", n, p.State, p.Generation, g)
		}
	}
	on, err := v.Lockdown()
	l, err2 := v.Lockout("front")
	p, err3 := v.Policy()
	stream, err4 := v.Item(Stream)
	pending, err5 := v.Item(Pending)
	if err := errors.Join(err, err2, err3, err4, err5); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&s, "lockdown %v, locked %v, policy %q, stream %x, pending %x, turn %d", on, l.Locked, p, stream, pending, v.sealed.head.Turn)
	return s.String()
}

// A snapshot is the disk and the counter when the power went.
type snapshot struct {
	what string
	file []byte
	n    uint64
}

// At every point at which the power may go, of every change that raises the counter: the vault opens with the state of before or
// after, and once a later change is acknowledged, no copy of before it opens.
func TestEveryCut(t *testing.T) {
	root, file := newRoot(), path(t)
	o := sealedOptions(root)
	v := mustOpen(t, file, o)
	for n := 1; n <= 4; n++ {
		mustPut(t, v, someone(t, n, 2))
	}
	id := func(n int) access.PersonID { return someone(t, n, 0).ID }
	cuts, older := 0, []snapshot{}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"boot", func() error { _, err := v.Boot(); return err }},
		{"delete", func() error { return v.Delete(id(1), 0) }},
		{"suspend", func() error { return v.Suspend(id(2)) }},
		{"revoke", func() error { return v.Revoke(id(3), 4) }},
		{"lockdown", func() error { return v.SetLockdown(true) }},
		{"policy", func() error { return v.SetPolicy([]byte("8")) }},
		{"lockout entered", func() error { return v.SetLockout("front", Lockout{Boot: 1, Locked: true}) }},
		{"lockout cleared", func() error { return v.SetLockout("front", Lockout{Boot: 1}) }},
		{"put suspended", func() error { p := someone(t, 4, 1); p.State = Suspended; return v.Put(p) }},
		{"re-key", func() error { return v.Rekey() }},
		{"step", func() error {
			_, err := v.Apply(Step{Orders: []Order{generation(t, 1, 9), Stand{id(2), 1, 1, Active}}, Items: map[Item][]byte{Stream: {7}}, Restricts: true},
				func([]Outcome) (map[Item][]byte, error) { return map[Item][]byte{Pending: {8}}, nil })
			return err
		}},
		{"delete again", func() error { return v.Delete(id(4), 0) }},
	} {
		before := summary(t, v)
		var shots []snapshot
		take := func(point string) {
			shots = append(shots, snapshot{step.name + ", " + point, content(t, file), root.n})
		}
		take("begin")
		v.sealed.cut = take
		n := root.n
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		v.sealed.cut = nil
		take("acknowledged")
		after := summary(t, v)
		if root.n != n+1 {
			t.Errorf("%s: the counter rose by %d", step.name, root.n-n)
		}
		if len(shots) < 5 {
			t.Fatalf("%s: %d points", step.name, len(shots))
		}
		for _, s := range shots {
			cuts++
			r := newRoot()
			r.n = s.n
			w, err := Open(written(t, s.file), reopen(sealedOptions(r)))
			if err != nil {
				t.Errorf("cut at %s: %v", s.what, err)
				continue
			}
			now := summary(t, w)
			committed := !strings.HasSuffix(s.what, "begin") && !strings.HasSuffix(s.what, "before commit")
			if want := map[bool]string{false: before, true: after}[committed]; now != want {
				t.Errorf("cut at %s: %s, want %s", s.what, now, want)
			}
			if r.n != w.sealed.head.Version {
				t.Errorf("cut at %s: version %d, counter %d after the start", s.what, w.sealed.head.Version, r.n)
			}
			if err := w.Suspend(id(2)); err != nil { // it works on
				t.Errorf("cut at %s: %v", s.what, err)
			}
			w.Close()
		}
		older = append(older, shots[0], shots[1])
		for _, s := range older {
			refusedWith(t, "put back: "+s.what, written(t, s.file), reopen(o), ErrRolledBack)
		}
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("power: %d cuts, %d older copies refused", cuts, len(older))
	mustOpen(t, file, reopen(o))
}

// The first sealing, cut after its commit; and a plain file that stays plain when it could not be sealed.
func TestAdoptionCut(t *testing.T) {
	file := path(t)
	v := mustOpen(t, file, Options{})
	mustPut(t, v, someone(t, 1, 2))
	v.Close()
	root := newRoot()
	root.refuse = errors.New("no answer")
	if _, err := Open(file, sealedOptions(root)); !errors.Is(err, ErrUnacknowledged) || !errors.Is(err, ErrRoot) {
		t.Fatalf("raise failed: %v", err)
	}
	refusedWith(t, "without a root", file, Options{}, ErrSealed)
	root.refuse = nil
	if v := mustOpen(t, file, reopen(sealedOptions(root))); v.Count() != 1 || root.n != 42 {
		t.Fatalf("%d people, counter %d", v.Count(), root.n)
	}
}

// A TPM that fails, or whose answer is lost: restricting changes are stored, nobody is told that they hold for ever, and the next
// occasion makes up for it.
func TestDeadCounter(t *testing.T) {
	root, file := newRoot(), path(t)
	v := mustOpen(t, file, sealedOptions(root))
	for n := 1; n <= 3; n++ {
		mustPut(t, v, someone(t, n, 1))
	}
	n := root.n
	root.refuse = errors.New("TPM_RC_RETRY")
	for i, do := range []func() error{
		func() error {
			r, err := v.Erase(someone(t, 1, 0).ID, 0)
			return errors.Join(err, receiptMustBeEmpty(r))
		},
		func() error { return v.Revoke(someone(t, 2, 0).ID, 0) },
		func() error { _, err := v.Boot(); return err },
		v.Settle,
	} {
		if err := do(); !errors.Is(err, ErrUnacknowledged) {
			t.Errorf("change %d: %v", i, err)
		}
	}
	mustPut(t, v, someone(t, 3, 2)) // enrolment needs no counter
	if v.Count() != 2 || root.n != n || v.sealed.head.Version != n+1 {
		t.Errorf("%d people, counter %d, version %d", v.Count(), root.n, v.sealed.head.Version)
	}
	root.refuse = nil
	copied := content(t, file)
	// The next change is acknowledged only by a raise of its own: else the copy above would pass for the file after it.
	if err := v.Suspend(someone(t, 3, 0).ID); err != nil || root.n != n+2 {
		t.Errorf("afterwards: %v, counter %d", err, root.n)
	}
	refusedWith(t, "the copy of before", written(t, copied), reopen(sealedOptions(root)), ErrRolledBack)

	root.lost = errors.New("timeout")
	if err := v.Suspend(someone(t, 3, 0).ID); !errors.Is(err, ErrUnacknowledged) {
		t.Errorf("lost answer: %v", err)
	}
	root.lost = nil
	if err := v.Settle(); err != nil || root.n != n+3 {
		t.Errorf("after a lost answer: %v, counter %d", err, root.n)
	}
	root.n += 5 // somebody else raises it
	if err := v.Suspend(someone(t, 3, 0).ID); !errors.Is(err, ErrUnacknowledged) {
		t.Errorf("another's raises: %v", err)
	}
}

func receiptMustBeEmpty(r Receipt) error {
	if r != (Receipt{}) {
		return errors.New("a receipt for what was not acknowledged")
	}
	return nil
}

// stopped is a clock that the test moves.
type stopped struct{ at time.Duration }

func (s *stopped) now() time.Duration { return s.at }

// Past the day's budget restricting changes still raise the counter, others wait for at most 60 s.
func TestBudget(t *testing.T) {
	root, file, clock := newRoot(), path(t), &stopped{time.Hour}
	o := sealedOptions(root)
	o.Budget, o.Now = 3, clock.now
	v := mustOpen(t, file, o)
	mustPut(t, v, someone(t, 1, 1))
	boot := func() {
		t.Helper()
		if _, err := v.Boot(); err != nil {
			t.Fatal(err)
		}
	}
	raised := func(what string, want uint64) {
		t.Helper()
		if root.n != want {
			t.Errorf("%s: counter %d, want %d", what, root.n, want)
		}
	}
	raised("adopted", 42)
	for range 3 {
		boot()
	}
	raised("within the budget", 45)
	for range 100 { // attempts are free
		if err := v.SetLockout("front", Lockout{Boot: 1, Failures: []time.Duration{1}}); err != nil {
			t.Fatal(err)
		}
	}
	boot()
	boot()
	raised("beyond it", 45)
	copied := content(t, file)
	for step := time.Duration(0); step <= 60*time.Second; step += 10 * time.Second {
		if err := v.Settle(); err != nil {
			t.Fatal(err)
		}
		clock.at += 10 * time.Second
	}
	raised("60 s later", 46)
	refusedWith(t, "the copy of before", written(t, copied), reopen(o), ErrRolledBack)
	if err := v.Suspend(someone(t, 1, 0).ID); err != nil {
		t.Fatal(err)
	}
	raised("restricting", 47)
	boot()
	raised("waiting", 47)
	if err := v.Suspend(someone(t, 1, 0).ID); err != nil {
		t.Fatal(err)
	}
	raised("restricting while another waits: each by itself", 49)
	boot()
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	raised("closed", 50)
	clock.at = 25 * time.Hour
	v = mustOpen(t, file, reopen(o))
	boot()
	raised("the same day: the clock stood still while off", 50)
	clock.at += 25 * time.Hour
	boot()
	raised("the next day", 51)
}
