package fleet

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/lintel-access/lintel/sync/wire"
)

// known is a kiosk that lives in the air and has greeted.
func known(t *testing.T, h *house, door string) *double {
	t.Helper()
	k := h.introduce(door)
	k.listen()
	k.greet()
	k.until("the time", func() bool { return k.times > 0 })
	return k
}

func appendAll(t *testing.T, h *house, k *double, refs ...[32]byte) {
	t.Helper()
	if err := h.fleet.Append(t.Context(), k.name, refs); err != nil {
		t.Fatal(err)
	}
}

func overview(t *testing.T, h *house, name string) Overview {
	t.Helper()
	list, err := h.fleet.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list {
		if o.Name() == name {
			return o
		}
	}
	t.Fatalf("kiosk %s is not listed", name)
	return Overview{}
}

func TestConnectedKioskIsToldAtOnce(t *testing.T) {
	h := newHouse(t, false)
	k, other := known(t, h, "front"), known(t, h, "back")
	var refs [][32]byte
	for n := range byte(60) {
		refs = append(refs, h.enrolment(n))
	}
	appendAll(t, h, k, refs...)
	k.until("all orders", func() bool { return len(k.orders) == len(refs) })
	if !slices.Equal(k.order, refs) {
		t.Error("they came in another order")
	}
	if k.seq < 3 {
		t.Errorf("60 people came in %d commands: each of them is bounded", k.seq)
	}
	if len(other.orders) != 0 || len(k.refused) != 0 {
		t.Errorf("another kiosk has %d of them; refused %v", len(other.orders), k.refused)
	}
	appendAll(t, h, k)
	if o := overview(t, h, k.name); o.Head != k.seq || o.Online.IsZero() {
		t.Errorf("%+v", o)
	}
}

// Control: S5
func TestOfflineKioskCatchesUp(t *testing.T) {
	h := newHouse(t, false)
	k := h.introduce("front")
	var refs [][32]byte
	for n := range 3 * window {
		refs = append(refs, h.enrolment(byte(n)))
		appendAll(t, h, k, refs[n])
	}
	h.restart()
	if err := h.fleet.Submit(t.Context(), "", h.sign(wire.Fleet(), wire.Lockdown{Version: 1, On: true, Issued: 1})); err != nil {
		t.Fatal(err)
	}
	k.listen()
	k.greet()
	k.until("everything", func() bool { return len(k.orders) == len(refs)+1 })
	if !slices.Equal(k.order[:len(refs)], refs) {
		t.Error("they came in another order")
	}
}

// Commands that are lost on the way are sent again without anybody asking.
func TestLostCommandIsSentAgain(t *testing.T) {
	h := newHouse(t, false)
	k := known(t, h, "front")
	h.air.silence(k.name, true)
	ref := h.enrolment(1)
	appendAll(t, h, k, ref)
	h.air.silence(k.name, false)
	k.until("the order", func() bool { return k.orders[ref] == 1 })
}

func TestCommandThatWasNotAppliedComesAgain(t *testing.T) {
	h := newHouse(t, false)
	k := known(t, h, "front")
	a, b := h.enrolment(1), h.enrolment(2)
	appendAll(t, h, k, a)
	appendAll(t, h, k, b)
	k.until("both", func() bool { return len(k.orders) == 2 })
	k.mu.Lock() // it loses its state, as after a repair
	k.seq, k.head, k.orders, k.order = 0, [32]byte{}, map[[32]byte]int{}, nil
	k.mu.Unlock()
	h.skip(resend + time.Second)
	k.greet()
	k.until("both again", func() bool { return len(k.orders) == 2 })
}

func TestDestroyedContentLeavesTheChainWhole(t *testing.T) {
	h := newHouse(t, false)
	k := h.introduce("front")
	stays, goes, alone := h.enrolment(1), h.enrolment(2), h.enrolment(3)
	appendAll(t, h, k, stays, goes)
	appendAll(t, h, k, alone)
	h.shelf.destroy(goes)
	h.shelf.destroy(alone)
	h.shelf.mu.Lock()
	h.shelf.queue = [][32]byte{stays}
	h.shelf.mu.Unlock()
	k.listen()
	k.greet()
	k.until("what is left", func() bool { return k.orders[stays] > 0 && k.seq >= 3 })
	if k.orders[goes]+k.orders[alone] != 0 || k.empty != 2 {
		t.Errorf("%d orders of what was destroyed, %d empty commands", k.orders[goes]+k.orders[alone], k.empty)
	}
	var seq uint64
	for range 500 {
		o := overview(t, h, k.name)
		if seq = o.Head; o.Queue == 1 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	k.until("the end", func() bool { return k.seq == seq })
	for range 3 {
		k.mu.Lock()
		k.seq, k.head = 0, [32]byte{}
		k.mu.Unlock()
		h.skip(resend + time.Second)
		k.greet()
		k.until("the end again", func() bool { return k.seq == seq })
	}
	if got := overview(t, h, k.name).Head; got != seq {
		t.Errorf("the stream grew from %d to %d by being read", seq, got)
	}
}

// An order that headquarters has lost (an older vault was put back) holds up nothing behind it, and somebody is told.
func TestLostOrderHoldsNothingUp(t *testing.T) {
	h := newHouse(t, false)
	k := h.introduce("front")
	lost, beside, behind := h.enrolment(1), h.enrolment(2), h.enrolment(3)
	appendAll(t, h, k, lost, beside)
	appendAll(t, h, k, behind)
	h.shelf.mu.Lock()
	kept := h.shelf.held[lost]
	delete(h.shelf.held, lost)
	h.shelf.queue = [][32]byte{beside}
	h.shelf.mu.Unlock()
	k.listen()
	k.greet()
	k.until("what is behind it, and beside", func() bool { return k.orders[behind] == 1 && k.orders[beside] > 0 })
	if o := overview(t, h, k.name); len(o.Alarms) != 1 || o.Alarms[0].Kind != Lost || k.orders[lost] != 0 {
		t.Errorf("alarms %v, the lost one came %d times", o.Alarms, k.orders[lost])
	}
	appendAll(t, h, k, lost) // and none that is new is held up by being beside it
	h.shelf.mu.Lock()
	h.shelf.held[lost], h.shelf.queue = kept, [][32]byte{lost}
	h.shelf.mu.Unlock()
	if err := h.fleet.Lift(t.Context(), k.name); err != nil {
		t.Fatal(err)
	}
	k.until("what was lost", func() bool { return k.orders[lost] == 1 })
	if o := overview(t, h, k.name); len(o.Alarms) != 0 {
		t.Errorf("alarms %v", o.Alarms)
	}
}

// While somebody else writes the vault kiosks are answered, and soon after it they have what they lack, without a word of their own.
func TestBusyVaultHoldsNobodyUp(t *testing.T) {
	h := newHouse(t, false)
	k := h.introduce("front")
	busy := func(is bool) {
		h.shelf.mu.Lock()
		h.shelf.busy = is
		h.shelf.mu.Unlock()
	}
	ref, late := h.enrolment(1), h.enrolment(2)
	appendAll(t, h, k, ref)
	busy(true)
	k.listen()
	k.greet()
	k.until("the time", func() bool { return k.times == 1 })
	time.Sleep(100 * time.Millisecond)
	busy(false)
	k.until("its order", func() bool { return k.orders[ref] == 1 })
	busy(true)
	h.shelf.mu.Lock()
	h.shelf.queue = [][32]byte{late}
	h.shelf.mu.Unlock()
	h.fleet.Nudge()
	time.Sleep(100 * time.Millisecond)
	busy(false)
	k.until("what is new", func() bool { return k.orders[late] == 1 })
	if o := overview(t, h, k.name); len(o.Alarms) != 0 {
		t.Errorf("alarms %v", o.Alarms)
	}
}

// A kiosk that somebody is busy with holds up no other one.
func TestOneDeskHoldsNoOtherUp(t *testing.T) {
	h := newHouse(t, false)
	var all []*double
	for n := range 8 {
		k := known(t, h, fmt.Sprint("door ", n))
		h.air.silence(k.name, true)
		appendAll(t, h, k, h.enrolment(byte(n)))
		h.air.silence(k.name, false)
		all = append(all, k)
	}
	held, err := h.fleet.at(all[0].name)
	if err != nil {
		t.Fatal(err)
	}
	defer held.mu.Unlock()
	for _, k := range all[1:] {
		k.until("what was lost", func() bool { return k.seq == 1 })
	}
}

func TestQueueIsHandedOn(t *testing.T) {
	h := newHouse(t, false)
	k, late := known(t, h, "front"), h.introduce("late")
	var refs [][32]byte
	for n := range byte(10) {
		refs = append(refs, h.enrolment(n))
	}
	h.shelf.mu.Lock()
	h.shelf.queue = refs
	h.shelf.mu.Unlock()
	h.fleet.Nudge()
	k.until("the queue", func() bool { return len(k.orders) == len(refs) })
	for _, d := range []*double{k, late} { // a restart before that would have it handed on twice, which harms nobody
		for range 500 {
			if overview(t, h, d.name).Queue == uint64(len(refs)) {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	h.restart()
	late.listen()
	late.greet()
	late.until("the queue", func() bool { return slices.Equal(late.order, refs) })
	if got := overview(t, h, k.name); got.Queue != uint64(len(refs)) || got.Head != k.seq {
		t.Errorf("after a restart %d of the queue, and a stream of %d commands, which was of %d", got.Queue, got.Head, k.seq)
	}
}

// Two programs write the same stream: it never forks, and nothing is lost.
func TestTwoWritersNeverFork(t *testing.T) {
	h := newHouse(t, false)
	k := h.introduce("front")
	second, err := Open(t.Context(), h.fleet.config)
	if err != nil {
		t.Fatal(err)
	}
	const each = 15
	done := make(chan error, 2)
	refs := [][32]byte{}
	for n := range 2 * each {
		refs = append(refs, h.enrolment(byte(n)))
	}
	for w, f := range []*Fleet{h.fleet, second} {
		go func() {
			var failed error
			for n := range each {
				failed = errors.Join(failed, f.Append(t.Context(), k.name, refs[w*each+n:][:1]))
			}
			done <- failed
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	h.restart()
	k.listen()
	k.greet()
	k.until("all of both", func() bool { return len(k.orders) == 2*each && k.seq == 2*each })
}

func TestOrdersAreJudgedWhereSomebodyReadsWhy(t *testing.T) {
	h := newHouse(t, false)
	k := known(t, h, "front")
	stranger := key(t)
	forged, err := wire.Sign(stranger, wire.Fleet(), wire.Lockdown{Version: 1, On: true, Issued: 1})
	if err != nil {
		t.Fatal(err)
	}
	own, err := wire.Sign(h.server.Key, wire.Fleet(), wire.Disable{Version: 1, On: true, Issued: 1})
	if err != nil {
		t.Fatal(err)
	}
	spoilt := h.sign(wire.Fleet(), wire.Disable{Version: 1, On: true, Issued: 1})
	spoilt[len(spoilt)-1] ^= 1
	for name, c := range map[string]struct {
		to       string
		envelope []byte
	}{
		"of a stranger":                {"", forged},
		"of headquarters' own key":     {"", own},
		"with another byte":            {"", spoilt},
		"for one, handed in for all":   {"", h.sign(k.id, wire.Disable{Version: 1, On: true, Issued: 1})},
		"for all, handed in for one":   {k.name, h.sign(wire.Fleet(), wire.Disable{Version: 1, On: true, Issued: 1})},
		"a decommission for all":       {"", h.sign(wire.Fleet(), wire.Decommission{Issued: 1})},
		"a release":                    {k.name, h.sign(k.id, wire.Release{Challenge: [32]byte{1}, Door: "front", Action: wire.ActionRelease})},
		"an enrolment, in the clear":   {k.name, h.sign(k.id, enrolmentOf())},
		"nothing":                      {"", nil},
		"for a kiosk that is not here": {name32("f"), spoilt},
	} {
		if err := h.fleet.Submit(t.Context(), c.to, c.envelope); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	lockdown := h.sign(wire.Fleet(), wire.Lockdown{Version: 1, On: true, Issued: 1})
	if err := h.fleet.Submit(t.Context(), "", lockdown); err != nil {
		t.Fatal(err)
	}
	ref := sha256.Sum256(lockdown)
	k.until("the lockdown", func() bool { return k.orders[ref] == 1 })
	if len(k.orders) != 1 {
		t.Errorf("%d orders arrived", len(k.orders))
	}
	late := h.introduce("later")
	late.listen()
	late.greet()
	late.until("the lockdown that was before its time", func() bool { return late.orders[ref] == 1 })
}

func enrolmentOf() wire.Enrolment {
	return wire.Enrolment{Person: [16]byte{1}, Generation: 1, Bundle: [32]byte{1}, References: [][]byte{make([]byte, wire.ReferenceBytes)}, Until: 1, Consent: "c", Proofing: [32]byte{1}, Issued: 1}
}

func name32(s string) string { return strings.Repeat(s, 32) }

// The stream over the broker itself: what an operator appends is at the kiosk within 2 s, 99 times of 100.
func TestDeliveryOverTheBrokerIsPrompt(t *testing.T) {
	h := newHouse(t, true)
	k := h.introduce("front")
	o := mqtt.NewClientOptions().AddBroker("ssl://" + h.broker.Address()).SetClientID(k.name).SetProtocolVersion(4).SetAutoReconnect(false)
	o.SetTLSConfig(&tls.Config{Certificates: []tls.Certificate{{Certificate: k.certificate.Chain, PrivateKey: k.tls}}, RootCAs: h.server.Pool(), MinVersion: tls.VersionTLS13})
	client := mqtt.NewClient(o)
	answered := func(t mqtt.Token) error {
		if !t.WaitTimeout(10 * time.Second) {
			return errors.New("no answer")
		}
		return t.Error()
	}
	if err := answered(client.Connect()); err != nil {
		t.Fatal(err)
	}
	defer client.Disconnect(0)
	k.up = func(data []byte) { client.Publish(wire.Up(k.name), 1, false, data) }
	if err := answered(client.Subscribe(wire.Down(k.name), 1, func(_ mqtt.Client, m mqtt.Message) { go k.take(m.Payload()) })); err != nil {
		t.Fatal(err)
	}
	k.greet()
	k.until("the time", func() bool { return k.times > 0 })
	const n = 100
	var took []time.Duration
	for i := range n {
		ref := h.enrolment(byte(i))
		from := time.Now()
		appendAll(t, h, k, ref)
		k.until("the order", func() bool { return k.orders[ref] == 1 })
		took = append(took, k.when[ref].Sub(from))
	}
	slices.Sort(took)
	t.Logf("from the operator's word to the kiosk: median %v, 99 of 100 within %v, longest %v", took[n/2], took[n-2], took[n-1])
	if took[n-2] > 2*time.Second {
		t.Error("too late")
	}
	if err := h.fleet.Remove(t.Context(), k.name, "gone"); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if !client.IsConnectionOpen() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("a kiosk that was removed is still connected")
}
