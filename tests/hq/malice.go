//go:build !kiosk

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/lintel-access/lintel/hq/extract"
	"github.com/lintel-access/lintel/hq/ledger"
	"github.com/lintel-access/lintel/sync/wire"
)

// malice is a broker that has been bought. It opens nothing, changes nothing and learns nobody's references; what it invents is refused on record, and
// what it hides is noticed.
func malice(s *site) (string, error) {
	b, err := s.post()
	if err != nil {
		return "", err
	}
	if err := s.life(3*time.Second, nil); err != nil { // something to replay
		return "", err
	}
	if err := s.fresh(); err != nil {
		return "", err
	}
	opened, hidden := s.opened(), s.kiosks[0]
	before, err := s.quiet()
	if err != nil {
		return "", err
	}
	dropped, err := s.drops()
	if err != nil {
		return "", err
	}
	since := time.Now()
	b.twist(hide(hidden))

	invented, err := s.invent(b)
	if err != nil {
		return "", err
	}
	if err := s.refusedAll(before); err != nil {
		return "", fmt.Errorf("invented: %w", err)
	}
	replayed, must, err := s.replay(b)
	if err != nil {
		return "", err
	}
	seen, err := s.notices(hidden, since)
	if err != nil {
		return "", err
	}
	if err := s.droppedAll(dropped); err != nil {
		return "", fmt.Errorf("invented: %w", err)
	}
	refused, err := s.counted(b, before, must)
	if err != nil {
		return "", fmt.Errorf("replayed: %w", err)
	}
	b.twist(nil)
	if err := s.settle(); err != nil {
		return "", fmt.Errorf("after replays and inventions: %w", err)
	}
	if n := s.opened(); n != opened {
		return "", fmt.Errorf("%d doors were released", n-opened)
	}
	if err := s.oneWay(b); err != nil {
		return "", err
	}
	looked, err := s.learned(b)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d messages invented, of which each kiosk recorded the %d that say anything and how many its link dropped; %d replayed and swapped, %d refused by the records' own count and the others "+
		"known already; 0 doors opened, nobody changed; hidden records noticed after %d s, within one interval of when their checkpoint was due; %s", invented, forgeries, replayed, refused, int(seen.Seconds()), looked), nil
}

// hide loses the records of one kiosk and nothing else.
func hide(k *kiosk) func(message) []message {
	return func(m message) []message {
		if m.topic == wire.Up(k.name) {
			if _, err := wire.Read[wire.Records](m.payload); err == nil {
				return nil
			}
		}
		return []message{m}
	}
}

// noticed is how soon headquarters must miss records: their checkpoint is due a minute after the last at most, and an alarm is raised half a minute later, at
// a look each second; the rest is for a slow machine.
const noticed = 110 * time.Second

// notices waits for the alarm that a kiosk's records are missing.
func (s *site) notices(k *kiosk, since time.Time) (time.Duration, error) {
	books, err := s.books()
	if err != nil {
		return 0, err
	}
	err = s.await(noticed-time.Since(since), "headquarters misses "+k.door+"'s records", func() error {
		alarms, err := books.Alarms(k.name)
		if err != nil {
			return err
		}
		for _, a := range alarms {
			if (a.Kind == ledger.AlarmSilence || a.Kind == ledger.AlarmGap) && a.Open() && a.Since >= since.UnixMilli() {
				return nil
			}
		}
		return fmt.Errorf("%d other alarms", len(alarms))
	})
	return time.Since(since), err
}

// replayPace is less than link drops (docs/WIRE.md), even where it had no processor for a second: what is refused shall be refused by door.
const replayPace = 50 * time.Millisecond

// replayedMost bounds how many of the newest messages are brought again.
const replayedMost = 150

// replay brings what each kiosk was told before once more, and to its neighbour. must is how many of them each kiosk cannot but refuse: its neighbour's, but
// for what is for all, and every time, which answers a greeting once. Of the rest it does what it has done before, which is nothing.
func (s *site) replay(b *broker) (n int, must []int, err error) {
	must = make([]int, len(s.kiosks))
	var down []message
	for _, m := range b.passed() {
		if slices.ContainsFunc(s.kiosks, func(k *kiosk) bool { return m.topic == wire.Down(k.name) }) {
			down = append(down, m)
		}
	}
	down = down[max(0, len(down)-replayedMost):]
	for _, m := range down {
		claim, err := wire.Peek(m.payload)
		if err != nil {
			return n, nil, fmt.Errorf("headquarters said what cannot be read: %w", err)
		}
		for i, k := range s.kiosks {
			if m.topic != wire.Down(k.name) {
				continue
			}
			next := (i + 1) % len(s.kiosks)
			b.deliver(m)
			b.deliver(message{wire.Down(s.kiosks[next].name), m.payload})
			n += 2
			if claim.Kind == wire.KindTime {
				must[i]++
			}
			if claim.Kind != wire.KindTrust {
				must[next]++
			}
		}
		time.Sleep(replayPace)
	}
	if n == 0 {
		return 0, nil, errors.New("there was nothing to replay")
	}
	return n, must, nil
}

// fresh has every door start anew, so that the pace of records, which lets twenty refusals through and then one a minute, has room for what comes.
func (s *site) fresh() error {
	for _, k := range s.kiosks {
		k.core.said.clear()
		k.core.kill()
	}
	for _, k := range s.kiosks {
		if err := k.ready(); err != nil {
			return err
		}
	}
	return s.settle()
}

// quiet is how many refusals each kiosk has on record once no more are added: headquarters may still answer what a door said before it started anew.
func (s *site) quiet() (refusals []int, err error) {
	err = s.await(30*time.Second, "the kiosks refuse nothing more", func() error {
		before, err := s.refusals()
		if err != nil {
			return err
		}
		time.Sleep(2 * time.Second)
		if refusals, err = s.refusals(); err == nil && !slices.Equal(before, refusals) {
			err = fmt.Errorf("%v refusals are %v two seconds later", before, refusals)
		}
		return err
	})
	return refusals, err
}

// id is the kiosk's, of which its name is a part.
func (k *kiosk) id() ([32]byte, error) {
	data, err := readFile(k.introduction())
	if err != nil {
		return [32]byte{}, err
	}
	in, err := wire.Read[wire.Introduction](data)
	return in.Kiosk, err
}

const (
	// forgeries are how many inventions reach each door.
	forgeries = 13
	// unreadable are those that link drops: what is empty, and what is longer than any message.
	unreadable = 3
)

// invent says to every kiosk what a broker could wish to, signed by a key of its own, and what is no message at all.
func (s *site) invent(b *broker) (n int, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 0, err
	}
	now := time.Now()
	for _, k := range s.kiosks {
		id, err := k.id()
		if err != nil {
			return n, err
		}
		lift, err := wire.Sign(key, wire.Fleet(), wire.Lockdown{Version: 1 << 40, On: true, Issued: now.Unix()})
		if err != nil {
			return n, err
		}
		payloads := [][]byte{{}, {0}, bytes.Repeat([]byte{0xff}, 100), make([]byte, wire.MaxMessage+1), make([]byte, 1<<20), lift}
		for _, body := range []wire.Body{
			wire.Command{Seq: 1, Content: wire.ContentOf([][]byte{lift}), Orders: [][]byte{lift}},
			wire.Acknowledge{Records: 1, Root: [32]byte{1}},
			wire.Ask{Request: [16]byte{1}, For: wire.KindChallenge},
			wire.Release{Challenge: [32]byte{1}, Door: "front", Action: wire.ActionRelease},
			wire.Decommission{Issued: now.Unix()},
		} {
			envelope, err := wire.Sign(key, id, body)
			if err != nil {
				return n, fmt.Errorf("sign %v: %w", body.Kind(), err)
			}
			payloads = append(payloads, envelope, envelope[:len(envelope)/2])
		}
		for _, p := range payloads {
			b.deliver(message{wire.Down(k.name), p})
			n++
			time.Sleep(replayPace)
		}
	}
	// To headquarters: what no kiosk said, and one kiosk's words as another's.
	heard := b.passed()
	for _, m := range heard[max(0, len(heard)-replayedMost):] {
		for i, k := range s.kiosks {
			if i > 0 && m.topic == wire.Up(k.name) { // the first one's records are hidden
				if _, err := wire.Read[wire.Records](m.payload); err == nil {
					b.deliver(message{wire.Up(s.kiosks[1+i%(len(s.kiosks)-1)].name), m.payload})
					n++
				}
			}
		}
	}
	for _, k := range s.kiosks[1:] {
		b.deliver(message{wire.Up(k.name), []byte("no report")})
		n++
	}
	return n, nil
}

// oneWay loses all that one kiosk is told: headquarters shows what it lacks, and it gets everything when that ends.
func (s *site) oneWay(b *broker) error {
	deaf := s.kiosks[1]
	var lost atomic.Int64
	b.twist(func(m message) []message {
		if m.topic == wire.Down(deaf.name) {
			lost.Add(1)
			return nil
		}
		return []message{m}
	})
	defer b.twist(nil)
	if err := s.enrol(1); err != nil {
		return err
	}
	return s.await(20*time.Second, "hq kiosk list shows that "+deaf.door+" lacks a command", func() error {
		list, err := s.list()
		if l := list[deaf.name]; err == nil && (l.Seq >= l.Head || lost.Load() == 0) {
			err = fmt.Errorf("%d of %d, %d messages lost", l.Seq, l.Head, lost.Load())
		}
		return err
	})
}

// learned searches all that passed for parts of the references of everybody who was ever enrolled in this run, and for the ids of those who are enrolled now:
// a deletion names its person in the clear.
func (s *site) learned(b *broker) (found string, err error) {
	n := needles{}
	for number := 1; number <= s.named; number++ {
		photo := photoOf(number)
		all, err := painter{}.References(s.ctx, [][]byte{photo, photo, photo})
		if err != nil {
			return "", err
		}
		for _, r := range all {
			n.add(extract.Encode(r.Reference))
		}
	}
	var ids [][]byte
	for _, p := range s.staff {
		ids = append(ids, p.id[:])
	}
	heard := b.passed()
	for _, m := range heard {
		if n.in(m.payload) || slices.ContainsFunc(ids, func(id []byte) bool { return bytes.Contains(m.payload, id) }) {
			return "", errors.New("something of an enrolment passed in the clear")
		}
	}
	return fmt.Sprintf("%d messages searched: no %d bytes in a row of a reference of %d people, and no id of those enrolled", len(heard), 2*part-1, s.named), nil
}

// part is how long a needle is, bytes: eight components of a reference.
const part = 32

// needles are parts of what must not be found, by their first eight bytes.
type needles map[uint64][][]byte

// add takes every part of secret that begins at a multiple of its length: whoever has 2*part-1 bytes of it in a row has one of them.
func (n needles) add(secret []byte) {
	for p := range slices.Chunk(secret, part) {
		if len(p) == part {
			head := binary.BigEndian.Uint64(p)
			n[head] = append(n[head], p)
		}
	}
}

// in reports whether one of the needles lies anywhere in data.
func (n needles) in(data []byte) bool {
	for i := 0; i+part <= len(data); i++ {
		for _, p := range n[binary.BigEndian.Uint64(data[i:])] {
			if bytes.Equal(p, data[i:i+part]) {
				return true
			}
		}
	}
	return false
}

// opened counts all relays that were switched on so far.
func (s *site) opened() (n int) {
	for _, k := range s.kiosks {
		n += k.releases()
	}
	return n
}
