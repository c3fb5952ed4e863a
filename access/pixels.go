package access

import "slices"

// A PixelHash is the beginning of the SHA-256 of a frame's pixels, the one that FrameEvidence.Chain holds whole: enough to tell frames apart.
type PixelHash [8]byte

// MaxShown bounds the frames of earlier sessions that are remembered: about 16 sessions of an office door in 4 KiB.
const MaxShown = 512

// Remember adds the frames of a presentation to those of the sessions before, and forgets the oldest.
func Remember(shown []PixelHash, frames []FrameEvidence) []PixelHash {
	for _, f := range frames[:min(len(frames), MaxFrames)] {
		if !f.blank() {
			shown = append(shown, f.Pixels)
		}
	}
	return shown[max(len(shown)-MaxShown, 0):]
}

// repeated counts the frames whose pixels are those of another one. The noise of a sensor never comes twice, over 300,000 pixels.
func (o Opened) repeated(frames []FrameEvidence) (n int) {
	for i, f := range frames {
		if f.blank() {
			continue
		}
		same := func(g FrameEvidence) bool { return g.Pixels == f.Pixels }
		if slices.ContainsFunc(frames[:i], same) || slices.Contains(o.Shown, f.Pixels) {
			n++
		}
	}
	return n
}

// A frame between these gray levels has noise. Below and above them a sensor may clip the whole picture, and all such pictures are one.
const (
	leastNoisy = 1
	mostNoisy  = 254
)

// blank reports whether everything that was measured in a frame is black, or white.
func (f *FrameEvidence) blank() bool {
	least, most := f.Ring, f.Ring
	for _, v := range f.Level {
		least, most = min(least, v), max(most, v)
	}
	return most < leastNoisy || least > mostNoisy
}
