package ipc

import "fmt"

// Blindness is why eye sees nothing. The zero Blindness is none: it sees.
type Blindness uint8

// Append only.
const (
	Sees         Blindness = 0
	NoCamera     Blindness = 1 // at the place that the board names
	OtherCamera  Blindness = 2 // it does not deliver what the board asks for
	ColourCamera Blindness = 3 // nothing speaks for infrared
	TwoCameras   Blindness = 4 // or more fit the board
	BusyCamera   Blindness = 5
	FrozenCamera Blindness = 6

	blindnessEnd = 7
)

// String says it to whoever mends it.
func (b Blindness) String() string {
	switch b {
	case Sees:
		return "it sees"
	case NoCamera:
		return "none is where the board has it"
	case OtherCamera:
		return "it does not deliver what the board asks for"
	case ColourCamera:
		return "it shows colour"
	case TwoCameras:
		return "more than one fits the board"
	case BusyCamera:
		return "another program has it"
	case FrozenCamera:
		return "it delivers no frames"
	}
	return fmt.Sprintf("blindness %d", uint8(b))
}
