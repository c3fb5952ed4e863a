//go:build !kiosk

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/hq/ledger"
)

// life goes on while something fails: people come and go at headquarters, and doors are used.
func (s *site) life(during time.Duration, meanwhile func(step int) error) error {
	for step, end := 0, time.Now().Add(during); time.Now().Before(end); step++ {
		if err := s.enrol(1); err != nil {
			return err
		}
		if step%3 == 2 {
			if err := s.delete(1); err != nil {
				return err
			}
		}
		for _, k := range s.kiosks {
			if err := k.twin.Press(board.REX, 200*time.Millisecond); err != nil {
				return err
			}
		}
		if meanwhile != nil {
			if err := meanwhile(step); err != nil {
				return err
			}
		}
		time.Sleep(500 * time.Millisecond)
	}
	return nil
}

// complete waits until every record that stands in the kiosk's own log now is vouched for at headquarters, and holds each to the kiosk's byte for byte:
// none lost, none twice.
func (k *kiosk) complete(most time.Duration) (records uint64, err error) {
	own, err := k.log()
	if err != nil {
		return 0, err
	}
	books, err := k.site.books()
	if err != nil {
		return 0, err
	}
	next := uint64(0)
	err = k.site.await(most, fmt.Sprintf("headquarters has %d records", len(own)), func() error {
		err := books.Walk(k.name, next, func(e ledger.Entry) error {
			if e.Index != next {
				return fmt.Errorf("record %d follows %d at headquarters", e.Index, int64(next)-1)
			}
			if next++; e.Index >= uint64(len(own)) {
				return nil
			}
			if !bytes.Equal(e.Record, own[e.Index]) {
				return fmt.Errorf("record %d is another one at headquarters", e.Index)
			}
			return nil
		})
		if err == nil && next < uint64(len(own)) {
			err = fmt.Errorf("it has %d", next)
		}
		return err
	})
	return uint64(len(own)), err
}

// log is the kiosk's own log as it stands on its disk now.
func (k *kiosk) log() (own [][]byte, err error) {
	r, err := auditlog.Inspect(filepath.Join(k.state(), "audit"))
	if err != nil {
		return nil, err
	}
	_, err = r.Walk(func(e auditlog.Entry) error {
		if e.Seq != uint64(len(own)) {
			return fmt.Errorf("record %d follows %d in the kiosk's log", e.Seq, len(own)-1)
		}
		own = append(own, bytes.Clone(e.Record))
		return nil
	})
	return own, err
}

// networks has each kiosk's network fail in each way, while life goes on.
func networks(s *site) (string, error) {
	kinds := []struct {
		name string
		is   weather
	}{
		{"mute", weather{mute: true}}, {"half-open", weather{deaf: true}}, {"refused", weather{refuse: true}},
		{"slow", weather{bandwidth: 16 << 10}}, {"delayed", weather{delay: 300 * time.Millisecond}}, {"reset", weather{}},
	}
	rounds := (len(kinds) + len(s.kiosks) - 1) / len(s.kiosks)
	for round := range rounds {
		err := s.life(12*time.Second, func(step int) error {
			for i, k := range s.kiosks {
				kind := kinds[(i+len(s.kiosks)*round)%len(kinds)]
				if k.net.be(kind.is); kind.name == "refused" && step == 0 || kind.name == "reset" {
					k.net.reset()
				}
			}
			return nil
		})
		for _, k := range s.kiosks {
			k.net.be(weather{})
		}
		if err == nil {
			err = s.agree(2 * time.Minute)
		}
		if err != nil {
			return "", fmt.Errorf("round %d: %w", round+1, err)
		}
	}
	return fmt.Sprintf("%d kinds of failure", len(kinds)), nil
}

// mail is a broker that repeats, holds back, reorders and loses messages.
func mail(s *site) (string, error) {
	b, err := s.post()
	if err != nil {
		return "", err
	}
	var mu sync.Mutex
	var late sync.WaitGroup
	counts := map[string]int{}
	rng := rand.New(rand.NewPCG(1, 2))
	b.twist(func(m message) []message {
		mu.Lock()
		defer mu.Unlock()
		switch n := rng.IntN(100); {
		case n < 20:
			counts["lost"]++
			return nil
		case n < 45:
			counts["twice"]++
			return []message{m, m}
		case n < 70:
			counts["late"]++
			after := time.Duration(rng.IntN(3000)) * time.Millisecond
			late.Go(func() { time.Sleep(after); b.deliver(m) })
			return nil
		}
		return []message{m}
	})
	err = s.life(30*time.Second, nil)
	b.twist(nil)
	late.Wait()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d messages lost, %d twice, %d late", counts["lost"], counts["twice"], counts["late"]), s.settle()
}
