package model

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
)

// measured is a table that holds, of the shipped bundle.
func measured(t *testing.T) (*Manifest, *Learned) {
	t.Helper()
	m, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	return m, &Learned{
		Bundle: m.Hash(), Date: "2026-11-23", Data: "made up", People: 40, BonaFide: 4000, Attacks: 1000,
		Budgets: []Budget{
			{BPCER: 0.01, Threshold: 0.4, Refused: 40, HeldOut: 40, Accepted: 100},
			{BPCER: 0.002, Threshold: 0.2, Refused: 8, HeldOut: 8, Accepted: 300},
			{BPCER: 0.001, Threshold: 0.1, Refused: 4, HeldOut: 4, Accepted: 501},
		},
	}
}

func TestLearnedThreshold(t *testing.T) {
	_, l := measured(t)
	held := *l
	held.Budgets = append([]Budget(nil), l.Budgets...)
	held.Budgets[1].HeldOut = 9
	for _, c := range []struct {
		table  *Learned
		budget float64
		want   float32
		err    error
	}{
		{l, 0.01, 0.4, nil}, {l, 0.009, 0.2, nil}, {l, 0.002, 0.2, nil}, {l, 0.0015, 0, ErrIdle}, {l, 0.0005, 0, ErrUnmeasured},
		{&held, 0.01, 0.4, nil}, {&held, 0.005, 0, ErrUnheld}, {new(Learned), 0.01, 0, ErrUnmeasured},
		{l, 0, 0, ErrBudget}, {l, 0.011, 0, ErrBudget}, {l, -1, 0, ErrBudget}, {l, math.NaN(), 0, ErrBudget}, {l, math.Inf(1), 0, ErrBudget},
	} {
		if got, err := c.table.Threshold(c.budget); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("threshold for %g is %g, %v, want %g, %v", c.budget, got, err, c.want, c.err)
		}
	}
}

func TestReadLearnedRefuses(t *testing.T) {
	m, l := measured(t)
	read := func(m *Manifest, l *Learned) error {
		data, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ReadLearned(m, data)
		return err
	}
	if err := read(m, l); err != nil {
		t.Fatal(err)
	}
	without := *m
	without.Specs = m.Specs[:3]
	if err := read(&without, l); err == nil || !strings.Contains(err.Error(), "no PAD network") {
		t.Errorf("a bundle without the network: %v", err)
	}
	for _, c := range []struct {
		name, want string
		change     func(*Learned)
	}{
		{"other bundle", "it is of bundle", func(l *Learned) { l.Bundle[0] ^= 1 }},
		{"date", "YYYY-MM-DD", func(l *Learned) { l.Date = "today" }},
		{"one person", "absent", func(l *Learned) { l.People = 1 }},
		{"no attack", "absent", func(l *Learned) { l.Attacks = 0 }},
		{"no budget", "absent", func(l *Learned) { l.Budgets = nil }},
		{"loose", "out of bounds", func(l *Learned) { l.Budgets[0].BPCER = 0.02 }},
		{"threshold", "out of bounds", func(l *Learned) { l.Budgets[0].Threshold = 0 }},
		{"too few frames", "bona fide frames", func(l *Learned) { l.Budgets[2].BPCER = 0.0007 }},
		{"over the budget", "do not fit", func(l *Learned) { l.Budgets[0].Refused = 41 }},
		{"more attacks than there were", "do not fit", func(l *Learned) { l.Budgets[0].Accepted = 1001 }},
		{"falling", "rise in strictness", func(l *Learned) { l.Budgets[1].Threshold = 0.5 }},
	} {
		m, l := measured(t)
		c.change(l)
		if err := read(m, l); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want one with %q", c.name, err, c.want)
		}
	}
	if _, err := ReadLearned(m, []byte(`{"day":1}`)); err == nil || !strings.Contains(err.Error(), "unknown field") {
		t.Errorf("error is %v", err)
	}
}

func TestShippedLearned(t *testing.T) {
	l, err := DefaultLearned()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Threshold(0.01); !errors.Is(err, ErrUnheld) {
		t.Errorf("the shipped table gives %v: say in docs/MODELS.md and docs/PAD.md what has changed", err)
	}
	if w := l.Worth(); len(w) > 120 || !strings.HasPrefix(w, "at 1 % BPCER it refuses ") {
		t.Errorf("says %q", w)
	}
}
