//go:build !kiosk

package tpm

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// middle stands between us and the TPM.
type middle struct {
	transport.TPMCloser
	change func(command, answer []byte) []byte // nil: nothing
	heard  [][]byte                            // the answers so far
}

func (m *middle) Send(command []byte) ([]byte, error) {
	answer, err := m.TPMCloser.Send(command)
	if err != nil {
		return nil, err
	}
	answer = bytes.Clone(answer)
	m.heard = append(m.heard, bytes.Clone(answer))
	if m.change != nil {
		answer = m.change(command, answer)
	}
	return answer, nil
}

func code(command []byte) tpm2.TPMCC { return tpm2.TPMCC(binary.BigEndian.Uint32(command[6:])) }

// act is an operation whose answer we act on: the command that carries it, and how to tell a true answer.
type act struct {
	command tpm2.TPMCC
	do      func() ([]byte, error)
	check   func([]byte) error
}

func acts(t *testing.T, b *board, tp *TPM) map[string]act {
	good := b.approve(tp, 1000)
	secret := []byte("data key")
	sealed := must(tp.Seal(secret))(t)
	audit := must(tp.AuditKey(must(tp.CreateKey(Audit))(t), good))(t)
	exchange := must(tp.ExchangeKey(must(tp.CreateKey(Exchange))(t), good))(t)
	remote := must(ecdh.P256().GenerateKey(rand.Reader))(t)
	shared := must(remote.ECDH(exchange.PublicKey()))(t)
	anchor := []byte("anchor")
	if err := tp.WriteAnchor(anchor); err != nil {
		t.Fatal(err)
	}
	boot := must(tp.Counter(BootCounter))(t)
	vault := must(tp.Counter(VaultVersion))(t)
	image := must(tp.Read(PCRImage))(t)[0]
	same := func(want []byte) func([]byte) error {
		return func(got []byte) error {
			if !bytes.Equal(got, want) {
				return fmt.Errorf("believed %x, true is %x", got, want)
			}
			return nil
		}
	}
	number := func(n uint64, err error) ([]byte, error) { return binary.BigEndian.AppendUint64(nil, n), err }
	digest := sha256.Sum256([]byte("checkpoint"))
	return map[string]act{
		"read counter": {tpm2.TPMCCNVRead, func() ([]byte, error) { return number(tp.Counter(BootCounter)) }, same(must(number(boot, nil))(t))},
		"raise": {tpm2.TPMCCNVIncrement, func() ([]byte, error) { return number(tp.Raise(VaultVersion)) }, func(got []byte) error {
			n := binary.BigEndian.Uint64(got)
			if n <= vault {
				return fmt.Errorf("believed that %d is above %d", n, vault)
			}
			vault = n
			return nil
		}},
		"read anchor":  {tpm2.TPMCCNVRead, tp.ReadAnchor, same(anchor)},
		"write anchor": {tpm2.TPMCCNVWrite, func() ([]byte, error) { return nil, tp.WriteAnchor(anchor) }, same(nil)},
		"read pcr": {tpm2.TPMCCPCRRead, func() ([]byte, error) {
			p, err := tp.Read(PCRImage)
			if err != nil {
				return nil, err
			}
			return p[0].Value[:], nil
		}, same(image.Value[:])},
		"extend pcr": {tpm2.TPMCCPCRExtend, func() ([]byte, error) { return nil, tp.Extend(PCRPolicy, digest) }, same(nil)},
		"random": {tpm2.TPMCCGetRandom, func() ([]byte, error) { return tp.Random(32) }, func(got []byte) error {
			if len(got) != 32 {
				return fmt.Errorf("believed in %d bytes", len(got))
			}
			return nil
		}},
		"unseal": {tpm2.TPMCCUnseal, func() ([]byte, error) { return tp.Unseal(sealed, good) }, same(secret)},
		"agree":  {tpm2.TPMCCECDHZGen, func() ([]byte, error) { return exchange.ECDH(remote.PublicKey()) }, same(shared)},
		"sign": {tpm2.TPMCCSign, func() ([]byte, error) { return audit.Sign(nil, digest[:], crypto.SHA256) }, func(got []byte) error {
			if !ecdsa.VerifyASN1(audit.public, digest[:], got) {
				return errors.New("believed a signature that does not verify")
			}
			return nil
		}},
		"attest time": {tpm2.TPMCCGetTime, func() ([]byte, error) {
			a, err := tp.AttestTime(digest[:])
			return append(a.Body, a.Signature...), err
		}, func([]byte) error { return nil }},
	}
}

// openMiddle opens the TPM through a man in the middle.
func (b *board) openMiddle() (*TPM, *middle) {
	b.t.Helper()
	m := &middle{TPMCloser: b.bare()}
	tp, err := open(m, true, b.options)
	if err != nil {
		b.t.Fatal(err)
	}
	return tp, m
}

func TestFlippedBitIsNeverBelieved(t *testing.T) {
	b := newBoard(t)
	tp, m := b.openMiddle()
	for name, a := range acts(t, b, tp) {
		t.Run(name, func(t *testing.T) {
			m.heard, m.change = nil, nil
			if got, err := a.do(); err != nil || a.check(got) != nil {
				t.Fatalf("undisturbed: %x, %v", got, err)
			}
			longest := 0
			for _, answer := range m.heard {
				longest = max(longest, len(answer))
			}
			flips, tampered, harmless := 0, 0, 0
			for at := 6; at < longest; at++ { // before 6 stand tag and size, which mean nothing above the transport
				hit := false
				m.change = func(command, answer []byte) []byte {
					if code(command) == a.command && !hit && at < len(answer) {
						hit = true
						answer[at] ^= 1 << (at % 8)
					}
					return answer
				}
				got, err := a.do()
				m.change = nil
				if !hit {
					if err != nil {
						t.Fatalf("nothing flipped: %v", err)
					}
					continue
				}
				flips++
				switch {
				case errors.Is(err, ErrTampered):
					tampered++
				case err == nil && a.check(got) == nil:
					harmless++ // a reserved bit of the session's attributes, which nobody reads, the HMAC neither
				case err == nil:
					t.Errorf("byte %d: %x was believed", at, got)
				case at >= headerSize:
					t.Errorf("byte %d: %v", at, err)
				}
				if err := flushAll(m); err != nil { // what a lost answer left loaded
					t.Fatal(err)
				}
			}
			if tampered < 40 || harmless > 2 {
				t.Errorf("%d flips, %d told as tampered, %d harmless", flips, tampered, harmless)
			}
			if got, err := a.do(); err != nil || a.check(got) != nil {
				t.Errorf("afterwards: %x, %v", got, err)
			}
		})
	}
}

// Whatever is flipped in whichever answer of an operation, the operation fails or tells the truth.
func TestFlippedBitInAnyAnswerChangesNoTruth(t *testing.T) {
	b := newBoard(t)
	tp, m := b.openMiddle()
	for name, a := range acts(t, b, tp) {
		t.Run(name, func(t *testing.T) {
			m.heard = nil
			must(a.do())(t)
			for n, undisturbed := range m.heard {
				for at := 6; at < len(undisturbed); at += 5 {
					clear(tp.tickets)
					count := 0
					m.change = func(_, answer []byte) []byte {
						if count == n && at < len(answer) {
							answer[at] ^= 1 << (at % 8)
						}
						count++
						return answer
					}
					got, err := a.do()
					m.change = nil
					if err == nil {
						err = a.check(got)
						if err != nil {
							t.Errorf("answer %d, byte %d: %v", n, at, err)
						}
					}
					if err := flushAll(m); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

func TestOldAnswerIsNeverBelieved(t *testing.T) {
	b := newBoard(t)
	tp, m := b.openMiddle()
	m.heard = nil
	old := must(tp.Counter(VaultVersion))(t)
	recorded := m.heard
	for range 2 {
		must(tp.Raise(VaultVersion))(t)
	}
	replay := func(name string, only tpm2.TPMCC) {
		i := 0
		m.change = func(command, answer []byte) []byte {
			if only == 0 || code(command) == only {
				answer = recorded[min(i, len(recorded)-1)]
			}
			i++
			return bytes.Clone(answer)
		}
		n, err := tp.Counter(VaultVersion)
		m.change = nil
		if !errors.Is(err, ErrTampered) {
			t.Errorf("%s: %d, %v (the old one was %d)", name, n, err, old)
		}
		if err := flushAll(m); err != nil {
			t.Fatal(err)
		}
	}
	replay("the answer alone", tpm2.TPMCCNVRead)
	replay("the session and the answer", 0)
	if n := must(tp.Counter(VaultVersion))(t); n != old+2 {
		t.Errorf("counter is %d", n)
	}
}

// Whoever has the pinned public key but not the private one cannot pass Open.
func TestTPMThatCannotProveThePinIsRefused(t *testing.T) {
	b, other := newBoard(t), newBoard(t)
	w := b.bare()
	var publics [][]byte
	m := &middle{TPMCloser: w}
	for _, h := range []tpm2.TPMHandle{rootHandle, attestationHandle} {
		must(readPublic(m, h))(t)
	}
	publics = m.heard
	relay := &middle{TPMCloser: other.bare()}
	relay.change = func(command, answer []byte) []byte {
		if code(command) == tpm2.TPMCCReadPublic && len(publics) > 0 {
			answer, publics = publics[0], publics[1:]
		}
		return answer
	}
	if _, err := open(relay, true, b.options); !errors.Is(err, ErrOtherTPM) {
		t.Errorf("got %v", err)
	}
}

// No secret crosses the bus in clear, in either direction.
func TestSecretsAreEncryptedOnTheBus(t *testing.T) {
	b := newBoard(t)
	tap := &tap{TPMCloser: b.bare()}
	tp, err := open(tap, true, b.options)
	if err != nil {
		t.Fatal(err)
	}
	good := b.approve(tp, 1)
	secret := []byte("thirty-two bytes of a data key..")
	sealed := must(tp.Seal(secret))(t)
	must(tp.Unseal(sealed, good))(t)
	exchange := must(tp.ExchangeKey(must(tp.CreateKey(Exchange))(t), good))(t)
	remote := must(ecdh.P256().GenerateKey(rand.Reader))(t)
	shared := must(exchange.ECDH(remote.PublicKey()))(t)
	drawn := must(tp.Random(32))(t)
	anchor := bytes.Repeat([]byte("anchor"), 6)
	if err := tp.WriteAnchor(anchor); err != nil {
		t.Fatal(err)
	}
	must(tp.AttestTime(nil))(t)
	for name, s := range map[string][]byte{"sealed": secret, "shared": shared, "random": drawn, "anchor": anchor,
		"authorisation of root": tp.auth("root"), "of counters": tp.auth("nv"), "of sealed": tp.auth("sealed"), "of endorsement": b.secrets.Endorsement()} {
		if bytes.Contains(tap.bytes, s) {
			t.Errorf("%s crossed the bus", name)
		}
	}
	if len(tap.bytes) < 4000 {
		t.Errorf("tap heard %d bytes", len(tap.bytes))
	}
}

type tap struct {
	transport.TPMCloser
	bytes []byte
}

func (w *tap) Send(command []byte) ([]byte, error) {
	w.bytes = append(w.bytes, command...)
	answer, err := w.TPMCloser.Send(command)
	w.bytes = append(w.bytes, answer...)
	return answer, err
}
