package draft

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/lintel-access/lintel/sync/wire"
)

const maxCalled = 256 // bytes

// Tell says in sentences what a signature under a draft says. It fails where there is anything that it cannot say.
func (d Draft) Tell(out io.Writer) error {
	if len(d.Called) > maxCalled || strings.ContainsFunc(d.Called, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return errors.New("tell draft: the name that headquarters gives it cannot be shown")
	}
	var text strings.Builder
	for _, o := range d.Orders {
		_, says, err := o.read()
		if err != nil {
			return fmt.Errorf("tell draft: %w", err)
		}
		fmt.Fprintf(&text, "- %s\n", says)
	}
	if d.Called != "" {
		fmt.Fprintf(&text, "  Headquarters calls this %q; the signature does not cover that name.\n", d.Called)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// where says for whom an order is.
func (o Order) where() string {
	if o.unbound {
		return "wherever that signature has it, which this one cannot say"
	}
	if o.Audience == wire.Fleet() {
		return "at every kiosk"
	}
	return fmt.Sprintf("at kiosk %s alone", wire.Name(o.Audience))
}

func at(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }

func enrolment(o Order, e wire.Enrolment) (string, error) {
	h := sha256.New()
	for _, r := range e.References {
		h.Write(r)
	}
	return fmt.Sprintf("Enrols person %x, generation %d, %s: %s Of the face there are %d references, which nobody can read: SHA-256 %x, by model bundle %x.", e.Person,
		e.Generation, o.where(), terms(e.Groups, e.Until, e.Consent, e.Proofing, e.Extended), len(e.References), h.Sum(nil), e.Bundle), nil
}

func supervised(o Order, s wire.Supervised) (string, error) {
	return fmt.Sprintf("Has whoever stands before the kiosk enrolled as person %x, generation %d, %s, if that begins before %s: %s", s.Person, s.Generation, o.where(), at(s.NotAfter), terms(s.Groups, s.Until, s.Consent, s.Proofing, s.Extended)), nil
}

// terms are what an enrolment gives, until when, and why.
func terms(groups []string, until int64, consent string, proofing [32]byte, extended bool) string {
	in := "in no group"
	if len(groups) > 0 {
		in = fmt.Sprintf("in the groups %q", groups)
	}
	text := fmt.Sprintf("%s, until %s, on the basis %q, with the proofing record of SHA-256 %x.", in, at(until), consent, proofing)
	if extended {
		text += " The person needs the door's longer times."
	}
	return text
}

func deletion(o Order, d wire.Deletion) (string, error) {
	return fmt.Sprintf("Has person %x forgotten %s, for good, in every generation up to %d.", d.Person, o.where(), d.Generation), nil
}

func standing(o Order, s wire.Standing) (string, error) {
	does := [...]string{"Suspends", "Gives a permission back to", "Takes the permission for good of"}[s.State] // Validate has held it to 0..2
	return fmt.Sprintf("%s person %x, generation %d, %s (serial %d).", does, s.Person, s.Generation, o.where(), s.Serial), nil
}

func lockdown(o Order, l wire.Lockdown) (string, error) {
	does := "Ends the lockdown"
	if l.On {
		does = "Locks the doors against everybody"
	}
	return fmt.Sprintf("%s %s: version %d, of %s.", does, o.where(), l.Version, at(l.Issued)), nil
}

func disable(o Order, d wire.Disable) (string, error) {
	does := "Has people recognised again"
	if d.On {
		does = "Has nobody recognised"
	}
	return fmt.Sprintf("%s %s: version %d, of %s.", does, o.where(), d.Version, at(d.Issued)), nil
}

func policy(o Order, p wire.Policy) (string, error) {
	return fmt.Sprintf("Puts version %d of the policy in force %s: a document of %d bytes, SHA-256 %x.", p.Version, o.where(), len(p.Document), sha256.Sum256(p.Document)), nil
}

func decommission(o Order, d wire.Decommission) (string, error) {
	if o.Audience == wire.Fleet() {
		return "", errors.New("a decommission for every kiosk is never signed")
	}
	return fmt.Sprintf("Has everything forgotten %s, for good: it must be provisioned anew. Of %s.", o.where(), at(d.Issued)), nil
}

// approval is told by what it approves, which its hash binds: that another operator signed it is for headquarters and kiosks to verify.
func approval(o Order, a wire.Approval) (string, error) {
	if a.Order != sha256.Sum256(o.Approved) {
		return "", errors.New("the order that is to be approved is not the one that comes with it")
	}
	claim, err := wire.Peek(o.Approved)
	if err != nil {
		return "", err
	}
	_, says, err := Inside(o.Approved)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("Agrees to what the key %x has signed as order %x: %s", claim.Key[:8], a.Order, says), nil
}

// Inside reads what an operator's envelope says. For whom it is stands in none, and whether its signature holds is not asked.
func Inside(envelope []byte) (body wire.Body, says string, err error) {
	claim, err := wire.Peek(envelope)
	if err != nil {
		return nil, "", err
	}
	var e struct {
		_           struct{} `cbor:",toarray"`
		Protected   []byte
		Unprotected struct{}
		Payload     []byte
		Signature   []byte
	}
	if err := wire.Unmarshal(envelope, &e); err != nil {
		return nil, "", err
	}
	if claim.Kind == wire.KindApproval {
		return nil, "", errors.New("an approval of an approval")
	}
	return Order{Kind: claim.Kind, Body: e.Payload, unbound: true}.read()
}
