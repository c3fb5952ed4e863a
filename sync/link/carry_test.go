package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
	"github.com/lintel-access/lintel/tests/broker"
)

// brokers are what kiosks must work with.
var brokers = map[string]func(testing.TB, *broker.Authority) string{
	"mosquitto": func(t testing.TB, a *broker.Authority) string { return broker.NewMosquitto(t, a).Addr },
	"nats":      broker.NATS,
}

// ours counts goroutines of the carrier and of the MQTT library; a NATS server in the same process has its own.
func ours() (n int) {
	b := make([]byte, 4<<20)
	for g := range strings.SplitSeq(string(b[:runtime.Stack(b, true)]), "\n\n") {
		if strings.Contains(g, "sync/link.(*") || strings.Contains(g, "paho.mqtt.golang") {
			n++
		}
	}
	return n
}

// A message down, a report up, records up, on every broker; nothing is left running afterwards.
func TestCarries(t *testing.T) {
	for name, serve := range brokers {
		t.Run(name, func(t *testing.T) {
			a := broker.NewAuthority(t)
			addr := serve(t, a)
			hq := newHeadquarters(t, a, addr)
			before := ours()
			k := &kiosk{station: station(t, a, addr, nil), records: 3, batch: 2}
			c, stop := start(t, k)
			eventually(t, 5*time.Second, "online", k.isOnline)

			envelope := bytes.Repeat([]byte("e"), wire.MaxMessage)
			hq.send(t, false, envelope)
			eventually(t, 5*time.Second, "the largest envelope is delivered", func() bool {
				k.mu.Lock()
				defer k.mu.Unlock()
				return len(k.delivered) == 1 && bytes.Equal(k.delivered[0], envelope)
			})
			report := []byte("report")
			c.Report(report)
			for end := time.After(5 * time.Second); len(report) > 0; {
				select {
				case m := <-hq.heard:
					if bytes.Equal(m, report) {
						report = nil
					} else if r, err := wire.Read[wire.Records](m); err != nil || len(r.Records) == 0 {
						t.Fatalf("headquarters heard %d bytes: %v", len(m), err)
					}
				case <-end:
					t.Fatal("headquarters did not hear the report")
				}
			}
			if err := stop(); !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v", err)
			}
			eventually(t, 5*time.Second, "no goroutine is left", func() bool { return ours() <= before })
			c.Report([]byte("to nobody")) // must not wait, and must not be sent in a later session
		})
	}
}

// collect is what headquarters does with records: it notes them, finds gaps, and acknowledges.
func (hq *headquarters) collect(t *testing.T, k *kiosk, want uint64) {
	t.Helper()
	var have uint64
	k.change(func(k *kiosk) { have = k.cursor })
	began, seen := have, map[uint64]bool{}
	for end := time.After(25 * time.Second); have < want; {
		select {
		case m := <-hq.heard:
			r, err := wire.Read[wire.Records](m)
			if err != nil {
				t.Fatal(err)
			}
			if r.From > have && hq.lossy {
				continue
			}
			if r.From > have {
				t.Fatalf("records from %d on, and none from %d", r.From, have)
			}
			for i := range r.Records {
				seen[r.From+uint64(i)] = true
			}
			have = max(have, r.From+uint64(len(r.Records)))
			k.change(func(k *kiosk) { k.cursor = have })
		case <-end:
			t.Fatalf("headquarters has %d records of %d", have, want)
		}
	}
	if n := uint64(len(seen)); n < want-began {
		t.Errorf("%d different records, want %d", n, want-began)
	}
}

// Records arrive in order, every one at least once, while the network is cut again and again; and what was sent to the kiosk meanwhile is not starved.
func TestRecordsOverCuts(t *testing.T) {
	for name, serve := range brokers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := broker.NewAuthority(t)
			addr := serve(t, a)
			hq := newHeadquarters(t, a, addr)
			net := broker.NewNetwork(t, addr)
			const records, cuts = 2000, 10
			k := &kiosk{station: station(t, a, net.Addr, nil), records: records, batch: 8}
			net.Slow(time.Millisecond)
			start(t, k)
			done := make(chan error)
			go func() {
				for range cuts {
					for end := time.Now().Add(10 * time.Second); !k.isOnline(); time.Sleep(time.Millisecond) {
						if time.Now().After(end) {
							done <- errors.New("not online again")
							return
						}
					}
					time.Sleep(100 * time.Millisecond)
					net.Cut()
					for k.isOnline() {
						time.Sleep(time.Millisecond)
					}
				}
				done <- nil
			}()
			hq.collect(t, k, records)
			if err := <-done; err != nil || net.Came() != cuts+1 {
				t.Errorf("%d connections, %v", net.Came(), err)
			}
		})
	}
}

// A full queue drains as fast as the broker takes it, while envelopes pass in the other direction.
func TestHundredThousandRecords(t *testing.T) {
	a := broker.NewAuthority(t)
	addr := broker.NATS(t, a)
	hq := newHeadquarters(t, a, addr)
	k := &kiosk{station: station(t, a, addr, nil), records: 100_000, batch: wire.MaxRecords}
	began := time.Now()
	_, _ = start(t, k)
	eventually(t, 5*time.Second, "online", k.isOnline)
	const envelopes = 20
	for i := range envelopes {
		hq.send(t, false, fmt.Appendf(nil, "envelope %d", i))
	}
	eventually(t, 3*time.Second, "envelopes are delivered while records are sent", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return len(k.delivered) == envelopes
	})
	hq.collect(t, k, 100_000)
	t.Logf("100,000 records in %v", time.Since(began))
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, e := range k.delivered {
		if want := fmt.Sprintf("envelope %d", i); string(e) != want {
			t.Fatalf("%q came where %q was due", e, want)
		}
	}
}

// The broker says that it has everything, and headquarters gets nothing: what the log holds is sent again, more rarely each time, and whole as soon as
// headquarters speaks.
func TestConfirmationsAreNotBelieved(t *testing.T) {
	a := broker.NewAuthority(t)
	addr := broker.NATS(t, a)
	k := &kiosk{station: station(t, a, addr, nil), records: 200, batch: 10}
	c := New(k, t.Logf)
	c.pace = hasty
	c.pace.acknowledge = 200 * time.Millisecond
	run(t, c)
	eventually(t, 5*time.Second, "online", k.isOnline)
	time.Sleep(500 * time.Millisecond) // all are sent, to nobody
	hq := newHeadquarters(t, a, addr)
	hq.lossy = true // what is still on its way when it comes is no gap
	hq.collect(t, k, 200)
}

// Whatever the door may not see does not reach it, and the session goes on.
func TestDroppedAndTold(t *testing.T) {
	for name, serve := range brokers {
		t.Run(name, func(t *testing.T) {
			a := broker.NewAuthority(t)
			addr := serve(t, a)
			hq := newHeadquarters(t, a, addr)
			hq.send(t, true, []byte("retained"))
			k := &kiosk{station: station(t, a, addr, nil)}
			k.refuse = func(e []byte) error {
				if string(e) == "forged" {
					return fmt.Errorf("forged: %w", ErrRefused)
				}
				return nil
			}
			var told atomic.Int32
			c := New(k, func(format string, args ...any) {
				t.Logf(format, args...)
				if strings.Contains(fmt.Sprintf(format, args...), "came to nothing, the newest because: it was retained") {
					told.Add(1)
				}
			})
			c.pace = hasty
			run(t, c)
			eventually(t, 5*time.Second, "online", k.isOnline)
			hq.send(t, false, make([]byte, wire.MaxMessage+1))
			hq.send(t, false, make([]byte, 3*wire.MaxMessage))
			hq.send(t, false, nil)
			hq.send(t, false, []byte("forged"))
			hq.send(t, false, []byte("good"))
			eventually(t, 5*time.Second, "the good one is delivered", func() bool {
				k.mu.Lock()
				defer k.mu.Unlock()
				return len(k.delivered) == 2 && string(k.delivered[0]) == "forged" && string(k.delivered[1]) == "good"
			})
			eventually(t, 5*time.Second, "the door is told what was dropped", func() bool {
				sum, words := k.told()
				return sum == Drops{Retained: 1, Long: 2, Empty: 1} && words <= 4
			})
			if _, n := k.last(); n != 1 || told.Load() != 1 {
				t.Errorf("%d words about being online, want 1; told %d times of what was retained", n, told.Load())
			}
		})
	}
}

// A broker that is killed and comes back is found again.
func TestBrokerIsKilled(t *testing.T) {
	a := broker.NewAuthority(t)
	m := broker.NewMosquitto(t, a)
	hq := newHeadquarters(t, a, m.Addr)
	hq.lossy = true
	k := &kiosk{station: station(t, a, m.Addr, nil), records: 50, batch: 10}
	start(t, k)
	hq.collect(t, k, 50)
	for range 3 {
		m.Kill(t)
		eventually(t, 5*time.Second, "it says that nobody listens", func() bool {
			why, _ := k.last()
			return strings.HasPrefix(why, "no broker listens at ")
		})
		m.Start(t)
		eventually(t, 5*time.Second, "online again", k.isOnline)
	}
	k.change(func(k *kiosk) { k.records = 100 })
	eventually(t, 5*time.Second, "headquarters is back", hq.client.IsConnectionOpen)
	hq.collect(t, k, 100)
}

// The door is asked where headquarters is while a session runs, so that nobody has to start anything again.
func TestStationChanges(t *testing.T) {
	a, b := broker.NewAuthority(t), broker.NewAuthority(t)
	old, next := broker.NATS(t, a), broker.NATS(t, b)
	k := &kiosk{station: station(t, a, old, nil)}
	c := New(k, t.Logf)
	c.pace = hasty
	ended := make(chan error, 1)
	go func() { ended <- c.Run(t.Context()) }()
	eventually(t, 5*time.Second, "online", k.isOnline)
	k.change(func(k *kiosk) { k.station = station(t, b, next, nil) })
	hq := newHeadquarters(t, b, next)
	eventually(t, 5*time.Second, "it has moved", func() bool {
		hq.send(t, false, []byte("here"))
		k.mu.Lock()
		defer k.mu.Unlock()
		return len(k.delivered) > 0
	})
	k.change(func(k *kiosk) { k.station = Station{} })
	select {
	case err := <-ended:
		if !errors.Is(err, ErrNoStation) {
			t.Errorf("without a headquarters it ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("without a headquarters it goes on")
	}
}

// The carrier ends when its door is gone, and not before.
func TestDoorIsGone(t *testing.T) {
	gone := errors.New("socket is closed")
	for name, fail := range map[string]error{"gone": gone, "refused": fmt.Errorf("busy: %w", ErrRefused)} {
		t.Run(name, func(t *testing.T) {
			k := &kiosk{fail: fail}
			_, stop := start(t, k)
			time.Sleep(100 * time.Millisecond)
			why, n := k.last()
			switch err := stop(); {
			case fail == gone && (!errors.Is(err, gone) || n != 0):
				t.Errorf("ended with %v after %q", err, why)
			case fail != gone && (!errors.Is(err, context.Canceled) || why != "the door does not say where headquarters is"):
				t.Errorf("ended with %v after %q", err, why)
			}
		})
	}
}
