package watch

import (
	"errors"
	"fmt"
	"image"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
)

// ErrCamera means that the camera is no longer what it was. It ends eye: door ends the session that runs for a retry, and the supervisor starts an eye
// that opens the camera anew. Going on would not do: frames of an hour ahead are timely to nobody, and the door would be shut without a word.
var ErrCamera = errors.New("camera is not what it was")

// steady is what the frame before was like. The zero steady has seen none.
type steady struct {
	seq   uint64
	stamp time.Duration
	rect  image.Rectangle
}

// longestAge is how late a frame may be looked at, as door takes sightings: the slowest board in use needs 2 s a frame.
const longestAge = 5 * time.Second

// next takes a frame that was looked at now, of a camera with this interval, and says what is wrong with it. A stamp may lie ahead by one interval: where
// a driver stamps the start of an exposure, its end is reckoned.
func (s *steady) next(f frames.Frame, now, interval time.Duration) error {
	before := *s
	*s = steady{f.Seq, f.Stamp, f.Image.Rect}
	switch {
	case f.Stamp > now+interval || f.Stamp < now-longestAge:
		return fmt.Errorf("%w: a frame of %v is looked at at %v", ErrCamera, f.Stamp, now)
	case before == steady{}:
		return nil
	case f.Seq <= before.seq || f.Stamp <= before.stamp:
		return fmt.Errorf("%w: frame %d of %v after %d of %v", ErrCamera, f.Seq, f.Stamp, before.seq, before.stamp)
	case f.Image.Rect != before.rect:
		return fmt.Errorf("%w: frames of %v after %v", ErrCamera, f.Image.Rect.Size(), before.rect.Size())
	}
	return nil
}

// A picture is blank when it has no point between these gray levels: a covered or dead sensor's dark noise lies below, a flooded one's above.
const (
	darkest   = 8
	brightest = 247
)

// blank is the hint to a picture of which nothing can be made out, whoever stands there: HintNobody when something can.
func blank(m *image.Gray) access.Hint {
	dark, bright := true, true
	for y := m.Rect.Min.Y; y < m.Rect.Max.Y && (dark || bright); y += coarse {
		row := m.Pix[m.PixOffset(m.Rect.Min.X, y):][:m.Rect.Dx()]
		for x := 0; x < len(row); x += coarse {
			dark, bright = dark && row[x] <= darkest, bright && row[x] >= brightest
		}
	}
	switch {
	case dark:
		return access.HintTooDark
	case bright:
		return access.HintSaturated
	}
	return access.HintNobody
}
