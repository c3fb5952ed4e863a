//go:build !kiosk

package main

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/hq/authority"
)

// lifetime is what happens to kiosks and to headquarters over the years.
func lifetime(s *site) (string, error) {
	if err := s.own(); err != nil {
		return "", err
	}
	if err := s.settle(); err != nil {
		return "", err
	}
	for _, step := range []struct {
		name string
		do   func(*site) error
	}{
		{"quarantine", quarantined}, {"an order that was signed elsewhere", signedElsewhere}, {"restore", restored}, {"away for too long", awayTooLong}, {"replace and decommission", replaced},
	} {
		if err := step.do(s); err != nil {
			return "", fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return "quarantined and back; a suspension drafted, signed elsewhere and handed in; an older backup restored and every kiosk adopted; one whose certificate ended while it was away let in again; " +
		"a kiosk replaced, and its successor decommissioned", nil
}

// stateIs holds what hq kiosk list says of a kiosk.
func (s *site) stateIs(k *kiosk, state string) error {
	list, err := s.list()
	if is := list[k.name].State; err == nil && is != state {
		err = fmt.Errorf("%s is %q, want %q", k.door, is, state)
	}
	return err
}

// quarantined has one kiosk told nothing for a while.
func quarantined(s *site) error {
	k, others := s.kiosks[0], s.kiosks[1:]
	if _, err := s.at("kiosk", "quarantine", k.name, "-why", "to see what it misses"); err != nil {
		return err
	}
	if err := errors.Join(s.stateIs(k, "quarantined"), s.enrol(1)); err != nil {
		return err
	}
	who := s.staff[len(s.staff)-1].id
	if err := s.await(30*time.Second, "the others are told", func() error { return s.agreed(others) }); err != nil {
		return err
	}
	out, err := s.at("roster", "diff", k.name)
	if err != nil {
		return err
	}
	if want := who.String() + "  is not held; should be generation 1, active\n1 people differ\n"; !strings.HasSuffix(out, want) || int(k.status().People) != len(s.staff)-1 {
		return fmt.Errorf("it holds %d people, and hq roster diff says %q, want %q", k.status().People, out, want)
	}
	if _, err := s.order(k); err == nil {
		return errors.New("a release was taken for it")
	}
	if _, err := s.at("kiosk", "lift", k.name); err != nil {
		return err
	}
	return s.settle()
}

// standing holds what hq people show says of somebody to what it must be.
func (s *site) standing(who person, want string) error {
	out, err := s.at("people", "show", who.id.String(), "-json")
	if err != nil {
		return err
	}
	var p struct {
		Standing string `json:"standing"`
	}
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		return fmt.Errorf("hq people show: %w", err)
	}
	if p.Standing != want {
		return fmt.Errorf("%v is %q, want %q", who.id, p.Standing, want)
	}
	return nil
}

// signedElsewhere has somebody suspended by an order that is drafted at headquarters, signed where nothing of headquarters is, and handed in.
func signedElsewhere(s *site) error {
	who := s.staff[len(s.staff)-1]
	elsewhere := s.file("operator")
	if err := os.Mkdir(elsewhere, 0o700); err != nil {
		return err
	}
	draft := filepath.Join(elsewhere, "draft")
	if _, err := s.at("suspend", who.id.String(), "-draft", draft); err != nil {
		return err
	}
	if _, err := s.hq("sign", draft, "-key", s.key("releaser"), "-out", draft+".wrong", "-yes"); err != nil {
		return err
	}
	if _, err := s.at("hand", draft+".wrong"); err == nil {
		return errors.New("a releaser's signature was taken for it")
	}
	if err := s.standing(who, "active"); err != nil {
		return fmt.Errorf("before it is signed: %w", err)
	}
	said, err := s.hq("sign", draft, "-key", s.key("administrator"), "-yes")
	if err != nil {
		return err
	}
	if !strings.Contains(said, who.id.String()) {
		return fmt.Errorf("hq sign does not say whom it is about: %q", said)
	}
	suspended, err := s.counts(access.EventPersonSuspended)
	if err != nil {
		return err
	}
	for range 2 { // run again it changes nothing: each kiosk has one record of it, below
		if _, err := s.at("hand", draft+".signed"); err != nil {
			return err
		}
	}
	if err := s.standing(who, "suspended"); err != nil {
		return err
	}
	for i, k := range s.kiosks {
		err := s.await(30*time.Second, k.door+" has suspended them", func() error {
			n, err := k.count(access.EventPersonSuspended)
			if n -= suspended[i]; err == nil && n != 1 {
				err = fmt.Errorf("it has %d records of it, want 1", n)
			}
			return err
		})
		if err == nil {
			err = s.holdsSoon(k) // suspended, as they should be
		}
		if err != nil {
			return err
		}
	}
	if _, err := s.at("resume", who.id.String(), "-key", s.key("administrator")); err != nil {
		return err
	}
	return s.settle()
}

// restored has headquarters lose its state, and come back with that of before some commands: every kiosk stands at one that it never gave.
func restored(s *site) error {
	file, state := s.file("backup-older"), filepath.Join(s.dir(), "state")
	if _, err := s.at("backup", file); err != nil {
		return err
	}
	if err := s.enrol(1); err != nil {
		return err
	}
	for _, on := range []bool{true, false} {
		if _, err := s.turn(levers[0], on); err != nil {
			return err
		}
	}
	if err := s.settle(); err != nil {
		return err
	}
	s.serve.drop()
	if err := errors.Join(os.Rename(state, s.file("state-lost")), os.Mkdir(state, 0o700)); err != nil {
		return err
	}
	if _, err := s.at("restore", file); err != nil {
		return err
	}
	if err := s.restart(); err != nil {
		return err
	}
	for _, k := range s.kiosks {
		k.link.kill() // it connects at once
	}
	for _, k := range s.kiosks {
		if err := s.await(100*time.Second, k.door+" is not believed", func() error { return s.stateIs(k, "quarantined") }); err != nil {
			return err
		}
	}
	for _, k := range s.kiosks {
		if err := s.await(100*time.Second, k.door+" is adopted", func() error { _, err := s.at("kiosk", "adopt", k.name); return err }); err != nil {
			return err
		}
	}
	return s.settle() // that it is the same people the scene's end finds: a command that changed nothing has its record within a minute
}

// awayTooLong has a kiosk come back whose certificate ended while it was off: it says so, recognises whom it knows, and goes on where it was once it is added again.
func awayTooLong(s *site) error {
	k := s.kiosks[1]
	k.rest()
	keys, err := authority.LoadServer(s.dir(), time.Now())
	if err != nil {
		return err
	}
	place, found, err := root.ReadHeadquarters(k.state())
	if err != nil || !found {
		return fmt.Errorf("the kiosk knows no headquarters: %w", err)
	}
	own, err := x509.ParseCertificate(place.Certificate[0])
	if err != nil {
		return err
	}
	if place.Certificate[0], err = s.past(*own, keys.Kiosks().Issuing); err != nil {
		return err
	}
	held := len(s.staff)
	if err := errors.Join(root.WriteHeadquarters(k.state(), place), s.enrol(1), k.start()); err != nil {
		return err
	}
	err = s.await(30*time.Second, "link says what is wrong with its certificate", func() error {
		if said := k.link.said.last(3); !strings.Contains(said, "this kiosk's certificate has expired") || int(k.status().People) != held {
			return fmt.Errorf("it holds %d people of %d; link says %q", k.status().People, held, said)
		}
		return nil
	})
	if err != nil {
		return err
	}
	k.rest()
	if err := errors.Join(k.enter("told-again"), k.start()); err != nil {
		return err
	}
	return s.settle()
}

// replaced has a kiosk come, another take its place, and that one go for good.
func replaced(s *site) error {
	old, err := s.another("spare-old")
	if err != nil {
		return err
	}
	next, err := s.another("spare-new", "-replaces", old.name)
	if err != nil {
		return err
	}
	if err := s.barred(old, "replaced"); err != nil {
		return err
	}
	if int(old.status().People) != len(s.staff) {
		return fmt.Errorf("the kiosk that was replaced holds %d people: who is to tell it otherwise?", old.status().People)
	}
	old.rest()
	return s.decommissioned(next)
}

// another brings one more kiosk to the spare door, and waits until it agrees.
func (s *site) another(folder string, more ...string) (*kiosk, error) {
	k, err := s.build(spare, folder)
	if k != nil {
		s.gone = append(s.gone, k)
	}
	if err == nil {
		err = k.join(more...)
	}
	if err == nil {
		err = k.start()
	}
	if err == nil {
		err = s.await(100*time.Second, folder+" agrees with headquarters", func() error { return s.agreed([]*kiosk{k}) })
	}
	if err == nil {
		err = s.holdsSoon(k)
	}
	return k, err
}

// barred wants a kiosk to be refused at its next connection, and hq serve to say why.
func (s *site) barred(k *kiosk, state string) error {
	if err := s.stateIs(k, state); err != nil {
		return err
	}
	s.serve.said.clear()
	k.link.kill()
	why := "kiosk is not active: " + state
	return s.await(30*time.Second, fmt.Sprintf("hq serve says %q", why), func() error {
		if said := s.serve.said.last(5); !strings.Contains(said, why) || !strings.Contains(said, k.name) {
			return errors.New(said)
		}
		return nil
	})
}

// decommissioned has a kiosk forget everybody and everything, and go.
func (s *site) decommissioned(k *kiosk) error {
	if id, err := root.Load(k.state()); err != nil {
		return err
	} else if len(id.Exchange) == 0 {
		return errors.New("it has no key for sealed content that it could forget")
	}
	if _, err := s.at("kiosk", "decommission", k.name, "-key", s.key("administrator")); err != nil {
		return err
	}
	gone := func() error {
		id, err := root.Load(k.state())
		if err != nil {
			return err
		}
		if now := k.status(); now.Records == 0 || now.People != 0 || len(id.Exchange) != 0 {
			return fmt.Errorf("it holds %d people, and %d bytes of its exchange key", now.People, len(id.Exchange))
		}
		n, err := k.count(access.EventDecommissioned)
		if err == nil && n != 1 {
			err = fmt.Errorf("it has %d records of it, want 1", n)
		}
		return err
	}
	if err := s.await(30*time.Second, "it forgets everything", gone); err != nil {
		return err
	}
	if _, err := k.complete(70 * time.Second); err != nil { // the record is the proof
		return err
	}
	k.core.said.clear()
	k.core.kill()
	if err := k.ready(); err != nil {
		return err
	}
	if err := s.await(30*time.Second, "it has nobody after a new start", gone); err != nil {
		return err
	}
	if _, err := s.at("kiosk", "remove", k.name, "-why", "decommissioned"); err != nil {
		return err
	}
	if err := s.barred(k, "removed"); err != nil {
		return err
	}
	if _, err := s.order(k); err == nil {
		return errors.New("a release was taken for it")
	}
	k.rest()
	return nil
}
