package wire

import "fmt"

// Kind says what an envelope or a message between a kiosk and headquarters carries. Append only; never renumber.
type Kind uint16

const (
	// by the fleet root, offline
	KindTrust Kind = 1 // who may do what

	// by headquarters' server, for one kiosk
	KindCommand     Kind = 2 // the next piece of the kiosk's stream of state
	KindTime        Kind = 3 // answers a kiosk's nonce
	KindAcknowledge Kind = 4 // records that headquarters has
	KindCertificate Kind = 5 // the kiosk's next TLS certificate, for the key that it has
	KindAsk         Kind = 6 // for a challenge, or for the key that content is to be sealed to

	// by a named operator: what commands carry, and what is never queued
	KindEnrolment    Kind = 16 // biometric: sealed wherever it travels
	KindDeletion     Kind = 17
	KindStanding     Kind = 18
	KindLockdown     Kind = 19
	KindDisable      Kind = 20
	KindPolicy       Kind = 21
	KindSupervised   Kind = 22 // a live enrolment at one kiosk; never in a command
	KindDecommission Kind = 23
	KindApproval     Kind = 24 // a second operator's
	KindRelease      Kind = 25 // answers a kiosk's challenge; never in a command
	KindBegin        Kind = 26 // has a supervised enrolment begin: answers a kiosk's challenge; never in a command

	// by a kiosk
	KindGreeting  Kind = 64 // what the kiosk stands at, and its nonce
	KindRecords   Kind = 65 // audit records, and the checkpoint that covers them
	KindChallenge Kind = 66 // for one remote release
	KindExchange  Kind = 67 // its key for sealed content, attested by its TPM
	KindRefusal   Kind = 68 // why something was not done; a courtesy, the proof is in the records

	KindIntroduction Kind = 69 // who the kiosk is; carried by hand from the bench where it was provisioned, never over the network
)

// MaxMessage is the largest message of all, bytes: it must pass a packet socket of the kiosk whole.
const MaxMessage = 152 << 10

// most is the largest envelope or message of a kind, bytes; 0: the kind is not known.
func (k Kind) most() int {
	switch k {
	case KindCommand, KindRecords:
		return MaxMessage
	case KindPolicy:
		return 130 << 10
	case KindTrust:
		return 64 << 10
	case KindCertificate:
		return 18 << 10
	case KindEnrolment:
		return 48 << 10 // 16 references of 2 KB
	case KindBegin:
		return 4 << 10 // a supervised enrolment, and what is around it
	case KindExchange:
		return 8 << 10
	case KindIntroduction:
		return 32 << 10
	case KindDeletion, KindStanding, KindLockdown, KindDisable, KindSupervised, KindDecommission, KindApproval, KindRelease, KindTime, KindAcknowledge,
		KindGreeting, KindChallenge, KindRefusal, KindAsk:
		return 2 << 10
	}
	return 0
}

// Most is the largest envelope or message of a kind in bytes; 0 of one that is not known.
func (k Kind) Most() int { return k.most() }

// String is the word for the kind.
func (k Kind) String() string {
	switch k {
	case KindTrust:
		return "trust"
	case KindCommand:
		return "command"
	case KindTime:
		return "time"
	case KindAcknowledge:
		return "acknowledgement"
	case KindCertificate:
		return "certificate"
	case KindAsk:
		return "request"
	case KindEnrolment:
		return "enrolment"
	case KindDeletion:
		return "deletion"
	case KindStanding:
		return "standing"
	case KindLockdown:
		return "lockdown"
	case KindDisable:
		return "disable"
	case KindPolicy:
		return "policy"
	case KindSupervised:
		return "supervised enrolment"
	case KindDecommission:
		return "decommission"
	case KindApproval:
		return "approval"
	case KindRelease:
		return "release"
	case KindBegin:
		return "begin"
	case KindGreeting:
		return "greeting"
	case KindRecords:
		return "records"
	case KindChallenge:
		return "challenge"
	case KindExchange:
		return "exchange key"
	case KindRefusal:
		return "refusal"
	case KindIntroduction:
		return "introduction"
	}
	return fmt.Sprintf("kind %d", uint16(k))
}

// Body is what an envelope carries.
type Body interface {
	Kind() Kind
	Validate() error // bounds, beyond what the codec refuses
}

// Role is what a key may sign. The zero Role may sign nothing.
type Role uint8

// Append only.
const (
	RoleServer        Role = 1 // headquarters' program: order of commands, time, acknowledgements; it can neither enrol nor open
	RoleEnroller      Role = 2 // enrols, and takes back
	RoleAdministrator Role = 3 // policy, standing, lockdown, disable, decommission
	RoleReleaser      Role = 4 // opens one door, once, by answering its challenge
)

// String is the word for the role.
func (r Role) String() string {
	switch r {
	case RoleServer:
		return "server"
	case RoleEnroller:
		return "enroller"
	case RoleAdministrator:
		return "administrator"
	case RoleReleaser:
		return "releaser"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// May reports whether keys of this role may sign envelopes of that kind. Trust is signed by the fleet root alone, which has no role.
func (r Role) May(k Kind) bool {
	switch r {
	case RoleServer:
		return k == KindCommand || k == KindTime || k == KindAcknowledge || k == KindCertificate || k == KindAsk
	case RoleEnroller:
		return k == KindEnrolment || k == KindSupervised || k == KindBegin || k == KindDeletion || k == KindApproval
	case RoleAdministrator:
		return k == KindPolicy || k == KindStanding || k == KindDeletion || k == KindLockdown || k == KindDisable || k == KindDecommission || k == KindApproval
	case RoleReleaser:
		return k == KindRelease
	}
	return false
}

// Permits reports whether an order of this kind gives somebody something. Such orders expire, so that a late one does nothing; what takes away never
// does.
func (k Kind) Permits() bool { return k == KindSupervised || k == KindBegin || k == KindRelease }

// Takes reports whether orders of this kind can take something away; of one that is opened, the function Takes says whether it does.
func (k Kind) Takes() bool {
	return k == KindDeletion || k == KindStanding || k == KindLockdown || k == KindDisable
}
