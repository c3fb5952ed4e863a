package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/fleet"
	"github.com/lintel-access/lintel/hq/hatch"
	"github.com/lintel-access/lintel/hq/ledger"
	"github.com/lintel-access/lintel/sync/wire"
)

// What hq serve is asked for.
const (
	verbTrust     = "trust" // look at the Trust again
	verbQueue     = "queue" // there are new orders about people
	verbAdd       = "kiosk add"
	verbList      = "kiosk list"
	verbFind      = "kiosk find"
	verbState     = "kiosk state"
	verbReplace   = "kiosk replace"
	verbOrder     = "order"
	verbChallenge = "challenge"
	verbRelease   = "release"
	verbBackup    = "backup"
	verbPolicy    = "policy"      // what is in force
	verbText      = "policy text" // keep what one is compiled from
	verbPlaced    = "placed"      // where an order stands in a kiosk's stream
	verbCommands  = "commands"    // of a kiosk's stream
	verbAppend    = "append"      // orders that are known to a kiosk's stream
	verbBegin     = "begin"       // what was signed for who is to be enrolled at a kiosk
)

type addRequest struct {
	Introduction []byte `cbor:"1,keyasint"`
	Door         string `cbor:"2,keyasint"`
	Replaces     string `cbor:"3,keyasint"` // a kiosk; empty: none
}

type added struct {
	Kiosk string   `cbor:"1,keyasint"`
	Chain [][]byte `cbor:"2,keyasint"`
	Trust []byte   `cbor:"3,keyasint"`
	Door  string   `cbor:"4,keyasint"`
}

type listRequest struct {
	After int `cbor:"1,keyasint"` // kiosks to leave out
}

// shown is a kiosk as a person sees it. Times are Unix seconds; 0: never.
type shown struct {
	Kiosk    string   `cbor:"1,keyasint" json:"kiosk"`
	Door     string   `cbor:"2,keyasint" json:"door"`
	State    string   `cbor:"3,keyasint" json:"state"`
	Why      string   `cbor:"4,keyasint" json:"why,omitempty"`
	Online   int64    `cbor:"5,keyasint" json:"onlineSince"`
	Seen     int64    `cbor:"6,keyasint" json:"lastGreeting"`
	Seq      uint64   `cbor:"7,keyasint" json:"commandApplied"` // by its vouched records, as the trust
	Head     uint64   `cbor:"8,keyasint" json:"commandNewest"`
	Trust    uint64   `cbor:"9,keyasint" json:"trustVersion"`
	Policy   uint64   `cbor:"10,keyasint" json:"policyVersion"`
	Boot     uint64   `cbor:"11,keyasint" json:"boot"`
	Bundle   string   `cbor:"12,keyasint" json:"modelBundle"`
	Exchange uint32   `cbor:"13,keyasint" json:"exchangeKey"`
	Says     string   `cbor:"14,keyasint" json:"saysDoor"`
	Alarms   []string `cbor:"15,keyasint" json:"alarms"`
	OwnSeq   uint64   `cbor:"16,keyasint" json:"saysCommand"` // what is said anybody on the way may have written
	OwnTrust uint64   `cbor:"17,keyasint" json:"saysTrust"`
	Since    bool     `cbor:"18,keyasint" json:"greetedSinceStart"` // else Seen is up to an hour before the last greeting
}

type listed struct {
	Kiosks []shown `cbor:"1,keyasint"`
	More   bool    `cbor:"2,keyasint"`
}

type stateRequest struct {
	Kiosk string `cbor:"1,keyasint"`
	To    string `cbor:"2,keyasint"` // quarantine, lift, adopt or remove
	Why   string `cbor:"3,keyasint"`
}

type named struct {
	Kiosk string   `cbor:"1,keyasint"`
	ID    [32]byte `cbor:"2,keyasint"`
}

type replaceRequest struct {
	Old string `cbor:"1,keyasint"`
	New string `cbor:"2,keyasint"`
}

type orderRequest struct {
	Kiosk    string `cbor:"1,keyasint"` // empty: for all
	Envelope []byte `cbor:"2,keyasint"`
}

type kioskRequest struct {
	Kiosk string `cbor:"1,keyasint"`
}

type challenged struct {
	ID        [32]byte       `cbor:"1,keyasint"`
	Challenge wire.Challenge `cbor:"2,keyasint"`
}

type backupRequest struct {
	File string `cbor:"1,keyasint"`
}

type counted struct {
	Values int  `cbor:"1,keyasint"`
	People bool `cbor:"2,keyasint"` // they are in a file of their own
}

const listedAtOnce = 500 // kiosks, of some 500 bytes each

func (s *served) verbs() map[string]hatch.Handler {
	return map[string]hatch.Handler{
		verbTrust:     hatch.Handle(s.reload),
		verbQueue:     hatch.Handle(func(context.Context, hatch.Nothing) (any, error) { s.fleet.Load().Nudge(); return nil, nil }),
		verbAdd:       hatch.Handle(s.add),
		verbList:      hatch.Handle(s.list),
		verbFind:      hatch.Handle(s.find),
		verbState:     hatch.Handle(s.state),
		verbReplace:   hatch.Handle(s.replace),
		verbOrder:     hatch.Handle(s.order),
		verbChallenge: hatch.Handle(s.challenge),
		verbRelease:   hatch.Handle(s.release),
		verbBackup:    hatch.Handle(s.backup),
		verbPolicy:    hatch.Handle(s.inForce),
		verbText:      hatch.Handle(s.keepText),
		verbPlaced:    hatch.Handle(s.placed),
		verbCommands:  hatch.Handle(s.commands),
		verbAppend:    hatch.Handle(s.append),
		verbBegin:     hatch.Handle(s.supervised),
	}
}

func (s *served) add(ctx context.Context, q addRequest) (any, error) {
	in, err := wire.Read[wire.Introduction](q.Introduction)
	if err != nil {
		return nil, err
	}
	f := s.fleet.Load()
	if q.Replaces != "" {
		if q.Replaces, err = f.Find(q.Replaces); err != nil {
			return nil, err
		}
		if in.Door, err = f.Door(q.Replaces); err != nil {
			return nil, err
		}
	}
	if q.Door == "" {
		q.Door = in.Door
	}
	if err := access.CheckDoor(q.Door); err != nil { // the rules of the site could not name it
		return nil, err
	}
	c, err := f.Introduce(ctx, in, q.Door, q.Replaces)
	return added{wire.Name(in.Kiosk), c.Chain, s.keys.Load().Envelope, q.Door}, err
}

func (s *served) list(ctx context.Context, q listRequest) (any, error) {
	all, err := s.fleet.Load().List(ctx)
	if err != nil || q.After < 0 {
		return nil, err
	}
	all = all[min(q.After, len(all)):]
	l := listed{More: len(all) > listedAtOnce}
	for _, o := range all[:min(len(all), listedAtOnce)] {
		proven, err := s.records.Status(o.ID)
		if err != nil && !errors.Is(err, ledger.ErrUnknown) { // the others are shown all the same
			s.log.Error("nothing is known of a kiosk's records", "kiosk", o.Name(), "error", err)
		}
		l.Kiosks = append(l.Kiosks, show(o, proven))
	}
	return l, nil
}

func show(o fleet.Overview, proven ledger.Status) shown {
	v := shown{Kiosk: o.Name(), Door: o.Door, State: o.State.String(), Why: o.Why, Seq: proven.Applied.Seq, Head: o.Head, Trust: proven.Trust, OwnSeq: o.Known.Seq, OwnTrust: o.Known.Trust, Policy: o.Known.Policy,
		Boot: o.Known.Boot, Bundle: fmt.Sprintf("%x", o.Known.Bundle), Exchange: o.Exchange.Number, Says: o.Known.Door, Alarms: []string{}}
	if !o.Online.IsZero() {
		v.Online = o.Online.Unix()
	}
	if !o.Seen.IsZero() {
		v.Seen, v.Since = o.Seen.Unix(), o.Since
	}
	since := func(kind fmt.Stringer, t time.Time, text string) {
		v.Alarms = append(v.Alarms, fmt.Sprintf("%s since %s: %s", kind, t.UTC().Format(time.RFC3339), text))
	}
	for _, a := range o.Alarms {
		since(a.Kind, time.Unix(a.At, 0), a.Text)
	}
	beside := found()
	for _, a := range proven.Alarms {
		own := slices.ContainsFunc(o.Alarms, func(b fleet.Alarm) bool { return beside[b.Kind] == a.Kind })
		if a.Open() && !own {
			since(a.Kind, time.UnixMilli(a.Since), a.Text)
		}
	}
	return v
}

func (s *served) state(ctx context.Context, q stateRequest) (any, error) {
	f := s.fleet.Load()
	name, err := f.Find(q.Kiosk)
	if err != nil {
		return nil, err
	}
	switch q.To {
	case "quarantine":
		err = f.Quarantine(ctx, name, q.Why)
	case "lift":
		err = s.lift(ctx, name)
	case "adopt":
		err = f.Adopt(ctx, name)
	case "remove":
		err = f.Remove(ctx, name, q.Why)
	default:
		err = fmt.Errorf("a kiosk cannot be made %q", q.To)
	}
	return named{Kiosk: name}, err
}

// lift ends what a person has judged: the fleet's alarms and those of the records. When that was stands beside each; there is nobody to name but this account.
func (s *served) lift(ctx context.Context, name string) error {
	f := s.fleet.Load()
	lifted := f.Lift(ctx, name)
	if lifted != nil && !errors.Is(lifted, fleet.ErrUnheard) { // after that one alone all else is done
		return lifted
	}
	id, err := f.ID(name)
	if err == nil {
		err = s.records.Lift(id)
	}
	return errors.Join(lifted, err)
}

func (s *served) replace(ctx context.Context, q replaceRequest) (any, error) {
	f := s.fleet.Load()
	old, err := f.Find(q.Old)
	if err != nil {
		return nil, err
	}
	next, err := f.Find(q.New)
	if err != nil {
		return nil, err
	}
	return named{Kiosk: next}, f.Replace(ctx, old, next)
}

func (s *served) order(ctx context.Context, q orderRequest) (any, error) {
	name, err := "", error(nil)
	if q.Kiosk != "" {
		if name, err = s.fleet.Load().Find(q.Kiosk); err != nil {
			return nil, err
		}
	}
	return nil, s.fleet.Load().Submit(ctx, name, q.Envelope)
}

func (s *served) challenge(ctx context.Context, q kioskRequest) (any, error) {
	f := s.fleet.Load()
	name, err := f.Find(q.Kiosk)
	if err != nil {
		return nil, err
	}
	id, err := f.ID(name)
	if err != nil {
		return nil, err
	}
	c, err := f.Challenge(ctx, name)
	return challenged{id, c}, err
}

func (s *served) find(_ context.Context, q kioskRequest) (any, error) {
	name, err := s.fleet.Load().Find(q.Kiosk)
	if err != nil {
		return nil, err
	}
	id, err := s.fleet.Load().ID(name)
	return named{name, id}, err
}
