//go:build !kiosk

package tis

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"testing"

	"github.com/lintel-access/lintel/drivers/tpm"
)

// Everything that package tpm does works over the bus, whatever the manners of the chip, and nothing that PTP forbids is done to it.
func TestWholeStackRunsOverSPI(t *testing.T) {
	for name, manner := range map[string]func(*part){
		"as an SLB 9670 says it is":     func(*part) {},
		"bursts of one byte":            func(p *part) { p.burst = 1 },
		"bursts of seven":               func(p *part) { p.burst = 7 },
		"bursts beyond an access":       func(p *part) { p.burst = 4096 },
		"accesses of 8 bytes":           func(p *part) { p.capability = 0x30000297 },
		"accesses of one byte":          func(p *part) { p.capability = 0x30000097 },
		"wait states":                   func(p *part) { p.waits = 3 },
		"no burst at every other look":  func(p *part) { p.stutter = true },
		"commandReady aborts and makes": func(p *part) { p.straight = true },
		"slow":                          func(p *part) { p.slow = 20 },
		"busy with its self-test":       func(p *part) { p.busy = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			manner(r.part)
			r.options.Pin = must(tpm.ProvisionLine(r.line(quick()), r.secrets, r.options))(t).Pin
			tp := r.mustOpen()
			n := must(tp.Raise(tpm.VaultVersion))(t)
			secret := []byte("thirty-two bytes of a data key..")
			sealed := must(tp.Seal(secret))(t)
			good := r.approve(tp)
			if got := must(tp.Unseal(sealed, good))(t); !bytes.Equal(got, secret) {
				t.Errorf("unsealed %q", got)
			}
			key := must(tp.AuditKey(must(tp.CreateKey(tpm.Audit))(t), good))(t)
			digest := sha256.Sum256([]byte("checkpoint"))
			if s := must(key.Sign(nil, digest[:], crypto.SHA256))(t); !ecdsa.VerifyASN1(key.Public().(*ecdsa.PublicKey), digest[:], s) {
				t.Error("signature does not verify")
			}
			if _, err := tp.AttestTime(digest[:]); err != nil {
				t.Error(err)
			}
			if err := tp.Extend(tpm.PCRImage, digest); err != nil {
				t.Fatal(err)
			}
			if err := tp.Close(); err != nil {
				t.Error(err)
			}
			if r.active {
				t.Error("the locality was kept")
			}
			r.content()

			// Opened again without a reset the measurement stands, after one it is gone and the counter is not.
			tp = r.mustOpen()
			if _, err := tp.Unseal(sealed, good); err == nil {
				t.Error("opened in another state: the measurement was lost")
			}
			tp.Close()
			r.reboot()
			tp = r.mustOpen()
			if got := must(tp.Unseal(sealed, good))(t); !bytes.Equal(got, secret) {
				t.Errorf("after a reset: %q", got)
			}
			if m := must(tp.Counter(tpm.VaultVersion))(t); m != n {
				t.Errorf("counter is %d, was %d", m, n)
			}
			r.content()
		})
	}
}

// A process that ended in the middle of anything leaves a chip that the next one can use.
func TestChipIsTakenFromAnyState(t *testing.T) {
	r := provisioned(t)
	command := []byte{0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7B, 0, 8} // TPM2_GetRandom, 8 bytes
	for _, s := range []state{idle, isReady, reception, execution, completion} {
		for _, active := range []bool{true, false} {
			r.active, r.state, r.in, r.out, r.at, r.slow = active, s, command[:4], refusal(0), 3, 2
			tp, err := r.open()
			if err != nil {
				t.Errorf("state %d: %v", s, err)
				continue
			}
			if err := tp.Close(); err != nil {
				t.Errorf("state %d: close: %v", s, err)
			}
		}
	}
	r.content()
}
