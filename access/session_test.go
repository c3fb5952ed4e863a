package access

import "testing"

// Every state and every event: only the drawn arrows move a session.
//
// Control: A29
func TestSessionTransitionsAreTotal(t *testing.T) {
	type arrow struct {
		from SessionState
		on   SessionEvent
	}
	drawn := map[arrow]struct {
		to SessionState
		do SessionEffect
	}{
		{Idle, Approached}:          {Capturing, OpenSession},
		{Capturing, Presented}:      {Assessing, AssessIt},
		{Capturing, Left}:           {Cooldown, ForgetIt},
		{Capturing, Failed}:         {Showing, ShowOutcome},
		{Capturing, DeadlinePassed}: {Showing, ShowOutcome},
		{Capturing, EyeLost}:        {Showing, ShowOutcome},
		{Assessing, Passed}:         {Comparing, CompareIt},
		{Assessing, Failed}:         {Showing, ShowOutcome},
		{Assessing, DeadlinePassed}: {Showing, ShowOutcome},
		{Comparing, Decided}:        {Showing, ShowOutcome},
		{Comparing, DeadlinePassed}: {Showing, ShowOutcome},
		{Showing, ShownLongEnough}:  {Cooldown, RestCooldown},
		{Cooldown, CooldownOver}:    {Idle, NoEffect},
	}
	for s := range SessionState(8) { // two more than there are: unknown states stand still
		for e := range SessionEvent(sessionEvents + 2) {
			to, do := s.Next(e)
			want, ok := drawn[arrow{s, e}]
			if !ok {
				want.to, want.do = s, NoEffect
			}
			if to != want.to || do != want.do {
				t.Errorf("%v on event %d: got %v, effect %d; want %v, effect %d", s, e, to, do, want.to, want.do)
			}
		}
	}
}

// Nothing is compared before the checks against attacks have passed.
//
// Control: A28
func TestComparisonOnlyAfterPassed(t *testing.T) {
	for s := range SessionState(8) {
		for e := range SessionEvent(sessionEvents) {
			if _, do := s.Next(e); do == CompareIt && e != Passed {
				t.Errorf("%v on event %d compares without a passed check", s, e)
			}
		}
	}
}
