//go:build !kiosk

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/lintel-access/lintel/access"
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
	if err := s.settle(); err != nil {
		return "", err
	}
	opened, counted := s.opened(), s.counted(access.EventEnvelopeRefused)
	hidden := s.kiosks[0]
	since := time.Now()
	b.twist(hide(hidden))

	replayed, err := s.replay(b)
	if err != nil {
		return "", err
	}
	invented, err := s.invent(b)
	if err != nil {
		return "", err
	}
	time.Sleep(2 * time.Second)
	seen, err := s.notices(hidden, since)
	if err != nil {
		return "", err
	}
	b.twist(nil)
	if err := s.settle(); err != nil {
		return "", fmt.Errorf("after replays and inventions: %w", err)
	}
	if n := s.opened(); n != opened {
		return "", fmt.Errorf("%d doors were released", n-opened)
	}
	refused := s.counted(access.EventEnvelopeRefused)
	for i, k := range s.kiosks {
		if refused[i] <= counted[i] {
			return "", fmt.Errorf("%s has no record of what it refused", k.door)
		}
	}
	if err := s.oneWay(b); err != nil {
		return "", err
	}
	looked, err := s.learned(b)
	if err != nil {
		return "", err
	}
	_, err = s.checked()
	return fmt.Sprintf("%d messages replayed and swapped, %d invented: 0 doors opened, nobody changed, refusals on record at %d kiosks; hidden records noticed after %d s, within one interval of when their checkpoint was due; "+
		"%d messages searched for references and ids: 0 found", replayed, invented, len(s.kiosks), int(seen.Seconds()), looked), err
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

// replayPace is less than link drops (docs/WIRE.md): what is refused shall be refused by door.
const replayPace = 25 * time.Millisecond

// replayedMost bounds how many of the newest messages are brought again.
const replayedMost = 150

// replay brings what each kiosk was told before once more, and to its neighbour.
func (s *site) replay(b *broker) (n int, err error) {
	var down []message
	for _, m := range b.passed() {
		if slices.ContainsFunc(s.kiosks, func(k *kiosk) bool { return m.topic == wire.Down(k.name) }) {
			down = append(down, m)
		}
	}
	down = down[max(0, len(down)-replayedMost):]
	for _, m := range down {
		for i, k := range s.kiosks {
			if m.topic == wire.Down(k.name) {
				b.deliver(m)
				b.deliver(message{wire.Down(s.kiosks[(i+1)%len(s.kiosks)].name), m.payload})
				n += 2
			}
		}
		time.Sleep(replayPace)
	}
	if n == 0 {
		return 0, errors.New("there was nothing to replay")
	}
	return n, nil
}

// id is the kiosk's, of which its name is a part.
func (k *kiosk) id() ([32]byte, error) {
	data, err := readFile(filepath.Join(k.dir, "introduction"))
	if err != nil {
		return [32]byte{}, err
	}
	in, err := wire.Read[wire.Introduction](data)
	return in.Kiosk, err
}

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

// learned searches all that passed for a part of anybody's references, and for the ids of those whose enrolment alone went by.
func (s *site) learned(b *broker) (messages int, err error) {
	const part = 32 // bytes: eight components of a reference
	var needles [][]byte
	for _, p := range s.staff {
		photo := photoOf(p.number)
		all, err := painter{}.References(s.ctx, [][]byte{photo, photo, photo})
		if err != nil {
			return 0, err
		}
		for _, r := range all {
			needles = append(needles, extract.Encode(r.Reference)[:part])
		}
		needles = append(needles, p.id[:])
	}
	heard := b.passed()
	all := bytes.Buffer{}
	for _, m := range heard {
		all.Write(m.payload)
	}
	for _, n := range needles {
		if bytes.Contains(all.Bytes(), n) {
			return 0, errors.New("something of an enrolment passed in the clear")
		}
	}
	return len(heard), nil
}

// opened counts all relays that were switched on so far.
func (s *site) opened() (n int) {
	for _, k := range s.kiosks {
		n += k.releases()
	}
	return n
}

// counted counts the records of one kind in each kiosk's own log.
func (s *site) counted(e access.Event) []int {
	n := make([]int, len(s.kiosks))
	for i, k := range s.kiosks {
		n[i] = k.count(e)
	}
	return n
}

func (k *kiosk) count(e access.Event) (n int) {
	own, err := k.log()
	if err != nil {
		return 0
	}
	for _, record := range own {
		if r, err := decoded(record); err == nil && r.Event == e {
			n++
		}
	}
	return n
}
