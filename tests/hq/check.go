//go:build !kiosk

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
)

// checking plays a scene and then checks what every scene must end with.
func checking(play func(*site) (string, error)) func(*site) (string, error) {
	return func(s *site) (string, error) {
		figures, err := play(s)
		if err != nil {
			return figures, err
		}
		commands, err := s.checked()
		if err != nil {
			return figures, err
		}
		return fmt.Sprintf("%s; %d commands so far, each once and in order; %d people at each of %d kiosks, 0 differ", figures, commands, len(s.staff), len(s.kiosks)), nil
	}
}

// checked waits until all agree, holds the commands in each kiosk's own log to their order (each once, none left out), and has headquarters compare, person by
// person, whom it has enrolled with whom each kiosk has signed for.
func (s *site) checked() (commands int, err error) {
	if err := s.settle(); err != nil {
		return 0, err
	}
	for _, k := range s.kiosks {
		own, err := k.log()
		if err != nil {
			return 0, err
		}
		var last uint64
		for _, record := range own {
			if err := inOrder(record, &last); err != nil {
				return 0, fmt.Errorf("%s: %w", k.door, err)
			}
		}
		commands += int(last)
	}
	if err := s.listedPeople(); err != nil {
		return 0, err
	}
	for _, k := range s.kiosks {
		if err := s.holdsSoon(k); err != nil {
			return 0, err
		}
	}
	return commands, nil
}

// holdsSoon waits until a kiosk has signed for whom it should hold: a command that changed nothing may wait a minute for its record.
func (s *site) holdsSoon(k *kiosk) error {
	return s.await(70*time.Second, k.door+" has signed for whom it should hold", func() error { return s.holdsAll(k) })
}

// listedPeople holds whom hq people list shows to whom this run has enrolled and not deleted.
func (s *site) listedPeople() error {
	out, err := s.at("people", "list", "-json")
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	for line := range strings.Lines(out) {
		var p struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			return fmt.Errorf("hq people list: %w", err)
		}
		listed[p.ID] = true
	}
	for _, p := range s.staff {
		if !listed[p.id.String()] {
			return fmt.Errorf("headquarters does not list person %v, who is enrolled", p.id)
		}
	}
	if len(listed) != len(s.staff) {
		return fmt.Errorf("headquarters lists %d people, and %d are enrolled", len(listed), len(s.staff))
	}
	return nil
}

// holdsAll has hq roster diff compare a kiosk's signed records with who is enrolled.
func (s *site) holdsAll(k *kiosk) error {
	out, err := s.at("roster", "diff", k.name)
	if err != nil {
		return err
	}
	n, lines := len(s.staff), strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, " are not known here: ") }) // of the time before a restore
	if len(lines) != 2 || !strings.HasSuffix(lines[0], fmt.Sprintf(", %d people held, %d should be", n, n)) || lines[1] != "0 people differ" {
		return fmt.Errorf("hq roster diff says: %s", strings.Join(strings.Split(strings.TrimSpace(out), "\n"), " | "))
	}
	return nil
}

// forgotten waits until headquarters says that this many kiosks may still hold somebody who was deleted, and has a proof of each other. It verifies each as
// whoever has the kiosk's and the operator's public keys alone would, once.
func (s *site) forgotten(who person, as string, holding int) (proofs int, err error) {
	folder := s.file("forgotten " + as)
	err = s.await(70*time.Second, as, func() error { // records and checkpoints are on their way
		out, err := s.at("forgotten", who.id.String(), "-out", folder)
		if want := fmt.Sprintf("%d of %d kiosks may still hold %v, generation ", holding, len(s.kiosks), who.id); err == nil && !strings.Contains(out, want) {
			err = fmt.Errorf("hq forgotten says %q, want %q", out, want)
		}
		if written, _ := filepath.Glob(filepath.Join(folder, "*")); err == nil && len(written) < len(s.kiosks)-holding {
			err = fmt.Errorf("%d proofs", len(written))
		}
		if err != nil {
			return errors.Join(err, os.RemoveAll(folder))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for i, k := range s.kiosks {
		file := filepath.Join(folder, k.name+".deletion")
		if _, err := os.Stat(file); err != nil {
			continue // still to forget
		}
		verify := func(of *kiosk) (string, error) {
			return s.hq("verify-receipt", "-key", of.auditKey(), "-operator", s.key("enroller")+".pub", file)
		}
		said, err := verify(k)
		if err != nil {
			return proofs, err
		}
		if !strings.Contains(said, "has forgotten person "+who.id.String()) || !strings.HasSuffix(said, "proof holds\n") {
			return proofs, fmt.Errorf("hq verify-receipt says %q", said)
		}
		if _, err := verify(s.kiosks[(i+1)%len(s.kiosks)]); err == nil {
			return proofs, fmt.Errorf("%s's proof holds with another kiosk's key", k.door)
		}
		proofs++
	}
	return proofs, nil
}

// auditKey is the file of the kiosk's public audit key that the bench wrote down.
func (k *kiosk) auditKey() string { return filepath.Join(k.state(), "root", "audit.pub") }

// inOrder holds records of applied commands to their order.
func inOrder(record []byte, last *uint64) error {
	r, err := decoded(record)
	if err != nil || r.Event != access.EventCommandApplied {
		return err
	}
	var seq uint64
	if _, err := fmt.Sscanf(r.Detail, "seq=%d", &seq); err != nil {
		return fmt.Errorf("record %q: %w", r.Detail, err)
	}
	before := uint64(0) // commands that changed nothing, for which it stands
	for _, word := range strings.Fields(r.Detail) {
		if n, ok := strings.CutPrefix(word, "before="); ok {
			before, err = strconv.ParseUint(n, 10, 32)
		}
		if n, ok := strings.CutPrefix(word, "unsaid="); ok && err == nil {
			before, err = strconv.ParseUint(n, 10, 32)
		}
		if err != nil {
			return fmt.Errorf("record %q: %w", r.Detail, err)
		}
	}
	if seq-before != *last+1 {
		return fmt.Errorf("command %d was applied after %d", seq, *last)
	}
	*last = seq
	return nil
}

// applied is the newest command in the kiosk's own log.
func (k *kiosk) applied() (last uint64) {
	own, err := k.log()
	if err != nil {
		return 0
	}
	for _, record := range own {
		if err := inOrder(record, &last); err != nil {
			return last
		}
	}
	return last
}
