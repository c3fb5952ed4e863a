package wire

import (
	"crypto/sha256"
	"errors"
	"fmt"
)

// Command is one link of a kiosk's stream of state. It carries orders in the clear, or sealed to the kiosk when one of them is biometric, or none when
// what it carried has been destroyed since: then it serves to keep the chain.
type Command struct {
	Seq      uint64   `cbor:"1,keyasint"` // from 1, without gaps
	Previous [32]byte `cbor:"2,keyasint"` // Link of the one before; zero for the first
	Content  [32]byte `cbor:"3,keyasint"` // ContentOf the orders, in the clear
	Orders   [][]byte `cbor:"4,keyasint"` // envelopes of operators or of the fleet root
	Exchange uint32   `cbor:"5,keyasint"` // number of the kiosk's key that Sealed is sealed to; 0: nothing is
	Sealed   []byte   `cbor:"6,keyasint"` // HPKE: encapsulated key and ciphertext of the encoding of the orders
}

// Bounds of a Command.
const (
	MaxOrders = 64        // that fit: about twenty people with three references each
	MaxSealed = 140 << 10 // bytes
)

// Kind is KindCommand.
func (Command) Kind() Kind { return KindCommand }

// Validate holds it to its bounds, and to the content that it names where that is in the clear.
func (c Command) Validate() error {
	switch {
	case c.Seq == 0 || (c.Seq == 1) != (c.Previous == [32]byte{}):
		return fmt.Errorf("sequence %d, and the one before it does not fit", c.Seq)
	case c.Content == [32]byte{}:
		return errors.New("no content is named")
	case (c.Exchange == 0) != (len(c.Sealed) == 0) || len(c.Sealed) > 0 && len(c.Orders) > 0:
		return errors.New("it is neither sealed nor clear")
	case len(c.Sealed) > MaxSealed:
		return fmt.Errorf("%d sealed bytes, at most %d", len(c.Sealed), MaxSealed)
	case len(c.Orders) > MaxOrders:
		return fmt.Errorf("%d orders, at most %d", len(c.Orders), MaxOrders)
	case len(c.Orders) > 0 && ContentOf(c.Orders) != c.Content:
		return errors.New("its orders are not the content that it names")
	}
	return nil
}

// Link is what the next command names as its predecessor. It does not cover how the content was sealed, so that one command may be sent again, and
// content that was destroyed leaves the chain whole.
func (c Command) Link(kiosk [32]byte) [32]byte {
	h := sha256.New()
	h.Write([]byte("lintel link 1\x00"))
	h.Write(kiosk[:])
	var n [8]byte
	for i := range n {
		n[i] = byte(c.Seq >> (56 - 8*i))
	}
	h.Write(n[:])
	h.Write(c.Previous[:])
	h.Write(c.Content[:])
	return [32]byte(h.Sum(nil))
}

// ContentOf is the hash of orders that stand together in a command.
func ContentOf(orders [][]byte) [32]byte {
	hashes := make([][32]byte, len(orders))
	for i, o := range orders {
		hashes[i] = sha256.Sum256(o)
	}
	return ContentOfHashes(hashes)
}

// ContentOfHashes is ContentOf orders of which only the SHA-256 are at hand.
func ContentOfHashes(orders [][32]byte) [32]byte {
	h := sha256.New()
	h.Write([]byte("lintel content 1\x00"))
	for _, o := range orders {
		h.Write(o[:])
	}
	return [32]byte(h.Sum(nil))
}

// Time is headquarters' answer to a kiosk's nonce: what time it is, and what there is that the kiosk should have: so it notices who keeps something back.
type Time struct {
	Nonce [16]byte `cbor:"1,keyasint"`
	Now   int64    `cbor:"2,keyasint"` // Unix milliseconds
	Seq   uint64   `cbor:"3,keyasint"` // of the newest command; 0: there is none
	Head  [32]byte `cbor:"4,keyasint"` // its Link
	Trust uint64   `cbor:"5,keyasint"` // version of the newest trust document
}

// Kind is KindTime.
func (Time) Kind() Kind { return KindTime }

// Validate holds it to its bounds.
func (t Time) Validate() error {
	if t.Nonce == [16]byte{} || t.Now <= 0 || t.Trust == 0 || (t.Seq == 0) != (t.Head == [32]byte{}) {
		return errors.New("no nonce, no time, no trust, or a head that does not fit")
	}
	return nil
}

// Acknowledge says that headquarters has these records, durably: the kiosk may let them go.
type Acknowledge struct {
	Records uint64   `cbor:"1,keyasint"` // how many, from the first of the log
	Root    [32]byte `cbor:"2,keyasint"` // of the Merkle tree over them
}

// Kind is KindAcknowledge.
func (Acknowledge) Kind() Kind { return KindAcknowledge }

// Validate holds it to its bounds.
func (a Acknowledge) Validate() error {
	if a.Records == 0 || a.Root == [32]byte{} {
		return errors.New("no records, or no root")
	}
	return nil
}

// Certificate is the kiosk's next TLS certificate.
type Certificate struct {
	Chain [][]byte `cbor:"1,keyasint"` // DER: the kiosk's own first, then what vouches for it; at most 4
}

// Kind is KindCertificate.
func (Certificate) Kind() Kind { return KindCertificate }

// Validate holds it to its bounds.
func (c Certificate) Validate() error {
	if len(c.Chain) == 0 || len(c.Chain) > 4 {
		return fmt.Errorf("%d certificates, want 1 to 4", len(c.Chain))
	}
	for i, d := range c.Chain {
		if len(d) == 0 || len(d) > MaxCertificate {
			return fmt.Errorf("certificate %d has %d bytes, at most %d", i+1, len(d), MaxCertificate)
		}
	}
	return nil
}

// Ask has the kiosk say something.
type Ask struct {
	Request [16]byte `cbor:"1,keyasint"` // stands in the answer
	For     Kind     `cbor:"2,keyasint"` // KindChallenge, or KindExchange
	After   uint32   `cbor:"3,keyasint"` // KindExchange: the key of this number is to be replaced; 0: any will do
}

// Kind is KindAsk.
func (Ask) Kind() Kind { return KindAsk }

// Validate holds it to its bounds.
func (a Ask) Validate() error {
	if a.Request == [16]byte{} || a.For != KindChallenge && a.For != KindExchange {
		return fmt.Errorf("no request, or one for a %v", a.For)
	}
	return nil
}
