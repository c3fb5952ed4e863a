package face

import "math"

const (
	// equallyNear is the weight of the runner-up, in parts of the leader's, from which nobody is clearly at the door. Heads of equal
	// size at 0.60 m and 0.75 m have this ratio of heights.
	equallyNear = 0.8
	// heldBonus is what the face that was chosen before may weigh more, so that the choice does not flicker between two people.
	heldBonus = 1.25
	// settled is the number of looks after which a face counts as staying: half a second at 30 looks a second. Before, it weighs
	// less, by at most the part newcomer.
	settled  = 15
	newcomer = 0.3
	// aside is what a face at the left or right border loses against one in the middle.
	aside = 0.5
)

// Choose says which face of a frame of the given size is at the door: the nearest, most centred one that stays.
//
// Each face weighs its height, less up to half with the distance of its centre from the middle of the frame (all of the half when that is
// half the frame's diagonal), less up to three tenths while it has been followed for less than 15 looks. The face of the track
// held, the one chosen before (0 for none), weighs a quarter more. The heaviest is at the door. When the runner-up weighs 0.8 of
// it or more, nobody is clearly at the door: the index is still the heaviest's, with HintSeveral. Without faces the index is -1, with
// HintNobody.
func Choose(faces []Face, width, height int, held uint32) (int, Hint) {
	best, first, second := -1, 0.0, 0.0
	for i := range faces {
		f := &faces[i]
		c := f.Box.Center()
		off := math.Hypot(float64(c.X)-float64(width)/2, float64(c.Y)-float64(height)/2) / (math.Hypot(float64(width), float64(height)) / 2)
		w := float64(f.Box.Height()) * (1 - aside*min(off, 1)) * (1 - newcomer*(1-float64(min(f.Seen, settled))/settled))
		if held != 0 && f.Track == held {
			w *= heldBonus
		}
		if !(w > 0) {
			continue
		}
		if w > first {
			best, first, second = i, w, first
		} else if w > second {
			second = w
		}
	}
	switch {
	case best < 0:
		return -1, HintNobody
	case second >= equallyNear*first:
		return best, HintSeveral
	}
	return best, HintNone
}
