package tpm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// satisfy is a policy session that proves to the TPM, when it is used, that the state is one that the release role approved. All is decided in the
// TPM; only the board is compared here first, because to the TPM an approval for another board is a wrong signature like any other.
func (t *TPM) satisfy(a Approval, auth []byte, opts ...tpm2.AuthOption) (tpm2.Session, error) {
	if !bytes.Equal(a.Board, t.options.Authority.Board) {
		return nil, ErrBoard
	}
	pcr, nv, err := a.Policy.commands()
	if err != nil {
		return nil, err
	}
	authorize, err := t.authorize(a)
	if err != nil {
		return nil, err
	}
	assert := func(_ transport.TPM, h tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
		pcr.PolicySession, nv.PolicySession, authorize.PolicySession = h, h, h
		nv.AuthHandle, _ = t.nv(FirmwareFloor, nv.NVIndex.(tpm2.NamedHandle).Name)
		if _, err := run(t, pcr); err != nil {
			return refusal(err, ErrPCR, tpm2.TPMRCValue)
		}
		if _, err := run(t, nv); err != nil {
			return nvRefusal(refusal(err, ErrFloor, tpm2.TPMRCPolicy))
		}
		if _, err := run(t, *authorize); err != nil {
			return refusal(err, ErrForged, tpm2.TPMRCValue)
		}
		_, err := run(t, tpm2.PolicyAuthValue{PolicySession: h})
		return err
	}
	return tpm2.Policy(tpm2.TPMAlgSHA256, 16, func(w transport.TPM, h tpm2.TPMISHPolicy, n tpm2.TPM2BNonce) error {
		err := assert(w, h, n)
		if err != nil { // go-tpm leaves a session behind whose policy failed
			err = errors.Join(err, t.flush(h))
		}
		return err
	}, append(opts, tpm2.Salted(t.root.Handle, t.rootKey), tpm2.Auth(auth))...), nil
}

// ticketRoom bounds what is remembered: two approvals live at a time, a few more over an update.
const ticketRoom = 8

// authorize has the TPM verify an approval's signature, or remembers that it did: the TPM vouches for its own ticket.
func (t *TPM) authorize(a Approval) (*tpm2.PolicyAuthorize, error) {
	key, err := t.options.Authority.public()
	if err != nil {
		return nil, err
	}
	name, err := tpm2.ObjectName(&key)
	if err != nil {
		return nil, err
	}
	policy, err := a.Policy.Digest()
	if err != nil {
		return nil, err
	}
	hash, err := a.hash()
	if err != nil {
		return nil, err
	}
	remembered := sha256.Sum256(append(hash[:], a.Signature...))
	ticket, ok := t.tickets[remembered]
	if !ok {
		if ticket, err = t.verify(key, hash, a.Signature); err != nil {
			return nil, err
		}
		if len(t.tickets) >= ticketRoom {
			clear(t.tickets)
		}
		t.tickets[remembered] = ticket
	}
	return &tpm2.PolicyAuthorize{
		ApprovedPolicy: tpm2.TPM2BDigest{Buffer: policy[:]},
		PolicyRef:      tpm2.TPM2BDigest{Buffer: reference(a.Board)},
		KeySign:        *name,
		CheckTicket:    ticket,
	}, nil
}

func (t *TPM) verify(key tpm2.TPMTPublic, hash [sha256.Size]byte, der []byte) (ticket tpm2.TPMTTKVerified, err error) {
	signature, err := tpmSignature(der)
	if err != nil {
		return ticket, fmt.Errorf("%w: %w", ErrForged, err)
	}
	l, err := run(t, tpm2.LoadExternal{InPublic: tpm2.New2B(key), Hierarchy: tpm2.TPMRHOwner})
	if err != nil {
		return ticket, fmt.Errorf("load release key: %w", err)
	}
	defer func() { err = errors.Join(err, t.flush(l.ObjectHandle)) }()
	r, err := run(t, tpm2.VerifySignature{KeyHandle: l.ObjectHandle, Digest: tpm2.TPM2BDigest{Buffer: hash[:]}, Signature: signature})
	if err != nil {
		return ticket, refusal(err, ErrForged, tpm2.TPMRCSignature)
	}
	return r.Validation, nil
}
