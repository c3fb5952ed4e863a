package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/sync/wire"
)

const switchAbout = `%s, at every kiosk or at one. It is state: kiosks that are offline hear of it when they come back, and nothing but a later word of an
administrator ends it. REX and fire still open.

Example:
  hq %[2]s on -key ada.pem -dir hq`

// lockdownCommand sets or lifts lockdown.
func lockdownCommand(ctx context.Context, args []string, out, progress io.Writer) error {
	return switchCommand(ctx, args, "lockdown", "Locks every door against everybody (on), or ends that (off)", out, progress, func(version uint64, on bool) wire.Body {
		return wire.Lockdown{Version: version, On: on, Issued: time.Now().Unix()}
	})
}

// disableCommand has nobody recognised, or ends that.
func disableCommand(ctx context.Context, args []string, out, progress io.Writer) error {
	return switchCommand(ctx, args, "disable", "Has nobody recognised any more (on), or ends that (off)", out, progress, func(version uint64, on bool) wire.Body {
		return wire.Disable{Version: version, On: on, Issued: time.Now().Unix()}
	})
}

func switchCommand(ctx context.Context, args []string, name, does string, out, progress io.Writer, order func(version uint64, on bool) wire.Body) error {
	p := newPage(name, "on|off -key FILE|-draft FILE [-kiosk KIOSK] -dir DIR", fmt.Sprintf(switchAbout, does, name), progress)
	p.reaches()
	var g signing
	g.flags(p, "an administrator's")
	kiosk := p.String("kiosk", "", "one `kiosk`: its whole name, as hq kiosk list shows it (default: all)")
	words, err := p.words(args, 1, 1)
	if err != nil {
		return err
	}
	if words[0] != "on" && words[0] != "off" {
		return fmt.Errorf("say on or off, not %q: %w", words[0], errUsage)
	}
	// The time in milliseconds rises from word to word, whoever gives them and wherever.
	return g.order(ctx, p, *kiosk, order(uint64(time.Now().UnixMilli()), words[0] == "on"), out)
}

const releaseAbout = `Opens one door once, now. The kiosk is asked for a challenge, you sign it, and the kiosk checks your signature: headquarters cannot do this
without your key. A kiosk that is not connected is not released. It is waited for two seconds: what the kiosk says by then is told, and a refusal
is exit status 1. KIOSK is its whole name, as hq kiosk list shows it, or its door.

The challenge is good for ten seconds, so this cannot be signed by way of a file. From your own machine, where your key stays:
  ssh -N -L ./hq.sock:DIR/hq.sock HEADQUARTERS &
  hq release KIOSK -key FILE -socket ./hq.sock

Example:
  hq release front -key ada.pem -socket ./hq.sock`

// releaseCommand releases a door from afar.
func releaseCommand(ctx context.Context, args []string, out, progress io.Writer) error {
	p := newPage("release", "KIOSK -key FILE [-confirm SESSION] -dir DIR", releaseAbout, progress)
	p.reaches()
	file := p.String("key", "", "a releaser's key `file` (required)")
	confirm := p.String("confirm", "", "settle the walk-up of this `session`, as hq events shows it, that waits for an operator, instead of opening")
	words, err := p.words(args, 1, 1)
	if err != nil {
		return err
	}
	if *file == "" {
		return fmt.Errorf("say whose word this is, -key FILE: %w", errUsage)
	}
	key, err := authority.LoadKey(*file) // before the challenge's ten seconds begin
	if err != nil {
		return err
	}
	c, err := ask[challenged](ctx, p, verbChallenge, kioskRequest{words[0]})
	if err != nil {
		return err
	}
	if words[0] != c.Challenge.Door { // the signature names the door, and the kiosk knows its own
		if err := meant(words[0], c.ID); err != nil {
			return err
		}
	}
	r := wire.Release{Challenge: c.Challenge.Challenge, Door: c.Challenge.Door, Action: wire.ActionRelease}
	if *confirm != "" {
		if waits := access.SessionID(c.Challenge.Waits).String(); c.Challenge.Waits == (wire.Session{}) || waits != *confirm {
			return fmt.Errorf("session %s waits for no operator there (0/0: none does; it is %s): nothing was signed", *confirm, waits)
		}
		r.Action, r.Session = wire.ActionConfirm, c.Challenge.Waits
	}
	envelope, err := wire.Sign(key, c.ID, r)
	if err != nil {
		return err
	}
	a, err := ask[outcome](ctx, p, verbRelease, orderRequest{wire.Name(c.ID), envelope})
	if err != nil {
		return err
	}
	return say(out, nil, "door %q: %s\n", c.Challenge.Door, a)
}
