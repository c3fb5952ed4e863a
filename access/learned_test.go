package access

import (
	"math"
	"testing"
	"time"
)

// Whatever the learned check lacks denies where the policy asks for it, and a good score gains nothing where it does not.
//
// Control: A28
func TestLearnedCheckCanOnlyDeny(t *testing.T) {
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		score, limit float32
		budget       float64
		want         Reason
	}{
		"off":                        {0.01, 0.5, 0, ReasonNone},
		"off, no score":              {-1, 0, 0, ReasonNone},
		"above":                      {0.51, 0.5, 0.01, ReasonNone},
		"at the threshold":           {0.5, 0.5, 0.01, ReasonNone},
		"below":                      {0.49, 0.5, 0.01, ReasonLiveness},
		"absent":                     {-1, 0.5, 0.01, ReasonNoLearned},
		"not measured":               {0.99, 0, 0.01, ReasonNoLearned},
		"no number":                  {nan, 0.5, 0.01, ReasonNoLearned},
		"threshold that is none":     {0.99, nan, 0.01, ReasonNoLearned},
		"a budget that is no number": {0.1, 0.5, math.NaN(), ReasonLiveness},
	} {
		p, o, b := presented(t)
		p.Liveness, o.MinLearned = c.score, c.limit
		policy := DefaultPolicy()
		limits := policy.Capture
		limits.LearnedBudget = c.budget
		if got := Check(p, o, b, limits, policy.Challenge); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		p.Frames[0].Track++ // a good score mends nothing
		if got := Check(p, o, b, limits, policy.Challenge); got != ReasonTrackLost {
			t.Errorf("%s, another face: %v", name, got)
		}
	}
	if r := ReasonNoLearned; r.Again() || r.Attack() || r.Own() || r.Unanswered() || Decide(DefaultPolicy(), Question{Checked: true, Check: r}).Verdict != Denied {
		t.Errorf("%v does not deny, or blames whoever stands there", r)
	}
}

func TestLearnedBudgetIsBounded(t *testing.T) {
	for budget, ok := range map[float64]bool{0: true, 0.001: true, 0.01: true, 0.011: false, -0.001: false, 0.5: false, math.Inf(1): false} {
		c := CaptureLimits{MaxGap: 100 * time.Millisecond, MinFused: 1, MinOverlap: 0.4, MinTexture: 3, LearnedBudget: budget}
		if err := c.Validate(); (err == nil) != ok {
			t.Errorf("a budget of %g: %v", budget, err)
		}
	}
	if (CaptureLimits{MaxGap: 100 * time.Millisecond, MinFused: 1, MinOverlap: 0.4, MinTexture: 3, LearnedBudget: math.NaN()}).Validate() == nil {
		t.Error("a budget that is no number")
	}
	if DefaultPolicy().Capture.LearnedBudget != 0 {
		t.Error("the default policy uses a check whose budget does not hold (docs/MODELS.md)")
	}
}
