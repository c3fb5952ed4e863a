package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/sync/roster"
	"github.com/lintel-access/lintel/sync/wire"
)

const (
	// exchangeLife is how long one key for sealed content is used: what was recorded on its way opens for nobody once the key is gone.
	exchangeLife = 91 * 24 * time.Hour
	// exchangeLeast is how long headquarters waits for another one at least: a TPM makes keys slowly, and to keep one and to forget the one before raises its
	// counter twice: the server's key alone wears it by 2 of the 64 raises that the vault budgets for a day.
	exchangeLeast = 24 * time.Hour
	// exchangeKept is for how long after the newest key was made the one before opens what is still on its way, if nothing comes that is sealed to the newest.
	exchangeKept = 24 * time.Hour
)

// exchangeKey is a key for sealed content, as the TPM wrapped it. Two are kept while headquarters may still seal to the older one.
type exchangeKey struct {
	Number uint32 `cbor:"1,keyasint"`
	Blob   []byte `cbor:"2,keyasint"`
	Made   int64  `cbor:"3,keyasint"` // trusted Unix seconds; 0: no time was trusted then
}

var errNoExchange = errors.New("it is sealed to a key that this kiosk does not have, or not any more")

// restoreKeys takes up the keys that the vault keeps; before there are any, the one of provisioning.
func (h *headquarters) restoreKeys() error {
	if h.retired {
		h.keys = []exchangeKey{{Number: 1}} // its number stands in greetings
		return nil
	}
	kept, err := h.door.store.Item(vault.Exchange)
	if err == nil && kept != nil {
		err = wire.Unmarshal(kept, &h.keys)
	}
	if err == nil && len(h.keys) == 0 {
		h.keys = []exchangeKey{{Number: 1, Blob: h.door.root.Identity().Exchange}}
	}
	return err
}

// keepKeys stores the keys; one that is left out is overwritten on the disk before it returns.
func (h *headquarters) keepKeys(keys []exchangeKey) error {
	if h.keys[0].Number == 1 && keys[0].Number != 1 {
		if err := root.ForgetExchange(h.door.state); err != nil {
			return err
		}
	}
	data, err := wire.Marshal(keys)
	if err == nil {
		err = h.door.store.SetItem(vault.Exchange, data)
	}
	if late, failed := stored(err); failed != nil {
		return failed
	} else if late != nil {
		h.door.degrade("vault", late)
	}
	h.keys = keys
	return nil
}

// unseal opens what is sealed to one of the keys. Once something was opened by the newest, headquarters has it, and the older one goes.
func (h *headquarters) unseal(exchange uint32, seq uint64, sealed []byte) ([]byte, error) {
	id := h.door.root.Identity().Kiosk()
	for i, key := range h.keys {
		if key.Number != exchange {
			continue
		}
		plain, err := h.door.root.OpenSealed(key.Blob, wire.Sealing{Kiosk: id, Kind: wire.KindCommand, Seq: seq, Exchange: exchange}, sealed)
		if err == nil && i > 0 {
			h.door.degrade("exchange key", h.keepKeys(h.keys[i:]))
		}
		return plain, err
	}
	h.show() // so that headquarters can seal anew
	return nil, errNoExchange
}

// show tells headquarters the newest key. The TPM attests each once in a start, however often it is asked for.
func (h *headquarters) show() {
	if newest := h.keys[len(h.keys)-1]; h.attested.Number != newest.Number {
		e, err := h.door.root.CertifyExchange(newest.Number, newest.Blob)
		if err != nil {
			return
		}
		h.attested = e
	}
	h.say(h.attested)
}

// renew makes the next key, if the one before is old enough by both clocks: headquarters' time alone moves as its server likes, the machine's begins anew with
// each start.
func (h *headquarters) renew() error {
	newest, now := h.keys[len(h.keys)-1], h.now()
	if now == 0 || now-newest.Made < int64(exchangeLeast/time.Second) || frames.Now()-h.made < exchangeLeast {
		return errUnfit
	}
	blob, err := h.door.root.NewExchange()
	if err != nil {
		return err
	}
	next := exchangeKey{Number: newest.Number + 1, Blob: blob, Made: now}
	if err := h.keepKeys([]exchangeKey{newest, next}); err != nil {
		return err
	}
	h.made = frames.Now()
	h.door.note(access.EventExchangeKeyMade, fmt.Sprintf("number %d", next.Number))
	return nil
}

// rotate makes the next key when it is time, and destroys the one before when it is of no more use: headquarters has answered a greeting that named the
// newest, and seals to the newest that the kiosk has named or shown; what was sealed to the one before and comes later is refused, and sealed anew. It is
// asked each minute, and acts on trusted time alone.
func (h *headquarters) rotate() {
	now, last := h.now(), len(h.keys)-1
	newest := h.keys[last]
	switch {
	case now == 0 || h.retired:
	case newest.Made == 0: // its time runs from now
		keys := append([]exchangeKey(nil), h.keys...)
		keys[len(keys)-1].Made = now
		h.door.degrade("exchange key", h.keepKeys(keys))
	case now-newest.Made >= int64(exchangeLife/time.Second):
		if err := h.renew(); err != nil {
			h.door.degrade("exchange key", err)
			return
		}
		h.show()
	case last > 0 && h.named == newest.Number && now-newest.Made >= int64(exchangeKept/time.Second):
		h.door.degrade("exchange key", h.keepKeys(h.keys[last:]))
	}
}

// ask answers what headquarters wants to be told.
func (h *headquarters) ask(data []byte) error {
	a, _, err := roster.Granted[wire.Ask](h.roster, data, h.now())
	if err != nil {
		return err
	}
	switch known, ok := h.requests.admit(a.Request, frames.Now()); {
	case known:
		return nil // it came before, and whoever brings it again gets nothing
	case !ok:
		return errPace
	}
	if a.For == wire.KindChallenge {
		return h.challenge(a.Request)
	}
	if a.After != 0 && h.keys[len(h.keys)-1].Number <= a.After {
		if err := h.renew(); err != nil {
			return err
		}
	}
	h.show()
	return nil
}

// certificate takes the kiosk's next TLS certificate, if it is for the kiosk's own key and name, by an authority of the trust document.
func (h *headquarters) certificate(data []byte) error {
	c, _, err := roster.Granted[wire.Certificate](h.roster, data, h.now())
	if err != nil {
		return err
	}
	if slices.EqualFunc(c.Chain, h.place.Certificate, bytes.Equal) {
		return nil // the same once more: whoever carries it may bring it as often as they like
	}
	if err := h.fits(c.Chain); err != nil {
		return errors.Join(errUnfit, err)
	}
	more, ok := h.certified.pass(frames.Now())
	if !ok {
		return errUnfit
	}
	place := h.place
	place.Certificate = c.Chain
	if err := root.WriteHeadquarters(h.door.state, place); err != nil {
		return err
	}
	h.place = place
	_ = h.door.append(class(access.EventCertificateChanged), h.door.plain(access.EventCertificateChanged, more))
	return nil
}

func (h *headquarters) fits(chain [][]byte) error {
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return err
	}
	own, err := h.door.root.TLSPublic()
	if err != nil {
		return err
	}
	if !own.Equal(leaf.PublicKey) || leaf.Subject.CommonName != wire.Name(h.door.root.Identity().Kiosk()) {
		return errors.New("it is for another key, or another name")
	}
	if now, err := x509.ParseCertificate(h.place.Certificate[0]); err == nil && !leaf.NotBefore.After(now.NotBefore) {
		return errors.New("it was issued before the one in use") // whoever kept it brings it again
	}
	at, _ := h.door.wall()
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for into, list := range map[*x509.CertPool][][]byte{o.Roots: h.roster.Trust().Authorities, o.Intermediates: chain[1:]} {
		for _, der := range list {
			ca, err := x509.ParseCertificate(der)
			if err != nil {
				return err
			}
			into.AddCert(ca)
		}
	}
	_, err = leaf.Verify(o)
	return err
}
