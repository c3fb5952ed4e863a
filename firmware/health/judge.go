package health

import (
	"fmt"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/frames"
)

// Each judge says in which state a part is, and why when it does not work. They are pure: the same words for the same facts.

// JudgeRelay compares what the relay's line was set to with what it reads back. It knows the line and not the lock: that the door follows is for the
// contact to say.
func JudgeRelay(want, have bool, err error) (State, string) {
	switch {
	case err != nil:
		return Missing, clip(err.Error(), MaxSentence)
	case want && !have:
		return Missing, "set to release, reads secured"
	case !want && have:
		return Impaired, "set to secure, reads released"
	}
	return Works, ""
}

// JudgeCamera compares the camera that delivers with the one that the board names. What it says of itself is evidence, and not a name to trust.
func JudgeCamera(have frames.Camera, want board.Camera) (State, string) {
	format := fmt.Sprintf("%s %dx%d", want.Format, want.Width, want.Height)
	interval := time.Second / time.Duration(max(1, want.FPS))
	switch {
	case have == frames.Camera{}:
		return Missing, "no camera"
	case have.Virtual && !want.Loopback:
		return Missing, "no light falls on a sensor: a virtual camera"
	case (have.Driver == "twin") != (want.Kind == board.CameraTwin):
		return Missing, fmt.Sprintf("driver %.32q, the board names %q", have.Driver, want.Kind)
	case want.Bus != "" && have.Bus != want.Bus && have.Port != want.Bus: // a board may name either
		return Missing, fmt.Sprintf("at %.64q, the board names %q", have.Bus, want.Bus)
	case !strings.HasPrefix(have.Format, format):
		return Missing, fmt.Sprintf("delivers %.32q, the board names %q", have.Format, format)
	case have.Interval < interval*9/10 || have.Interval > interval*11/10:
		return Impaired, fmt.Sprintf("a frame each %v, the board names %v", have.Interval.Round(ms), interval.Round(ms))
	}
	return Works, ""
}

// weakLamp is in gray levels of the whole picture: below it a face at arm's length hardly answers. Chosen, not measured: there is no product lamp yet.
const weakLamp = 1.5

// longestChip is in frames: a code whose chips last longer takes more time than anybody stands still.
const longestChip = 3

// JudgeLamp judges the lamp and its delay by how the camera answered; found is that of access.Respond. interval is the time from frame to frame. A chip
// of the code must hold a whole exposure wherever its stamp strays; where that takes more than one frame, only the short codes can be shown.
func JudgeLamp(r access.Response, found bool, interval time.Duration) (lamp, delay State, why string) {
	switch {
	case found:
	case r.Unseen == 1:
		return Missing, Missing, "the left one of two does not answer"
	case r.Unseen == 2:
		return Missing, Missing, "the right one of two does not answer"
	default:
		return Missing, Missing, fmt.Sprintf("it does not answer in %d frames", r.Frames)
	}
	lamp, delay = Works, Works
	if !(r.Depth >= weakLamp) { // not a number is weak
		lamp, why = Impaired, fmt.Sprintf("lit and dark differ by %.2f gray levels", r.Depth)
	}
	switch chip := r.Exposure + 2*r.Spread; {
	case chip > longestChip*interval:
		delay = Missing
	case chip > interval:
		delay = Impaired
	default:
		return lamp, delay, why
	}
	return lamp, delay, fmt.Sprintf("stamps stray by %v, exposure %v, a frame each %v", r.Spread.Round(ms), r.Exposure.Round(ms), interval.Round(ms))
}

const ms = time.Millisecond

// Space is the room that the logs and the vault have.
type Space struct {
	Free          uint64 // bytes on the partition
	Reserve, Want int    // segments of the audit log's reserve: kept free, and wanted
	Turned        bool   // a record was turned away for want of room
}

// leastFree is what the vault needs to write a change beside the old page tree, and the log to begin a segment of 1 MiB.
const leastFree = 4 << 20

// JudgeStorage judges the room on the partition.
func JudgeStorage(s Space) (State, string) {
	switch {
	case s.Free < leastFree && s.Reserve == 0: // the log's reserve is there for grants when nothing else is
		return Missing, fmt.Sprintf("%d KiB free", s.Free>>10)
	case s.Free < leastFree:
		return Impaired, fmt.Sprintf("%d KiB free", s.Free>>10)
	case s.Reserve < s.Want || s.Turned:
		return Impaired, fmt.Sprintf("%d of %d segments in reserve", s.Reserve, s.Want)
	}
	return Works, ""
}
