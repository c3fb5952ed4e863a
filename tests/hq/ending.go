//go:build !kiosk

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// kills ends each program in mid-word, in each phase of its work, and looks whether all agree afterwards.
func kills(s *site) (string, error) {
	if err := s.own(); err != nil {
		return "", err
	}
	if err := s.settle(); err != nil {
		return "", err
	}
	rng := rand.New(rand.NewPCG(3, 4))
	n := map[string]int{}
	// Headquarters, while it hands on people and takes in records; links and doors too.
	err := s.life(15*time.Second, func(step int) error {
		k := s.kiosks[step%len(s.kiosks)]
		switch step % 6 {
		case 1, 4:
			time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
			s.serve.kill()
			n["hq serve"]++
		case 2:
			k.link.kill()
			n["link"]++
		case 5:
			k.core.kill()
			n["door"]++
		}
		return nil
	})
	if err == nil {
		err = s.settle()
	}
	if err != nil {
		return "", fmt.Errorf("while it hands on people: %w", err)
	}
	// While it writes a backup.
	for i := range 4 {
		file := s.file(fmt.Sprintf("backup%d", i))
		done := make(chan error, 1)
		go func() { _, err := s.at("backup", file); done <- err }()
		time.Sleep(time.Duration(20+rng.IntN(80)) * time.Millisecond)
		s.serve.kill()
		n["hq serve"]++
		<-done
		if err := s.await(30*time.Second, "hq serve answers", func() error { _, err := s.list(); return err }); err != nil {
			return "", err
		}
	}
	whole := s.file("backup-whole")
	if _, err := s.at("backup", whole); err != nil {
		return "", fmt.Errorf("a backup after those that were cut: %w", err)
	}
	// A command that writes people.
	for range 6 {
		p := s.staff[len(s.staff)-1]
		args := []string{"delete", p.id.String(), "-key", s.key("enroller"), "-dir", s.dir()}
		cmd := exec.Command(filepath.Join(s.programs, "hq"), args...)
		if err := cmd.Start(); err != nil {
			return "", err
		}
		time.Sleep(time.Duration(20+rng.IntN(100)) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		n["hq delete"]++
		if _, err := s.hq(args...); err != nil {
			if _, listErr := s.office.Find(p.id.String()); listErr == nil { // it is there and cannot be deleted
				return "", fmt.Errorf("delete after a cut: %w", err)
			}
			_ = s.tell()
		}
		s.staff = s.staff[:len(s.staff)-1]
	}
	if err := s.settle(); err != nil {
		return "", fmt.Errorf("after hq delete was killed: %w", err)
	}
	// Somebody else's broker.
	m, address, err := s.mosquitto()
	if err != nil {
		return "", err
	}
	s.closes = append(s.closes, m.drop)
	if err := s.use(address); err != nil {
		return "", err
	}
	if err := s.settle(); err != nil {
		return "", fmt.Errorf("on mosquitto: %w", err)
	}
	err = s.life(10*time.Second, func(step int) error {
		if step%5 == 2 {
			m.kill()
			n["mosquitto"]++
		}
		return nil
	})
	if err == nil {
		_, err = s.checked()
	}
	if err != nil {
		return "", fmt.Errorf("mosquitto: %w", err)
	}
	if err := s.own(); err != nil {
		return "", err
	}
	commands, err := s.checked()
	return fmt.Sprintf("%d of hq serve, %d of mosquitto, %d of door, %d of link, %d of hq delete; all agree after each phase, %d commands each in order and once",
		n["hq serve"], n["mosquitto"], n["door"], n["link"], n["hq delete"], commands), err
}

func readFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err == nil && len(data) == 0 {
		err = errors.New("it is empty")
	}
	return data, err
}
