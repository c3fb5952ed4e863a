//go:build !kiosk

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/hq/ledger"
	"github.com/lintel-access/lintel/sync/wire"
)

// phase is a piece of hq serve's work, which is killed in it: right after each of these of its writes, counted from the moment in which the work was asked for.
type phase struct {
	name   string
	in     []string // folders that it writes
	writes []int
	begin  func() error               // before each; nil: nothing
	work   func(n int) error          // asks for it
	mend   func(n int, e error) error // what whoever asked does after the cut, of which e is what they were told; nil: nothing
}

// kills ends each program in mid-word, and looks whether all agree afterwards.
func kills(s *site) (string, error) {
	if err := s.own(); err != nil {
		return "", err
	}
	if err := s.settle(); err != nil {
		return "", err
	}
	late, err := s.build(spare, "spare")
	if late != nil {
		s.gone = append(s.gone, late)
	}
	if err == nil {
		err = late.introduce()
	}
	if err != nil {
		return "", err
	}
	var said []string
	cut := 0 // whoever asked was told that it was not done
	for _, p := range s.phases(late) {
		short, err := s.killIn(p)
		if err != nil {
			return "", fmt.Errorf("while %s: %w", p.name, err)
		}
		cut += short
		said = append(said, fmt.Sprintf("%s (%s)", p.name, strings.Trim(fmt.Sprint(p.writes), "[]")))
	}
	if err := s.farewell(late); err != nil {
		return "", err
	}
	whole := s.file("backup-whole")
	if _, err := s.at("backup", whole); err != nil {
		return "", fmt.Errorf("a backup after those that were cut: %w", err)
	}
	others, err := s.killOthers()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("hq serve right after a write of its own (which) while %s: %d commands cut short; %s; all agree after each", strings.Join(said, ", "), cut, others), nil
}

// phases are all that hq serve writes for. late is a kiosk that it does not know yet.
func (s *site) phases(late *kiosk) []phase {
	state, backups := []string{filepath.Join(s.dir(), "state")}, s.file("backups")
	return []phase{
		{name: "handing on", in: state, writes: []int{1, 2, 3, 5}, work: func(int) error { return s.enrol(1) }},
		{
			name: "taking in", in: []string{filepath.Join(s.dir(), ledger.Folder)}, writes: []int{1, 2, 3}, begin: s.rejoin,
			work: func(int) error {
				for _, k := range s.kiosks {
					if err := k.twin.Press(board.REX, 200*time.Millisecond); err != nil {
						return err
					}
				}
				return nil
			},
		},
		{
			name: "backing up", in: []string{backups}, writes: []int{1, 2}, begin: func() error { return os.MkdirAll(backups, 0o700) },
			work: func(n int) error { _, err := s.at("backup", filepath.Join(backups, fmt.Sprint(n))); return err },
		},
		{
			name: "putting a policy in force", in: state, writes: []int{1, 2, 3, 4, 6}, work: func(int) error { return s.rule() },
			mend: func(int, error) error { return s.rule() },
		},
		{
			name: "adding a kiosk", in: state, writes: []int{1, 2},
			begin: func() error { // it is new again
				if late.name == "" {
					return nil
				}
				_, err := s.at("kiosk", "remove", late.name, "-why", "to be added again")
				return err
			},
			work: func(n int) error { return late.enter(fmt.Sprint("cut", n)) },
			mend: func(n int, _ error) error { return late.enter(fmt.Sprint("again", n)) },
		},
		{
			name: "changing trust", in: state, writes: []int{1},
			begin: func() error { _, err := s.hq("key", s.key("second")); return err },
			work: func(int) error {
				_, err := s.at("trust", "add", "a second releaser", "-offline", s.safe(), "-role", "releaser", "-key", s.key("second")+".pub")
				return err
			},
			mend: func(int, error) error {
				version, err := s.trustVersion()
				if err != nil {
					return err
				}
				return s.rejoinAt(version)
			},
		},
	}
}

// killIn plays one phase. short is how many pieces of work failed by it, as whoever asked was told.
func (s *site) killIn(p phase) (short int, err error) {
	for _, n := range p.writes {
		if p.begin != nil {
			if err := p.begin(); err != nil {
				return short, err
			}
		}
		failed, err := s.killAt(n, p.in, func() error { return p.work(n) })
		if err == nil && p.mend != nil {
			err = p.mend(n, failed)
		}
		if err != nil {
			return short, fmt.Errorf("write %d: %w", n, err)
		}
		if failed != nil {
			short++
		}
	}
	return short, s.rejoin()
}

// rejoin has every kiosk connect at once, instead of after the pause between two tries, and waits until all agree.
func (s *site) rejoin() error {
	for _, k := range s.kiosks {
		k.link.kill()
	}
	return s.settle()
}

// trustVersion is that of the Trust that hq trust shows.
func (s *site) trustVersion() (uint64, error) {
	out, err := s.at("trust", "show", "-json")
	if err != nil {
		return 0, err
	}
	var t wire.Trust
	err = json.Unmarshal([]byte(out), &t)
	if err == nil && !strings.Contains(out, "a second releaser") {
		err = errors.New("hq trust show does not name whom hq trust add has added")
	}
	return t.Version, err
}

// rejoinAt waits until every kiosk has signed for a Trust.
func (s *site) rejoinAt(trust uint64) error {
	if err := s.rejoin(); err != nil {
		return err
	}
	return s.await(30*time.Second, fmt.Sprintf("every kiosk has trust %d", trust), func() error {
		list, err := s.list()
		for _, k := range s.kiosks {
			if has := list[k.name].Trust; err == nil && has != trust {
				err = fmt.Errorf("%s has %d", k.door, has)
			}
		}
		return err
	})
}

// farewell has a kiosk that was added while hq serve was killed come, agree with all others, and go.
func (s *site) farewell(k *kiosk) error {
	if err := k.start(); err != nil {
		return err
	}
	if err := s.await(100*time.Second, "the kiosk that was added agrees with headquarters", func() error { return s.agreed([]*kiosk{k}) }); err != nil {
		return err
	}
	if err := s.holdsSoon(k); err != nil {
		return err
	}
	_, err := s.at("kiosk", "remove", k.name, "-why", "it came and goes")
	k.rest()
	return err
}

// killOthers kills doors and links while people come and go, hq delete after writes of its own, and a mosquitto in headquarters' broker's place.
func (s *site) killOthers() (string, error) {
	doors, links, deletes, brokers := 0, 0, 0, 0
	err := s.life(8*time.Second, func(step int) error {
		switch k := s.kiosks[step%len(s.kiosks)]; step % 3 {
		case 1:
			k.link.kill()
			links++
		case 2:
			k.core.kill()
			doors++
		}
		return nil
	})
	if err == nil {
		err = s.settle()
	}
	if err != nil {
		return "", fmt.Errorf("door and link: %w", err)
	}
	for n := range 6 {
		hit, err := s.killDelete(n + 1)
		if err != nil {
			return "", fmt.Errorf("hq delete after write %d: %w", n+1, err)
		}
		if hit {
			deletes++
		}
	}
	if deletes == 0 {
		return "", errors.New("hq delete was never killed at work")
	}
	if err := s.settle(); err != nil {
		return "", fmt.Errorf("after hq delete was killed: %w", err)
	}
	m, address, err := s.mosquitto()
	if err != nil {
		return "", err
	}
	s.closes = append(s.closes, m.drop)
	if err := s.use(through(address)); err != nil {
		return "", err
	}
	if err := s.settle(); err != nil {
		return "", fmt.Errorf("on mosquitto: %w", err)
	}
	err = s.life(8*time.Second, func(step int) error {
		if step%5 == 2 {
			m.kill()
			brokers++
		}
		return nil
	})
	if err == nil {
		err = s.settle()
	}
	if err != nil {
		return "", fmt.Errorf("mosquitto: %w", err)
	}
	return fmt.Sprintf("hq delete after its first %d writes; at work, %d doors, %d links, %d times mosquitto", deletes, doors, links, brokers), s.own()
}

// killDelete has hq delete forget somebody, kills it after its nth write, and has it done again. hit says that it came so far.
func (s *site) killDelete(n int) (hit bool, err error) {
	p := s.staff[len(s.staff)-1]
	args := []string{"delete", p.id.String(), "-key", s.key("enroller"), "-dir", s.dir()}
	w, err := watchWrites(filepath.Join(s.dir(), "people"))
	if err != nil {
		return false, err
	}
	defer w.events.Close()
	cmd := exec.Command(filepath.Join(s.programs, "hq"), args...)
	cmd.Env = []string{}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	seen, err := w.await(n, 2*time.Second)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err != nil {
		return false, err
	}
	if _, err := s.hq(args...); err != nil {
		if _, there := s.office.Find(p.id.String()); there == nil {
			return false, fmt.Errorf("it cannot be done again: %w", err)
		}
		_ = s.tell()
	}
	s.staff = s.staff[:len(s.staff)-1]
	return seen >= n, nil
}

func readFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err == nil && len(data) == 0 {
		err = errors.New("it is empty")
	}
	return data, err
}
