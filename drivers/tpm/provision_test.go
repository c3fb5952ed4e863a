//go:build !kiosk

package tpm

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

func TestProvisioningCutAfterAnyStepIsDoneAgain(t *testing.T) {
	steps := len((&provisioner{}).steps())
	for cut := range steps {
		t.Run(fmt.Sprintf("after %d steps", cut), func(t *testing.T) {
			b := bareBoard(t)
			p := &provisioner{TPM: TPM{options: b.options, wire: b.bare()}, secrets: b.secrets}
			p.options.Endorsement = b.secrets.Endorsement()
			if _, err := p.run(true, p.steps()[:cut]); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(b.process.Pid(), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			<-b.process.Ended()
			b.powerOn()
			b.provision()
			if n, err := b.open().Raise(VaultVersion); err != nil || n == 0 {
				t.Errorf("raised to %d, %v", n, err)
			}
		})
	}
}

func TestProvisioningTwiceChangesNothing(t *testing.T) {
	b := newBoard(t)
	first := b.id
	tp := b.open()
	v := must(tp.Raise(VaultVersion))(t)
	if err := tp.WriteAnchor([]byte("anchor")); err != nil {
		t.Fatal(err)
	}
	tp.Close()
	b.provision()
	if b.id.Pin != first.Pin || !b.id.Attestation.Equal(first.Attestation) || b.id.Floor != 1 || first.Floor != 1 {
		t.Errorf("first %+v, then %+v", first, b.id)
	}
	tp = b.open()
	if w := must(tp.Counter(VaultVersion))(t); w != v {
		t.Errorf("counter went from %d to %d", v, w)
	}
	if a := must(tp.ReadAnchor())(t); string(a) != "anchor" {
		t.Errorf("anchor is %q", a)
	}
	for _, id := range []Identity{first, b.id} {
		if err := VerifyRoot(id.Attestation, id.Pin, id.Root); err != nil {
			t.Error(err)
		}
	}
	if err := VerifyRoot(first.Attestation, Pin{1}, first.Root); !errors.Is(err, ErrAttestation) {
		t.Errorf("another pin: %v", err)
	}
}

func TestTPMOfSomebodyElseIsNotTaken(t *testing.T) {
	b := newBoard(t)
	for range 3 {
		if _, err := Provision(b.process.Socket(), NewSecrets(), b.options); !errors.Is(err, ErrOwned) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := Provision(b.process.Socket(), Secrets{}, b.options); err == nil {
		t.Error("zero secrets were taken")
	}
	b.provision() // three wrong guesses have locked nothing
}

func TestNoHierarchyIsLeftOpen(t *testing.T) {
	b := newBoard(t)
	b.open().Close()
	w := b.bare()
	for name, h := range map[string]tpm2.TPMHandle{
		"owner": tpm2.TPMRHOwner, "endorsement": tpm2.TPMRHEndorsement, "lockout": tpm2.TPMRHLockout, "platform": tpm2.TPMRHPlatform,
	} {
		_, err := tpm2.HierarchyChangeAuth{AuthHandle: tpm2.AuthHandle{Handle: h, Auth: tpm2.PasswordAuth(nil)}}.Execute(w)
		if !errors.Is(err, tpm2.TPMRCBadAuth) && !errors.Is(err, tpm2.TPMRCAuthFail) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The platform's opens with a reset; the next Open shuts it again.
	b.restart()
	b.open().Close()
	_, err := tpm2.HierarchyChangeAuth{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHPlatform, Auth: tpm2.PasswordAuth(nil)}}.Execute(b.bare())
	if !errors.Is(err, tpm2.TPMRCBadAuth) {
		t.Errorf("platform after a restart: %v", err)
	}
}

func TestAnotherTPMIsToldApart(t *testing.T) {
	b, other := newBoard(t), newBoard(t)
	tp := b.open()
	approval := b.approve(tp, 1)
	sealed := must(tp.Seal([]byte("data key")))(t)

	swapped := other.options
	swapped.Pin = b.options.Pin
	if _, err := Open(other.process.Socket(), swapped); !errors.Is(err, ErrOtherTPM) {
		t.Errorf("another provisioned TPM: %v", err)
	}
	if _, err := Open(bareBoard(t).process.Socket(), b.options); !errors.Is(err, ErrOtherTPM) {
		t.Errorf("a bare TPM: %v", err)
	}
	if _, err := Open(b.process.Socket(), Options{}); !errors.Is(err, ErrOtherTPM) {
		t.Errorf("no pin: %v", err)
	}
	// A thief who brings his own TPM, pin and all: the blob is for another root.
	theirs := other.options
	theirs.Authority = b.options.Authority
	thief, err := Open(other.process.Socket(), theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	if _, err := thief.Unseal(sealed, approval); !errors.Is(err, ErrOtherTPM) {
		t.Errorf("blob in another TPM: %v", err)
	}
	// Cleared: the lockout authorisation kills everything.
	tp.Close()
	w := b.bare()
	if _, err := (tpm2.Clear{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHLockout, Auth: tpm2.PasswordAuth(b.secrets.auth("lockout"))}}).Execute(w); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := Open(b.process.Socket(), b.options); !errors.Is(err, ErrOtherTPM) {
		t.Errorf("cleared TPM: %v", err)
	}
	pin := b.options.Pin
	b.provision() // owner and lockout are free again, and the old pin is gone
	if b.options.Pin == pin {
		t.Error("root survived the clear")
	}
}

func TestAnotherCPUSecretOpensNothing(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	approval := b.approve(tp, 1)
	sealed := must(tp.Seal([]byte("data key")))(t)
	tp.Close()
	for _, secret := range []string{"", "another"} {
		o := b.options
		o.CPUSecret = []byte(secret)
		tp, err := Open(b.process.Socket(), o)
		if err != nil {
			t.Fatal(err)
		}
		for name, do := range map[string]func() error{
			"counter": func() error { _, err := tp.Counter(VaultVersion); return err },
			"raise":   func() error { _, err := tp.Raise(VaultVersion); return err },
			"anchor":  func() error { return tp.WriteAnchor([]byte{1}) },
			"seal":    func() error { _, err := tp.Seal([]byte{1}); return err },
			"unseal":  func() error { _, err := tp.Unseal(sealed, approval); return err },
			"time":    func() error { _, err := tp.AttestTime(nil); return err },
		} {
			if err := do(); !errors.Is(err, ErrSecret) {
				t.Errorf("%s with cpu secret %q: %v", name, secret, err)
			}
		}
		tp.Close()
	}
	o := b.options
	o.CPUSecret = nil
	if _, err := Provision(b.process.Socket(), b.secrets, o); !errors.Is(err, ErrSecret) {
		t.Errorf("provisioned again with another cpu secret: %v", err)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	s := NewSecrets()
	for _, verb := range []string{"%v", "%+v", "%s", "%#v"} {
		if got := fmt.Sprintf(verb, s); got != "[redacted]" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
	if got := fmt.Sprintf("%x", s); got == fmt.Sprintf("%x", s[:]) {
		t.Error("hexadecimal prints the secrets")
	}
}
