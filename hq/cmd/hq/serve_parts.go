package main

import (
	"crypto/ecdsa"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lintel-access/lintel/hq/fleet"
	"github.com/lintel-access/lintel/hq/ledger"
	"github.com/lintel-access/lintel/hq/people"
	"github.com/lintel-access/lintel/sync/wire"
)

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
	// Which groups a door lets in is the policy's to say, and each kiosk judges it itself; until headquarters asks the policy, too, each kiosk is given everyone.
	return people.Handout{People: p, Needs: func(kiosk [32]byte) people.Kiosk { return people.Kiosk{ID: kiosk, Everyone: true} }}, nil
}

// taker is the ledger as the fleet sees it.
type taker struct{ *ledger.Ledger }

func (t taker) Meet(kiosk [32]byte, audit, attestation *ecdsa.PublicKey) error {
	return t.Add(ledger.Kiosk{ID: kiosk, Audit: audit, Attestation: attestation})
}

func (t taker) Applied(kiosk [32]byte) (seq uint64, link [32]byte, err error) {
	s, err := t.Status(kiosk)
	return s.Applied.Seq, s.Applied.Link, err
}

// alarm says what is wrong with a kiosk's records, and when it no longer is.
func (s *served) alarm(kiosk [32]byte, a ledger.Alarm) {
	s.log.Error("records of a kiosk", "kiosk", wire.Name(kiosk), "alarm", a.Kind.String(), "says", a.Text, "over", !a.Open())
}
