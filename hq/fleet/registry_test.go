package fleet

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/sync/wire"
)

func TestForkedKioskIsQuarantined(t *testing.T) {
	for name, spoil := range map[string]func(k *double){
		"ahead of headquarters": func(k *double) { k.seq++ },
		"at another command":    func(k *double) { k.head[0]++ },
	} {
		t.Run(name, func(t *testing.T) {
			h, ledger := newSignedHouse(t)
			k := known(t, h, "front")
			k.mu.Lock()
			told := k.times
			k.mu.Unlock()
			appendAll(t, h, k, h.enrolment(1))
			k.until("the order, and the answer to its greeting", func() bool { return k.seq == 1 && k.times > told })
			k.mu.Lock()
			spoil(k)
			before := k.times
			k.mu.Unlock()
			k.sign(ledger)
			k.greet()
			h.within(k, "quarantine", func(o Overview) bool { return o.State == Quarantined })
			o := overview(t, h, k.name)
			if o.State != Quarantined || len(o.Alarms) != 1 || o.Alarms[0].Kind != Fork {
				t.Fatalf("%v, alarms %v", o.State, o.Alarms)
			}
			appendAll(t, h, k, h.enrolment(2))
			k.greet()
			time.Sleep(100 * time.Millisecond)
			k.mu.Lock()
			if k.times != before || len(k.orders) != 1 {
				t.Errorf("it is still told: %d answers, %d orders", k.times-before, len(k.orders))
			}
			k.mu.Unlock()
			h.restart()
			if o := overview(t, h, k.name); o.State != Quarantined || len(o.Alarms) != 1 {
				t.Errorf("after a restart %v, alarms %v", o.State, o.Alarms)
			}
			if err := h.fleet.Lift(t.Context(), k.name); err != nil {
				t.Fatal(err)
			}
			if o := overview(t, h, k.name); o.State != Active || len(o.Alarms) != 0 {
				t.Errorf("lifted, it is %v with alarms %v", o.State, o.Alarms)
			}
		})
	}
}

// A broker forges greetings. What nobody has signed is an alarm; nobody is quarantined or adopted for it, and the kiosk goes on.
//
// Control: S18
func TestForgedGreetingMovesNothing(t *testing.T) {
	h, ledger := newSignedHouse(t)
	k := known(t, h, "front")
	appendAll(t, h, k, h.enrolment(1))
	k.until("the order", func() bool { return k.seq == 1 })
	k.sign(ledger)
	forged := wire.Greeting{Nonce: [16]byte{1}, Seq: 1 << 40, Head: [32]byte{1}, Trust: 1 << 40, Exchange: 77, Boot: 9, Door: "x"}
	k.mu.Lock()
	before := k.times
	k.mu.Unlock()
	for range 3 {
		k.say(forged)
	}
	k.until("the time, which it cannot hurt to tell", func() bool { return k.times >= before+3 })
	ref := h.enrolment(2)
	appendAll(t, h, k, ref) // without a word of the kiosk
	k.until("an order", func() bool { return k.orders[ref] == 1 })
	o := overview(t, h, k.name)
	if o.State != Active || len(o.Alarms) != 1 || o.Alarms[0].Kind != Fork || !strings.Contains(o.Alarms[0].Text, "records say 1") || o.Known.Seq == forged.Seq {
		t.Errorf("%v at %d, alarms %v", o.State, o.Known.Seq, o.Alarms)
	}
	if err := h.fleet.Quarantine(t.Context(), k.name, "somebody looks"); err != nil {
		t.Fatal(err)
	}
	k.say(forged)
	time.Sleep(50 * time.Millisecond)
	if err := h.fleet.Adopt(t.Context(), k.name); err == nil || !strings.Contains(err.Error(), "signed records say 1") {
		t.Errorf("adopted on a broker's word: %v", err)
	}
}

// Headquarters was restored from a backup of before the kiosk was told the last things.
func TestAdoptedKioskGoesOn(t *testing.T) {
	h, ledger := newSignedHouse(t)
	k := known(t, h, "front")
	old := h.enrolment(1)
	appendAll(t, h, k, old)
	k.until("the order", func() bool { return k.seq == 1 })
	if err := h.fleet.Submit(t.Context(), "", h.sign(wire.Fleet(), wire.Lockdown{Version: 1, On: true, Issued: 1})); err != nil {
		t.Fatal(err)
	}
	k.until("the lockdown", func() bool { return k.seq == 2 })
	if err := h.fleet.Adopt(t.Context(), k.name); err == nil {
		t.Error("a kiosk that is not quarantined was adopted")
	}
	if err := h.fleet.Quarantine(t.Context(), k.name, "somebody looks"); err != nil {
		t.Fatal(err)
	}
	k.sign(ledger)
	k.greet()
	d := h.fleet.desks[k.name]
	h.within(k, "its greeting", func(Overview) bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.claimed.Seq == 2
	})
	if err := h.fleet.Adopt(t.Context(), k.name); err == nil || !strings.Contains(err.Error(), "hq kiosk lift") {
		t.Errorf("it stands where headquarters knows it, and is adopted: %v", err)
	}
	if err := h.fleet.Lift(t.Context(), k.name); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	h.fleet.alarm(t.Context(), d, Damage, "record 7")
	d.mu.Unlock()
	k.mu.Lock()
	k.orders = map[[32]byte]int{}
	k.mu.Unlock()
	h.shelf.mu.Lock()
	h.shelf.queue = [][32]byte{old}
	h.shelf.mu.Unlock()
	h.strand(k, ledger, 40)
	if err := h.fleet.Adopt(t.Context(), k.name); err != nil {
		t.Fatal(err)
	}
	k.until("all that is in force", func() bool { return k.seq == 42 && len(k.orders) == 2 })
	// What an adoption has not judged goes on being an alarm.
	if o := overview(t, h, k.name); o.State != Active || len(o.Alarms) != 1 || o.Alarms[0].Kind != Damage || o.Head != 42 {
		t.Errorf("%v, alarms %v, stream of %d", o.State, o.Alarms, o.Head)
	}
	h.restart()
	k.greet()
	appendAll(t, h, k, h.enrolment(2))
	k.until("what comes then", func() bool { return k.seq == 43 })

	// Its stream is read across what headquarters does not have, of which it says how much that is.
	for after, want := range map[uint64]string{0: "1+0 2+0 40+38 41+0 42+0 43+0 ", 2: "40+38 41+0 42+0 43+0 ", 7: "40+33 41+0 42+0 43+0 ", 40: "41+0 42+0 43+0 "} {
		all, err := h.fleet.Commands(t.Context(), k.name, after)
		is := ""
		for _, c := range all {
			is += fmt.Sprintf("%d+%d ", c.Seq, c.Unknown)
		}
		if err != nil || is != want {
			t.Errorf("commands behind %d: %s, want %s; %v", after, is, want, err)
		}
	}
	if err := h.fleet.store.Delete(t.Context(), entryKey(k.name, 42), 0); err != nil {
		t.Fatal(err)
	}
	if all, err := h.fleet.Commands(t.Context(), k.name, 0); err == nil {
		t.Errorf("a command that is lost is passed over: %v", all)
	}
}

// A hostile kiosk that was adopted as far ahead as any is, can be replaced and read all the same.
func TestNobodyCountsToWhereAKioskSaysItStands(t *testing.T) {
	h, ledger := newSignedHouse(t)
	k, next := known(t, h, "front"), known(t, h, "spare")
	h.strand(k, ledger, 1<<20)
	if err := h.fleet.Adopt(t.Context(), k.name); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	if all, err := h.fleet.Commands(ctx, k.name, 0); err != nil || len(all) != 1 || all[0].Unknown != 1<<20 {
		t.Errorf("%d commands, %v", len(all), err)
	}
	if err := h.fleet.Replace(ctx, k.name, next.name); err != nil {
		t.Error(err)
	}
}

func TestTrustReachesEverybody(t *testing.T) {
	h := newHouse(t, false)
	k, late := known(t, h, "front"), h.introduce("late")
	o, err := authority.OpenOffline(h.dir, h.safe)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Change(time.Now(), authority.Dismiss("Ada")); err != nil {
		t.Fatal(err)
	}
	h.load()
	if err := h.fleet.Serve(t.Context(), h.server); err != nil {
		t.Fatal(err)
	}
	version := h.server.Trust.Version
	k.until("the new trust", func() bool { return k.trust == version })
	late.listen()
	late.greet()
	late.until("the new trust", func() bool { return late.trust == version })
	if err := h.fleet.Submit(t.Context(), "", h.sign(wire.Fleet(), wire.Lockdown{Version: 1, Issued: 1})); err == nil {
		t.Error("an operator who was dismissed still commands")
	}
}

// An older trust in headquarters' folder, in which an operator still stands who was dismissed, is not served: not while it runs, and not after a restart.
func TestOlderTrustIsNotServed(t *testing.T) {
	h := newHouse(t, false)
	older := h.server
	o, err := authority.OpenOffline(h.dir, h.safe)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Change(time.Now(), authority.Dismiss("Ada")); err != nil {
		t.Fatal(err)
	}
	h.load()
	if err := h.fleet.Serve(t.Context(), h.server); err != nil {
		t.Fatal(err)
	}
	if err := h.fleet.Serve(t.Context(), older); !errors.Is(err, ErrTrust) {
		t.Errorf("an older one is served: %v", err)
	}
	if err := h.fleet.Submit(t.Context(), "", h.sign(wire.Fleet(), wire.Lockdown{Version: 1, Issued: 1})); err == nil {
		t.Error("an operator who was dismissed is back")
	}
	c := h.fleet.config
	if c.Server = older; c.Server.Trust.Version >= h.server.Trust.Version {
		t.Fatal("it is not older")
	}
	if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "hq trust restore") {
		t.Errorf("after a restart: %v", err)
	}
}

// Control: A21
func TestLifeOfAKiosk(t *testing.T) {
	h := newHouse(t, false)
	old := known(t, h, "front")
	a, b := h.enrolment(1), h.enrolment(2)
	appendAll(t, h, old, a)
	appendAll(t, h, old, b)
	h.shelf.destroy(a)
	h.shelf.mu.Lock()
	h.shelf.queue = [][32]byte{b}
	h.shelf.mu.Unlock()
	next := known(t, h, "spare")
	if err := h.fleet.Replace(t.Context(), old.name, next.name); err != nil {
		t.Fatal(err)
	}
	next.until("what the old one had", func() bool { return next.orders[b] > 0 && next.orders[a] == 0 })
	if o := overview(t, h, next.name); o.Door != "front" {
		t.Errorf("the new one has door %q", o.Door)
	}
	certificate, err := x509.ParseCertificate(old.certificate.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"to connect":        h.fleet.Admit(old.name, certificate),
		"commands":          h.fleet.Append(t.Context(), old.name, [][32]byte{b}),
		"to be quarantined": h.fleet.Quarantine(t.Context(), old.name, "why"),
	} {
		if err == nil {
			t.Errorf("a replaced kiosk is let: %s", what)
		}
	}
	if err := h.fleet.Admit(next.name, certificate); err == nil {
		t.Error("a kiosk connects with the key of another")
	}
	if err := h.fleet.Quarantine(t.Context(), next.name, "stolen?"); err != nil {
		t.Fatal(err)
	}
	if err := h.fleet.Remove(t.Context(), next.name, "stolen"); err != nil {
		t.Fatal(err)
	}
	if err := h.fleet.Lift(t.Context(), next.name); err != nil || overview(t, h, next.name).State != Removed {
		t.Errorf("a removed kiosk is lifted back, or its alarms are not: %v", err)
	}
	h.restart()
	if o := overview(t, h, next.name); o.State != Removed || o.Why != "stolen" {
		t.Errorf("after a restart %v, %q", o.State, o.Why)
	}
	h.mu.Lock()
	if len(h.kicked) != 2 || !slices.Contains(h.kicked, old.name) || !slices.Contains(h.kicked, next.name) { // the broker may have been away before
		t.Errorf("after a restart the connections of %q are ended", h.kicked)
	}
	h.mu.Unlock()
	if _, err := h.fleet.Find("nobody"); !errors.Is(err, ErrUnknown) {
		t.Errorf("found nobody: %v", err)
	}
}

func TestCertificatesAreRenewed(t *testing.T) {
	h := newHouse(t, false)
	k := known(t, h, "front")
	certificate, err := x509.ParseCertificate(k.certificate.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	admitted := func() {
		t.Helper()
		if err := h.fleet.Admit(k.name, certificate); err != nil {
			t.Fatal(err)
		}
	}
	admitted()
	k.greet()
	time.Sleep(50 * time.Millisecond)
	if k.until("quiet", func() bool { return true }); k.renewed != 0 {
		t.Fatalf("%d new certificates on the first day", k.renewed)
	}
	h.stop()
	h.clock = func() time.Time { return time.Now().Add(authority.LeafTerm - 20*24*time.Hour) }
	h.start(false)
	admitted()
	for range 3 {
		k.greet()
	}
	k.until("a new one, in time", func() bool { return k.renewed == 1 && k.times > 4 })
}

// A kiosk that was provisioned anew is another one, and the one that had its TPM gives way in so many words.
func TestKioskThatWasProvisionedAnew(t *testing.T) {
	h := newHouse(t, false)
	old := known(t, h, "front")
	appendAll(t, h, old, h.enrolment(1))
	anew := overview(t, h, old.name).Kiosk
	audit, err := spki(&key(t).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	anew.State, anew.Audit, anew.ID = 0, audit, wire.KioskID(wire.DeviceID(anew.Attestation), audit)
	for _, replaces := range []string{"", anew.Name()} {
		if _, err := h.fleet.admit(t.Context(), anew, "front", replaces); err == nil || !strings.Contains(err.Error(), "-replaces "+old.name) {
			t.Errorf("-replaces %q: %v", replaces, err)
		}
	}
	if _, err := h.fleet.ID(anew.Name()); err == nil {
		t.Error("it is known all the same")
	}
	if _, err := h.fleet.admit(t.Context(), anew, "front", old.name); err != nil {
		t.Fatal(err)
	}
	if o := overview(t, h, anew.Name()); o.State != Active || o.Head != 0 {
		t.Errorf("it is %v at command %d", o.State, o.Head)
	}
	if err := h.fleet.Replace(t.Context(), old.name, anew.Name()); err != nil {
		t.Fatal(err)
	}
	if o := overview(t, h, old.name); o.State != Replaced {
		t.Errorf("the old one is %v", o.State)
	}
	if _, err := h.fleet.admit(t.Context(), anew, "front", ""); err != nil {
		t.Errorf("introduced once more: %v", err)
	}
}

// A kiosk takes one name for its door, once: headquarters lists no other, and no command that was refused changes which.
func TestKioskKeepsItsDoor(t *testing.T) {
	h := newHouse(t, false)
	k := newDouble(t, h)
	for _, slip := range []string{"fornt", "back"} { // it has not greeted: what an installer mistyped is mended
		if err := k.enter(slip); err != nil {
			t.Fatal(err)
		}
	}
	doorIs := func(want string) {
		t.Helper()
		if o := overview(t, h, k.name); o.Door != want {
			t.Errorf("headquarters lists door %q, want %q", o.Door, want)
		}
	}
	if _, err := h.fleet.admit(t.Context(), k.record, "side", k.name); !errors.Is(err, errSame) {
		t.Errorf("it replaces itself: %v", err)
	}
	doorIs("back")
	k.listen()
	k.greet() // and says that its door is front
	h.within(k, "its greeting", func(o Overview) bool { return o.Known.Door == "front" })
	if err := k.enter("side"); err == nil || !strings.Contains(err.Error(), `has door "front", which it keeps as long as it is provisioned: say -door front;`) {
		t.Errorf("a door that it does not have: %v", err)
	}
	side := h.introduce("side")
	if _, err := h.fleet.admit(t.Context(), newDouble(t, h).record, "front", side.name); err == nil || !strings.Contains(err.Error(), "say -door side;") || len(h.fleet.all()) != 2 {
		t.Errorf("the place of one at another door: %v", err)
	}
	if err := h.fleet.Replace(t.Context(), side.name, k.name); err == nil || !strings.Contains(err.Error(), `say -door front;`) || overview(t, h, side.name).State != Active {
		t.Errorf("the place of a kiosk at another door: %v", err)
	}
	doorIs("back")
	for _, door := range []string{"back", "front"} { // what is listed already gives a certificate; what the kiosk says is so
		if err := k.enter(door); err != nil {
			t.Errorf("door %q: %v", door, err)
		}
		doorIs(door)
	}
	if err := h.fleet.Remove(t.Context(), k.name, "sold"); err != nil {
		t.Fatal(err)
	}
	if err := k.enter("side"); err == nil {
		t.Error("brought back, it has another door than it was provisioned for")
	}
	if o := overview(t, h, k.name); o.State != Removed || o.Door != "front" {
		t.Errorf("refused, and yet it is %v at door %q", o.State, o.Door)
	}
	if err := k.enter("front"); err != nil {
		t.Error(err)
	}
}
