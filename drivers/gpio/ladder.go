package gpio

import (
	"errors"
	"fmt"
)

// ADC measures the voltage at a supervised contact.
type ADC interface {
	// Sample is the voltage as a part of the reference, 0 to FullScale. An error means that nothing was measured.
	Sample() (int, error)
}

// FullScale is an ADC's reading at its reference voltage: parts per ten thousand, finer than any resistor is exact.
const FullScale = 10_000

// Circuit is what a supervised contact's wires say. The zero value is none of its states: it counts as a fault.
type Circuit uint8

// The states of a circuit.
const (
	Unclear Circuit = iota // a voltage that no state explains: something foreign is on the wires
	Closed                 // the contact is closed
	Opened                 // the contact is open
	Short                  // the wires touch: somebody bridges them
	Cut                    // a wire is cut
)

func (c Circuit) String() string {
	switch c {
	case Closed:
		return "closed"
	case Opened:
		return "opened"
	case Short:
		return "short"
	case Cut:
		return "cut"
	}
	return "unclear"
}

// Fault reports whether the circuit says nothing of the door.
func (c Circuit) Fault() bool { return c != Closed && c != Opened }

// Ladder is a contact with a resistor in series and one across it, at the end of its line, so that a bridged or a cut wire looks like
// neither position of the door. The ADC measures at the wire.
//
//	reference ── PullUp ──┬── wire ── Series ──┬── contact ──┬── ground
//	                     ADC                   └── Across ───┘
type Ladder struct {
	PullUp, Series, Across int // ohms
	Percent                int // what resistors, wires and ADC together are off by at most
}

// rail is how near to the end of the scale bridged and cut wires are read: 2 % leave room for the ohms of a long wire, for moisture
// between its ends and for the ADC's own offset.
const rail = FullScale / 50

// maxOhms keeps the arithmetic small, and stray currents out of the measurement.
const maxOhms = 1_000_000

// band is the readings of a state.
type band struct {
	Circuit
	low, high int
}

// bands are the readings of each state, from low to high.
func (l Ladder) bands() [4]band {
	around := func(c Circuit, ohms int) band {
		// The reading rises with the resistance of the line and falls with that of the pull-up: its extremes are those of the two together.
		less, more := ohms*(100-l.Percent), ohms*(100+l.Percent)
		return band{
			c, FullScale * less / (less + l.PullUp*(100+l.Percent)),
			(FullScale*more + more + l.PullUp*(100-l.Percent) - 1) / (more + l.PullUp*(100-l.Percent)), // rounded up
		}
	}
	return [4]band{
		{Short, 0, rail}, around(Closed, l.Series), around(Opened, l.Series+l.Across), {Cut, FullScale - rail, FullScale},
	}
}

// Validate refuses a ladder whose states cannot be told apart.
func (l Ladder) Validate() error {
	for _, r := range []int{l.PullUp, l.Series, l.Across} {
		if r < 1 || r > maxOhms {
			return fmt.Errorf("ladder: %d ohms is outside 1 to %d", r, maxOhms)
		}
	}
	if l.Percent < 1 || l.Percent > 20 {
		return fmt.Errorf("ladder: %d percent is outside 1 to 20", l.Percent)
	}
	b := l.bands()
	for i := 1; i < len(b); i++ {
		if b[i].low <= b[i-1].high {
			return fmt.Errorf("ladder: %s (to %d) and %s (from %d) cannot be told apart", b[i-1].Circuit, b[i-1].high, b[i].Circuit, b[i].low)
		}
	}
	return nil
}

// Decode is the state that a reading stands for. A ladder that Validate refuses, as the zero one, is always Unclear.
func (l Ladder) Decode(reading int) Circuit {
	if l.Validate() != nil {
		return Unclear
	}
	for _, b := range l.bands() {
		if reading >= b.low && reading <= b.high {
			return b.Circuit
		}
	}
	return Unclear
}

// Read measures and decodes.
func (l Ladder) Read(adc ADC) (Circuit, error) {
	if err := l.Validate(); err != nil {
		return Unclear, err
	}
	reading, err := adc.Sample()
	if err != nil {
		return Unclear, fmt.Errorf("read supervised contact: %w", err)
	}
	if reading < 0 || reading > FullScale {
		return Unclear, errors.New("read supervised contact: the reading is out of the ADC's range")
	}
	return l.Decode(reading), nil
}
