package main

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/hq/broker"
	"github.com/lintel-access/lintel/hq/fleet"
	"github.com/lintel-access/lintel/hq/ledger"
	"github.com/lintel-access/lintel/hq/people"
	"github.com/lintel-access/lintel/sync/wire"
)

// way is how messages go to kiosks and come from them.
type way struct {
	uplink broker.Uplink
	kick   func(kiosk string)
	close  func()
	where  string
}

// way is the broker b of this process, or the house's own, which b then only stores beside.
func (s *served) way(b *broker.Embedded) (w way, err error) {
	switch o := s.options; {
	case o.cluster != "":
		c, err := s.join()
		if err != nil {
			return w, err
		}
		s.until = c.Until
		return way{c, c.Kick, c.Close, "cluster " + o.cluster}, nil
	case o.remote != "":
		r, err := broker.Dial(broker.RemoteConfig{Address: o.remote, Client: "headquarters", TLS: s.asClient, Log: s.log})
		if err != nil {
			return w, err
		}
		return way{r, func(string) {}, r.Close, "broker " + o.remote}, nil // such a broker cannot be asked to
	}
	return way{b, b.Kick, func() {}, b.Address()}, nil
}

// people is the vault that orders about people are handed on from; nil where there is none yet.
func (s *served) people() (fleet.People, error) {
	o := office{dir: s.options.dir, master: s.options.master}
	if _, err := os.Stat(o.folder()); errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("nobody can be enrolled yet: hq people init makes a place for people, then start hq serve again")
		return nil, nil
	}
	if o.master == "" {
		o.master = filepath.Join(o.dir, masterFile)
	}
	p, err := o.open()
	if err != nil {
		return nil, err
	}
	p.Hurry()
	s.vault = p
	return handout{p}, nil
}

// handout is the vault of people as the fleet sees it.
type handout struct{ *people.People }

func (h handout) After(n fleet.Need, after uint64, most int) (orders [][32]byte, next uint64, err error) {
	entries, next, err := h.Assign(people.Kiosk{ID: n.Kiosk, Groups: n.Groups, Anew: n.Anew, Had: n.Had}, after, most)
	for _, e := range entries {
		orders = append(orders, e.Order)
	}
	return orders, next, busy(err)
}

func (h handout) Content(order [32]byte) (envelope []byte, gone, biometric bool, err error) {
	envelope, gone, biometric, err = h.People.Content(order)
	return envelope, gone, biometric, busy(err)
}

func busy(err error) error {
	if errors.Is(err, people.ErrInUse) {
		return fmt.Errorf("%w: %w", fleet.ErrBusy, err)
	}
	return err
}

// taker is the ledger as the fleet sees it.
type taker struct{ *ledger.Ledger }

func (t taker) Meet(kiosk [32]byte, audit, attestation *ecdsa.PublicKey) error {
	err := t.Add(ledger.Kiosk{ID: kiosk, Audit: audit, Attestation: attestation})
	if slices.ContainsFunc(its, func(own error) bool { return errors.Is(err, own) }) {
		err = fmt.Errorf("%w: %w", fleet.ErrDamage, err)
	}
	return err
}

// its are the errors of one kiosk's folder. Any other, a full disk, say, is no kiosk's own trouble.
var its = []error{ledger.ErrDamaged, ledger.ErrOtherKey, fs.ErrPermission, unix.EISDIR, unix.ENOTDIR, unix.EIO, unix.EUCLEAN}

func (t taker) Part(kiosk [32]byte) error { return t.Remove(kiosk) }

func (t taker) Applied(kiosk [32]byte) (seq uint64, link [32]byte, err error) {
	s, err := t.Status(kiosk)
	return s.Applied.Seq, s.Applied.Link, err
}

// found is what the fleet's alarms are called in the ledger, which hq events shows.
func found() map[fleet.Kind]ledger.AlarmKind {
	return map[fleet.Kind]ledger.AlarmKind{
		fleet.Fork: ledger.AlarmStranger, fleet.Flood: ledger.AlarmFlood, fleet.Garbage: ledger.AlarmGarbage,
		fleet.Key: ledger.AlarmKey, fleet.Lost: ledger.AlarmLost, fleet.Damage: ledger.AlarmDamage,
	}
}

// note keeps the fleet's alarms beside the kiosk's records.
func (s *served) note(kiosk [32]byte, a fleet.Alarm, on bool) {
	kind, known := found()[a.Kind]
	err := errors.New("the ledger has no such alarm") // and a number in its place would stand on disk for good
	if known && on {
		err = s.records.Raise(kiosk, kind, a.Text)
	} else if known {
		err = s.records.End(kiosk, kind)
	}
	if err != nil {
		s.log.Error("hq events does not show what became of an alarm", "kiosk", wire.Name(kiosk), "alarm", a.Kind.String(), "raised", on, "error", err)
	}
}

// overs ends, at the start, what the ledger still shows of the fleet's alarms and the fleet has no more: it was lifted, and that could not be written then.
func (s *served) overs(ctx context.Context, f *fleet.Fleet) {
	kiosks, err := f.List(ctx)
	if err != nil {
		s.log.Error("hq events may go on showing alarms that were lifted", "error", err)
	}
	for _, k := range kiosks {
		for kind := range found() {
			if !slices.ContainsFunc(k.Alarms, func(a fleet.Alarm) bool { return a.Kind == kind }) {
				s.note(k.ID, fleet.Alarm{Kind: kind}, false)
			}
		}
	}
}

// alarm says what is wrong with a kiosk's records, and when it no longer is.
func (s *served) alarm(kiosk [32]byte, a ledger.Alarm) {
	level := slog.LevelError
	if !a.Open() {
		level = slog.LevelInfo
	}
	s.log.Log(context.Background(), level, "records of a kiosk", "kiosk", wire.Name(kiosk), "alarm", a.Kind.String(), "says", a.Text, "over", !a.Open())
}
