package walkup

import (
	"context"

	"github.com/lintel-access/lintel/access"
)

// Rules are what walk-ups are decided by, and what may change while a Walkup runs. The fields are those of Config.
type Rules struct {
	Policy     access.Policy
	PolicyHash [32]byte
	Threshold  func(bundle [32]byte) (float32, bool)
	MinLearned float32
	Objection  func(access.PersonID) access.Reason
}

// Enforce has everything that is decided from now on decided by these rules, all of them at once, and returns when that is so. A session that runs is
// decided by them, too; where they ask for more than it was made to clear, it ends with a retry. Policy and Threshold are needed.
func (w *Walkup) Enforce(ctx context.Context, r Rules) error {
	if err := r.Policy.Validate(); err != nil {
		return err
	}
	done := make(chan struct{})
	w.post(ctx, func(context.Context) {
		c := &w.cfg
		c.Policy, c.PolicyHash, c.Threshold, c.MinLearned, c.Objection = r.Policy, r.PolicyHash, r.Threshold, r.MinLearned, r.Objection
		close(done)
	})
	select {
	case <-done:
		return nil
	case <-w.over:
		return context.Canceled
	case <-ctx.Done():
		return ctx.Err()
	}
}
