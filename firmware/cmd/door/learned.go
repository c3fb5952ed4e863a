package main

import (
	"errors"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/health"
	"github.com/lintel-access/lintel/inference/model"
)

// learnedCheck translates a policy's budget for the learned check into the score that eye's network must give. Asked for and not to be had is a part
// that is missing, and nobody is recognised; off is said, with what it would be worth. unread is why there is no table.
func learnedCheck(l *model.Learned, unread error, budget float64) (limit float32, s health.State, why string) {
	switch {
	case unread != nil && budget == 0:
		return 0, health.Impaired, "it was not measured for this bundle"
	case unread != nil:
		return 0, health.Missing, unread.Error()
	case budget == 0:
		return 0, health.Impaired, l.Worth()
	}
	limit, err := l.Threshold(budget)
	switch {
	case errors.Is(err, model.ErrUnheld), errors.Is(err, model.ErrIdle):
		return 0, health.Missing, l.Worth()
	case err != nil:
		return 0, health.Missing, err.Error()
	}
	return limit, health.Works, ""
}

// judgeLearned finds the learned check as the policy has it, and returns the score that it asks for.
func (s *selfTest) judgeLearned(p access.Policy) float32 {
	l, err := model.DefaultLearned()
	limit, state, why := learnedCheck(l, err, p.Capture.LearnedBudget)
	s.judge(health.LearnedCheck, state, why)
	return limit
}
