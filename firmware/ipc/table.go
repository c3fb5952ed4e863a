package ipc

import "fmt"

// Role is what the program at the other end of door's socket may do. The zero Role may do nothing.
type Role uint8

// The roles. Each has a socket of its own, so that a program cannot claim another's role.
const (
	Eye  Role = 1
	Link Role = 2
	Desk Role = 3 // the bench operator; on the kiosk this socket is not opened
)

// String is the program's name.
func (r Role) String() string {
	switch r {
	case Eye:
		return "eye"
	case Link:
		return "link"
	case Desk:
		return "desk"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// Socket is the name of the role's socket file in the run folder.
func (r Role) Socket() string { return r.String() + ".sock" }

// pace is how many packets door takes from one connection: a bucket of burst tokens that fills at rate a second. A connection that
// empties it is closed, so that a client gone wild costs door no more than this.
func (r Role) pace() (rate, burst float64) {
	switch r {
	case Eye:
		return 100, 120 // 15 approaches and 2 pulses a second, the presentations between them, and frames that door fetches
	case Link:
		return 200, 400 // 2 pulses a second, and while much waits at either end as many messages as headquarters takes or sends
	case Desk:
		return 20, 60 // buttons, and a script that presses them
	}
	return 0, 0
}

// direction of a packet.
type direction uint8

const (
	toDoor   direction = 1
	fromDoor direction = 2
)

// rule lets one kind of packet pass in one direction on one role's socket. What no rule names is refused.
type rule struct {
	role Role
	way  direction
	kind Kind
	max  int    // bytes of the encoded body
	why  string // the reason this may pass
}

// nothing is the size of the body of a packet that has nothing to say: an empty map.
const nothing = 1

// rules is the whole of who may say what to door and what door may say to whom.
var rules = [...]rule{
	{Eye, toDoor, KindHello, 4 << 10, "door compares camera and model bundle with its pins before it opens a session"},
	{Eye, toDoor, KindApproach, 192, "door starts sessions, eye only says that somebody stands there"},
	{Eye, toDoor, KindPresentation, 24 << 10, "evidence of the session that door opened"},
	{Eye, toDoor, KindGauged, 1536, "door measures how late the camera's frames are"},
	{Eye, toDoor, KindSealed, MaxPart + 64, "frames that policy selected as evidence, encrypted to others than door"},
	{Eye, toDoor, KindPulse, nothing, "door notices an eye that hangs"},
	{Eye, fromDoor, KindObserve, 384, "door alone opens sessions"},
	{Eye, fromDoor, KindConclude, 48, "door alone knows when the lamp code has ended"},
	{Eye, fromDoor, KindAbort, 32, "eye shall forget what it need not keep"},
	{Eye, fromDoor, KindGauge, 16, "door alone knows when it plays the lamp"},
	{Eye, fromDoor, KindTiming, 32, "eye reports frames by the time of their light"},
	{Eye, fromDoor, KindSeal, 40, "door alone knows which session is evidence"},
	{Eye, fromDoor, KindOK, nothing, "answer to a pulse"},
	{Eye, fromDoor, KindError, 256, "why door closes the connection"},

	{Link, toDoor, KindOutboxHead, nothing, "link must know whether there is something to send; it learns two numbers and no record"},
	{Link, toDoor, KindPulse, nothing, "door notices a link that hangs"},
	{Link, toDoor, KindSignTLS, 160, "the TLS key never leaves the TPM; door signs handshakes and no other message"},
	{Link, toDoor, KindStation, nothing, "door keeps what the kiosk is and whom it trusts; link keeps nothing"},
	{Link, toDoor, KindOnline, 256, "door says what it can do without headquarters"},
	{Link, toDoor, KindEnvelope, MaxEnvelope + 16, "link carries what it cannot open; door verifies before it decodes"},
	{Link, toDoor, KindDropped, 32, "what is refused unseen is on record, too; link tells numbers and no word of the sender"},
	{Link, toDoor, KindFetch, 16, "the audit log is the queue of what headquarters is told"},
	{Link, fromDoor, KindStationed, 34 << 10, "answer to Station; all of it is public"},
	{Link, fromDoor, KindReport, 16 << 10, "what headquarters is told besides records"},
	{Link, fromDoor, KindFetched, MaxEnvelope + 32, "answer to Fetch: records name nobody"},
	{Link, fromDoor, KindSignature, 80, "answer to SignTLS"},
	{Link, fromDoor, KindOutbox, 32, "answer to OutboxHead"},
	{Link, fromDoor, KindOK, nothing, "answer to a pulse"},
	{Link, fromDoor, KindError, 256, "why a request was refused"},

	{Desk, toDoor, KindEnrol, 64, "the bench operator supervises enrolment"},
	{Desk, toDoor, KindRevoke, 32, "the bench operator ends a permission"},
	{Desk, toDoor, KindSuspend, 32, "the bench operator takes a permission for a while"},
	{Desk, toDoor, KindResume, 32, "the bench operator gives back what was suspended"},
	{Desk, toDoor, KindConfirm, 48, "the bench operator says which of two people stands at the door"},
	{Desk, toDoor, KindRekey, nothing, "the bench operator has the references turned anew"},
	{Desk, toDoor, KindReview, 256, "the bench operator hands in a review that the release role signed"},
	{Desk, toDoor, KindDelete, 32, "the bench operator has a person forgotten"},
	{Desk, toDoor, KindLockdown, 8, "the bench operator closes the door"},
	{Desk, toDoor, KindPulse, nothing, "door notices a bench that hangs"},
	{Desk, fromDoor, KindStatus, 12 << 10, "the page shows states, never scores"},
	{Desk, fromDoor, KindEnrolled, 64, "answer to Enrol"},
	{Desk, fromDoor, KindDeleted, 288, "answer to Delete"},
	{Desk, fromDoor, KindOK, nothing, "answer to Revoke, Suspend, Resume, Lockdown, Review and a pulse"},
	{Desk, fromDoor, KindError, 256, "why a request was refused"},
}

// lookup finds the rule of a packet; without one the packet may not pass.
func lookup(role Role, way direction, kind Kind) (rule, bool) {
	for _, r := range rules {
		if r.role == role && r.way == way && r.kind == kind {
			return r, true
		}
	}
	return rule{}, false
}

// answer is the kind that answers a request of kind k.
func (k Kind) answer() Kind {
	switch k {
	case KindOutboxHead:
		return KindOutbox
	case KindSignTLS:
		return KindSignature
	case KindStation:
		return KindStationed
	case KindFetch:
		return KindFetched
	case KindEnrol:
		return KindEnrolled
	case KindDelete:
		return KindDeleted
	}
	return KindOK
}

// String is the message's name.
func (k Kind) String() string {
	switch k {
	case KindError:
		return "Failure"
	case KindOK:
		return "OK"
	case KindHello:
		return "Hello"
	case KindApproach:
		return "Approach"
	case KindObserve:
		return "Observe"
	case KindConclude:
		return "Conclude"
	case KindAbort:
		return "Abort"
	case KindPresentation:
		return "Presentation"
	case KindSeal:
		return "Seal"
	case KindSealed:
		return "Sealed"
	case KindGauge:
		return "Gauge"
	case KindGauged:
		return "Gauged"
	case KindTiming:
		return "Timing"
	case KindOutboxHead:
		return "OutboxHead"
	case KindConfirm:
		return "Confirm"
	case KindRekey:
		return "Rekey"
	case KindReview:
		return "Review"
	case KindSignTLS:
		return "SignTLS"
	case KindSignature:
		return "Signature"
	case KindStation:
		return "Station"
	case KindStationed:
		return "Stationed"
	case KindOnline:
		return "Online"
	case KindEnvelope:
		return "Envelope"
	case KindDropped:
		return "Dropped"
	case KindReport:
		return "Report"
	case KindFetch:
		return "Fetch"
	case KindFetched:
		return "Fetched"
	case KindStatus:
		return "Status"
	case KindEnrol:
		return "Enrol"
	case KindRevoke:
		return "Revoke"
	case KindLockdown:
		return "Lockdown"
	case KindPulse:
		return "Pulse"
	case KindEnrolled:
		return "Enrolled"
	case KindOutbox:
		return "Outbox"
	case KindSuspend:
		return "Suspend"
	case KindResume:
		return "Resume"
	case KindDelete:
		return "Delete"
	case KindDeleted:
		return "Deleted"
	}
	return fmt.Sprintf("kind %d", uint16(k))
}
