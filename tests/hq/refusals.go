//go:build !kiosk

package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// refusals are how many messages of headquarters' side each door has refused by its own log: a record each, and those that a record says came before it and
// have none. Of what link has dropped unread it has records as well, one a minute at most.
func (s *site) refusals() ([]int, error) {
	return s.tallied(func(r access.Record) int {
		if r.Event != access.EventEnvelopeRefused && r.Event != access.EventRemoteReleaseRefused || strings.HasPrefix(r.Detail, unread) {
			return 0
		}
		return 1 + unrecorded(r.Detail)
	})
}

// unread begins the records of what link has dropped.
const unread = "dropped by link: "

var skipped = regexp.MustCompile(`([0-9]+) more like it were not recorded before$`)

func unrecorded(detail string) (n int) {
	if m := skipped.FindStringSubmatch(detail); m != nil {
		n, _ = strconv.Atoi(m[1])
	}
	return n
}

// drops are how many messages each kiosk's link has dropped unread, by the kiosk's own log.
func (s *site) drops() ([]int, error) {
	return s.tallied(func(r access.Record) int { return unseen(r.Detail) })
}

var number = regexp.MustCompile(`\b[0-9]+\b`)

// unseen is how many messages a record says that link has dropped. Of records that there was no room for it speaks behind a semicolon.
func unseen(detail string) (n int) {
	causes, ours := strings.CutPrefix(detail, unread)
	if !ours {
		return 0
	}
	causes, _, _ = strings.Cut(causes, ";")
	for _, m := range number.FindAllString(causes, -1) {
		some, _ := strconv.Atoi(m) // of digits
		n += some
	}
	return n
}

// droppedAll waits until each kiosk has on record what its link has dropped of the inventions: it tells of that once a minute.
func (s *site) droppedAll(before []int) error {
	return s.await(75*time.Second, "what link drops is on record", func() error {
		now, err := s.drops()
		if err != nil {
			return err
		}
		for i, n := range now {
			if n -= before[i]; n < unreadable {
				return fmt.Errorf("%s has %d messages on record that link dropped, want %d; link: %s", s.kiosks[i].door, n, unreadable, s.kiosks[i].link.said.last(2))
			}
		}
		return nil
	})
}

// refusedAll waits until each kiosk has a record for each forgery that reaches its door, and no more.
func (s *site) refusedAll(before []int) error {
	look := func() error {
		now, err := s.refusals()
		if err != nil {
			return err
		}
		for i, n := range now {
			if n -= before[i]; n != forgeries {
				return fmt.Errorf("%s has %d refusals on record, want %d; link: %s", s.kiosks[i].door, n, forgeries, s.kiosks[i].link.said.last(2))
			}
		}
		return nil
	}
	if err := s.await(10*time.Second, "all is refused on record", look); err != nil {
		return err
	}
	time.Sleep(time.Second)
	return look()
}

// counted brings each kiosk one forgery more, a minute after the others at least: its record says how many had none. It returns how many were refused of
// what was replayed.
func (s *site) counted(b *broker, before, must []int) (refused int, err error) {
	for _, k := range s.kiosks {
		b.deliver(message{wire.Down(k.name), []byte("nonsense")})
	}
	err = s.await(10*time.Second, "each kiosk counts what it refused", func() error {
		refused = 0
		now, err := s.refusals()
		if err != nil {
			return err
		}
		for i, n := range now {
			if n -= before[i] + forgeries + 1; n < must[i] {
				return fmt.Errorf("%s counts %d refusals, and cannot but refuse %d; link: %s", s.kiosks[i].door, n, must[i], s.kiosks[i].link.said.last(2))
			}
			refused += n
		}
		return nil
	})
	return refused, err
}
