package tpm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Persistent handles of our two primary keys, in the range that TCG gives to the owner. Never renumber: they are in TPMs in the field.
const (
	rootHandle        tpm2.TPMHandle = 0x81004C01
	attestationHandle tpm2.TPMHandle = 0x81004C02
)

// Pin is the Name of the storage root: the hash of its public area. The caller keeps it where the boot chain vouches for it.
type Pin [34]byte

// Options of an open TPM.
type Options struct {
	Pin         Pin           // from Provision; Open refuses without
	CPUSecret   []byte        // binds the objects to this CPU; empty where the board has none
	Endorsement []byte        // Secrets.Endorsement; only AttestTime needs it
	Authority   Authority     // who approves states, and of which board; keys and sealed objects need it
	Deadline    time.Duration // for one command; 5 s
}

// TPM is an open, pinned TPM. Its methods may be called by several goroutines; it runs one command at a time. A method returns at the latest one
// deadline after the TPM fell silent.
type TPM struct {
	options Options
	root    tpm2.NamedHandle
	rootKey tpm2.TPMTPublic // salts every session

	attestation    tpm2.NamedHandle
	attestationKey *ecdsa.PublicKey

	mu      sync.Mutex
	wire    transport.TPMCloser
	tickets map[[sha256.Size]byte]tpm2.TPMTTKVerified // approvals whose signature this TPM has verified
}

// Open opens the provisioned TPM at path, a character device or a Unix socket of swtpm, checks the pin, makes the TPM prove that it holds the
// pinned key, and shuts the platform hierarchy until the next reset.
func Open(path string, o Options) (*TPM, error) {
	w, sole, err := dial(path, o.Deadline)
	if err != nil {
		return nil, fmt.Errorf("open tpm: %w", err)
	}
	return openWire(w, sole, o)
}

func openWire(w *wire, sole bool, o Options) (*TPM, error) {
	t, err := open(w, sole, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open tpm: %w", err), w.Close())
	}
	return t, nil
}

func open(w transport.TPMCloser, sole bool, o Options) (*TPM, error) {
	if o.Pin == (Pin{}) {
		return nil, fmt.Errorf("%w: no pin given", ErrOtherTPM)
	}
	if sole {
		if err := flushAll(w); err != nil {
			return nil, err
		}
	}
	t := &TPM{options: o, wire: w, tickets: map[[sha256.Size]byte]tpm2.TPMTTKVerified{}}
	if err := t.adopt(); err != nil {
		return nil, refusal(err, ErrOtherTPM, tpm2.TPMRCHandle)
	}
	// Whoever relays the pinned public key without holding it cannot answer this one.
	if _, err := t.Random(8); err != nil {
		return nil, refusal(err, ErrOtherTPM, tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail)
	}
	return t, t.shutPlatform()
}

// adopt reads the public halves of the two primary keys. The root's must have the pinned Name; the attestation key's is proven by the first HMAC over
// its Name.
func (t *TPM) adopt() error {
	public, err := readPublic(t.wire, rootHandle)
	if err != nil {
		return err
	}
	pin, err := pinOf(public)
	if err != nil {
		return err
	}
	if pin != t.options.Pin {
		return fmt.Errorf("%w: pinned %x, found %x", ErrOtherTPM, t.options.Pin[2:10], pin[2:10])
	}
	t.root, t.rootKey = tpm2.NamedHandle{Handle: rootHandle, Name: tpm2.TPM2BName{Buffer: pin[:]}}, *public
	attests, err := readPublic(t.wire, attestationHandle)
	if err != nil {
		return err
	}
	name, err := tpm2.ObjectName(attests)
	if err != nil || !sameShape(attests, attestationTemplate()) {
		return fmt.Errorf("%w: something else stands at the attestation key's handle", ErrOtherTPM)
	}
	t.attestation = tpm2.NamedHandle{Handle: attestationHandle, Name: *name}
	t.attestationKey, err = publicKey(attests)
	return err
}

// Close ends the use of the TPM. It waits for the command under way.
func (t *TPM) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wire.Close()
}

// Random returns n random bytes of the TPM, 1 to 32, encrypted on the way.
func (t *TPM) Random(n int) ([]byte, error) {
	if n < 1 || n > sha256.Size {
		return nil, fmt.Errorf("draw random bytes: %d is not within 1..%d", n, sha256.Size)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r, err := run(t, tpm2.GetRandom{BytesRequested: uint16(n)}, t.session(nil, encryptOut()))
	if err != nil {
		return nil, fmt.Errorf("draw random bytes: %w", err)
	}
	if len(r.RandomBytes.Buffer) != n {
		return nil, fmt.Errorf("draw random bytes: tpm returned %d of %d", len(r.RandomBytes.Buffer), n)
	}
	return r.RandomBytes.Buffer, nil
}

// shutPlatform gives the platform hierarchy an authorisation that is forgotten at once. Whoever did so before us this boot has done our work.
func (t *TPM) shutPlatform() error {
	err := t.setAuth(tpm2.TPMRHPlatform, []byte(rand.Text()))
	for _, shut := range []tpm2.TPMRC{tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail, tpm2.TPMRCHierarchy} {
		if errors.Is(err, shut) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("shut platform hierarchy: %w", err)
	}
	return nil
}

// setAuth gives a hierarchy that has none an authorisation. The empty one goes as a password: the TPM answers such a change under the new value, which
// go-tpm does not reckon with. The second session guards and encrypts the command all the same.
func (t *TPM) setAuth(hierarchy tpm2.TPMHandle, auth []byte) error {
	_, err := run(t, tpm2.HierarchyChangeAuth{
		AuthHandle: tpm2.AuthHandle{Handle: hierarchy, Auth: tpm2.PasswordAuth(nil)},
		NewAuth:    tpm2.TPM2BAuth{Buffer: auth},
	}, t.session(nil, encryptIn()))
	return err
}

// confirmAuth sets a hierarchy's authorisation to what it is: it fails where it is another.
func (t *TPM) confirmAuth(hierarchy tpm2.TPMHandle, auth []byte) error {
	_, err := run(t, tpm2.HierarchyChangeAuth{
		AuthHandle: tpm2.AuthHandle{Handle: hierarchy, Auth: t.session(auth, encryptIn())},
		NewAuth:    tpm2.TPM2BAuth{Buffer: auth},
	})
	return err
}

// session is an HMAC session for one command, salted to the pinned root. One for each command costs a key agreement in the TPM, and leaves no state
// in it that a crash or a tampered answer could strand.
func (t *TPM) session(auth []byte, opts ...tpm2.AuthOption) tpm2.Session {
	return tpm2.HMAC(tpm2.TPMAlgSHA256, 16, append(opts, tpm2.Salted(t.root.Handle, t.rootKey), tpm2.Auth(auth))...)
}

// auth derives the authorisation value of the objects of one name from the CPU secret. It is hexadecimal because go-tpm v0.9.8 cuts a value at its
// first zero byte where the TPM drops only trailing ones.
func (t *TPM) auth(name string) []byte {
	return derive(t.options.CPUSecret, "lintel/tpm/object/v1/"+name)
}

func derive(secret []byte, label string) []byte {
	key, err := hkdf.Key(sha256.New, secret, nil, label, 16)
	if err != nil {
		panic(err) // unreachable: 16 bytes are within HKDF's limit
	}
	return hex.AppendEncode(nil, key)
}

func encryptIn() tpm2.AuthOption  { return tpm2.AESEncryption(128, tpm2.EncryptIn) }
func encryptOut() tpm2.AuthOption { return tpm2.AESEncryption(128, tpm2.EncryptOut) }

// command is what every command of go-tpm can do.
type command[R any] interface {
	Execute(transport.TPM, ...tpm2.Session) (*R, error)
}

// run executes one command and judges its failure.
func run[R any](t *TPM, c command[R], s ...tpm2.Session) (*R, error) {
	r, err := c.Execute(t.wire, s...)
	return r, judge(err)
}

func (t *TPM) flush(h tpm2.TPMHandle) error {
	_, err := run(t, tpm2.FlushContext{FlushHandle: h})
	return err
}

// flushAll drops what an earlier process left loaded. A kernel resource manager does so by itself when the process ends; swtpm's three slots of
// objects and of sessions would otherwise be gone after three crashes.
func flushAll(w transport.TPM) error {
	for _, first := range []uint32{uint32(tpm2.TPMHTTransient) << 24, uint32(tpm2.TPMHTHMACSession) << 24, uint32(tpm2.TPMHTPolicySession) << 24} {
		r, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: first, PropertyCount: 64}.Execute(w)
		if err != nil {
			return judge(err)
		}
		left, err := r.CapabilityData.Data.Handles()
		if err != nil {
			return judge(err)
		}
		for _, h := range left.Handle {
			if _, err := (tpm2.FlushContext{FlushHandle: h}).Execute(w); err != nil {
				return fmt.Errorf("flush handle %#x: %w", uint32(h), judge(err))
			}
		}
	}
	return nil
}

func readPublic(w transport.TPM, h tpm2.TPMHandle) (*tpm2.TPMTPublic, error) {
	r, err := tpm2.ReadPublic{ObjectHandle: h}.Execute(w)
	if err != nil {
		return nil, judge(err)
	}
	public, err := r.OutPublic.Contents()
	if err != nil {
		return nil, judge(err)
	}
	return public, nil
}

func pinOf(public *tpm2.TPMTPublic) (pin Pin, err error) {
	name, err := tpm2.ObjectName(public)
	if err != nil || len(name.Buffer) != len(pin) || !sameShape(public, rootTemplate()) {
		return Pin{}, fmt.Errorf("%w: something else stands at the root's handle", ErrOtherTPM)
	}
	copy(pin[:], name.Buffer)
	return pin, nil
}

// sameShape reports whether two public areas differ in their public key alone.
func sameShape(a *tpm2.TPMTPublic, b tpm2.TPMTPublic) bool {
	x := *a
	x.Unique = b.Unique
	return bytes.Equal(tpm2.Marshal(x), tpm2.Marshal(b))
}
