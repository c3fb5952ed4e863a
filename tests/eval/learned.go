package main

import (
	"cmp"
	"errors"
	"math"
	"slices"

	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/tests/exact"
)

// learned is how the learned PAD network, alone, tells living people from prints, in one rendering of the pictures. A frame without a face is never
// accepted: an error for a living person, none for a print.
type learned struct {
	Rendering string         `json:"rendering"` // gray or colour
	BonaFide  int            `json:"bona_fide"` // frames
	Living    int            `json:"living"`    // people
	Attacks   int            `json:"attacks"`   // frames
	Unseen    int            `json:"unseen"`    // frames without a face
	Points    []operating    `json:"points"`    // at one half, then at each budget that the data allow
	EER       interval       `json:"eer"`       // bootstrap over people
	People    []personRates  `json:"people"`
	Budgets   []model.Budget `json:"-"`
}

// operating is what one threshold costs and gains.
type operating struct {
	Budget    float64 `json:"budget,omitempty"` // BPCER that the threshold was set for; 0: it was given
	Threshold float64 `json:"threshold"`
	BPCER     counted `json:"bpcer"`
	APCER     counted `json:"apcer"`
	HeldOut   counted `json:"held_out"` // BPCER when nobody is judged by a threshold that was set on their own frames
	Worst     counted `json:"worst"`    // of one person, held out
	Beyond    counted `json:"beyond"`   // people of whom, held out, more than the budget is refused
}

// counted is k of n with its exact interval. It takes the frames of one person for independent, which they are not.
type counted struct {
	K int `json:"k"`
	N int `json:"n"`
	exact.Interval
}

func count(k, n int) counted { return counted{k, n, exact.ClopperPearson(k, n)} }

// personRates are the errors on the frames of one person at each of the points.
type personRates struct {
	Person   string `json:"person"`
	BonaFide int    `json:"bona_fide"`
	Attacks  int    `json:"attacks"`
	Refused  []int  `json:"refused"`
	Accepted []int  `json:"accepted"`
}

// budgets are the shares of living people that a policy may give up, from the loosest on; those with too few frames behind them are left out.
var budgets = []float64{1e-2, 3e-3, 1e-3}

// judge works out the rates of a rendering. names are those of the people by number.
func judge(rendering string, frames []shown, names []string) (*learned, error) {
	l := &learned{Rendering: rendering}
	var present []int
	for _, f := range frames {
		if f.live {
			l.BonaFide++
		} else {
			l.Attacks++
		}
		if f.score < 0 {
			l.Unseen++
		}
		if !slices.Contains(present, f.person) {
			present = append(present, f.person)
		}
	}
	for p := range names {
		if slices.ContainsFunc(frames, func(f shown) bool { return f.live && f.person == p }) {
			l.Living++
		}
	}
	if l.Living < 2 || l.Attacks == 0 {
		return nil, errors.New("judge learned check: want frames of two living people and of an attack at least")
	}
	frames = slices.Clone(frames)
	slices.SortStableFunc(frames, func(x, y shown) int { return cmp.Compare(y.score, x.score) })
	l.EER.Value = attackRates(frames, nil)[2]
	var drawn []float64
	resample(present, len(names), func(w []float64) { drawn = append(drawn, attackRates(frames, w)[2]) })
	span(&l.EER, drawn)

	l.Points = []operating{l.at(0, .5, frames, names)}
	for _, b := range budgets {
		if b*float64(l.BonaFide) < model.RefusalsPerBudget {
			break
		}
		o := l.at(b, threshold(frames, -1, b), frames, names)
		l.Points = append(l.Points, o)
		l.Budgets = append(l.Budgets, model.Budget{
			BPCER: b, Threshold: float32(o.Threshold), Refused: o.BPCER.K, HeldOut: o.HeldOut.K, Accepted: o.APCER.K,
		})
	}
	for p, name := range names {
		r := personRates{Person: name}
		for _, o := range l.Points {
			var refused, accepted int
			r.BonaFide, refused, r.Attacks, accepted = rates(frames, p, o.Threshold)
			r.Refused, r.Accepted = append(r.Refused, refused), append(r.Accepted, accepted)
		}
		if r.BonaFide+r.Attacks > 0 {
			l.People = append(l.People, r)
		}
	}
	return l, nil
}

// at counts what a threshold does, and what the budget that it was set for does to people on whom it was not set.
func (l *learned) at(budget, t float64, frames []shown, names []string) operating {
	o := operating{Budget: budget, Threshold: t}
	_, refused, _, accepted := rates(frames, -1, t)
	o.BPCER, o.APCER = count(refused, l.BonaFide), count(accepted, l.Attacks)
	held, beyond, worst := 0, 0, count(0, 0)
	for p := range names {
		without := t
		if budget > 0 {
			without = threshold(frames, p, budget)
		}
		n, k, _, _ := rates(frames, p, without)
		held += k
		if float64(k) > max(budget, 1e-9)*float64(n) {
			beyond++
		}
		if n > 0 && (worst.N == 0 || k*worst.N > worst.K*n) {
			worst = count(k, n)
		}
	}
	o.HeldOut, o.Worst, o.Beyond = count(held, l.BonaFide), worst, count(beyond, l.Living)
	return o
}

// threshold is the highest at which at most the share budget of the bona fide frames is refused, those of one person left out (-1: of nobody).
// A frame is accepted when its score reaches it. It fits a float32, which is what the product compares with.
func threshold(frames []shown, without int, budget float64) float64 {
	var scores []float64
	for _, f := range frames {
		if f.live && f.person != without {
			scores = append(scores, f.score)
		}
	}
	slices.Sort(scores)
	t := scores[min(int(budget*float64(len(scores))), len(scores)-1)]
	return math.Max(t, 0)
}

// rates counts the frames of one person (-1: of all) and the errors on them.
func rates(frames []shown, person int, t float64) (bona, refused, attacks, accepted int) {
	for _, f := range frames {
		switch passes := f.score >= 0 && f.score >= t; {
		case person >= 0 && f.person != person:
		case f.live:
			bona++
			if !passes {
				refused++
			}
		default:
			attacks++
			if passes {
				accepted++
			}
		}
	}
	return bona, refused, attacks, accepted
}
