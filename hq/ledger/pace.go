package ledger

import (
	"fmt"
	"time"
)

// slack is how much of the time that has passed a TPM's clock may lose against headquarters': one part in so many. The clocks of discrete TPMs run by
// oscillators without a crystal; a real one's rate was not measured yet.
const slack = 100

// pace is how headquarters' clock stands to a TPM's, while that runs without a break. The zero pace is none.
type pace struct {
	Ahead int64 `cbor:"1,keyasint"` // ms by which headquarters' clock was ahead of the TPM's when the two were nearest
	At    int64 `cbor:"2,keyasint"` // when that was, Unix ms by headquarters' clock; 0: never
}

// keepTime holds a checkpoint that is new to the time that has passed. A TPM attests no time that is still to come: so however slowly a carrier lets the
// kiosk's signatures through, each shows how old it is against the one that came the fastest.
func (k *kiosk) keepTime(c signed, fresh bool, now time.Time) {
	s := &k.state
	if !c.Attested {
		if fresh && c.Time != [32]byte{} && k.bare.IsZero() {
			k.bare = now
		}
		return
	}
	if !s.Clocked.none() && c.clock(s.Clocked) <= 0 {
		return
	}
	ahead := now.UnixMilli() - int64(c.Clock)
	if s.Clocked.none() || c.Resets != s.Clocked.Resets || c.Restarts != s.Clocked.Restarts || s.Pace.At == 0 || ahead <= s.Pace.Ahead {
		s.Pace = pace{ahead, now.UnixMilli()} // after a break in which the clock stood still nobody knows more
	}
	s.Clocked, k.unsaved, k.bare = c, true, time.Time{}
	k.over(AlarmClock, now)
	late := time.Duration(ahead-s.Pace.Ahead) * time.Millisecond
	if late > k.options.Silence+time.Duration(now.UnixMilli()-s.Pace.At)*time.Millisecond/slack {
		k.alarm(AlarmDelay, fmt.Sprintf("what it signs comes %v later than it did", late.Round(time.Second)), c.Note, now)
	} else {
		k.over(AlarmDelay, now)
	}
}
