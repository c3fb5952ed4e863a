package access

// learned notes the learned model's score. Without a budget it is no more than noted. Where the policy has one, what is missing denies: a threshold
// that was never measured, or a score that eye did not give (-1).
func (f *Findings) learned(score, limit float32, budget float64) {
	switch {
	case budget == 0:
		f.note(CriterionLiveness, score, 0, ReasonNone)
	case !(limit > 0) || !(score >= 0):
		f.note(CriterionLiveness, score, limit, ReasonNoLearned)
	default:
		f.least(CriterionLiveness, score, limit, ReasonLiveness)
	}
}
