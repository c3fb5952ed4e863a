package access

import (
	"errors"
	"fmt"
	"time"
)

// Policy is the versioned rule set of one door. The zero Policy admits nobody. Its hash, over the deterministic encoding of
// sync/wire, stands in every audit record.
type Policy struct {
	Version uint32 `cbor:"1,keyasint"` // rises with every change; 0 is no policy
	Door    string `cbor:"2,keyasint"` // the access point that this kiosk serves

	// FalseMatchRate is the rate of one comparison at which a stranger may reach the threshold. The calibration table of the
	// model bundle translates it; no threshold stands in code.
	FalseMatchRate float64 `cbor:"3,keyasint"`
	// SiteOffset is added to the translated threshold. A fixed camera gives impostor scores about 0.1 above those of the press
	// photographs that the table was measured on; door can measure its own.
	SiteOffset float32 `cbor:"4,keyasint"`
	// Margin is how far the best person must lie above the second best for the answer to be clear.
	Margin float32 `cbor:"5,keyasint"`

	Profile   Profile         `cbor:"6,keyasint"` // how long the lamp codes are
	Challenge ChallengeLimits `cbor:"7,keyasint"`
	Capture   CaptureLimits   `cbor:"8,keyasint"`

	Deadline    time.Duration `cbor:"9,keyasint"`  // of a session, from its start to its outcome
	RevealAfter time.Duration `cbor:"10,keyasint"` // every denial is shown this long after the end of the code, whatever its cause
	ShowFor     time.Duration `cbor:"11,keyasint"` // how long an outcome is shown
	Cooldown    time.Duration `cbor:"12,keyasint"`
	// GrantPause is how long a face that was granted opens nothing more, so that who stays at the open door does not make it click.
	GrantPause time.Duration `cbor:"19,keyasint"`

	// FailureLimit denied walk-ups within FailureWindow lengthen the cool-down to FailureCooldown. They never shut the door for
	// those who pass.
	FailureLimit    uint8         `cbor:"13,keyasint"`
	FailureWindow   time.Duration `cbor:"14,keyasint"`
	FailureCooldown time.Duration `cbor:"15,keyasint"`

	EnrolReferences uint8 `cbor:"16,keyasint"` // kept for a person by one enrolment session
	EnrolFused      uint8 `cbor:"17,keyasint"` // frames that a reference is fused from

	Times DoorTimes `cbor:"18,keyasint"`

	// PersonLimit refusals of one person within PersonWindow lock that person out for PersonLock.
	PersonLimit  uint8         `cbor:"20,keyasint"`
	PersonWindow time.Duration `cbor:"21,keyasint"`
	PersonLock   time.Duration `cbor:"22,keyasint"`

	// LookAlike is how far below the threshold another person may score and still be reported to whoever enrols: the two may one day
	// be taken for each other.
	LookAlike float32 `cbor:"23,keyasint"`

	Keep Retention `cbor:"24,keyasint"`

	Signals SignalRules `cbor:"31,keyasint"`
	// Quota attempts of one presence that were denied, or left uncertain between two people, lengthen the cool-down, and from then on each session of
	// that presence must clear a higher bar.
	Quota uint8 `cbor:"32,keyasint"`
	// After MaterialLimit presentations of one material within FailureWindow, by whomever, each further one spends the quota of its presence at once.
	MaterialLimit uint8    `cbor:"33,keyasint"`
	Follow        Follow   `cbor:"34,keyasint"`
	Evidence      Evidence `cbor:"40,keyasint"` // for reviewers; none by default
}

// DefaultPolicy is the embedded default: an office door.
func DefaultPolicy() Policy {
	return Policy{
		Version:        1,
		Door:           "front",
		FalseMatchRate: 1e-5,
		SiteOffset:     0.05,
		Margin:         0.04,
		Profile:        Office,
		Challenge: ChallengeLimits{
			MinDepth:     8, // about four times the noise of a patch mean on the twin's sensor
			RankMargin:   0.5,
			MinRingRatio: 1.7,
			MinRelief:    0.12,
			BrightLevel:  170, // peers refuse every genuine person above an ambient level of 170 (irlume); we say why
		},
		Capture: CaptureLimits{
			MaxGap:     150 * time.Millisecond, // four frames at 30 a second
			MinFused:   2,
			MinOverlap: 0.4,
			MinTexture: 3,
			// Set on seed set A of tests/pad, like the others; docs/PAD.md says what they are worth.
			MinNoise:     0.2, // the least of a living person's frames was .5
			MaxRestless:  14,  // the most was 9
			MinReflected: 0.2, // the least was .29
		},
		Deadline:        5 * time.Second,
		RevealAfter:     500 * time.Millisecond,
		ShowFor:         600 * time.Millisecond,
		Cooldown:        200 * time.Millisecond,
		GrantPause:      4 * time.Second,
		FailureLimit:    20,
		FailureWindow:   time.Hour,
		FailureCooldown: 3 * time.Second,
		EnrolReferences: 3,
		EnrolFused:      3,
		Times:           DefaultDoorTimes(),
		PersonLimit:     5,
		PersonWindow:    time.Hour,
		PersonLock:      15 * time.Minute,
		LookAlike:       0.15,
		Keep:            DefaultRetention(),
		Quota:           3,
		MaterialLimit:   3,
	}
}

// Validate refuses a policy that is incomplete or would switch a protection off.
func (p Policy) Validate() error {
	switch {
	case p.Version == 0:
		return errors.New("policy: version 0 is no policy")
	case p.Door == "" || len(p.Door) > 64:
		return errors.New("policy: door name of 1 to 64 bytes wanted")
	case !(p.FalseMatchRate > 0 && p.FalseMatchRate <= 1e-3):
		return fmt.Errorf("policy: false-match rate %g outside 0..1e-3", p.FalseMatchRate)
	case !(p.SiteOffset >= 0 && p.SiteOffset <= 0.3):
		return fmt.Errorf("policy: site offset %g outside 0..0.3", p.SiteOffset)
	case !(p.Margin >= 0 && p.Margin <= 0.3):
		return fmt.Errorf("policy: margin %g outside 0..0.3", p.Margin)
	case p.Profile < Office || p.Profile > High:
		return fmt.Errorf("policy: profile %d, want office, restricted or high", p.Profile)
	case p.Profile == High && !p.Challenge.NeedRelief:
		return errors.New("policy: a door of the high profile must need relief")
	case p.Deadline < time.Second || p.Deadline > 8*time.Second:
		return fmt.Errorf("policy: session deadline %v outside 1s..8s", p.Deadline)
	case p.RevealAfter <= 0 || p.RevealAfter > p.Deadline:
		return fmt.Errorf("policy: denials shown after %v, outside 0..the deadline", p.RevealAfter)
	case p.ShowFor <= 0 || p.ShowFor > 10*time.Second:
		return fmt.Errorf("policy: outcome shown for %v, outside 0..10s", p.ShowFor)
	case p.Cooldown < 100*time.Millisecond || p.Cooldown > 10*time.Second:
		return fmt.Errorf("policy: cool-down %v outside 100ms..10s", p.Cooldown)
	case p.GrantPause < 0 || p.GrantPause > time.Minute:
		return fmt.Errorf("policy: pause after a grant %v outside 0..1m", p.GrantPause)
	case p.FailureLimit == 0 || p.FailureWindow < time.Minute || p.FailureCooldown < p.Cooldown || p.FailureCooldown > time.Minute:
		return errors.New("policy: the limit on failures cannot be switched off (limit 1 or more, window 1m or more, cool-down up to 1m)")
	case p.PersonLimit < 1 || p.PersonLimit > 20 || p.PersonWindow < time.Minute || p.PersonWindow > day || p.PersonLock < time.Minute || p.PersonLock > day:
		return errors.New("policy: the lockout of a person cannot be switched off (limit 1..20, window and lock 1m..24h)")
	case p.Quota < 1 || p.Quota > 10:
		return fmt.Errorf("policy: quota of %d attempts outside 1..10", p.Quota)
	case p.MaterialLimit < 1 || p.MaterialLimit > maxMaterialLimit:
		return fmt.Errorf("policy: limit of %d presentations of one material outside 1..%d", p.MaterialLimit, maxMaterialLimit)
	case !(p.LookAlike >= 0 && p.LookAlike <= 0.5):
		return fmt.Errorf("policy: look-alike distance %g outside 0..0.5", p.LookAlike)
	case p.EnrolReferences == 0 || p.EnrolReferences > 16 || p.EnrolFused == 0:
		return errors.New("policy: an enrolment keeps 1 to 16 references of one frame or more")
	}
	if err := p.Capture.Validate(); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	if err := p.Challenge.Validate(); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	if err := p.Times.Validate(); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	if err := p.Keep.Validate(); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	if err := p.Signals.Validate(); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	if err := p.Follow.Validate(); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	if err := p.Evidence.Validate(); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	return nil
}
