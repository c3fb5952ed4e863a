//go:build !kiosk

package main

import (
	"errors"
	"fmt"
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
	refused := k.count(access.EventRemoteReleaseRefused)
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
	return s.at("release", k.name, "-key", s.key("releaser"))
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
		if n := k.count(access.EventRemoteReleaseRefused); n < refused {
			return fmt.Errorf("%d records, want %d", n, refused)
		}
		return nil
	})
	if n := k.releases(); err == nil && n != releases {
		err = fmt.Errorf("the relay was on %d times, want %d", n, releases)
	}
	return err
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
	turn := func(what, to string, set bool, stands func(*kiosk) bool) error {
		began := time.Now()
		if _, err := s.at(what, to, "-key", s.key("administrator")); err != nil {
			return err
		}
		for _, k := range s.kiosks {
			err := s.await(30*time.Second, k.door+": "+what+" "+to, func() error {
				if k.status().Records == 0 || stands(k) != set {
					return errors.New("it is not")
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		slowest = max(slowest, time.Since(began))
		return nil
	}
	for _, c := range []struct {
		what   string
		stands func(*kiosk) bool
	}{
		{"lockdown", func(k *kiosk) bool { return k.status().Lockdown }},
		{"disable", func(k *kiosk) bool { return k.count(access.EventKioskDisabled) > k.count(access.EventKioskEnabled) }},
	} {
		if err := turn(c.what, "on", true, c.stands); err != nil {
			return "", err
		}
		// A kiosk that comes back hears nothing until headquarters is there again: what it does until then it does of itself.
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
			err := s.await(30*time.Second, k.door+" is there again and holds "+c.what, func() error {
				if !k.core.said.has("ready: ") || k.status().Records == 0 || !c.stands(k) {
					return errors.New(k.core.said.last(2))
				}
				return nil
			})
			if err != nil {
				return "", err
			}
			k.net.be(weather{})
		}
		if err := s.settle(); err != nil {
			return "", err
		}
		k := s.kiosks[0]
		before := k.releases()
		_, _ = s.order(k) // a refusal may come with the challenge or with the answer
		time.Sleep(time.Second)
		if err := k.released(before, 0); err != nil {
			return "", fmt.Errorf("under %s: %w", c.what, err)
		}
		if err := turn(c.what, "off", false, c.stands); err != nil {
			return "", err
		}
		if _, err := s.order(k); err != nil {
			return "", err
		}
		if err := s.await(5*time.Second, "the door opens after "+c.what, func() error { return k.released(before, 1) }); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("each at %d kiosks within %d ms, command and all; both stood after SIGKILL with the network refused, and released nothing", len(s.kiosks), slowest.Milliseconds()), nil
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
	away.net.be(weather{})
	if err := s.settle(); err != nil {
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
	_, err = s.checked()
	return fmt.Sprintf("enrolled, enrolled again, deleted, one kiosk away: 0 of %d kiosks hold them; enrolled anew: all do; deleted: 0 of %d", len(s.kiosks), len(s.kiosks)), err
}
