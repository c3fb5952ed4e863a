package access

import "time"

// Pass is the permission to release the door once. It can only be minted in this package, by a decision that granted, and the
// portal accepts nothing else. The zero Pass releases nothing.
type Pass struct {
	session  SessionID
	person   PersonID
	until    time.Duration
	extended bool
}

// mint makes the Pass of a granted session: good until the given CLOCK_MONOTONIC instant, with the door's longer times when extended.
func mint(session SessionID, person PersonID, until time.Duration, extended bool) Pass {
	return Pass{session: session, person: person, until: until, extended: extended}
}

// Valid reports whether p was minted for a session. Whether it is in time and unused only the portal can tell.
func (p Pass) Valid() bool { return p.session.Number > 0 && p.until > 0 }

// Session is the walk-up that was granted.
func (p Pass) Session() SessionID { return p.session }

// Person is who was granted; zero when nobody in particular was, as in an operator's release.
func (p Pass) Person() PersonID { return p.person }

// Until is the CLOCK_MONOTONIC instant after which p releases nothing.
func (p Pass) Until() time.Duration { return p.until }

// Extended reports whether the longer times apply.
func (p Pass) Extended() bool { return p.extended }
