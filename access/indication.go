package access

// Indication is what the person at the door sees and hears.
type Indication struct {
	LED     Colour        `cbor:"1,keyasint"`
	Pattern LEDPattern    `cbor:"2,keyasint"`
	Buzzer  BuzzerPattern `cbor:"3,keyasint"`
	Text    string        `cbor:"4,keyasint"` // plain English, at most MaxText bytes
}

// MaxText is the width of one line of a small display, in bytes.
const MaxText = 32

// Colour of the LED. Colour alone never carries the meaning: the pattern differs too.
type Colour uint8

const (
	Unlit Colour = 0
	Red   Colour = 1
	Green Colour = 2
	Blue  Colour = 3
	Amber Colour = 4
	White Colour = 5
)

// LEDPattern is how the LED is lit in time. None is faster than 3 flashes a second (WCAG 2.3.1, photosensitive epilepsy).
type LEDPattern uint8

const (
	Dark    LEDPattern = 0
	Steady  LEDPattern = 1
	Breathe LEDPattern = 2 // long on, short off, every 2 s
	Blink   LEDPattern = 3 // half a second on, half off
	Flash   LEDPattern = 4 // 200 ms on, 200 ms off
	Wink    LEDPattern = 5 // two short flashes, then a pause
)

// BuzzerPattern is what the buzzer plays.
type BuzzerPattern uint8

const (
	Silent   BuzzerPattern = 0
	Chirp    BuzzerPattern = 1 // once, short: granted
	LowBuzz  BuzzerPattern = 2 // once, long: denied
	Reminder BuzzerPattern = 3 // a short tone every second: close the door
	Alarm    BuzzerPattern = 4 // on and off without end
)

// IndicateDoor is what the door itself shows while nobody walks up. Tamper shows nothing: whoever opens the enclosure should not
// learn that it is noticed.
func IndicateDoor(a AccessPoint) Indication {
	switch a.State {
	case FireReleased:
		return Indication{Green, Flash, Alarm, "Emergency: door is open"}
	case ForcedOpen:
		return Indication{Red, Flash, Alarm, "Alarm: door forced open"}
	case HeldOpen:
		return Indication{Red, Flash, Alarm, "Alarm: close the door"}
	case Open:
		if a.Warned {
			return Indication{Amber, Blink, Reminder, "Please close the door"}
		}
		return Indication{Green, Breathe, Silent, "Door is open"}
	case Released:
		return Indication{Green, Steady, Silent, "Door is released"}
	case LockedDown:
		return Indication{Red, Breathe, Silent, "Entrance closed"}
	case Secured:
		return Indication{Blue, Breathe, Silent, "Look at the camera"}
	}
	return IndicateOutOfOrder()
}

// IndicateStarting is shown until the kiosk can recognise anybody; the exit works meanwhile.
func IndicateStarting() Indication { return Indication{Amber, Breathe, Silent, "Starting: one moment"} }

// IndicateOutOfOrder is shown while the kiosk can recognise nobody.
func IndicateOutOfOrder() Indication { return Indication{Red, Breathe, Silent, "Out of order"} }

// IndicateHint is what the person can do so that the next frame is better. It is shown before the lamp code starts, never after.
// HintNone and HintNobody show nothing: the door's own indication stands.
func IndicateHint(h Hint) Indication {
	say := func(text string) Indication { return Indication{White, Blink, Silent, text} }
	switch h {
	case HintNone, HintNobody:
		return Indication{}
	case HintTooFar:
		return say("Come closer")
	case HintTooClose:
		return say("Step back a little")
	case HintTooDark:
		return say("More light, please")
	case HintSaturated:
		return say("Too bright: shade the camera")
	case HintBlurred:
		return say("Hold still")
	case HintTurned:
		return say("Look into the camera")
	case HintCutOff:
		return say("Step into the middle")
	case HintSeveral:
		return say("One person at a time")
	}
	return say("Look into the camera")
}

// IndicateVerdict is what an outcome looks and sounds like. It is not told the reason, so that attack, unknown, not permitted and
// locked out cannot but look alike; an unknown verdict denies. So the words of a denial hint at every cause: who comes at the wrong hour, and is known, is
// told no more than a stranger.
func IndicateVerdict(v Verdict) Indication {
	switch v {
	case Granted:
		return Indication{Green, Steady, Chirp, "Welcome"}
	case Retry:
		return Indication{Amber, Wink, Silent, "Please try again"}
	case Uncertain:
		return Indication{Amber, Steady, LowBuzz, "Please ask for assistance"}
	}
	return Indication{Red, Wink, LowBuzz, "Not recognised or not permitted"}
}

// IndicateSession is what the walk-up shows. Capturing, Assessing and Comparing look alike: nobody learns how far they came.
// The zero Indication leaves the door's own standing.
func IndicateSession(s SessionState, h Hint, v Verdict) Indication {
	switch s {
	case Idle:
		return IndicateHint(h)
	case Capturing, Assessing, Comparing:
		return Indication{White, Steady, Silent, "One moment"}
	case Showing:
		return IndicateVerdict(v)
	}
	return Indication{}
}

// Combine is what is shown when a door and a walk-up both have something to say. Fire and alarms leave no room for anything else;
// then the walk-up speaks, unless it has nothing to say. A reminder to close the door is heard all the same.
func Combine(a AccessPoint, walkup Indication) Indication {
	door := IndicateDoor(a)
	switch {
	case a.State == FireReleased, a.State == HeldOpen, a.State == ForcedOpen, walkup == Indication{}:
		return door
	case door.Buzzer != Silent:
		walkup.Buzzer = door.Buzzer
	}
	return walkup
}
