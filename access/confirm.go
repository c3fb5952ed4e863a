package access

// Confirm decides an ambiguous question anew, with an operator's word about which of the two people it is. who is that person as they stand at this
// moment; their score is the question's. The word settles nothing else: a question that was not ambiguous, somebody who was not one of the two, and
// whatever would deny that person on any other day deny here.
func Confirm(p Policy, q Question, who Candidate) Decision {
	if d := Decide(p, q); d.Verdict != Uncertain || d.Reason != ReasonAmbiguous {
		return Decision{Reason: ReasonNotReady}
	}
	switch c := q.Candidate; {
	case who.Person.IsZero():
		return Decision{Reason: ReasonUnknown}
	case who.Person == c.Person:
		who.Score = c.Score
	case who.Person == c.SecondPerson:
		who.Score = c.Second
	default:
		return Decision{Reason: ReasonUnknown}
	}
	who.Found, who.Second, who.SecondPerson = true, -1, PersonID{}
	q.Candidate = who
	return Decide(p, q)
}
