package access

import (
	"testing"
	"time"
)

func TestConfirm(t *testing.T) {
	p := DefaultPolicy()
	ada, ben, eve := PersonID{1}, PersonID{2}, PersonID{3}
	ambiguous := func(change func(*Question)) Question {
		q := Question{
			Session: SessionID{1, 2}, Checked: true, Threshold: 0.5, Calibrated: true, Now: time.Second, Bar: p.Bar(0),
			Candidate: Candidate{Found: true, Person: ada, Standing: Permitted, Score: 0.7, Second: 0.69, SecondPerson: ben},
		}
		if change != nil {
			change(&q)
		}
		return q
	}
	for name, tt := range map[string]struct {
		q    Question
		who  Candidate
		want Decision
	}{
		"the nearest":               {ambiguous(nil), Candidate{Person: ada, Standing: Permitted}, Decision{Verdict: Granted, Reason: ReasonAllowed, Person: ada}},
		"the next":                  {ambiguous(nil), Candidate{Person: ben, Standing: Permitted}, Decision{Verdict: Granted, Reason: ReasonAllowed, Person: ben}},
		"neither":                   {ambiguous(nil), Candidate{Person: eve, Standing: Permitted, Score: 1}, Decision{Reason: ReasonUnknown}},
		"nobody":                    {ambiguous(func(q *Question) { q.Candidate.SecondPerson = PersonID{} }), Candidate{Standing: Permitted}, Decision{Reason: ReasonUnknown}},
		"the next, revoked":         {ambiguous(nil), Candidate{Person: ben, Standing: Revoked}, Decision{Reason: ReasonRevoked, Person: ben}},
		"the next, locked out":      {ambiguous(nil), Candidate{Person: ben, Standing: Permitted, Locked: true}, Decision{Reason: ReasonLockedOut, Person: ben}},
		"the next, below threshold": {ambiguous(func(q *Question) { q.Threshold, q.Candidate.Score, q.Candidate.Second = 0.6, 0.66, 0.64 }), Candidate{Person: ben, Standing: Permitted, Score: 1}, Decision{Reason: ReasonUnknown}},
		"lockdown":                  {ambiguous(func(q *Question) { q.Lockdown = true }), Candidate{Person: ada, Standing: Permitted}, Decision{Reason: ReasonLockdown, Person: ada}},
		"tamper":                    {ambiguous(func(q *Question) { q.Tamper = true }), Candidate{Person: ada, Standing: Permitted}, Decision{Reason: ReasonTamper, Person: ada}},
		"a clear answer":            {ambiguous(func(q *Question) { q.Candidate.Second = 0.1 }), Candidate{Person: ben, Standing: Permitted}, Decision{Reason: ReasonNotReady}},
		"an attack":                 {ambiguous(func(q *Question) { q.Check = ReasonFlat }), Candidate{Person: ada, Standing: Permitted}, Decision{Reason: ReasonNotReady}},
		"a stranger":                {ambiguous(func(q *Question) { q.Candidate.Score, q.Candidate.Second = 0.3, 0.29 }), Candidate{Person: ada, Standing: Permitted}, Decision{Reason: ReasonNotReady}},
		"nothing":                   {Question{}, Candidate{Person: ada, Standing: Permitted}, Decision{Reason: ReasonNotReady}},
	} {
		got := Confirm(p, tt.q, tt.who)
		if got.Verdict != tt.want.Verdict || got.Reason != tt.want.Reason || got.Person != tt.want.Person || got.Pass().Valid() != (tt.want.Verdict == Granted) {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}
