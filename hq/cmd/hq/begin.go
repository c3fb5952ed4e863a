package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/draft"
	"github.com/lintel-access/lintel/sync/wire"
)

const beginAbout = `Has the next walk-up at a kiosk enrol PERSON (the whole id), for whom hq enrol -at has been signed. Be in touch with somebody who stands there and
knows them: the kiosk is asked for a challenge, you sign it, and there is one try, within two minutes. What was signed for the person is told first.

The door opens for nobody meanwhile. Who is turned down may try again: run it again, within eight hours of hq enrol.

The challenge is good for ten seconds, so this cannot be signed by way of a file. It needs headquarters' socket alone: see hq release -h.

Example:
  hq begin 0123456789abcdef0123456789abcdef -key eve.pem -socket ./hq.sock`

// beginCommand begins a supervised enrolment.
func beginCommand(ctx context.Context, args []string, out, progress io.Writer) error {
	p := newPage("begin", "PERSON -key FILE -dir DIR", beginAbout, progress)
	p.reaches()
	file := p.String("key", "", "an enroller's key `file` (required)")
	words, err := p.words(args, 1, 1)
	if err != nil {
		return err
	}
	if *file == "" {
		return fmt.Errorf("say whose word this is, -key FILE: %w", errUsage)
	}
	id, err := access.ParsePersonID(words[0])
	if err != nil { // hq serve, which would look a name up, is not to say for whom somebody's key signs
		return fmt.Errorf("say the whole id of the person: %w: %w", err, errUsage)
	}
	key, err := authority.LoadKey(*file)
	if err != nil {
		return err
	}
	s, err := ask[supervised](ctx, p, verbBegin, supervisedRequest{id})
	if err != nil {
		return err
	}
	if err := about(s.Order, id, progress); err != nil {
		return err
	}
	c, err := ask[challenged](ctx, p, verbChallenge, kioskRequest{wire.Name(s.Kiosk)})
	if err != nil {
		return err
	}
	if c.ID != s.Kiosk {
		return errors.New("headquarters takes another kiosk for the one that was signed for: nothing was signed")
	}
	envelope, err := wire.Sign(key, c.ID, wire.Begin{Challenge: c.Challenge.Challenge, Order: s.Order})
	if err != nil {
		return err
	}
	a, err := ask[outcome](ctx, p, verbRelease, orderRequest{wire.Name(c.ID), envelope})
	if err != nil {
		return err
	}
	return say(out, nil, "door %q, where %v is to stand alone: %s\n", c.Challenge.Door, id, a)
}

// about tells what an enrolment at a kiosk says, and refuses one of anybody else. Who signed it, and for which kiosk, the kiosk verifies.
func about(order []byte, id access.PersonID, out io.Writer) error {
	body, says, err := draft.Inside(order)
	if err != nil {
		return err
	}
	if s, ok := body.(wire.Supervised); !ok || s.Person != id {
		return errors.New("headquarters gives the order of somebody else: nothing was signed")
	}
	return say(out, nil, "- %s\n", says)
}

type supervisedRequest struct {
	Person access.PersonID `cbor:"1,keyasint"`
}

// supervised is the signed order of somebody who is to be enrolled at a kiosk.
type supervised struct {
	Kiosk [32]byte `cbor:"1,keyasint"`
	Order []byte   `cbor:"2,keyasint"`
}

func (s *served) supervised(_ context.Context, q supervisedRequest) (any, error) {
	if s.vault == nil {
		return nil, errors.New("nobody can be enrolled yet: hq people init makes a place for people, then start hq serve again")
	}
	kiosk, order, err := s.vault.Supervised(q.Person)
	return supervised{kiosk, order}, err
}
