package access

import "fmt"

// Reason says why a verdict is what it is. It goes to the audit log and to the bench, never to the person at the door beyond
// the indication table.
type Reason uint16

// Append only: the numbers stand in audit records. Do not reorder or renumber.
const (
	ReasonNone           Reason = 0
	ReasonAllowed        Reason = 1  // granted
	ReasonUnknown        Reason = 2  // nobody enrolled reached the threshold
	ReasonAmbiguous      Reason = 3  // two people reached the threshold too close together
	ReasonRevoked        Reason = 4  // known, but the permission has ended
	ReasonExpired        Reason = 5  // the lease of the permission ran out
	ReasonLockedOut      Reason = 6  // refused too often; ends by itself
	ReasonLockdown       Reason = 7  // the access point is locked down
	ReasonNotRecorded    Reason = 8  // the audit record could not be made durable
	ReasonNoProbe        Reason = 9  // no frame was good enough
	ReasonDeadline       Reason = 10 // the session ran out of time
	ReasonMalformed      Reason = 11 // the presentation breaks its own format or bounds
	ReasonOtherSession   Reason = 12 // the presentation is not of this session
	ReasonOtherCamera    Reason = 13 // another camera than the pinned one
	ReasonOtherBundle    Reason = 14 // another model bundle than the policy names
	ReasonFrameOrder     Reason = 15 // sequence or stamps not strictly increasing, or too far apart
	ReasonFrameStale     Reason = 16 // a frame from before the session
	ReasonTrackLost      Reason = 17 // not one face from start to end
	ReasonFewFrames      Reason = 18 // too few frames answered the lamp
	ReasonNoAnswer       Reason = 19 // the face did not follow the lamp
	ReasonWrongAnswer    Reason = 20 // the face followed another code than the one shown
	ReasonTooBright      Reason = 21 // ambient light drowns the lamp: retry, never acceptance
	ReasonLiveness       Reason = 22 // the learned check calls it an attack
	ReasonNotReady       Reason = 23 // a part that the decision needs is missing
	ReasonNoCalibration  Reason = 24 // no measured threshold for this model bundle
	ReasonEnrolled       Reason = 25 // an enrolment session kept references
	ReasonLeft           Reason = 26 // the person left before the session ended
	ReasonEyeLost        Reason = 27 // eye died during the session
	ReasonTamper         Reason = 28 // the enclosure is open
	ReasonEnrolDuplicate Reason = 29 // an enrolment of somebody who is enrolled as another person
	ReasonFull           Reason = 30 // the gallery holds as many references as the board allows
	ReasonClosed         Reason = 31 // the policy admits nobody
	ReasonFlat           Reason = 32 // the surroundings follow the lamp as the face does: a sheet, not a head
	ReasonSuspended      Reason = 33 // known, but the permission is suspended
	ReasonNotPermitted   Reason = 34 // known, but nobody permitted them
	ReasonLateAnswer     Reason = 35 // the face followed the shown code, but later than light does
	ReasonEarlyAnswer    Reason = 36 // the face followed the shown code before it was shown
	ReasonInverted       Reason = 37 // the face was dark when the lamp was lit
	ReasonSpliced        Reason = 38 // half of the answer is the shown code's, the other is not
	ReasonNoRelief       Reason = 39 // the face follows the lamp as a flat or bent sheet does
	ReasonNoTexture      Reason = 40 // the face is too even for skin in the lamp's light
	ReasonPhase          Reason = 41 // stamps that do not lie where the camera's frames do
	ReasonJump           Reason = 42 // the face was elsewhere from one frame to the next
	ReasonReliefUnknown  Reason = 43 // too little light besides the lamp's to tell a head from a sheet
	ReasonUneven         Reason = 44 // the face as a whole followed the lamp, and a part of it did not: retry
	ReasonReliefDoubt    Reason = 45 // no relief, at the first try: retry, who walks up may not have stood still
	ReasonRepeated       Reason = 46 // a frame with the very pixels of another one, of this session or one of the last
	ReasonOtherReflected Reason = 47 // what answered the lamp is another face than the probe's, or none
	ReasonNoNoise        Reason = 48 // frames without a sensor's noise
	ReasonRestless       Reason = 49 // the face changes from frame to frame by itself: retry
	ReasonNoGlint        Reason = 50 // eyes that do not mirror the lamp
	ReasonMotionless     Reason = 51 // a head that does not move at all
	ReasonRigid          Reason = 52 // landmarks that do not move against each other
	ReasonNotHeld        Reason = 53 // the camera took in more or less light in the middle of the session
	ReasonNoLearned      Reason = 54 // the policy asks for the learned check, and there is no threshold or no score
	ReasonCameraStalled  Reason = 55 // no frame came any more
	ReasonStaleChallenge Reason = 56 // the decision came after the session's deadline
	ReasonUnconfirmed    Reason = 57 // a signal asks for an operator's word
	ReasonSteppedUp      Reason = 58 // a signal came up in the session that asks for more than it did: retry
	ReasonDebugImage     Reason = 59 // this kiosk runs an image that allows debugging
	ReasonProvider       Reason = 60 // an execution provider was dropped, and the policy wants the first
	ReasonClock          Reason = 61 // nobody vouches for the clock, and the policy wants it
	ReasonTooDark        Reason = 62 // the lamp hardly lights the face, too little to tell a sensor's noise: retry

	ReasonOutsideSchedule Reason = 63 // known and permitted here, but not at this time
	ReasonNoRule          Reason = 64 // known, but the site lets none of their groups pass this door
	ReasonStale           Reason = 65 // headquarters was not heard for too long, and the policy wants it
)

var reasonNames = [...]string{
	"none", "allowed", "unknown", "ambiguous", "revoked", "expired", "locked out", "lockdown", "not recorded", "no good frame",
	"deadline", "malformed presentation", "other session", "other camera", "other model bundle", "frame order", "stale frame",
	"track lost", "too few frames", "no answer to the lamp", "wrong answer to the lamp", "too bright", "liveness", "not ready",
	"no calibration", "enrolled", "left", "eye lost", "tamper", "enrolled as somebody else", "gallery full", "closed", "flat",
	"suspended", "not permitted", "late answer to the lamp", "early answer to the lamp", "inverted answer to the lamp", "spliced answer to the lamp",
	"no relief", "no texture", "frames out of phase", "face jumped", "relief unknown", "uneven answer to the lamp", "relief in doubt",
	"frame repeated", "another face answered the lamp", "no noise", "restless face", "no glint", "motionless head", "rigid face", "exposure not held",
	"no learned check", "camera stalled", "stale challenge", "unconfirmed", "stepped up", "debug image", "provider dropped", "clock untrusted",
	"too dark to tell", "outside schedule", "no rule for this door", "headquarters stale",
}

// String is the short English name; an unknown number prints as such.
func (r Reason) String() string {
	if int(r) < len(reasonNames) && reasonNames[r] != "" {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason %d", uint16(r))
}
