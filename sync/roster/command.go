package roster

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/lintel-access/lintel/sync/wire"
)

// Means are what judging a command takes besides the roster.
type Means struct {
	Now int64 // trusted Unix seconds; 0: no time is trusted
	// Open decrypts what is sealed to an exchange key of this kiosk; what it returns is cleared.
	Open func(exchange uint32, seq uint64, sealed []byte) ([]byte, error)
	// Policy says whether a document could be put in force; nil: none can.
	Policy func(document []byte) error
}

// Reason says why an order was refused. The zero Reason is none.
type Reason uint8

// Append only: they stand in records.
const (
	_          Reason = iota
	Unreadable        // it is no envelope, or its content breaks its bounds
	NoOrder           // a kind that no command may carry
	NotGranted        // whoever signed it may not, or not any more
	Forged            // the signature does not verify, for this kiosk or the fleet
	Older             // a newer one was applied
	Expired           // the permission has ended
	Timeless          // the permission has an end, and no time is trusted
	Exposed           // biometric content that was not sealed
	Invalid           // the document cannot be put in force
	Locking           // the trust document would leave headquarters without a server
	// what the vault finds
	Superseded // the person was deleted, revoked or enrolled anew since
	Full       // there is no room for another person
)

// String is the phrase that stands in records.
func (r Reason) String() string {
	names := [...]string{
		"", "unreadable", "no order", "not granted", "forged or for another kiosk", "older than what is in force", "expired", "no trusted time",
		"biometric and not sealed", "document is not valid", "would lock headquarters out", "superseded", "no room",
	}
	if int(r) < len(names) {
		return names[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Effect is an order that is to be carried out.
type Effect struct {
	Place int // among the command's orders, from 0
	By    wire.KeyID
	// Order is a wire.Enrolment, Deletion, Standing, Lockdown, Disable, Policy or Decommission of somebody who may order it, or a
	// wire.Trust, which the next Roster has in force. Whether a person's order is outrun by another one about the same person, the vault knows.
	Order wire.Body
}

// Refusal is an order that is not.
type Refusal struct {
	Place int
	Kind  wire.Kind // 0 when it could not be read
	Hash  [32]byte  // SHA-256 of the envelope
	Why   Reason
}

// Step is what a command comes to.
type Step struct {
	Seq      uint64 // 0: it was applied before, nothing is to be done
	Link     [32]byte
	Orders   int
	Effects  []Effect
	Refusals []Refusal
	Next     Roster // once the effects are carried out
}

// Wipe clears what is biometric in the effects.
func (s Step) Wipe() {
	for _, e := range s.Effects {
		if p, ok := e.Order.(wire.Enrolment); ok {
			for _, r := range p.References {
				clear(r)
			}
		}
	}
}

// Command judges a command. An error means that nothing is to be done: ErrGap, ErrFork, or that it is nobody's who may send one, or cannot be opened.
func (r Roster) Command(envelope []byte, m Means) (Step, error) {
	s, err := r.command(envelope, m)
	if err != nil {
		return Step{}, fmt.Errorf("judge command: %w", err)
	}
	return s, nil
}

func (r Roster) command(envelope []byte, m Means) (Step, error) {
	c, _, err := Granted[wire.Command](r, envelope, m.Now)
	if err != nil {
		return Step{}, err
	}
	link := c.Link(r.kiosk)
	switch known, found := r.state.link(c.Seq); {
	case found && known != link:
		return Step{}, fmt.Errorf("%w: its command %d is another", ErrFork, c.Seq)
	case c.Seq <= r.state.Seq:
		return Step{Next: r}, nil
	case c.Seq != r.state.Seq+1:
		return Step{}, fmt.Errorf("%w: command %d after %d", ErrGap, c.Seq, r.state.Seq)
	case c.Previous != r.state.Head():
		return Step{}, fmt.Errorf("%w: command %d follows another one", ErrFork, c.Seq)
	}
	orders := c.Orders
	if len(c.Sealed) > 0 {
		if orders, err = unseal(c, m); err != nil {
			return Step{}, err
		}
		defer wipe(orders)
	}
	s := Step{Seq: c.Seq, Link: link, Orders: len(orders), Next: r}
	for i, o := range orders {
		e, why := s.Next.order(o, len(c.Sealed) > 0, m)
		if why != 0 {
			claim, _ := wire.Peek(o) // its kind is told if it can be
			s.Refusals = append(s.Refusals, Refusal{i, claim.Kind, sha256.Sum256(o), why})
		} else if e.Order != nil {
			e.Place = i
			s.Effects = append(s.Effects, e)
			s.Next = s.Next.after(e.Order, o)
		}
	}
	s.Next.state.Seq = c.Seq
	links := append(s.Next.state.Links[:len(s.Next.state.Links):len(s.Next.state.Links)], link)
	s.Next.state.Links = links[max(0, len(links)-remembered):]
	return s, nil
}

func unseal(c wire.Command, m Means) ([][]byte, error) {
	if m.Open == nil {
		return nil, errors.New("there is no exchange key")
	}
	plain, err := m.Open(c.Exchange, c.Seq, c.Sealed)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	orders, err := wire.ParseOrders(plain)
	if err != nil {
		return nil, err
	}
	return named(orders, c.Content)
}

// named are orders if they are the content that a command names. Others are cleared: they may be biometric.
func named(orders [][]byte, content [32]byte) ([][]byte, error) {
	if wire.ContentOf(orders) != content {
		wipe(orders)
		return nil, errors.New("sealed orders are not the content that it names")
	}
	return orders, nil
}

func wipe(orders [][]byte) {
	for _, o := range orders {
		clear(o)
	}
}

// order judges one order. No effect and no reason: there is nothing to do.
func (r Roster) order(envelope []byte, sealed bool, m Means) (Effect, Reason) {
	claim, err := wire.Peek(envelope)
	if err != nil {
		return Effect{}, Unreadable
	}
	switch claim.Kind {
	case wire.KindTrust:
		return r.orderTrust(envelope, claim, m)
	case wire.KindEnrolment:
		if !sealed {
			return Effect{}, Exposed
		}
		return judge[wire.Enrolment](r, envelope, m, everywhere)
	case wire.KindDeletion:
		return judge[wire.Deletion](r, envelope, m, everywhere)
	case wire.KindStanding:
		return judge[wire.Standing](r, envelope, m, everywhere)
	case wire.KindLockdown:
		return judge[wire.Lockdown](r, envelope, m, everywhere)
	case wire.KindDisable:
		return judge[wire.Disable](r, envelope, m, everywhere)
	case wire.KindPolicy:
		return judge[wire.Policy](r, envelope, m, everywhere)
	case wire.KindDecommission:
		return judge[wire.Decommission](r, envelope, m, here)
	case wire.KindApproval: // it was headquarters' business before the order was handed on
		_, why := judge[wire.Approval](r, envelope, m, everywhere)
		return Effect{}, why
	}
	return Effect{}, NoOrder
}

func (r Roster) orderTrust(envelope []byte, claim wire.Claim, m Means) (Effect, Reason) {
	if bytes.Equal(envelope, r.state.Trust) {
		return Effect{}, 0 // it came by itself, before
	}
	switch next, err := r.renew(envelope, m.Now); {
	case err == nil:
		return Effect{By: claim.Key, Order: next.trust}, 0
	case errors.Is(err, ErrOlder):
		return Effect{}, Older
	case errors.Is(err, ErrLockout):
		return Effect{}, Locking
	}
	return Effect{}, Forged
}

// reach says whom an order of a kind may be for.
type reach bool

const (
	here       reach = false // one kiosk
	everywhere reach = true  // one kiosk, or the fleet
)

func judge[T wire.Body](r Roster, envelope []byte, m Means, whom reach) (Effect, Reason) {
	first := r.kiosk
	if whom == everywhere {
		first = wire.Fleet() // as enrolments are, of which there are the most
	}
	body, g, err := granted[T](r, envelope, first, m.Now)
	if errors.Is(err, wire.ErrForged) && whom == everywhere {
		body, g, err = granted[T](r, envelope, r.kiosk, m.Now)
	}
	switch {
	case err == nil:
	case errors.Is(err, wire.ErrForged):
		return Effect{}, Forged
	case g.Role == 0:
		return Effect{}, NotGranted
	default:
		return Effect{}, Unreadable
	}
	if why := r.due(body, m); why != 0 {
		return Effect{}, why
	}
	claim, _ := wire.Peek(envelope) // it was read above
	return Effect{By: claim.Key, Order: body}, 0
}

// due says why an order comes too late, or is not to be carried out.
func (r Roster) due(order wire.Body, m Means) Reason {
	switch o := order.(type) {
	case wire.Lockdown:
		return newer(o.Version, r.state.Lockdown)
	case wire.Disable:
		return newer(o.Version, r.state.Disable)
	case wire.Policy:
		if why := newer(o.Version, r.state.Policy); why != 0 {
			return why
		}
		if m.Policy == nil || m.Policy(o.Document) != nil {
			return Invalid
		}
	}
	return 0
}

var (
	// ErrTimeless means that a permission has an end, and that no time is trusted.
	ErrTimeless = errors.New("it has an end, and no time is trusted")
	// ErrExpired means that a permission has ended.
	ErrExpired = errors.New("its time is over")
)

// Begin opens an enroller's word that a supervised enrolment is to begin now, and that enrolment, which may be another enroller's. Whether the challenge is
// one of this kiosk's, the caller knows.
func (r Roster) Begin(envelope []byte, now int64) (b wire.Begin, o wire.Supervised, err error) {
	if b, _, err = Granted[wire.Begin](r, envelope, now); err != nil {
		return b, o, err
	}
	o, _, err = Granted[wire.Supervised](r, b.Order, now)
	switch {
	case err != nil:
	case now == 0:
		err = ErrTimeless
	case now >= o.NotAfter || now >= o.Until:
		err = ErrExpired
	}
	return b, o, err
}

func newer(version, applied uint64) Reason {
	if version <= applied {
		return Older
	}
	return 0
}

// after is the roster once an order is carried out.
func (r Roster) after(order wire.Body, envelope []byte) Roster {
	switch o := order.(type) {
	case wire.Trust:
		r.trust, r.state.Trust = o, bytes.Clone(envelope)
	case wire.Lockdown:
		r.state.Lockdown = o.Version
	case wire.Disable:
		r.state.Disable = o.Version
	case wire.Policy:
		r.state.Policy = o.Version
	}
	return r
}
