package access

// Confirm decides an uncertain question anew, with an operator's word: about which of two people it is, or that a signal asks for. who is that person as
// they stand at this moment; their score is the question's. The word settles nothing else: a question that was not uncertain, somebody who was not asked
// about, and whatever would deny that person on any other day deny here.
func Confirm(p Policy, q Question, who Candidate) Decision {
	d := Decide(p, q)
	if d.Verdict != Uncertain {
		return Decision{Reason: ReasonNotReady}
	}
	switch c := q.Candidate; {
	case who.Person.IsZero():
		return Decision{Reason: ReasonUnknown}
	case who.Person == c.Person:
		who.Score = c.Score
	case who.Person == c.SecondPerson && d.Reason == ReasonAmbiguous:
		who.Score = c.Second
	default:
		return Decision{Reason: ReasonUnknown}
	}
	who.Found, who.Second, who.SecondPerson = true, -1, PersonID{}
	q.Candidate, q.confirmed = who, true
	return Decide(p, q)
}
