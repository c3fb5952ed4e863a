package link

import (
	"testing"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
	"github.com/lintel-access/lintel/tests/broker"
)

// A network that swallows everything is found within seconds, while nothing is said and while much is.
func TestHalfOpenIsFound(t *testing.T) {
	for name, records := range map[string]uint64{"idle": 0, "busy": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := broker.NewAuthority(t)
			net := broker.NewNetwork(t, broker.NATS(t, a))
			k := &kiosk{station: station(t, a, net.Addr, nil), records: records, batch: 256}
			c := New(k, t.Logf) // at its real pace
			run(t, c)
			eventually(t, 5*time.Second, "online", k.isOnline)
			time.Sleep(200 * time.Millisecond)
			net.Hole(true)
			began := time.Now()
			eventually(t, 30*time.Second, "offline", func() bool { return !k.isOnline() })
			why, _ := k.last()
			t.Logf("found after %v: %s", time.Since(began), why)
			net.Hole(false)
			net.Cut()
			eventually(t, 10*time.Second, "online again", k.isOnline)
		})
	}
}

// A slow line is no dead one: the largest envelope takes longer than the broker may be silent.
func TestSlowIsNotDead(t *testing.T) {
	a := broker.NewAuthority(t)
	addr := broker.NATS(t, a)
	hq := newHeadquarters(t, a, addr)
	net := broker.NewNetwork(t, addr)
	k := &kiosk{station: station(t, a, net.Addr, nil)}
	c := New(k, t.Logf)
	c.pace = hasty
	c.pace.probe, c.pace.answer = 200*time.Millisecond, 500*time.Millisecond
	run(t, c)
	eventually(t, 5*time.Second, "online", k.isOnline)
	net.Slow(50 * time.Millisecond) // 38 times 4 KiB
	began := time.Now()
	hq.send(t, false, make([]byte, wire.MaxMessage))
	eventually(t, 10*time.Second, "delivered", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return len(k.delivered) == 1
	})
	if took := time.Since(began); took < c.pace.probe+c.pace.answer {
		t.Errorf("it took %v, which proves nothing", took)
	}
	if _, n := k.last(); n != 1 {
		why, _ := k.last()
		t.Errorf("%d words about being online, the last %q", n, why)
	}
}
