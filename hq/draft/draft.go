// Package draft is how an operator's signature comes onto an order without the operator's key coming to headquarters. Headquarters writes drafts to a
// file; whoever is to sign takes that file to a machine of their own, reads there in sentences what they sign, and signs; the envelopes come back.
//
//	headquarters ─ drafts ─► operator's machine: Tell, Sign ─ envelopes ─► headquarters, which judges them as a kiosk would
//
// A draft is nobody's word: whoever signs reads it as a stranger's.
package draft

import (
	"crypto"
	"crypto/sha256"
	"fmt"

	"github.com/lintel-access/lintel/sync/wire"
)

// Order is one order as it waits for its signature.
type Order struct {
	Audience [32]byte  `cbor:"1,keyasint"`
	Kind     wire.Kind `cbor:"2,keyasint"`
	Body     wire.Raw  `cbor:"3,keyasint"`
	// Approved is the envelope that an approval approves, for whoever signs to read: the approval names it by its hash. Empty otherwise.
	Approved []byte `cbor:"4,keyasint"`

	unbound bool // the audience is not known: an approval does not bind it
}

// Draft is orders that belong together: all of them are signed, or none.
type Draft struct {
	Orders []Order `cbor:"1,keyasint"`
	// Called is what headquarters calls whom the orders are about. No order says it and nobody signs it.
	Called string `cbor:"2,keyasint"`
}

// Signed is the envelopes of one draft, in its order. Audience and Of serve to look things up; the signatures bind both.
type Signed struct {
	Envelopes [][]byte `cbor:"1,keyasint"`
	Audience  [32]byte `cbor:"2,keyasint"` // of the last order
	Of        [32]byte `cbor:"3,keyasint"` // its Hash: where headquarters finds what it keeps of the draft
}

// maxOrders is of one draft: who is enrolled again is first deleted.
const maxOrders = 2

// New makes an order of a body, which it holds to its bounds.
func New(audience [32]byte, body wire.Body) (o Order, err error) {
	if err := body.Validate(); err != nil {
		return o, err
	}
	data, err := wire.Marshal(body)
	return Order{Audience: audience, Kind: body.Kind(), Body: data}, err
}

// Hash names an order by what it says, whoever signs it.
func (o Order) Hash() [32]byte { return sha256.Sum256(o.Body) }

// Sign signs all orders of a draft. It refuses what Tell could not put into sentences, so that nobody signs what they were not told.
func (d Draft) Sign(key crypto.Signer) (s Signed, err error) {
	if len(d.Orders) == 0 || len(d.Orders) > maxOrders {
		return s, fmt.Errorf("sign draft: %d orders, want 1 to %d", len(d.Orders), maxOrders)
	}
	for _, o := range d.Orders {
		body, _, err := o.read()
		if err != nil {
			return Signed{}, fmt.Errorf("sign draft: %w", err)
		}
		envelope, err := wire.Sign(key, o.Audience, body)
		if err != nil {
			return Signed{}, err
		}
		s.Envelopes, s.Audience, s.Of = append(s.Envelopes, envelope), o.Audience, o.Hash()
	}
	return s, nil
}

// read decodes an order strictly, and says it.
func (o Order) read() (body wire.Body, says string, err error) {
	switch o.Kind {
	case wire.KindEnrolment:
		return say(o, enrolment)
	case wire.KindDeletion:
		return say(o, deletion)
	case wire.KindStanding:
		return say(o, standing)
	case wire.KindLockdown:
		return say(o, lockdown)
	case wire.KindDisable:
		return say(o, disable)
	case wire.KindPolicy:
		return say(o, policy)
	case wire.KindDecommission:
		return say(o, decommission)
	case wire.KindApproval:
		return say(o, approval)
	case wire.KindSupervised:
		return say(o, supervised)
	}
	return nil, "", fmt.Errorf("a %v is no operator's order", o.Kind)
}

func say[T wire.Body](o Order, sentence func(Order, T) (string, error)) (wire.Body, string, error) {
	var body T
	if err := wire.Unmarshal(o.Body, &body); err != nil {
		return nil, "", err
	}
	if err := body.Validate(); err != nil {
		return nil, "", err
	}
	says, err := sentence(o, body)
	return body, says, err
}
