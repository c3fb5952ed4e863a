package link

import (
	"errors"
	"testing"
	"time"

	"github.com/lintel-access/lintel/tests/broker"
)

// A flood costs the door a word now and then, with all of it counted.
func TestDropsAreCountedAndPaced(t *testing.T) {
	lines := 0
	d := dropped{say: func(string, ...any) { lines++ }}
	if n, ok := d.due(time.Hour); ok {
		t.Errorf("told of nothing: %+v", n)
	}
	for range 1000 {
		d.tell("it was retained", Drops{Retained: 1})
		d.tell("it is for another", Drops{Astray: 1})
		d.tell("the door refuses it", Drops{})
	}
	want := Drops{Retained: 1000, Astray: 1000}
	if n, ok := d.due(time.Hour); !ok || n != want || lines != 1 {
		t.Errorf("%+v, %t, %d lines; want %+v at once", n, ok, lines, want)
	}
	d.tell("it is empty", Drops{Empty: 1})
	if n, ok := d.due(time.Hour); ok {
		t.Errorf("told again at once: %+v", n)
	}
	d.tell("it is too long", Drops{Long: 1, Crowded: 1})
	d.told = d.told.Add(-time.Hour)
	if n, ok := d.due(time.Hour); !ok || n != (Drops{Empty: 1, Long: 1, Crowded: 1}) {
		t.Errorf("an hour later %+v, %t", n, ok)
	}
}

// Whoever ends the session behind a message that is dropped hides nothing by it.
func TestDropsOutliveTheSession(t *testing.T) {
	a := broker.NewAuthority(t)
	addr := broker.NATS(t, a)
	hq := newHeadquarters(t, a, addr)
	k := &kiosk{station: station(t, a, addr, nil)}
	c := New(k, t.Logf)
	c.pace = hasty
	c.pace.pulse, c.pace.restation, c.pace.account = time.Hour, time.Second, time.Hour // within a session nothing is told
	run(t, c)
	eventually(t, 5*time.Second, "online", k.isOnline)
	hq.send(t, false, nil)
	eventually(t, 5*time.Second, "the empty message is dropped", func() bool {
		c.dropped.mu.Lock()
		defer c.dropped.mu.Unlock()
		return c.dropped.untold == Drops{Empty: 1}
	})
	moved := station(t, a, addr, nil)
	k.change(func(k *kiosk) { k.station = moved })
	eventually(t, 10*time.Second, "the door is told", func() bool { sum, words := k.told(); return sum == Drops{Empty: 1} && words == 1 })
}

// Nor does whoever ends the carrier by it: a door that takes one message no more may well take that word.
func TestDropsAreToldWhenTheCarrierEnds(t *testing.T) {
	a := broker.NewAuthority(t)
	addr := broker.NATS(t, a)
	hq := newHeadquarters(t, a, addr)
	gone := errors.New("no answer to an envelope")
	k := &kiosk{station: station(t, a, addr, nil), refuse: func([]byte) error { return gone }}
	c := New(k, t.Logf)
	c.pace = hasty
	c.pace.pulse = time.Hour // within a session nothing is told
	ended := make(chan error, 1)
	go func() { ended <- c.Run(t.Context()) }()
	eventually(t, 5*time.Second, "online", k.isOnline)
	hq.send(t, false, nil)
	hq.send(t, false, []byte("envelope"))
	select {
	case err := <-ended:
		if !errors.Is(err, gone) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the carrier does not end")
	}
	if sum, words := k.told(); sum != (Drops{Empty: 1}) || words != 1 {
		t.Errorf("told %+v in %d words", sum, words)
	}
}
