package model

import (
	_ "embed"
	"errors"
	"fmt"
	"time"
)

//go:embed learned.json
var defaultLearned []byte

// Learned is what was measured of the bundle's PAD network: for each budget the score below which a session is refused, and what that costs
// and gains. It is measured for one bundle on stated data and holds for that bundle alone. The zero Learned has no threshold.
type Learned struct {
	Bundle   Hash     `json:"bundle"` // Manifest.Hash of the bundle that was measured
	Date     string   `json:"date"`   // YYYY-MM-DD
	Data     string   `json:"data"`
	People   int      `json:"people"`    // living ones
	BonaFide int      `json:"bona_fide"` // frames of them
	Attacks  int      `json:"attacks"`   // frames
	Budgets  []Budget `json:"budgets"`   // from the loosest to the strictest
}

// Budget is one measured point: the highest threshold at which at most the share BPCER of the bona fide frames is refused.
type Budget struct {
	BPCER     float64 `json:"bpcer"`
	Threshold float32 `json:"threshold"` // learned score, 0..1
	Refused   int     `json:"bona_fide_refused"`
	HeldOut   int     `json:"bona_fide_refused_held_out"` // when nobody is judged by a threshold that was set on their own frames
	Accepted  int     `json:"attacks_accepted"`
}

// Errors of Learned.Threshold.
var (
	ErrBudget = errors.New("BPCER budget is not within (0, 0.01]")
	ErrUnheld = errors.New("the budget does not hold for people on whom it was not set")
	ErrIdle   = errors.New("too few attacks are refused")
)

// DefaultLearned is the table of the bundle that the product ships with.
func DefaultLearned() (*Learned, error) {
	m, err := Default()
	if err != nil {
		return nil, err
	}
	return ReadLearned(m, defaultLearned)
}

// ReadLearned reads the table of a bundle. One that was measured for another bundle, or for one without a PAD network, is an error.
func ReadLearned(m *Manifest, data []byte) (*Learned, error) {
	l := new(Learned)
	err := decodeStrict(data, l)
	if err == nil {
		err = l.check()
	}
	if _, has := m.Spec(PAD); err == nil && !has {
		err = errors.New("the bundle has no PAD network")
	}
	if err == nil && l.Bundle != m.Hash() {
		err = fmt.Errorf("it is of bundle %s, the manifest is %s", l.Bundle, Hash(m.Hash()))
	}
	if err != nil {
		return nil, fmt.Errorf("read learned check: %w", err)
	}
	return l, nil
}

// RefusalsPerBudget is how many bona fide frames a budget must allow to be refused: with fewer than three not even their number says whether the
// budget is kept (rule of three).
const RefusalsPerBudget = 3

func (l *Learned) check() error {
	if _, err := time.Parse(time.DateOnly, l.Date); err != nil {
		return fmt.Errorf("date %q is not YYYY-MM-DD", l.Date)
	}
	if l.Data == "" || len(l.Budgets) == 0 || l.People < 2 || l.Attacks < 1 {
		return errors.New("data, people, attacks or budgets are absent")
	}
	for i, b := range l.Budgets {
		most := b.BPCER * float64(l.BonaFide)
		switch {
		case !(b.BPCER > 0 && b.BPCER <= loosestBudget) || !(b.Threshold > 0 && b.Threshold < 1):
			return fmt.Errorf("budget %d is out of bounds", i)
		case most < RefusalsPerBudget:
			return fmt.Errorf("budget %g needs more than %d bona fide frames", b.BPCER, l.BonaFide)
		case b.Refused < 0 || float64(b.Refused) > most || b.HeldOut < 0 || b.HeldOut > l.BonaFide || b.Accepted < 0 || b.Accepted > l.Attacks:
			return fmt.Errorf("counts of budget %d do not fit it", i)
		case i > 0 && !(b.BPCER < l.Budgets[i-1].BPCER && b.Threshold < l.Budgets[i-1].Threshold):
			return fmt.Errorf("budget %d does not rise in strictness", i)
		}
	}
	return nil
}

const (
	// loosestBudget is the largest share of living people's frames that a policy may give up for this check.
	loosestBudget = 0.01
	// leastRefused is the share of attacks below which the check is not worth what it costs.
	leastRefused = 0.5
)

// Threshold returns the learned score below which a session is refused, so that at most the share budget of living people's frames is. It is that of the
// loosest measured budget within. An error says why there is none: ErrBudget, ErrUnmeasured, ErrUnheld or ErrIdle.
func (l *Learned) Threshold(budget float64) (float32, error) {
	if !(budget > 0 && budget <= loosestBudget) {
		return 0, fmt.Errorf("find threshold for %g: %w", budget, ErrBudget)
	}
	for _, b := range l.Budgets {
		switch {
		case b.BPCER > budget:
			continue
		case float64(b.HeldOut) > b.BPCER*float64(l.BonaFide):
			return 0, fmt.Errorf("find threshold for %g: %w", budget, ErrUnheld)
		case float64(l.Attacks-b.Accepted) < leastRefused*float64(l.Attacks):
			return 0, fmt.Errorf("find threshold for %g: %w", budget, ErrIdle)
		}
		return b.Threshold, nil
	}
	return 0, fmt.Errorf("find threshold for %g: %w", budget, ErrUnmeasured)
}

// Worth says in a few words what the loosest budget costs and gains.
func (l *Learned) Worth() string {
	if len(l.Budgets) == 0 {
		return "it was not measured"
	}
	b := l.Budgets[0]
	percent := func(k, n int) float64 { return 100 * float64(k) / float64(max(n, 1)) }
	return fmt.Sprintf("at %g %% BPCER it refuses %.0f %% of attacks, and %.1f %% of frames of people new to it",
		100*b.BPCER, percent(l.Attacks-b.Accepted, l.Attacks), percent(b.HeldOut, l.BonaFide))
}
