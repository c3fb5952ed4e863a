package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/health"
	"github.com/lintel-access/lintel/inference/model"
)

// Off is shown as off; asked for and absent, unmeasured, not held or idle lets nobody be recognised, each with its sentence.
//
// Control: A28
func TestLearnedCheckFailsClosed(t *testing.T) {
	table := func(bend func(*model.Learned)) *model.Learned {
		l := &model.Learned{
			Date: "2026-11-23", Data: "made up", People: 10, BonaFide: 1000, Attacks: 1000,
			Budgets: []model.Budget{{BPCER: 0.01, Threshold: 0.4, Refused: 10, HeldOut: 10, Accepted: 300}},
		}
		bend(l)
		return l
	}
	good := func(*model.Learned) {}
	for name, c := range map[string]struct {
		table  *model.Learned
		unread error
		budget float64
		limit  float32
		state  health.State
		says   string
	}{
		"off":                    {table(good), nil, 0, 0, health.Impaired, "learned check off: the other checks decide without it (at 1 % BPCER it refuses 70 % of attacks, and 1.0 % of frames of people new to it)"},
		"on":                     {table(good), nil, 0.01, 0.4, health.Works, ""},
		"off and absent":         {nil, fmt.Errorf("the bundle has no PAD network"), 0, 0, health.Impaired, "learned check off: the other checks decide without it (it was not measured for this bundle)"},
		"absent":                 {nil, fmt.Errorf("the bundle has no PAD network"), 0.01, 0, health.Missing, "the bundle has no PAD network"},
		"stricter than measured": {table(good), nil, 0.001, 0, health.Missing, "stricter than measured"},
		"not held":               {table(func(l *model.Learned) { l.Budgets[0].HeldOut = 11 }), nil, 0.01, 0, health.Missing, "1.1 % of frames of people new to it"},
		"idle":                   {table(func(l *model.Learned) { l.Budgets[0].Accepted = 501 }), nil, 0.01, 0, health.Missing, "refuses 50 % of attacks"},
		"zero table":             {new(model.Learned), nil, 0.01, 0, health.Missing, "stricter than measured"},
	} {
		limit, state, why := learnedCheck(c.table, c.unread, c.budget)
		if limit != c.limit || state != c.state {
			t.Errorf("%s: %v %v %q", name, limit, state, why)
		}
		f := &health.Findings{}
		f.Set(health.LearnedCheck, state, why)
		said := strings.Join(f.Sentences(), "; ")
		if !strings.Contains(said, c.says) {
			t.Errorf("%s: says %q, want %q", name, said, c.says)
		}
		if nobody := strings.Contains(said, "no learned check: nobody is recognised"); nobody != (c.state == health.Missing) {
			t.Errorf("%s: says %q", name, said)
		}
	}
}

// The shipped table refuses the one budget that it has, so a policy that asks for it closes the door, and the default has it off and says why.
func TestShippedLearnedCheckIsOff(t *testing.T) {
	b, err := board.Load("desk")
	if err != nil {
		t.Fatal(err)
	}
	for budget, want := range map[float64]health.State{0: health.Impaired, 0.01: health.Missing} {
		s := newSelfTest(b, func(access.Event, string) {}, func() {})
		p := access.DefaultPolicy()
		p.Capture.LearnedBudget = budget
		if limit := s.judgeLearned(p); limit != 0 || s.found.State(health.LearnedCheck) != want {
			t.Errorf("budget %g: limit %v, %v", budget, limit, s.found.State(health.LearnedCheck))
		}
		if said := strings.Join(s.found.Sentences(), "; "); !strings.Contains(said, "of frames of people new to it") {
			t.Errorf("budget %g: says %q", budget, said)
		}
	}
}
