//go:build !kiosk

package twin

// emitter is an infrared lamp.
type emitter struct {
	place vec // metres, from the lens
	power float64
}

// emitters are that of a board with one lamp, above the lens, and the left and the right one of a board with two, beside it.
var emitters = [...]emitter{{lampPlace, lampPower}, {vec{-beside, 0, 0}, eachPower}, {vec{beside, 0, 0}, eachPower}}

// eachPower is of each of two lamps, as lampPower is of one alone: both together are brighter than that by half, and at the exposure of this camera clip a
// face no nearer than one would at 0.5 m.
const eachPower = .7 * lampPower

// beside is the distance of each of two lamps from the lens, in metres. The nearer they stand, the less they differ on a face; a case for a door frame has
// room for no more.
const beside = 0.08

// share is how much of the exposure an emitter is lit for, 0..1.
func (l *lighting) share(emitter int) float64 {
	if emitter == 0 {
		return l.lamp
	}
	return l.pair[emitter-1]
}

// far is what all emitters give where their distance from each other does not count, in units of the lamp above the lens.
func (l *lighting) far() (sum float64) {
	for i := range emitters {
		sum += l.share(i) * emitters[i].power / lampPower
	}
	return sum
}
