package ipc

import (
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
)

// Kind says what a packet carries. Append only; never renumber.
type Kind uint16

const (
	KindError Kind = 1 // answer to a request that was refused
	KindOK    Kind = 2 // answer to a request that has nothing to say

	// eye and door
	KindHello        Kind = 16 // eye → door, first packet
	KindApproach     Kind = 17 // eye → door, at most 15 a second while somebody is there, one when they left
	KindObserve      Kind = 18 // door → eye: open a session
	KindConclude     Kind = 19 // door → eye: the code has ended, present what you have
	KindAbort        Kind = 20 // door → eye: forget the session
	KindPresentation Kind = 21 // eye → door: access.Presentation
	KindGauge        Kind = 22 // door → eye: tell how bright the frames are, no session runs
	KindGauged       Kind = 23 // eye → door: answers Gauge, when its time is over
	KindTiming       Kind = 24 // door → eye: how the camera's stamps lie against the light
	KindSeal         Kind = 30 // door → eye: give the frames of a session, encrypted; answered by Sealed
	KindSealed       Kind = 31 // eye → door: a part of them

	// link and door
	KindOutboxHead Kind = 32 // link → door: how far the log and the cursor are; answered by Outbox

	KindSignTLS   Kind = 33 // link → door: sign a client's CertificateVerify; answered by Signature
	KindSignature Kind = 34 // answer to SignTLS

	KindStation   Kind = 41 // link → door: where headquarters is; answered by Stationed
	KindStationed Kind = 35 // answer to Station
	KindOnline    Kind = 36 // link → door: whether headquarters is reached
	KindEnvelope  Kind = 37 // link → door: what headquarters sent, unopened
	KindReport    Kind = 38 // door → link: what headquarters is to be told
	KindFetch     Kind = 39 // link → door: audit records from a sequence on; answered by Fetched
	KindFetched   Kind = 40 // answer to Fetch
	KindDropped   Kind = 42 // link → door: what came from headquarters' side and was not brought

	// the desk (bench operator) and door
	KindStatus   Kind = 48 // door → desk, pushed at every change and at least every 500 ms
	KindEnrol    Kind = 49 // desk → door: the next walk-up enrols this person; answered by EnrolResult when it is over
	KindRevoke   Kind = 50 // desk → door
	KindLockdown Kind = 51 // desk → door
	KindPulse    Kind = 52 // any → door: I am alive; answered OK
	KindEnrolled Kind = 53 // answer to Enrol
	KindOutbox   Kind = 54 // answer to OutboxHead
	KindSuspend  Kind = 55 // desk → door
	KindResume   Kind = 56 // desk → door
	KindDelete   Kind = 57 // desk → door; answered by Deleted
	KindDeleted  Kind = 58 // answer to Delete
	KindConfirm  Kind = 60 // desk → door: an operator's word about an uncertain walk-up
	KindRekey    Kind = 59 // desk → door: turn all references to another transform
	KindReview   Kind = 64 // desk → door: a signed review of a recurrence
)

// Hello is the first packet of eye: what it sees with. That of a blind eye, which ends after it, says why it is blind and names no camera.
type Hello struct {
	Camera   frames.Camera `cbor:"1,keyasint"`
	Bundle   [32]byte      `cbor:"2,keyasint"` // SHA-256 of the model bundle's manifest
	Name     string        `cbor:"3,keyasint"` // the bundle's name, at most 64 bytes
	Degraded []string      `cbor:"4,keyasint"` // execution providers that were dropped, with the reason; at most 8 of 200 bytes
	Provider string        `cbor:"5,keyasint"` // the one in use
	Held     bool          `cbor:"6,keyasint"` // the camera holds exposure and gain still
	Blind    Blindness     `cbor:"7,keyasint"`
}

// Approach tells door who stands in front of the camera before a session is open.
type Approach struct {
	Stamp   time.Duration `cbor:"1,keyasint"` // of the frame
	First   time.Duration `cbor:"2,keyasint"` // of the first frame in which this track's face was found
	Track   uint32        `cbor:"3,keyasint"` // 0: nobody
	Box     access.Box    `cbor:"4,keyasint"`
	Hint    access.Hint   `cbor:"5,keyasint"`
	Faces   uint8         `cbor:"6,keyasint"`
	Level   float32       `cbor:"7,keyasint"` // mean gray level of the face
	Process time.Duration `cbor:"8,keyasint"` // what this frame cost eye
	// Exposure is how long light was gathered before Stamp: door switches the lamp between two exposures. 0: no frame came for the stall time-out.
	Exposure time.Duration `cbor:"9,keyasint"`
	// Adjusting says that the camera is just being told to take in more light or less: the code waits for it, for a frame or two.
	Adjusting bool `cbor:"10,keyasint"`
}

// Observe opens a session in eye. eye is not told the lamp code.
type Observe struct {
	Session  access.SessionID `cbor:"1,keyasint"`
	Nonce    [16]byte         `cbor:"2,keyasint"`
	Track    uint32           `cbor:"3,keyasint"` // follow this face
	Deadline time.Duration    `cbor:"4,keyasint"` // CLOCK_MONOTONIC; eye forgets the session then
	// Reviewers are the age recipients that eye may encrypt the frames of this session to, if door says so after its end; none, and it forgets them at
	// once.
	Reviewers []string `cbor:"8,keyasint"`
}

// Conclude asks for the Presentation of a session, with all frames whose stamp is at most Until.
type Conclude struct {
	Session access.SessionID `cbor:"1,keyasint"`
	Until   time.Duration    `cbor:"2,keyasint"`
}

// Gauge has eye tell how bright each whole frame is, up to a stamp, while door plays the lamp.
type Gauge struct {
	Until time.Duration `cbor:"1,keyasint"` // CLOCK_MONOTONIC
}

// Gauged answers Gauge.
type Gauged struct {
	Frames []access.Glimpse `cbor:"1,keyasint"` // in the order of capture, at most access.MaxGlimpses
}

// Timing is what door found out about the camera's stamps. From then on eye reports frames by the time of their light.
type Timing struct {
	Delay    time.Duration `cbor:"1,keyasint"` // from the end of the exposure to the camera's stamp; negative when the stamp is earlier
	Exposure time.Duration `cbor:"2,keyasint"` // how long light is gathered
}

// Seal asks for a part of the frames of the session that was presented last, encrypted to the reviewers of its Observe. The first part has eye encrypt
// them. Door takes part after part and is told nothing that it did not ask for.
type Seal struct {
	Session access.SessionID `cbor:"1,keyasint"`
	From    uint32           `cbor:"2,keyasint"` // byte at which the part begins
}

// Sealed answers Seal.
type Sealed struct {
	Session access.SessionID `cbor:"1,keyasint"`
	From    uint32           `cbor:"2,keyasint"`
	Size    uint32           `cbor:"3,keyasint"` // of all parts; 0: there are no frames of this session
	Part    []byte           `cbor:"4,keyasint"` // at most MaxPart bytes; not empty unless Size is 0
}

// MaxPart is the most bytes that one Sealed carries.
const MaxPart = 48 << 10

// Abort forgets a session, and its frames if it has ended.
type Abort struct {
	Session access.SessionID `cbor:"1,keyasint"`
}

// Enrol makes the next complete walk-up an enrolment of Person, supervised by whoever holds the bench role.
type Enrol struct {
	Person access.PersonID `cbor:"1,keyasint"`
	Within time.Duration   `cbor:"2,keyasint"` // gives up after this long, at most 2 minutes
	Until  int64           `cbor:"3,keyasint"` // Unix seconds at which the permission ends; 0: never by itself
}

// Enrolled answers Enrol.
type Enrolled struct {
	Person     access.PersonID `cbor:"1,keyasint"`
	References uint32          `cbor:"2,keyasint"` // kept for this person now
	Reason     access.Reason   `cbor:"3,keyasint"` // why not, when References is 0
	// LookAlike is the enrolled person who looks most like this one, when they could be taken for each other; zero when there is none.
	LookAlike access.PersonID `cbor:"4,keyasint"`
}

// Revoke ends a person's permission. They stay known until they are deleted, so that an attempt is told from a stranger's.
type Revoke struct {
	Person access.PersonID `cbor:"1,keyasint"`
}

// Suspend takes a person's permission until Resume.
type Suspend struct {
	Person access.PersonID `cbor:"1,keyasint"`
}

// Resume ends a suspension.
type Resume struct {
	Person access.PersonID `cbor:"1,keyasint"`
}

// Delete destroys a person and all that was kept of them.
type Delete struct {
	Person access.PersonID `cbor:"1,keyasint"`
}

// Deleted answers Delete: the proof that the person is gone.
type Deleted struct {
	Receipt   []byte `cbor:"1,keyasint"` // encoding of vault.Receipt
	Signature []byte `cbor:"2,keyasint"` // over Receipt, by the kiosk's audit key; empty when it has none
}

// Lockdown sets or ends the lockdown of the access point.
type Lockdown struct {
	On bool `cbor:"1,keyasint"`
}

// Outbox says how many records the audit log holds and how many of them headquarters has acknowledged.
type Outbox struct {
	Records uint64 `cbor:"1,keyasint"`
	Cursor  uint64 `cbor:"2,keyasint"`
}

// Stationed answers Station: how to reach headquarters. Without a Broker there is none.
type Stationed struct {
	Broker      string   `cbor:"1,keyasint"` // host:port
	Server      string   `cbor:"2,keyasint"` // the name that its certificate must have
	Name        string   `cbor:"3,keyasint"` // of this kiosk: client id, and the common name of its certificate
	Certificate [][]byte `cbor:"4,keyasint"` // the kiosk's own and what vouches for it, DER, at most MaxCertificates
	Authorities [][]byte `cbor:"5,keyasint"` // that may vouch for headquarters, DER, at most MaxCertificates
}

// MaxCertificates bounds each list of Stationed.
const MaxCertificates = 4

// Online tells door whether headquarters is reached.
type Online struct {
	On  bool   `cbor:"1,keyasint"`
	Why string `cbor:"2,keyasint"` // it is not: a sentence
}

// Envelope carries a message of headquarters that nobody has opened. An error in answer says that it was refused; it is not to be brought again.
type Envelope struct {
	Data []byte `cbor:"1,keyasint"`
}

// Dropped says how many messages link let fall since the Dropped before, by cause: door has seen none of them.
type Dropped struct {
	Astray   uint32 `cbor:"1,keyasint"` // on another topic
	Retained uint32 `cbor:"2,keyasint"` // kept by a broker
	Empty    uint32 `cbor:"3,keyasint"`
	Long     uint32 `cbor:"4,keyasint"` // longer than MaxEnvelope
	Crowded  uint32 `cbor:"5,keyasint"` // while too many waited for door
}

// Report carries a message for headquarters, encoded by wire.Report.
type Report struct {
	Data []byte `cbor:"1,keyasint"`
}

// Fetch asks for audit records as they stand in the log.
type Fetch struct {
	From uint64 `cbor:"1,keyasint"`
}

// Fetched answers Fetch.
type Fetched struct {
	Report []byte `cbor:"1,keyasint"` // wire.Records, encoded by wire.Report; empty: there is nothing new
	Next   uint64 `cbor:"2,keyasint"` // sequence behind them, to ask for next
}

// SignTLS asks for a signature by the kiosk's TLS key, over the whole message: door signs nothing but the content of a TLS 1.3 client's
// CertificateVerify (RFC 8446, 4.4.3), which has at most 146 bytes.
type SignTLS struct {
	Message []byte `cbor:"1,keyasint"`
}

// Signature answers SignTLS: ECDSA P-256 over SHA-256, ASN.1.
type Signature struct {
	Signature []byte `cbor:"1,keyasint"`
}

// Failure answers a request that was refused.
type Failure struct {
	Message string `cbor:"1,keyasint"`
}

// Status is what the bench sees of door: states, indication and the latest decisions, never a score.
type Status struct {
	Stamp      time.Duration       `cbor:"1,keyasint"`
	Door       access.DoorState    `cbor:"2,keyasint"`
	Walkup     access.SessionState `cbor:"3,keyasint"`
	Indication access.Indication   `cbor:"4,keyasint"`
	Sighting   Approach            `cbor:"5,keyasint"` // the newest
	Degraded   []string            `cbor:"6,keyasint"`
	People     uint32              `cbor:"7,keyasint"`
	Records    uint64              `cbor:"8,keyasint"`
	Decisions  []Outcome           `cbor:"9,keyasint"` // newest first, at most 16
	Eye        bool                `cbor:"10,keyasint"`
	Link       bool                `cbor:"11,keyasint"`
	Tamper     bool                `cbor:"12,keyasint"`
	Enrolling  bool                `cbor:"13,keyasint"`
	Policy     [32]byte            `cbor:"14,keyasint"`
	Cursor     uint64              `cbor:"15,keyasint"` // records that headquarters has acknowledged
	Lockdown   bool                `cbor:"16,keyasint"`
	Pending    Pending             `cbor:"18,keyasint"` // zero: no walk-up waits for an operator
	Closed     bool                `cbor:"17,keyasint"` // nobody is recognised; the first of Degraded says why
	Tested     bool                `cbor:"19,keyasint"` // the self-test that needs eye is over
	Waiting    []Recurrence        `cbor:"24,keyasint"` // for a review, newest first, at most MaxRecurrences
	Afar       Afar                `cbor:"25,keyasint"` // headquarters; zero: there is none
}

// Afar is how a kiosk stands with its headquarters.
type Afar struct {
	Known   bool          `cbor:"1,keyasint"` // there is one
	Online  bool          `cbor:"2,keyasint"`
	Since   time.Duration `cbor:"3,keyasint"` // CLOCK_MONOTONIC, when it became so; 0: it never was online
	Trusted int64         `cbor:"4,keyasint"` // the time at Stamp as headquarters vouches for it, Unix milliseconds; 0: nobody does
	Seq     uint64        `cbor:"5,keyasint"` // of the newest command that is applied
}

// MaxRecurrences bounds Status.Waiting.
const MaxRecurrences = 8

// Recurrence is a face whose sessions failed the checks against attacks so often that somebody is to look at it: no probe, no score, nobody's id.
type Recurrence struct {
	ID        access.CorrelationID `cbor:"1,keyasint"` // random; another one after a review or at the end of its time
	First     time.Duration        `cbor:"2,keyasint"` // CLOCK_MONOTONIC
	Last      time.Duration        `cbor:"3,keyasint"`
	Count     uint32               `cbor:"4,keyasint"` // failed sessions
	Materials string               `cbor:"5,keyasint"` // what it was presented as, in words of door's own
}

// Review is a human's word, signed by the release role, that a recurrence is no attack (root.SignReview).
type Review struct {
	Order []byte `cbor:"1,keyasint"`
}

// Pending is an uncertain walk-up that waits for an operator: one of two people stands there.
type Pending struct {
	Session access.SessionID `cbor:"1,keyasint"`
	First   access.PersonID  `cbor:"2,keyasint"`
	Second  access.PersonID  `cbor:"3,keyasint"`
	Until   time.Duration    `cbor:"4,keyasint"` // CLOCK_MONOTONIC
}

// Confirm is an operator's word that a person stands there.
type Confirm struct {
	Session access.SessionID `cbor:"1,keyasint"`
	Person  access.PersonID  `cbor:"2,keyasint"`
}

// Outcome is one decided walk-up as the bench sees it.
type Outcome struct {
	Session  access.SessionID `cbor:"1,keyasint"`
	Verdict  access.Verdict   `cbor:"2,keyasint"`
	Reason   access.Reason    `cbor:"3,keyasint"`
	Person   access.PersonID  `cbor:"4,keyasint"` // zero unless granted
	First    time.Duration    `cbor:"5,keyasint"` // stamp of the first frame with this face
	Decided  time.Duration    `cbor:"6,keyasint"`
	Released time.Duration    `cbor:"7,keyasint"` // when the relay line was set; 0 if it was not
}
