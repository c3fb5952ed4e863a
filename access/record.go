package access

import "time"

// Record is one entry of the audit log: what happened, never a score, a probe or an image.
type Record struct {
	Version uint8         `cbor:"1,keyasint"` // of this layout: 1
	Event   Event         `cbor:"2,keyasint"`
	Boot    uint64        `cbor:"3,keyasint"`
	Stamp   time.Duration `cbor:"4,keyasint"` // CLOCK_MONOTONIC within the boot
	Clock   ClockState    `cbor:"5,keyasint"`
	Wall    int64         `cbor:"6,keyasint"` // Unix seconds as the machine believes them; Clock says whether anybody vouches for it
	Door    string        `cbor:"7,keyasint"`

	Session SessionID `cbor:"8,keyasint"` // zero when the event belongs to no walk-up
	Verdict Verdict   `cbor:"9,keyasint"`
	Reason  Reason    `cbor:"10,keyasint"`
	// Subject is HMAC-SHA256 of the person's id, cut to 16 bytes, under the kiosk's subject key of the UTC day of Wall; zero when nobody
	// was identified.
	Subject [16]byte `cbor:"11,keyasint"`
	Policy  [32]byte `cbor:"12,keyasint"` // hash of the policy that decided
	Bundle  [32]byte `cbor:"13,keyasint"` // hash of the model bundle that measured
	// Evidence is the last link of the frame chain: it ties this record to the very frames that were seen.
	Evidence [32]byte `cbor:"14,keyasint"`
	Detail   string   `cbor:"15,keyasint"` // short and plain, at most MaxDetail bytes, never from outside
}

// RecordVersion is the layout that this program writes.
const RecordVersion = 1

// MaxDetail bounds Record.Detail, in bytes.
const MaxDetail = 200

// ClockState says who vouches for the wall clock.
type ClockState uint8

// Append only.
const (
	ClockUntrusted ClockState = 0 // nobody: the machine's own clock
	ClockTrusted   ClockState = 1 // headquarters' signed time, within its age limit
)

// Concludes reports whether a record of this event is how a session ended, a walk-up's or that of an operator's release.
func (e Event) Concludes() bool {
	switch e {
	case EventWalkupGranted, EventWalkupDenied, EventWalkupRetry, EventWalkupUncertain, EventWalkupLeft, EventPresentationRefused, EventLampAnswerWrong, EventEnrolled,
		EventRemoteReleaseGranted, EventRemoteReleaseRefused:
		return true
	}
	return false
}
