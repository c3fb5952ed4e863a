package link

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/tests/broker"
)

// play sends batches of 10 of a log, as far as there is something to send at that time, and says from where on.
func play(p *progress, records uint64, at time.Time) (from []uint64) {
	for {
		f, any := p.next(records, at)
		if !any {
			return from
		}
		from = append(from, f)
		p.carried(min(f+10, records), at)
	}
}

func TestProgress(t *testing.T) {
	const ack = 30 * time.Second
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	type step struct {
		after           time.Duration // since the start
		records, cursor uint64
		again           bool // a new session began
		want            []uint64
	}
	tests := map[string][]step{
		"in order":                        {{0, 25, 0, false, []uint64{0, 10, 20}}, {1e9, 27, 0, false, []uint64{25}}, {2e9, 27, 27, false, nil}, {90e9, 27, 27, false, nil}},
		"from the cursor on":              {{0, 25, 20, false, []uint64{20}}},
		"again after a cut":               {{0, 25, 0, false, []uint64{0, 10, 20}}, {1e9, 25, 10, true, []uint64{10, 20}}},
		"one message while nobody acks":   {{0, 25, 0, false, []uint64{0, 10, 20}}, {29e9, 25, 0, false, nil}, {30e9, 25, 0, false, []uint64{0}}, {89e9, 25, 0, false, nil}, {90e9, 25, 0, false, []uint64{0}}, {209e9, 25, 0, false, nil}, {210e9, 25, 0, false, []uint64{0}}},
		"what is new does not wait":       {{0, 25, 0, false, []uint64{0, 10, 20}}, {30e9, 30, 0, false, []uint64{0, 25}}, {31e9, 31, 0, false, []uint64{30}}},
		"all again once it helped":        {{0, 25, 0, false, []uint64{0, 10, 20}}, {30e9, 25, 0, false, []uint64{0}}, {31e9, 25, 10, false, []uint64{10, 20}}, {32e9, 25, 25, false, nil}},
		"a slow headquarters is no loss":  {{0, 25, 0, false, []uint64{0, 10, 20}}, {20e9, 25, 10, false, nil}, {49e9, 25, 20, false, nil}, {60e9, 25, 25, false, nil}},
		"it has more than was sent":       {{0, 25, 0, false, []uint64{0, 10, 20}}, {1e9, 60, 50, false, []uint64{50}}},
		"another log":                     {{0, 25, 20, false, []uint64{20}}, {1e9, 5, 0, false, []uint64{0}}},
		"the same log, acknowledged less": {{0, 25, 20, false, []uint64{20}}, {1e9, 25, 10, false, []uint64{10, 20}}},
		"patience begins with sending":    {{0, 0, 0, false, nil}, {3600e9, 5, 0, false, []uint64{0}}, {3610e9, 5, 0, false, nil}, {3630e9, 5, 0, false, []uint64{0}}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			var p progress
			p.begin(start)
			for i, s := range steps {
				at := start.Add(s.after)
				if s.again {
					p.begin(at)
				}
				p.look(s.records, s.cursor, at, ack)
				if got := play(&p, s.records, at); !slices.Equal(got, s.want) {
					t.Errorf("step %d: from %v, want %v", i+1, got, s.want)
				}
			}
		})
	}
}

func TestPatienceIsBounded(t *testing.T) {
	var p progress
	at := time.Unix(1e9, 0)
	p.look(10, 0, at, 30*time.Second)
	play(&p, 10, at)
	var tries int
	for end := at.Add(24 * time.Hour); at.Before(end); at = at.Add(time.Second) {
		tries += len(play(&p, 10, at))
	}
	if tries < 24*4 || tries > 24*4+6 {
		t.Errorf("a headquarters that is down for a day is sent one message %d times", tries)
	}
}

// A broker that floods gets no further than the pace that the door keeps up with; what is dropped is told in few lines.
func TestFloodIsHeldBack(t *testing.T) {
	a := broker.NewAuthority(t)
	addr := broker.NATS(t, a)
	hq := newHeadquarters(t, a, addr)
	k := &kiosk{station: station(t, a, addr, nil)}
	slow := make(chan struct{})
	k.refuse = func([]byte) error { // the first takes long
		<-slow
		return nil
	}
	lines := make(chan string, 1000)
	c := New(k, func(format string, args ...any) { lines <- fmt.Sprintf(format, args...) })
	c.pace = hasty
	run(t, c)
	eventually(t, 5*time.Second, "online", k.isOnline)
	for i := range 200 {
		hq.client.Publish("lintel/v1/"+kioskName+"/down/cmd", 0, false, fmt.Appendf(nil, "%d", i))
	}
	for told := false; !told; {
		select {
		case line := <-lines:
			told = strings.Contains(line, "too many wait already")
		case <-time.After(5 * time.Second):
			t.Fatal("nothing is told")
		}
	}
	eventually(t, 10*time.Second, "all of them have come", func() bool {
		dropped, _ := k.told()
		return dropped.Crowded >= 200-1-maxArrived
	})
	began := time.Now()
	close(slow)
	time.Sleep(time.Second)
	k.mu.Lock()
	defer k.mu.Unlock()
	if n := len(k.delivered); n < 2 || n > 2+maxArrived || n > int(time.Since(began)/bringEvery)+2 {
		t.Errorf("%d of 200 were delivered", n)
	}
	if len(lines) > 2 {
		t.Errorf("%d more lines", len(lines))
	}
}

// Reports are about now: without a session they go nowhere, and no more than a few wait.
func TestReportsDoNotWait(t *testing.T) {
	var told int
	c := New(nil, func(string, ...any) { told++ })
	c.Report([]byte("nobody listens"))
	listener := make(chan []byte, maxReports)
	c.listen(listener)
	for range maxReports + 3 {
		c.Report([]byte("somebody listens"))
	}
	if len(listener) != maxReports || told != 3 || string(<-listener) != "somebody listens" {
		t.Errorf("%d wait, %d were told of", len(listener)+1, told)
	}
}
