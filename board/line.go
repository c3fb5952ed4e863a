package board

import "time"

// Line names one wire of the door by what it does. The board file says which pin it is and which level means on.
type Line string

// The lines that a board may have. Relay, lamps and indicators are outputs, the others inputs.
const (
	Relay    Line = "relay"   // on releases the door
	Lamp     Line = "lamp"    // on lights the infrared lamp
	Lamp2    Line = "lamp-2"  // on lights the second lamp
	Contact  Line = "contact" // on: the door stands open
	REX      Line = "rex"     // on: somebody inside asks to leave
	Tamper   Line = "tamper"  // on: the enclosure is open
	Fire     Line = "fire"    // on: the fire panel releases the door
	LEDRed   Line = "led-red"
	LEDGreen Line = "led-green"
	LEDBlue  Line = "led-blue"
	Buzzer   Line = "buzzer"
)

// Edge is a change of an input line after debouncing.
type Edge struct {
	Line  Line
	On    bool
	Stamp time.Duration // CLOCK_MONOTONIC
}
