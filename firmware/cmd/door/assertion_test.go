package main

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/sync/wire"
)

// challenged has headquarters ask for a challenge.
func (c *centre) challenged() wire.Challenge {
	c.t.Helper()
	request := [16]byte{}
	rand.Read(request[:])
	c.hq.mu.Lock()
	c.hq.requests.spent = 0 // the pace is another test's
	c.hq.mu.Unlock()
	if err := c.bring(c.sign("server", c.id, wire.Ask{Request: request, For: wire.KindChallenge})); err != nil {
		c.t.Fatal(err)
	}
	got := report[wire.Challenge](c)
	if got.Request != request || got.Door != c.policy.Door {
		c.t.Fatalf("%+v", got)
	}
	return got
}

// An operator's signature over a challenge of this door opens it once, within ten seconds, on record; nothing else from afar does.
//
// Control: A22
// Control: A23
// Control: S8
// Control: U25
// Control: A24
func TestRemoteRelease(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	release := func(ch wire.Challenge) wire.Release {
		return wire.Release{Challenge: ch.Challenge, Door: ch.Door, Action: wire.ActionRelease}
	}
	forged, spent, notHis := wire.ErrForged.Error(), errNoChallenge.Error(), "whoever signed it may not"
	opens := func(what, refused string, data []byte) { // refused: as the one record of it says; "": it opens
		t.Helper()
		before, records := c.wires.released(), c.count(access.EventRemoteReleaseRefused)
		err := c.bring(data)
		if opened := c.wires.released() > before; opened != (refused == "") {
			t.Errorf("%s: opened %t, %v", what, opened, err)
		}
		r, n := c.newest(access.EventRemoteReleaseRefused), c.count(access.EventRemoteReleaseRefused)-records
		if refused == "" && n == 0 {
			return
		}
		if said := r.Reason.String() + ": " + r.Detail; n != 1 || refused == "" || !strings.Contains(said, refused) {
			t.Errorf("%s: %d records, the newest says %q; want one because of %q", what, n, said, refused)
		}
	}
	ch := c.challenged()
	good := c.sign("releaser", c.id, release(ch))
	opens("by headquarters' server", notHis, c.sign("server", c.id, release(ch)))
	opens("by an administrator", notHis, c.sign("administrator", c.id, release(ch)))
	opens("by a stranger", notHis, c.sign("stranger", c.id, release(ch)))
	opens("for the fleet", forged, c.sign("releaser", wire.Fleet(), release(ch)))
	opens("for another kiosk", forged, c.sign("releaser", [32]byte{1}, release(ch)))
	opens("over no challenge of ours", spent, c.sign("releaser", c.id, release(wire.Challenge{Challenge: [32]byte{1}, Door: ch.Door})))
	opens("for another door", spent, c.sign("releaser", c.id, release(wire.Challenge{Challenge: ch.Challenge, Door: "back"})))
	c.wantCount(access.EventRemoteReleaseGranted, 0)
	opens("as it should be", "", good)
	opens("a second time", spent, good)
	c.wantCount(access.EventRemoteReleaseGranted, 1)
	if err := c.bring(c.chain(0, good)); err != nil { // a command that carries one is applied, and the release in it refused
		t.Error(err)
	}
	c.wantCount(access.EventOrderRefused, 1)

	old := c.challenged()
	c.hq.mu.Lock()
	c.hq.challenges[0].at -= access.AssertWithin + 1
	c.hq.mu.Unlock()
	opens("too late", access.ReasonStaleChallenge.String(), c.sign("releaser", c.id, release(old)))
	first := c.challenged()
	for range maxChallenges - 1 {
		c.challenged()
	}
	opens("after many others", "", c.sign("releaser", c.id, release(first)))
	c.hq.mu.Lock()
	c.hq.challenges = nil
	c.hq.mu.Unlock()
	if err := c.lockdown(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	opens("in a lockdown", access.ReasonLockdown.String(), c.sign("releaser", c.id, release(c.challenged())))
	if err := c.lockdown(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	confirm := release(c.challenged())
	confirm.Action, confirm.Session = wire.ActionConfirm, wire.Session{Boot: c.boot, Number: 1}
	opens("while nobody waits", errUnfit.Error(), c.sign("releaser", c.id, confirm))
	c.disabled.Store(true)
	opens("while disabled", errUnfit.Error(), c.sign("releaser", c.id, release(c.challenged())))
	c.disabled.Store(false)
	kept := c.challenged()
	c.stop()
	c.start()
	opens("over a restart", spent, c.sign("releaser", c.id, release(kept)))
	opens("at the end", "", c.sign("releaser", c.id, release(c.challenged())))
}

// An operator's word settles the walk-up that the challenge named and the operator signed for, while that one waits, and no other.
func TestConfirmIsForOneWalkup(t *testing.T) {
	one, two := wire.Session{Boot: 4, Number: 7}, wire.Session{Boot: 4, Number: 8}
	waiting := ipc.Pending{Session: access.SessionID(one), First: access.PersonID{1}}
	alike := waiting
	alike.Second = access.PersonID{2}
	for name, tt := range map[string]struct {
		made, signed wire.Session
		waits        ipc.Pending
		want         bool
	}{
		"as it should be":                   {one, one, waiting, true},
		"another waits by now":              {one, one, ipc.Pending{Session: access.SessionID(two), First: access.PersonID{1}}, false},
		"the challenge named another":       {two, one, waiting, false},
		"the operator meant another":        {one, two, waiting, false},
		"both of another":                   {two, two, waiting, false},
		"nobody waited":                     {wire.Session{}, wire.Session{}, ipc.Pending{}, false},
		"nobody waits any more":             {one, one, ipc.Pending{}, false},
		"two people could be meant by that": {one, one, alike, false},
	} {
		if got := (challenge{waits: tt.made}).settles(tt.waits, tt.signed); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// The kiosk makes the next key for sealed content when asked, and forgets the one before once headquarters has used it.
//
// Control: S13
func TestExchangeKeysRotate(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	asked := byte(0)
	ask := func(after uint32) error {
		asked++
		return c.bring(c.sign("server", c.id, wire.Ask{Request: [16]byte{asked}, For: wire.KindExchange, After: after}))
	}
	if err := ask(0); err != nil {
		t.Fatal(err)
	}
	if e := report[wire.Exchange](c); e.Number != 1 {
		t.Errorf("key %d, want the first", e.Number)
	}
	if err := ask(1); !refusedBecause(err, errUnfit) {
		t.Errorf("another key while nobody knows how old this one is: %v", err)
	}
	if err := c.answer(c.greeting(), c.now); err != nil {
		t.Fatal(err)
	}
	if err := ask(1); err != nil {
		t.Fatal(err)
	}
	e := report[wire.Exchange](c)
	if c.verified(e); e.Number != 2 {
		t.Errorf("key %d, want the second", e.Number)
	}
	if err := ask(2); !refusedBecause(err, errUnfit) {
		t.Errorf("a third key at once: %v", err)
	}
	const day = 86_400
	c.hq.mu.Lock()
	c.hq.keys[1].Made -= day
	c.hq.mu.Unlock()
	if err := ask(2); !refusedBecause(err, errUnfit) {
		t.Errorf("a third key after a day that only headquarters' clock has seen: %v", err)
	}
	c.give(1, c.enrolment(access.PersonID{1}, 1, 3)) // sealed before headquarters knew of the second
	late := c.chain(1, c.enrolment(access.PersonID{2}, 1, 5))
	c.stop()
	c.start()
	if err := c.answer(c.greeting(), c.now+60); err != nil {
		t.Fatal(err)
	}
	if err := ask(2); !refusedBecause(err, errUnfit) {
		t.Errorf("a third key within a day, after a restart: %v", err)
	}
	c.give(2, c.enrolment(access.PersonID{3}, 1, 7))
	if keys := c.exchangeKeys(); len(keys) != 1 || keys[0].Number != 2 {
		t.Errorf("%d keys are kept", len(keys))
	}
	if id, err := root.Load(c.state); err != nil || len(id.Exchange) != 0 {
		t.Errorf("the first key is still on the disk: %d bytes, %v", len(id.Exchange), err)
	}
	b, err := wire.Open[wire.Command](late, &c.keys["server"].PublicKey, c.id)
	if err != nil {
		t.Fatal(err)
	}
	link, err := wire.Open[wire.Command](c.before, &c.keys["server"].PublicKey, c.id)
	if err != nil {
		t.Fatal(err)
	}
	b.Seq, b.Previous = 3, link.Link(c.id)
	if err := c.bring(c.sign("server", c.id, b)); !refusedBecause(err, errNoExchange) {
		t.Errorf("sealed to the key that is gone: %v", err)
	}
	if e := report[wire.Exchange](c); e.Number != 2 {
		t.Errorf("headquarters is told of key %d", e.Number)
	}
	// By itself, after its time.
	c.hq.mu.Lock()
	c.hq.rotate()
	c.hq.keys[0].Made -= int64(exchangeLife / time.Second)
	c.hq.rotate()
	n := c.hq.keys[len(c.hq.keys)-1].Number
	c.hq.mu.Unlock()
	if n != 3 {
		t.Errorf("newest key %d, want the third", n)
	}
}

// refusedBecause: an error that came over a socket is its text.
func refusedBecause(err, want error) bool {
	return errors.Is(err, ipc.ErrRefused) && strings.Contains(err.Error(), want.Error())
}

// The next certificate must be for the kiosk's own key and name, by an authority of the trust document, and outlives a restart.
func TestCertificateOfTheKiosk(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	public, err := c.root.TLSPublic()
	if err != nil {
		t.Fatal(err)
	}
	from := time.Now().Add(-time.Minute)
	issue := func(name string, key any, by string, until time.Time) []byte {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}
		der, err := x509.CreateCertificate(rand.Reader, template, c.ca, key, c.keys[by])
		if err != nil {
			der, err = x509.CreateCertificate(rand.Reader, template, template, key, c.keys[by])
		}
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	name, soon := wire.Name(c.id), time.Now().Add(time.Hour)
	for what, der := range map[string][]byte{
		"another's name": issue("kiosk", public, "ca", soon), "another's key": issue(name, &c.keys["stranger"].PublicKey, "ca", soon),
		"another authority": issue(name, public, "stranger", soon), "of yesterday": issue(name, public, "ca", time.Now().Add(-time.Hour)), "rubbish": {1, 2},
	} {
		if err := c.bring(c.sign("server", c.id, wire.Certificate{Chain: [][]byte{der}})); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	good := issue(name, public, "ca", soon)
	if err := c.bring(c.sign("server", c.id, wire.Certificate{Chain: [][]byte{good}})); err != nil {
		t.Fatal(err)
	}
	for range 3 { // once more, as often as whoever carries it likes
		if err := c.bring(c.sign("server", c.id, wire.Certificate{Chain: [][]byte{good}})); err != nil {
			t.Fatal(err)
		}
	}
	c.wantCount(access.EventCertificateChanged, 1)
	// Whoever kept earlier ones, which are good still, takes the kiosk back to none of them, and has nothing recorded or written by them.
	from = from.Add(time.Second)
	earlier, good := good, issue(name, public, "ca", soon)
	if err := c.bring(c.sign("server", c.id, wire.Certificate{Chain: [][]byte{good}})); err != nil {
		t.Fatal(err)
	}
	for _, der := range [][]byte{earlier, issue(name, public, "ca", soon.Add(time.Hour))} {
		if err := c.bring(c.sign("server", c.id, wire.Certificate{Chain: [][]byte{der}})); !refusedBecause(err, errUnfit) {
			t.Errorf("one that is not newer: %v", err)
		}
	}
	c.wantCount(access.EventCertificateChanged, 2)
	// Nor does whoever issues them without end.
	from = time.Now().Add(-50 * time.Second)
	taken := 0
	for range 2 * comingsBurst {
		from = from.Add(time.Second)
		der := issue(name, public, "ca", soon)
		if c.bring(c.sign("server", c.id, wire.Certificate{Chain: [][]byte{der}})) == nil {
			good = der
			taken++
		}
	}
	if taken != comingsBurst-2 {
		t.Errorf("%d more were taken", taken)
	}
	c.stop()
	c.start()
	var s ipc.Stationed
	if err := c.call(ipc.KindStation, nil, &s); err != nil || string(s.Certificate[0]) != string(good) {
		t.Errorf("after a restart: %v", err)
	}
}

// The first fleet root is the only one: whoever writes another to the disk gets a kiosk without headquarters, and an alert.
func TestForeignRootIsRefused(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	c.give(0, c.admin(wire.Lockdown{Version: 1, On: true, Issued: 1}))
	c.stop()
	for _, by := range []string{"stranger", ""} {
		if by != "" {
			c.configure(by)
		} else if err := os.WriteFile(filepath.Join(c.state, "root", "headquarters"), []byte{1}, 0o600); err != nil {
			t.Fatal(err)
		}
		c.start()
		if c.hq != nil || !c.portal.State().Lockdown || !c.signals().Has(access.SignalStale) {
			t.Error("another root is obeyed, a lockdown is gone, or nothing weighs against those who come")
		}
		c.stop()
	}
	// Nor is a kiosk without the file one that never had a headquarters.
	if err := os.Remove(filepath.Join(c.state, "root", "headquarters")); err != nil {
		t.Fatal(err)
	}
	c.start()
	if c.hq != nil || !c.signals().Has(access.SignalStale) {
		t.Error("headquarters was switched off by removing a file")
	}
	c.stop()
	c.configure("root")
	c.start()
	if c.hq == nil || c.stands().Seq != 1 {
		t.Error("the right root is not obeyed")
	}
	c.wantCount(access.EventHeadquartersForeign, 3)
	c.wantCount(access.EventTrustChanged, 1)
}

// An enrolment at the kiosk begins on an enroller's answer to a challenge of this kiosk, within ten seconds, once, and by nothing else.
func TestSupervisedEnrolment(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	supervised := func(by string, at [32]byte, change func(*wire.Supervised)) []byte {
		o := wire.Supervised{
			Person: [16]byte{7}, Generation: 4, Until: c.now + 90_000, Groups: []string{"staff"}, Consent: "C", Proofing: [32]byte{1}, Issued: c.now, NotAfter: c.now + 3600,
		}
		if change != nil {
			change(&o)
		}
		return c.sign(by, at, o)
	}
	order := supervised("enroller", c.id, nil)
	begin := func(ch wire.Challenge) []byte {
		return c.sign("enroller", c.id, wire.Begin{Challenge: ch.Challenge, Order: order})
	}
	refused := func(what string, data []byte) {
		t.Helper()
		if err := c.bring(data); err == nil || c.walkup.View().Enrolling {
			t.Errorf("%s: %v, enrols %t", what, err, c.walkup.View().Enrolling)
		}
	}
	refused("without a trusted time", begin(c.challenged()))
	if err := c.answer(c.greeting(), c.now); err != nil {
		t.Fatal(err)
	}
	c.give(0, order)
	c.wantCount(access.EventOrderRefused, 1) // in a command it is none
	refused("by itself", order)
	ch := c.challenged()
	for what, data := range map[string][]byte{
		"by a releaser":      c.sign("releaser", c.id, wire.Begin{Challenge: ch.Challenge, Order: order}),
		"by the server":      c.sign("server", c.id, wire.Begin{Challenge: ch.Challenge, Order: order}),
		"for the fleet":      c.sign("enroller", wire.Fleet(), wire.Begin{Challenge: ch.Challenge, Order: order}),
		"another challenge":  begin(wire.Challenge{Challenge: [32]byte{1}}),
		"a releaser's order": c.sign("enroller", c.id, wire.Begin{Challenge: ch.Challenge, Order: supervised("releaser", c.id, nil)}),
		"for another kiosk":  c.sign("enroller", c.id, wire.Begin{Challenge: ch.Challenge, Order: supervised("enroller", [32]byte{1}, nil)}),
		"for every kiosk":    c.sign("enroller", c.id, wire.Begin{Challenge: ch.Challenge, Order: supervised("enroller", wire.Fleet(), nil)}),
		"an order of the past": c.sign("enroller", c.id, wire.Begin{Challenge: ch.Challenge, Order: supervised("enroller", c.id, func(o *wire.Supervised) {
			o.Issued, o.NotAfter = c.now-100, c.now-10
		})}),
		"no order": c.sign("enroller", c.id, wire.Begin{Challenge: ch.Challenge, Order: []byte{1}}),
	} {
		refused(what, data)
	}
	late := c.challenged()
	c.hq.mu.Lock()
	c.hq.challenges[len(c.hq.challenges)-1].at -= access.AssertWithin + 1
	c.hq.mu.Unlock()
	refused("too late", begin(late))
	c.wantCount(access.EventSupervisedBegun, 0)
	ch = c.challenged()
	good := begin(ch)
	if err := c.bring(good); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); !c.walkup.View().Enrolling; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no enrolment began")
		}
	}
	if err := c.bring(good); !refusedBecause(err, errNoChallenge) {
		t.Errorf("a second time: %v", err)
	}
	if err := c.bring(begin(c.challenged())); !refusedBecause(err, errBusy) {
		t.Errorf("a second one beside it: %v", err)
	}
	c.wantCount(access.EventSupervisedBegun, 1)
	if n, err := c.gallery.Keep(access.PersonID{7}, [][]float32{direction(9)}, c.bundle, c.now+90_000); err != nil || n != 1 { // as the walk-up does
		t.Fatal(n, err)
	}
	p, err := c.store.Get(access.PersonID{7}, [32]byte{})
	if err != nil || p.Generation != 4 || len(p.Groups) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := c.gallery.Keep(access.PersonID{7}, [][]float32{direction(9)}, c.bundle, c.now+90_000); !errors.Is(err, vault.ErrSuperseded) {
		t.Errorf("the same generation once more: %v", err)
	}
	// What takes it back comes at any time.
	c.give(0, c.sign("enroller", wire.Fleet(), wire.Deletion{Person: [16]byte{7}, Generation: 4, Issued: 1}))
	if f := c.find(9); f.Found {
		t.Errorf("%+v", f)
	}
}
