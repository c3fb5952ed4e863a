package access

import "fmt"

// SessionState is where one walk-up stands.
//
//	          Approached            Presented           Passed            Decided
//	Idle ───────────────► Capturing ─────────► Assessing ──────► Comparing ──────► Showing ──ShownLongEnough──► Cooldown ──CooldownOver──► Idle
//	                         │   │                 │                 │                                              ▲
//	                         │   │ Failed, EyeLost, DeadlinePassed   │                                              │
//	                         │   └────────────────►┴─────────────────┴──► Showing                                   │
//	                         └──────────────────────────────────── Left ───────────────────────────────────────────┘
//
// Every session rests, whatever its end: who leaves while the code runs has seen a part of it. Only Decide, reached through
// Comparing, can grant.
type SessionState uint8

// To keep recorded states readable, do not reorder.
const (
	Idle      SessionState = 0
	Capturing SessionState = 1 // the lamp code runs, eye collects
	Assessing SessionState = 2 // the presentation has come; the checks against attacks run
	Comparing SessionState = 3 // all checks passed; the gallery is walked
	Showing   SessionState = 4 // the outcome is decided and shown
	Cooldown  SessionState = 5 // nothing new starts; eye may be re-executed
)

// String is the participle used on the bench page.
func (s SessionState) String() string {
	switch s {
	case Idle:
		return "idle"
	case Capturing:
		return "capturing"
	case Assessing:
		return "assessing"
	case Comparing:
		return "comparing"
	case Showing:
		return "showing"
	case Cooldown:
		return "cooling down"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// SessionEvent is something that happened to a walk-up.
type SessionEvent uint8

// The events of a session.
const (
	Approached      SessionEvent = 0 // a face that may start a session is in view
	Presented       SessionEvent = 1 // eye's Presentation arrived
	Passed          SessionEvent = 2 // every check against attacks passed
	Failed          SessionEvent = 3 // one did not: the session ends, nothing is compared
	Decided         SessionEvent = 4 // Decide has spoken
	DeadlinePassed  SessionEvent = 5
	EyeLost         SessionEvent = 6
	Left            SessionEvent = 7 // nobody is in view any more
	ShownLongEnough SessionEvent = 8
	CooldownOver    SessionEvent = 9

	sessionEvents = 10
)

// SessionEffect is what the caller must do now. The zero effect does nothing.
type SessionEffect uint8

// The effects of a session.
const (
	NoEffect     SessionEffect = 0
	OpenSession  SessionEffect = 1 // draw a code, tell eye, drive the lamp, arm the deadline
	AssessIt     SessionEffect = 2 // check the presentation against attacks
	CompareIt    SessionEffect = 3 // walk the gallery and Decide
	ShowOutcome  SessionEffect = 4 // record, act, indicate
	ForgetIt     SessionEffect = 5 // tell eye to forget the session, let the lamp stand steady and arm the cool-down; nothing was decided about anybody
	RestCooldown SessionEffect = 6 // arm the cool-down
)

// Next is the transition function: total over every state and event. An event that has no place in a state changes nothing, so a
// late or repeated message of eye cannot move a session.
func (s SessionState) Next(e SessionEvent) (SessionState, SessionEffect) {
	switch s {
	case Idle:
		if e == Approached {
			return Capturing, OpenSession
		}
	case Capturing:
		switch e {
		case Presented:
			return Assessing, AssessIt
		case Left:
			return Cooldown, ForgetIt
		case Failed, DeadlinePassed, EyeLost:
			return Showing, ShowOutcome
		}
	case Assessing:
		switch e {
		case Passed:
			return Comparing, CompareIt
		case Failed, DeadlinePassed:
			return Showing, ShowOutcome
		}
	case Comparing:
		switch e {
		case Decided, DeadlinePassed:
			return Showing, ShowOutcome
		}
	case Showing:
		if e == ShownLongEnough {
			return Cooldown, RestCooldown
		}
	case Cooldown:
		if e == CooldownOver {
			return Idle, NoEffect
		}
	}
	return s, NoEffect
}
