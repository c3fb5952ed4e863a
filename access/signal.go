package access

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Signal is something that door knows beside the evidence of a walk-up and that weighs against it, whatever the score.
type Signal uint8

// Append only: policies and records name them.
const (
	SignalTamper         Signal = 0 // the enclosure is open
	SignalLockdown       Signal = 1 // the access point is locked down
	SignalDebugImage     Signal = 2 // what is measured of this kiosk allows debugging
	SignalCameraChanged  Signal = 3 // another camera than the pinned one
	SignalStaleChallenge Signal = 4 // the decision falls after the session's deadline
	SignalFailures       Signal = 5 // the door's limit on failures is reached
	SignalPresence       Signal = 6 // whoever stands there has used up a quota of attempts
	SignalProvider       Signal = 7 // an execution provider was dropped
	SignalClock          Signal = 8 // nobody vouches for the time of day
	SignalStale          Signal = 9 // headquarters was not heard for too long: what it has ordered may not be known here

	signalEnd = 10
)

// Effect is what a signal does to a walk-up. A stronger one has a higher number; the zero Effect does nothing but stand in the record.
type Effect uint8

// Append only.
const (
	EffectNone    Effect = 0
	EffectStepUp  Effect = 1 // the session must clear a higher Bar
	EffectConfirm Effect = 2 // the same, and an operator must say who it is
	EffectDeny    Effect = 3
)

// String is the word for the effect.
func (e Effect) String() string {
	switch e {
	case EffectNone:
		return "nothing"
	case EffectStepUp:
		return "step up"
	case EffectConfirm:
		return "confirm"
	case EffectDeny:
		return "deny"
	}
	return fmt.Sprintf("effect %d", uint8(e))
}

// weigh is the table: the least that a signal does, the most that a policy may make of it, and why it denies if it does. A signal that the table does
// not know denies. What whoever stands at the door can cause denies nobody else: failures of one must not shut the door for those who pass.
func (s Signal) weigh() (name string, least, most Effect, why Reason) {
	switch s {
	case SignalTamper:
		return "tamper", EffectDeny, EffectDeny, ReasonTamper
	case SignalLockdown:
		return "lockdown", EffectDeny, EffectDeny, ReasonLockdown
	case SignalDebugImage:
		return "debug image", EffectDeny, EffectDeny, ReasonDebugImage
	case SignalCameraChanged:
		return "camera changed", EffectDeny, EffectDeny, ReasonOtherCamera
	case SignalStaleChallenge:
		return "stale challenge", EffectDeny, EffectDeny, ReasonStaleChallenge
	case SignalFailures:
		return "failures", EffectStepUp, EffectStepUp, ReasonNone
	case SignalPresence:
		return "attempts used up", EffectStepUp, EffectConfirm, ReasonNone
	case SignalProvider:
		return "provider dropped", EffectStepUp, EffectDeny, ReasonProvider
	case SignalClock: // nothing that this kiosk decides rests on a schedule yet
		return "clock untrusted", EffectNone, EffectDeny, ReasonClock
	case SignalStale:
		return "headquarters stale", EffectNone, EffectDeny, ReasonStale
	}
	return "unknown signal", EffectDeny, EffectDeny, ReasonNotReady
}

// String is the name in records.
func (s Signal) String() string {
	name, _, _, _ := s.weigh()
	return name
}

// Signals is a set. The zero Signals is empty.
type Signals uint16

// Has reports whether a signal is up.
func (s Signals) Has(x Signal) bool { return s>>x&1 == 1 }

// With is the set with a signal up or not.
func (s Signals) With(x Signal, up bool) Signals {
	if up {
		return s | 1<<x
	}
	return s &^ (1 << x)
}

// signals is the number of those that a Signals has room for, known or not.
const signals = 16

// String lists the names, for the record.
func (s Signals) String() string {
	var names []string
	for x := range Signal(signals) {
		if s.Has(x) {
			names = append(names, x.String())
		}
	}
	return strings.Join(names, ", ")
}

// SignalRules are what a policy makes of signals beyond the table. The zero SignalRules leave the table as it is; nothing makes a signal weaker.
type SignalRules struct {
	StepUp  Signals `cbor:"1,keyasint"`
	Confirm Signals `cbor:"2,keyasint"`
	Deny    Signals `cbor:"3,keyasint"`
	Relief  bool    `cbor:"4,keyasint"` // a session that is stepped up needs relief, too
}

// Validate refuses a rule that would weaken a signal, or make more of it than the table allows.
func (r SignalRules) Validate() error {
	if r.StepUp&r.Confirm|r.Confirm&r.Deny|r.StepUp&r.Deny != 0 {
		return errors.New("signals: a signal has two effects")
	}
	for x := range Signal(signals) {
		rule, ruled := r.effect(x)
		if !ruled {
			continue
		}
		name, least, most, _ := x.weigh()
		switch {
		case x >= signalEnd:
			return fmt.Errorf("signals: there is no signal %d", x)
		case rule <= least:
			return fmt.Errorf("signals: the rule for %q is no stronger than the table", name)
		case rule > most:
			return fmt.Errorf("signals: %q must not have such an effect", name)
		}
	}
	return nil
}

// with are the rules with another one for a signal: that an operator's word is wanted, or that it denies. EffectNone leaves them as they are.
func (r SignalRules) with(x Signal, e Effect) (SignalRules, error) {
	if e == EffectNone {
		return r, nil
	}
	if own, _ := r.effect(x); e < own || e != EffectConfirm && e != EffectDeny {
		return SignalRules{}, fmt.Errorf("%v: %q, want %q or %q, and no less than the kiosk's own, %q", x, e, EffectConfirm, EffectDeny, own)
	}
	r.StepUp, r.Confirm, r.Deny = r.StepUp.With(x, false), r.Confirm.With(x, e == EffectConfirm), r.Deny.With(x, e == EffectDeny)
	return r, nil
}

// effect is the rule for a signal, if there is one.
func (r SignalRules) effect(x Signal) (e Effect, ruled bool) {
	switch {
	case r.Deny.Has(x):
		return EffectDeny, true
	case r.Confirm.Has(x):
		return EffectConfirm, true
	case r.StepUp.Has(x):
		return EffectStepUp, true
	}
	return EffectNone, false
}

// Denying is the reason of the first of these signals that denies; ReasonNone where none does.
func (p Policy) Denying(up Signals) Reason {
	if strongest, _, why := p.heed(up); strongest >= EffectDeny {
		return why
	}
	return ReasonNone
}

// heed is what all signals that are up come to: the strongest effect, whether the bar is higher, and the reason of the first that denies.
func (p Policy) heed(up Signals) (strongest Effect, higher bool, why Reason) {
	for x := range Signal(signals) {
		if !up.Has(x) {
			continue
		}
		_, e, _, reason := x.weigh()
		if rule, ruled := p.Signals.effect(x); ruled {
			e = max(e, rule)
		}
		if e == EffectDeny && strongest < EffectDeny {
			why = reason
		}
		strongest, higher = max(strongest, e), higher || e == EffectStepUp || e == EffectConfirm
	}
	return strongest, higher, why
}

// A Bar is what a session was made to clear. The zero Bar clears nothing.
type Bar struct {
	Profile    Profile // of the lamp's code
	NeedRelief bool
}

// Bar is what a session must clear while these signals are up: one profile above the policy's if any of them steps up.
func (p Policy) Bar(up Signals) Bar {
	b := Bar{p.Profile, p.Challenge.NeedRelief}
	if _, higher, _ := p.heed(up); higher {
		b.Profile, b.NeedRelief = b.Profile.Above(), b.NeedRelief || p.Signals.Relief
	}
	return b
}

// clears reports whether a session with this bar asked for no less than another.
func (b Bar) clears(want Bar) bool {
	return b.Profile >= want.Profile && (b.NeedRelief || !want.NeedRelief)
}

// Stale is SignalStaleChallenge of a session that was opened at one instant and is decided at another, both CLOCK_MONOTONIC.
func (p Policy) Stale(opened, now time.Duration) Signals {
	return Signals(0).With(SignalStaleChallenge, now < opened || now-opened > p.Deadline)
}
