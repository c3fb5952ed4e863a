package tpm

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// Blob is a key or a sealed secret as it lies on disk: public area and private area, the latter encrypted to this TPM's root. It is no secret.
type Blob []byte

// maxBlob bounds what is parsed; a sealed secret makes about 240 bytes.
const maxBlob = 1024

// MaxSecret is the most bytes that can be sealed: MAX_SYM_DATA of the PC client profile.
const MaxSecret = 128

// A kind of object: the name of its authorisation and its shape.
type kind struct {
	name     string
	template func(policy []byte) tpm2.TPMTPublic
}

func kindSealed() kind { return kind{"sealed", sealedTemplate} }

// objectAttributes bind an object to this TPM and this root, and to its policy: without UserWithAuth no session but a policy's may use it.
func objectAttributes() tpm2.TPMAObject {
	return tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: true}
}

func sealedTemplate(policy []byte) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:             tpm2.TPMAlgKeyedHash,
		NameAlg:          tpm2.TPMAlgSHA256,
		ObjectAttributes: objectAttributes(),
		AuthPolicy:       tpm2.TPM2BDigest{Buffer: policy},
	}
}

// Seal encrypts 1 to MaxSecret bytes to this TPM under Options.Authority. It needs no approval: only opening does.
func (t *TPM) Seal(secret []byte) (Blob, error) {
	if len(secret) == 0 || len(secret) > MaxSecret {
		return nil, fmt.Errorf("seal secret: %d bytes are not within 1..%d", len(secret), MaxSecret)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	b, err := t.create(kindSealed(), secret)
	if err != nil {
		return nil, fmt.Errorf("seal secret: %w", err)
	}
	return b, nil
}

// Unseal opens a sealed secret under one of at most two approvals: the running version's, and during a trial the next one's. Each refusal is its
// own error: ErrPCR, ErrFloor, ErrBoard, ErrForged; ErrOtherTPM, ErrSecret and ErrObject tell that no approval could help. The caller wipes the secret.
func (t *TPM) Unseal(b Blob, approvals ...Approval) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var secret []byte
	err := t.with(kindSealed(), b, approvals, encryptOut(), func(h tpm2.AuthHandle) error {
		c := &catching{Session: h.Auth}
		h.Auth = c
		_, err := run(t, tpm2.Unseal{ItemHandle: h})
		if err == nil && len(c.plain) == 0 {
			err = errors.New("tpm returned nothing")
		}
		secret = c.plain
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("unseal secret: %w", err)
	}
	return secret, nil
}

// catching takes the decrypted first parameter of an answer, authenticated by then, out of go-tpm's hands, which would leave copies of it on the heap.
type catching struct {
	tpm2.Session
	plain []byte
}

// Decrypt keeps the plain text and leaves zeros of the same length.
func (c *catching) Decrypt(p []byte) error {
	err := c.Session.Decrypt(p)
	c.plain = bytes.Clone(p)
	clear(p)
	return err
}

// create makes an object below the root.
func (t *TPM) create(k kind, data []byte) (Blob, error) {
	policy, err := t.options.Authority.policy()
	if err != nil {
		return nil, err
	}
	r, err := run(t, tpm2.Create{
		ParentHandle: t.parent(encryptIn()),
		InSensitive:  sensitive(t.auth(k.name), data),
		InPublic:     tpm2.New2B(k.template(policy)),
	})
	if err != nil {
		return nil, refusal(err, ErrSecret, tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail)
	}
	return append(tpm2.Marshal(r.OutPublic), tpm2.Marshal(r.OutPrivate)...), nil
}

func (t *TPM) parent(opts ...tpm2.AuthOption) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: t.root.Handle, Name: t.root.Name, Auth: t.session(t.auth("root"), opts...)}
}

// parse reads a blob and refuses any that is not of exactly the shape that create gives under this authority.
func parse(k kind, b Blob, by Authority) (public *tpm2.TPM2BPublic, private *tpm2.TPM2BPrivate, contents *tpm2.TPMTPublic, err error) {
	policy, err := by.policy()
	if err != nil {
		return nil, nil, nil, err
	}
	if public, private, err = split(b); err != nil {
		return nil, nil, nil, err
	}
	contents, err = public.Contents()
	want := k.template(policy)
	if err != nil || contents.Type != want.Type || !sameShape(contents, want) {
		return nil, nil, nil, ErrObject
	}
	return public, private, contents, nil
}

func split(b Blob) (*tpm2.TPM2BPublic, *tpm2.TPM2BPrivate, error) {
	if len(b) > maxBlob {
		return nil, nil, ErrObject
	}
	first, rest, ok := cut2B(b)
	second, end, ok2 := cut2B(rest)
	if !ok || !ok2 || len(end) != 0 {
		return nil, nil, ErrObject
	}
	public, err := tpm2.Unmarshal[tpm2.TPM2BPublic](first)
	if err != nil {
		return nil, nil, ErrObject
	}
	private, err := tpm2.Unmarshal[tpm2.TPM2BPrivate](second)
	if err != nil {
		return nil, nil, ErrObject
	}
	return public, private, nil
}

// cut2B cuts a size-prefixed field, prefix included, from the front of b.
func cut2B(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := 2 + int(b[0])<<8 + int(b[1])
	if n > len(b) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// load loads an object for the time of use. A raw TPM has three slots, so nothing of ours stays loaded between calls.
func (t *TPM) load(k kind, b Blob, use func(tpm2.NamedHandle) error) (err error) {
	public, private, _, err := parse(k, b, t.options.Authority)
	if err != nil {
		return err
	}
	l, err := run(t, tpm2.Load{ParentHandle: t.parent(), InPublic: *public, InPrivate: *private})
	if err != nil {
		err = refusal(err, ErrOtherTPM, tpm2.TPMRCIntegrity)
		return refusal(err, ErrSecret, tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail)
	}
	defer func() { err = errors.Join(err, t.flush(l.ObjectHandle)) }()
	return use(tpm2.NamedHandle{Handle: l.ObjectHandle, Name: l.Name})
}

// with uses an object under the first approval that this board and its state satisfy.
func (t *TPM) with(k kind, b Blob, approvals []Approval, encrypt tpm2.AuthOption, use func(tpm2.AuthHandle) error) error {
	if len(approvals) == 0 || len(approvals) > 2 {
		return fmt.Errorf("%d approvals given of one or two", len(approvals))
	}
	return t.load(k, b, func(h tpm2.NamedHandle) error {
		var refused []error
		for _, a := range approvals {
			s, err := t.satisfy(a, t.auth(k.name), encrypt)
			if err == nil {
				err = use(tpm2.AuthHandle{Handle: h.Handle, Name: h.Name, Auth: s})
			}
			if err == nil {
				return nil
			}
			err = refusal(err, ErrPCR, tpm2.TPMRCPCRChanged)
			refused = append(refused, refusal(err, ErrSecret, tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail))
		}
		return errors.Join(refused...)
	})
}
