package vault

import (
	"testing"
	"time"
)

// busyRoot is a TPM that takes its time.
type busyRoot struct {
	*memoryRoot
	busy, free chan struct{}
}

func (r *busyRoot) Raise() (uint64, error) {
	if r.busy != nil {
		r.busy <- struct{}{}
		<-r.free
	}
	return r.memoryRoot.Raise()
}

// Whoever walks up is asked about their refusals while the TPM is busy with a change, and is not kept waiting; what was stored is known after it, and after
// another start.
func TestLockoutsAreKnownDuringAChange(t *testing.T) {
	root := &busyRoot{memoryRoot: newRoot()}
	options := sealedOptions(root.memoryRoot)
	options.Root = root
	file := path(t)
	v := mustOpen(t, file, options)
	want := Lockout{Boot: 3, Failures: []time.Duration{time.Second}, Locked: true}
	if err := v.SetLockout("person/1", want); err != nil {
		t.Fatal(err)
	}
	known := func(v *Vault, name string, failures int, locked bool) {
		t.Helper()
		got := make(chan Lockout)
		go func() {
			l, err := v.Lockout(name)
			if err != nil {
				t.Error(err)
			}
			got <- l
		}()
		select {
		case l := <-got:
			if len(l.Failures) != failures || l.Locked != locked {
				t.Errorf("%s: %+v", name, l)
			} else if failures > 0 {
				l.Failures[0] = 0 // is the caller's own
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%s waits for the TPM", name)
		}
	}
	known(v, "person/1", 1, true)
	known(v, "person/2", 0, false)
	root.busy, root.free = make(chan struct{}), make(chan struct{})
	changed := make(chan error)
	go func() {
		_, err := v.Apply(Step{Items: map[Item][]byte{Stream: {1}}, Restricts: true}, nil)
		changed <- err
	}()
	<-root.busy
	known(v, "person/1", 1, true)
	known(v, "person/2", 0, false)
	close(root.free)
	if err := <-changed; err != nil {
		t.Fatal(err)
	}
	root.busy = nil
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, file, options)
	if l, err := again.Lockout("person/1"); err != nil || l.Failures[0] != time.Second {
		t.Errorf("%+v, %v", l, err)
	}
	if err := again.SetLockout("person/1", Lockout{Boot: 4}); err != nil {
		t.Fatal(err)
	}
	known(again, "person/1", 0, false)
}
