package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/hatch"
	"github.com/lintel-access/lintel/hq/people"
	"github.com/lintel-access/lintel/sync/wire"
)

const beginAbout = `Has the next walk-up at a kiosk enrol PERSON (an id, a number or a name), for whom hq enrol -at has been signed. Be in touch with somebody who
stands there and knows them: the kiosk is asked for a challenge, you sign it, and there is one try, within two minutes.`

// beginCommand begins a supervised enrolment.
func beginCommand(ctx context.Context, args []string, out, progress io.Writer) error {
	var o office
	p := newPage("begin", "PERSON -key FILE -dir DIR", beginAbout, progress)
	p.reaches()
	file := p.String("key", "", "an enroller's key `file` (required)")
	p.StringVar(&o.master, "master", "", "`file` of the master key of the people (default DIR/"+masterFile+")")
	words, err := p.words(args, 1, 1)
	if err != nil {
		return err
	}
	if *file == "" {
		return fmt.Errorf("say whose word this is, -key FILE: %w", errUsage)
	}
	key, err := authority.LoadKey(*file)
	if err != nil {
		return err
	}
	if o.dir = p.dir; o.master == "" {
		o.master = filepath.Join(o.dir, masterFile)
	}
	vault, err := o.open()
	if err != nil {
		return err
	}
	who, err := vault.Find(words[0])
	if err != nil {
		return err
	}
	order, err := live(vault, who)
	if err != nil {
		return err
	}
	c, err := ask[challenged](ctx, p, verbChallenge, kioskRequest{wire.Name(who.At)})
	if err != nil {
		return err
	}
	if c.ID != who.At {
		return errors.New("headquarters takes another kiosk for the one that was signed for: nothing was signed")
	}
	envelope, err := wire.Sign(key, c.ID, wire.Begin{Challenge: c.Challenge.Challenge, Order: order})
	if err != nil {
		return err
	}
	if _, err := ask[hatch.Nothing](ctx, p, verbRelease, orderRequest{wire.Name(c.ID), envelope}); err != nil {
		return err
	}
	return say(out, nil, "sent to door %q: %v is to stand there alone; the kiosk's record says what came of it\n", c.Challenge.Door, who.ID)
}

// live is the signed order of somebody who is to be enrolled at a kiosk, if nothing stands in its way.
func live(vault *people.People, who people.Listed) ([]byte, error) {
	switch {
	case who.At == [32]byte{}:
		return nil, errors.New("this person is enrolled from photographs, and not at a kiosk")
	case who.Pending:
		return nil, errors.New("a second operator has to approve it first: hq approve")
	case who.State != people.Active:
		return nil, fmt.Errorf("this person is %v", who.State)
	}
	order, gone, _, err := vault.Content(who.Order)
	if err == nil && gone {
		err = errors.New("the order does not exist any more")
	}
	return order, err
}
