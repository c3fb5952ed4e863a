//go:build !kiosk

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// release tries the remote release as an operator means it, and as a broker would like it.
func release(s *site) (string, error) {
	b, err := s.post()
	if err != nil {
		return "", err
	}
	if err := s.fresh(); err != nil {
		return "", err
	}
	k := s.kiosks[0]
	var mu sync.Mutex
	var held []message // releases on their way down
	hold := false
	b.twist(func(m message) []message {
		if claim, err := wire.Peek(m.payload); err == nil && claim.Kind == wire.KindRelease {
			mu.Lock()
			defer mu.Unlock()
			held = append(held, m)
			if hold {
				return nil
			}
		}
		return []message{m}
	})
	defer b.twist(nil)

	before, began, ordered := k.releases(), time.Now(), make(chan error, 1)
	go func() {
		said, err := s.order(k) // which waits for the kiosk's record
		if err == nil && !strings.Contains(said, access.EventRemoteReleaseGranted.String()) && !strings.Contains(said, "no answer yet") {
			err = fmt.Errorf("hq release says %q", said)
		}
		ordered <- err
	}()
	opens := s.await(5*time.Second, "the door opens", func() error { return k.released(before, 1) })
	took := time.Since(began)
	if err := errors.Join(opens, <-ordered); err != nil {
		return "", err
	}

	mu.Lock()
	again := held
	hold = true
	mu.Unlock()
	refused, err := k.count(access.EventRemoteReleaseRefused)
	if err != nil {
		return "", err
	}
	for _, m := range again {
		b.deliver(m)
	}
	if err := s.refusedRelease(k, before+1, refused+1); err != nil {
		return "", fmt.Errorf("replayed: %w", err)
	}

	if _, err := s.order(k); err != nil {
		return "", err
	}
	time.Sleep(11 * time.Second)
	mu.Lock()
	late := held[len(again):]
	hold = false
	mu.Unlock()
	if len(late) == 0 {
		return "", errors.New("no release passed the broker")
	}
	for _, m := range late {
		b.deliver(m)
	}
	if err := s.refusedRelease(k, before+1, refused+2); err != nil {
		return "", fmt.Errorf("11 s late: %w", err)
	}

	k.net.be(weather{mute: true})
	_, err = s.order(k)
	k.net.be(weather{})
	if err == nil {
		return "", errors.New("a release was accepted for a kiosk that cannot be reached")
	}
	if err := s.settle(); err != nil {
		return "", err
	}
	time.Sleep(3 * time.Second)
	if err := k.released(before, 1); err != nil {
		return "", fmt.Errorf("after the network was cut: %w", err)
	}
	return fmt.Sprintf("at once: open after %d ms, command and all; replayed, 11 s late: refused on record; network cut: not accepted, nothing queued", took.Milliseconds()), nil
}

// order is hq release for a kiosk.
func (s *site) order(k *kiosk) (string, error) {
	said, err := s.at("release", k.name, "-key", s.key("releaser"))
	if err != nil {
		err = fmt.Errorf("%w; link says %s; hq serve says %s", err, k.link.said.last(2), s.serve.said.last(2))
	}
	return said, err
}

// released holds the number of releases since before to what it must be.
func (k *kiosk) released(before, want int) error {
	if n := k.releases() - before; n != want {
		return fmt.Errorf("the relay was on %d times, want %d", n, want)
	}
	return nil
}

// refusedRelease waits for the record of a refusal, and holds the relay to where it was.
func (s *site) refusedRelease(k *kiosk, releases, refused int) error {
	err := s.await(5*time.Second, "the refusal is recorded", func() error {
		n, err := k.count(access.EventRemoteReleaseRefused)
		if err == nil && n < refused {
			err = fmt.Errorf("%d records, want %d", n, refused)
		}
		return err
	})
	if n := k.releases(); err == nil && n != releases {
		err = fmt.Errorf("the relay was on %d times, want %d", n, releases)
	}
	return err
}

// disabled is what door says of itself while headquarters has nobody recognised.
const disabled = "headquarters has nobody recognised at this door"

// lever is what shuts every door: how door says that it stands, and why a release is refused then.
type lever struct {
	what   string
	stands func(*kiosk) bool
	why    func(access.Record) bool
}

var levers = []lever{
	{"lockdown", func(k *kiosk) bool { return k.status().Lockdown }, func(r access.Record) bool { return r.Reason == access.ReasonLockdown }},
	{
		"disable", func(k *kiosk) bool { return slices.Contains(k.status().Degraded, disabled) },
		func(r access.Record) bool { return strings.HasPrefix(r.Detail, "it does not fit this kiosk") },
	},
}

// switches sets lockdown, and then disabling, kills everything, and looks.
func switches(s *site) (string, error) {
	if err := s.own(); err != nil {
		return "", err
	}
	if err := s.settle(); err != nil {
		return "", err
	}
	var slowest time.Duration
	for _, l := range levers {
		on, err := s.turn(l, true)
		if err == nil {
			err = s.outlives(l)
		}
		if err == nil {
			err = s.shut(l)
		}
		if err != nil {
			return "", err
		}
		off, err := s.turn(l, false)
		if err == nil {
			err = s.opens(l)
		}
		if err != nil {
			return "", err
		}
		slowest = max(slowest, on, off)
	}
	return fmt.Sprintf("each at %d kiosks within %d ms, command and all; each said by each door again after SIGKILL with the network refused; "+
		"%[1]d releases refused on record under each, and %[1]d opened after it", len(s.kiosks), slowest.Milliseconds()), nil
}

// turn sets or lifts it everywhere, and waits until each door says so.
func (s *site) turn(l lever, on bool) (took time.Duration, err error) {
	to := map[bool]string{true: "on", false: "off"}[on]
	began := time.Now()
	if _, err := s.at(l.what, to, "-key", s.key("administrator")); err != nil {
		return 0, err
	}
	for _, k := range s.kiosks {
		err := s.await(30*time.Second, k.door+": "+l.what+" "+to, func() error {
			if k.status().Records == 0 || l.stands(k) != on {
				return errors.New("it is not")
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// outlives kills headquarters and every program of every kiosk, and waits until each door says that it stands. A kiosk that comes back hears nothing until
// headquarters is there again: what it does until then it does of itself.
func (s *site) outlives(l lever) error {
	if err := s.settle(); err != nil { // a door locks before the vault remembers it
		return err
	}
	for _, k := range s.kiosks {
		k.net.be(weather{refuse: true})
		k.core.said.clear()
	}
	s.serve.kill()
	for _, k := range s.kiosks {
		k.link.kill()
		k.core.kill()
	}
	for _, k := range s.kiosks {
		if err := k.ready(); err != nil {
			return err
		}
		err := s.await(30*time.Second, k.door+" says "+l.what+" again", func() error {
			if k.status().Records == 0 || !l.stands(k) {
				return errors.New(k.core.said.last(2))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, k := range s.kiosks {
		k.net.be(weather{})
	}
	return s.settle()
}

// shut has an operator try to open each door: it stays shut, and the kiosk records why.
func (s *site) shut(l lever) error {
	before := make([]int, len(s.kiosks))
	for i, k := range s.kiosks {
		before[i] = k.releases()
		refused, err := k.count(access.EventRemoteReleaseRefused)
		if err != nil {
			return err
		}
		if said, err := s.order(k); err == nil && !strings.Contains(said, "no answer yet") { // a busy machine may be late; then the record below tells
			return fmt.Errorf("%s under %s: hq release says %q", k.door, l.what, said)
		}
		if err := s.refusedRelease(k, before[i], refused+1); err != nil {
			return fmt.Errorf("%s under %s: %w", k.door, l.what, err)
		}
		r, err := k.newest(access.EventRemoteReleaseRefused)
		if err != nil {
			return err
		}
		if !l.why(r) {
			return fmt.Errorf("%s under %s: the record says %v, %q", k.door, l.what, r.Reason, r.Detail)
		}
	}
	time.Sleep(time.Second)
	for i, k := range s.kiosks {
		if err := k.released(before[i], 0); err != nil {
			return fmt.Errorf("%s under %s: %w", k.door, l.what, err)
		}
	}
	return nil
}

// opens has an operator open each door: it was the lever that kept it shut.
func (s *site) opens(l lever) error {
	for _, k := range s.kiosks {
		before := k.releases()
		if _, err := s.order(k); err != nil {
			return fmt.Errorf("%s after %s: %w", k.door, l.what, err)
		}
		if err := s.await(5*time.Second, k.door+" opens after "+l.what, func() error { return k.released(before, 1) }); err != nil {
			return err
		}
	}
	for _, k := range s.kiosks { // so that the next release is seen at its line
		err := s.await(30*time.Second, k.door+" is shut again", func() error {
			if now := k.status().Door; now != access.Secured {
				return fmt.Errorf("it is %v", now)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// generations has somebody enrolled, enrolled again, deleted while a kiosk is away, and enrolled anew.
func generations(s *site) (string, error) {
	if err := s.enrol(1); err != nil {
		return "", err
	}
	who := s.staff[len(s.staff)-1]
	away := s.kiosks[len(s.kiosks)-1]
	away.net.be(weather{refuse: true})
	away.net.reset()
	defer away.net.be(weather{})
	if _, err := s.enter(who); err != nil {
		return "", fmt.Errorf("enrol again: %w", err)
	}
	if err := s.delete(1); err != nil {
		return "", err
	}
	if err := s.await(30*time.Second, "those that are connected forget", func() error { return s.agreed(s.kiosks[:len(s.kiosks)-1]) }); err != nil {
		return "", err
	}
	proofs := 0
	prove := func(what string, who person, holding int) error {
		n, err := s.forgotten(who, what, holding)
		proofs += n
		return err
	}
	if err := prove("one kiosk away", who, 1); err != nil {
		return "", err
	}
	away.net.be(weather{})
	if err := s.settle(); err != nil {
		return "", err
	}
	if err := prove("all there", who, 0); err != nil {
		return "", err
	}
	anew, err := s.enter(person{number: who.number})
	if err != nil {
		return "", fmt.Errorf("enrol anew: %w", err)
	}
	s.staff = append(s.staff, anew)
	if err := s.tell(); err != nil {
		return "", err
	}
	if anew.id == who.id {
		return "", errors.New("who was deleted came back under the same id")
	}
	if err := s.settle(); err != nil {
		return "", err
	}
	if err := s.delete(1); err != nil {
		return "", err
	}
	if err := s.settle(); err != nil {
		return "", err
	}
	if err := prove("anew", anew, 0); err != nil {
		return "", err
	}
	return fmt.Sprintf("enrolled, enrolled again, deleted, one kiosk away: 1 of %d may hold them, and 0 when it is back; enrolled anew: all do; deleted: 0 of %[1]d; "+
		"%d proofs of that verified with two public keys", len(s.kiosks), proofs), nil
}
