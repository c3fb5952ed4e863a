package access

import "time"

// A Material is a class of what was presented in an attack, as far as the checks can tell. The zero Material is none.
type Material uint8

// Append only: records and reviews name them.
const (
	MaterialNone    Material = 0
	MaterialSheet   Material = 1 // answers the lamp as a sheet does: a print, a film, a cut-out
	MaterialScreen  Material = 2 // does not answer the lamp: a screen, a frozen picture
	MaterialReplay  Material = 3 // answers another code, or this one at another time, or with frames that were seen before
	MaterialForged  Material = 4 // evidence that is not of this session, camera or time, or of no sensor
	MaterialUnnamed Material = 5 // an attack of which no more is known

	materials = 6
)

// Material is the class of what fails a check for this reason; MaterialNone when the reason is not the mark of an attack.
func (r Reason) Material() Material {
	switch r {
	case ReasonFlat, ReasonNoRelief:
		return MaterialSheet
	case ReasonNoAnswer, ReasonNoTexture:
		return MaterialScreen
	case ReasonWrongAnswer, ReasonLateAnswer, ReasonEarlyAnswer, ReasonInverted, ReasonSpliced, ReasonRepeated:
		return MaterialReplay
	case ReasonMalformed, ReasonOtherSession, ReasonOtherCamera, ReasonOtherBundle, ReasonFrameOrder, ReasonFrameStale, ReasonPhase, ReasonNoNoise:
		return MaterialForged
	}
	if r.Attack() {
		return MaterialUnnamed
	}
	return MaterialNone
}

// String is the word in records.
func (m Material) String() string {
	names := [...]string{"none", "sheet", "screen", "replay", "forged", "unnamed"}
	if int(m) < len(names) {
		return names[m]
	}
	return "unknown material"
}

// Tried remembers which materials were presented, and when, CLOCK_MONOTONIC. It lives in memory alone. The zero Tried remembers nothing.
type Tried struct {
	at [materials][maxMaterialLimit]time.Duration // of each the newest, in no order; zero is never
}

// maxMaterialLimit bounds what is remembered of one material.
const maxMaterialLimit = 20

// Note remembers one presentation more, in the place of the oldest, and reports whether it is beyond the policy's limit on this material within its
// window. MaterialNone is nobody's.
func (t *Tried) Note(m Material, now time.Duration, p Policy) (again bool) {
	if m == MaterialNone || m >= materials {
		return false
	}
	oldest, within := 0, 1
	for i, at := range t.at[m] {
		if at < t.at[m][oldest] {
			oldest = i
		}
		if at > 0 && now-at <= p.FailureWindow {
			within++
		}
	}
	t.at[m][oldest] = now
	return within > int(p.MaterialLimit)
}
