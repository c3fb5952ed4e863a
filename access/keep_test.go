package access

import (
	"strings"
	"testing"
	"time"
)

func TestEvidenceBounds(t *testing.T) {
	reviewer := "age1" + strings.Repeat("q", RecipientBytes-4)
	good := Evidence{Select: SelectAttacks, Reviewers: []string{reviewer}, Keep: 7 * day, MaxBytes: 8 << 20}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	framed := good
	framed.Frames, framed.MaxBytes = true, minFramed
	if err := framed.Validate(); err != nil {
		t.Error(err)
	}
	if err := (Evidence{}).Validate(); err != nil {
		t.Errorf("keeping nothing is refused: %v", err)
	}
	for name, bend := range map[string]func(*Evidence){
		"unknown selection": func(e *Evidence) { e.Select = SelectAll + 1 },
		"nobody can read":   func(e *Evidence) { e.Reviewers = nil },
		"too many readers":  func(e *Evidence) { e.Reviewers = []string{reviewer, reviewer, reviewer, reviewer, reviewer} },
		"no recipient":      func(e *Evidence) { e.Reviewers = []string{"ssh-" + reviewer[4:]} },
		"short recipient":   func(e *Evidence) { e.Reviewers = []string{reviewer[1:]} },
		"kept for ever":     func(e *Evidence) { e.Keep = 91 * day },
		"kept for an hour":  func(e *Evidence) { e.Keep = time.Hour },
		"no room":           func(e *Evidence) { e.MaxBytes = 1 << 10 },
		"the whole disk":    func(e *Evidence) { e.MaxBytes = 1 << 30 },
		"no room for films": func(e *Evidence) { e.Frames, e.MaxBytes = true, minFramed-1 },
	} {
		e := good
		bend(&e)
		if e.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
		p := DefaultPolicy()
		if p.Evidence = e; p.Validate() == nil {
			t.Errorf("%s: accepted by the policy", name)
		}
	}
}

func TestEvidenceSelects(t *testing.T) {
	attack := Decision{Reason: ReasonFlat}
	unknown := Decision{Reason: ReasonUnknown}
	retry := Decision{Verdict: Retry, Reason: ReasonTooBright}
	granted := Decision{Verdict: Granted, Reason: ReasonAllowed}
	for s, want := range map[Selection][4]bool{
		SelectNone: {}, SelectAttacks: {true}, SelectFailed: {true, true, true}, SelectAll: {true, true, true, true}, SelectAll + 1: {},
	} {
		for i, d := range [4]Decision{attack, unknown, retry, granted} {
			if got := (Evidence{Select: s}).Selects(d); got != want[i] {
				t.Errorf("selection %d, %v %v: %v", s, d.Verdict, d.Reason, got)
			}
		}
	}
	if DefaultPolicy().Evidence.Select != SelectNone {
		t.Error("the default policy keeps evidence")
	}
}
