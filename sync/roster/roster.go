// Package roster is what a kiosk makes of what headquarters sends: whether an envelope is from somebody who may, whether a command is the next of the
// kiosk's stream, and what its orders come to.
//
// It is pure: no clock, no file, no socket, and nothing that it is given is changed. Whoever calls it keeps the State, in one transaction with what a
// command's effects change.
//
//	                           same link: nothing
//	command ─ server's? for us? ┬─ seq ≤ head ─┬─ other link: ErrFork
//	         (Trust)            ├─ seq = head+1 ┬─ names our head: its orders, one by one ─► Effects, Refusals, the next Roster
//	                            │               └─ names another: ErrFork
//	                            └─ seq > head+1: ErrGap
//
// An order that is refused does not hold up the stream: headquarters' server decides in which order commands come and may leave some out, and nothing
// else. What it could gain by repeating old orders is stopped by versions, serials and generations; those of people stand in the vault.
package roster

import (
	"crypto/ecdsa"
	"errors"
	"fmt"

	"github.com/lintel-access/lintel/sync/wire"
)

var (
	// ErrGap means that a command is not the next one: greet headquarters again, it sends what is missing.
	ErrGap = errors.New("a command in between is missing")
	// ErrFork means that headquarters' stream is not the one that was applied: somebody runs a second one, or it was put back to an older state.
	ErrFork = errors.New("headquarters' stream is not the one that this kiosk has followed")
	// ErrOlder means that a trust document is not newer than the one in force.
	ErrOlder = errors.New("it is not newer than what is in force")
	// ErrLockout means that a trust document would leave nobody who could ever send another.
	ErrLockout = errors.New("it leaves headquarters no server that may speak")
	// ErrNonce means that a time answers no greeting of this kiosk, or one for the second time, or too late.
	ErrNonce = errors.New("it answers no greeting, or too late")
	// ErrBounds means that a time lies outside the grants of whoever signed it, or before the trust document in force: nobody says it who may.
	ErrBounds = errors.New("it lies outside the grant of whoever signed it, or before the trust document")
	// ErrKind means that an envelope is of a kind that has no place where it came.
	ErrKind = errors.New("envelopes of this kind have no place here")
)

// issuedSlack is how far the clock of the machine on which the fleet root signs may be ahead of headquarters', seconds.
const issuedSlack = 3600

// remembered is how many links are kept, so that a command that comes again is told from another one of the same number.
const remembered = 32

// State is what has to be kept. The zero State is that of a kiosk that was told nothing yet, and obeys nobody.
type State struct {
	Seq      uint64     `cbor:"1,keyasint"` // of the newest command that was applied
	Links    [][32]byte `cbor:"2,keyasint"` // of the newest commands, the last one's last; at most 32
	Trust    []byte     `cbor:"3,keyasint"` // the trust document in force, as the fleet root signed it
	Lockdown uint64     `cbor:"4,keyasint"` // versions of the newest orders that were applied
	Disable  uint64     `cbor:"5,keyasint"`
	Policy   uint64     `cbor:"6,keyasint"`
}

// Head is the link of the newest command; zero before the first.
func (s State) Head() [32]byte {
	if len(s.Links) == 0 {
		return [32]byte{}
	}
	return s.Links[len(s.Links)-1]
}

// link is that of an applied command, if it is remembered.
func (s State) link(seq uint64) (link [32]byte, found bool) {
	if back := s.Seq - seq; seq != 0 && seq <= s.Seq && back < uint64(len(s.Links)) {
		return s.Links[uint64(len(s.Links))-1-back], true
	}
	return link, false
}

func (s State) validate() error {
	if len(s.Links) > remembered || uint64(len(s.Links)) > s.Seq || (s.Seq == 0) != (len(s.Links) == 0) {
		return fmt.Errorf("%d links at command %d", len(s.Links), s.Seq)
	}
	return nil
}

// A Roster is a State whose trust document has been verified. The zero Roster trusts nobody. It is a value: what changes is a new one.
type Roster struct {
	kiosk [32]byte
	root  *ecdsa.PublicKey
	state State
	trust wire.Trust
	floor int64 // Unix seconds: it was vouched for, so it is not earlier; 0: nothing is known
	aged  int64 // seconds that have passed since, by the kiosk's own count
}

// Since is the roster of a kiosk for which that time was vouched, Unix seconds, and so many seconds have passed since by its own count. Grants that had ended
// by then have ended, whether a time is trusted or not. The count runs ahead, since each start adds to it: to the server's grants it is not applied, or a
// kiosk that starts often would be deaf to the one who could tell it the time.
func (r Roster) Since(floor, aged int64) Roster {
	r.floor, r.aged = floor, aged
	return r
}

// Open takes up a State that was kept, for the kiosk of this id, under the fleet root that it was provisioned with.
func Open(kiosk [32]byte, root *ecdsa.PublicKey, s State) (Roster, error) {
	r := Roster{kiosk: kiosk, root: root, state: s}
	err := s.validate()
	if err == nil && len(s.Trust) > 0 {
		r.trust, err = wire.Open[wire.Trust](s.Trust, root, wire.Fleet())
	}
	if err != nil {
		return Roster{}, fmt.Errorf("open roster: %w", err)
	}
	return r, nil
}

// State is what has to be kept.
func (r Roster) State() State { return r.state }

// Trust is the document in force.
func (r Roster) Trust() wire.Trust { return r.trust }

// Renew puts a trust document in force that is newer than the one before. now is Unix seconds, 0 while no time is trusted.
func (r Roster) Renew(envelope []byte, now int64) (Roster, error) {
	next, err := r.renew(envelope, now)
	if err != nil {
		return r, fmt.Errorf("renew trust: %w", err)
	}
	return next, nil
}

func (r Roster) renew(envelope []byte, now int64) (Roster, error) {
	t, err := wire.Open[wire.Trust](envelope, r.root, wire.Fleet())
	if err != nil {
		return r, err
	}
	if t.Version <= r.trust.Version {
		return r, ErrOlder
	}
	if !reachable(t, now) {
		return r, ErrLockout
	}
	r.trust, r.state.Trust = t, append([]byte(nil), envelope...)
	return r, nil
}

// reachable reports whether some server may speak, now or later.
func reachable(t wire.Trust, now int64) bool {
	for _, g := range t.Grants {
		if g.Role == wire.RoleServer && now < g.Until {
			return true
		}
	}
	return false
}

// Granted opens an envelope for this kiosk alone that whoever signed it may sign, and names the grant. now is Unix seconds; while it is 0 grants are only
// asked whether they had ended by the roster's floor: a kiosk that was off for long must be able to hear what time it is.
func Granted[T wire.Body](r Roster, envelope []byte, now int64) (T, wire.Grant, error) {
	return granted[T](r, envelope, r.kiosk, now)
}

func granted[T wire.Body](r Roster, envelope []byte, audience [32]byte, now int64) (body T, g wire.Grant, err error) {
	claim, err := wire.Peek(envelope)
	if err != nil {
		return body, g, err
	}
	if claim.Kind != body.Kind() {
		return body, g, ErrKind
	}
	g, ended := r.grant(claim, now)
	if ended != nil {
		if !claim.Kind.Takes() { // not opened: nobody would wipe what an enrolment carries
			return body, wire.Grant{}, ended
		}
		if g, err = r.trust.Grant(claim.Key, claim.Kind, 0); err != nil {
			return body, g, err
		}
	}
	key, err := wire.ParseKey(g.Key)
	if err != nil {
		return body, g, err
	}
	body, err = wire.Open[T](envelope, key, audience)
	if err == nil && ended != nil {
		g, err = r.stands(claim, body, ended)
	}
	return body, g, err
}

func (r Roster) grant(claim wire.Claim, now int64) (wire.Grant, error) {
	switch {
	case now != 0:
		return r.trust.Grant(claim.Key, claim.Kind, now)
	case wire.RoleServer.May(claim.Kind):
		return r.trust.GrantSince(claim.Key, claim.Kind, r.floor)
	}
	return r.trust.GrantSince(claim.Key, claim.Kind, r.floor+r.aged)
}

// stands finds the grant of an order that takes something away and was signed while that was in force, by the word of whoever had it. Otherwise the error is
// why: who gives must be granted it now.
func (r Roster) stands(claim wire.Claim, order wire.Body, ended error) (wire.Grant, error) {
	issued, takes := wire.Takes(order)
	if !takes {
		return wire.Grant{}, ended
	}
	return r.trust.Grant(claim.Key, claim.Kind, issued)
}

// Answer opens headquarters' answer to a greeting. greeted takes the greeting's nonce, which is good once, and says at which command the kiosk stood
// then; false when it has no such greeting. behind says that there are commands that the kiosk has not applied. ErrFork when headquarters' stream is not
// the kiosk's; the time holds all the same. A time is taken only from within the grants of whoever signed it, whatever time the kiosk has.
func (r Roster) Answer(envelope []byte, now int64, greeted func(nonce [16]byte) (seq uint64, ok bool)) (t wire.Time, behind bool, err error) {
	if t, _, err = Granted[wire.Time](r, envelope, now); err != nil {
		return wire.Time{}, false, err
	}
	claim, err := wire.Peek(envelope)
	if err != nil {
		return wire.Time{}, false, err
	}
	told := max(1, t.Now/1000)
	if _, err := r.trust.Grant(claim.Key, wire.KindTime, told); err != nil || told < r.trust.Issued-issuedSlack {
		return wire.Time{}, false, ErrBounds
	}
	at, ok := greeted(t.Nonce)
	if !ok {
		return wire.Time{}, false, ErrNonce
	}
	link, known := r.state.link(t.Seq)
	switch {
	case t.Seq < at:
		err = fmt.Errorf("%w: it ends at command %d, %d were applied", ErrFork, t.Seq, at)
	case known && link != t.Head:
		err = fmt.Errorf("%w: its command %d is another", ErrFork, t.Seq)
	}
	return t, err == nil && t.Seq > r.state.Seq, err
}
