package face

import (
	"cmp"
	"slices"
)

const (
	// maxFaces bounds the tracks; a door's camera that sees more people than this sees a crowd, and the nearest are kept.
	maxFaces = 16
	// maxMissed is how many looks a track survives without being found: at 30 looks a second a third of a second, longer than a
	// blink of the detector, shorter than two people changing places.
	maxMissed = 10
	// joinOverlap is the least overlap of a detection with the place where a track was last seen for it to be the same face. A head
	// of 0.16 m at walking pace (1.4 m/s) moves 0.05 m between frames at 30 a second, an overlap of 0.5; one missed frame still
	// gives 0.25.
	joinOverlap = 0.2
	// joinSize is the greatest ratio of heights between a track and a detection that continues it.
	joinSize = 1.6
)

type track struct {
	face   Face
	missed int
	joined bool
}

// tracker gives detections of one frame the numbers of the faces of the frames before. The zero value has no tracks.
type tracker struct {
	tracks [maxFaces]track
	n      int
	last   uint32
	faces  [maxFaces]Face
}

func (t *tracker) forget() { t.n = 0 }

// update joins detections, strongest pairs of overlap first, with tracks, starts tracks for the others and drops tracks that were
// missed too often. It returns the faces that were found in this frame, largest first.
func (t *tracker) update(found []detection) []Face {
	for i := range t.tracks[:t.n] {
		t.tracks[i].joined = false
	}
	var taken [maxDetections]bool
	for {
		bestTrack, bestFound, best := -1, -1, float32(joinOverlap)
		for i := range t.tracks[:t.n] {
			if t.tracks[i].joined {
				continue
			}
			for j := range found {
				if taken[j] {
					continue
				}
				if o := likeness(t.tracks[i].face.Box, found[j].box); o > best {
					bestTrack, bestFound, best = i, j, o
				}
			}
		}
		if bestTrack < 0 {
			break
		}
		k := &t.tracks[bestTrack]
		k.joined, k.missed = true, 0
		k.face = Face{Track: k.face.Track, Seen: k.face.Seen + 1, Box: found[bestFound].box, Score: found[bestFound].score}
		taken[bestFound] = true
	}
	kept := 0
	for i := range t.tracks[:t.n] {
		k := t.tracks[i]
		if !k.joined {
			k.missed++
		}
		if k.missed <= maxMissed {
			t.tracks[kept] = k
			kept++
		}
	}
	t.n = kept
	for j := range found {
		if !taken[j] {
			t.start(found[j])
		}
	}
	out := t.faces[:0]
	for i := range t.tracks[:t.n] {
		if t.tracks[i].joined {
			out = append(out, t.tracks[i].face)
		}
	}
	slices.SortStableFunc(out, func(a, b Face) int { return cmp.Compare(b.Box.Height(), a.Box.Height()) })
	return out
}

// start begins a track. When all places are taken it replaces the smallest face, if that is smaller.
func (t *tracker) start(d detection) {
	at := t.n
	if t.n == maxFaces {
		at = 0
		for i := range t.tracks {
			if t.tracks[i].face.Box.Height() < t.tracks[at].face.Box.Height() {
				at = i
			}
		}
		if t.tracks[at].face.Box.Height() >= d.box.Height() {
			return
		}
	} else {
		t.n++
	}
	t.last++
	if t.last == 0 {
		t.last = 1 // 0 means nobody; it comes around after four years of 30 new faces a second
	}
	t.tracks[at] = track{face: Face{Track: t.last, Seen: 1, Box: d.box, Score: d.score}, joined: true}
}

// likeness is the overlap of two boxes, or 0 when their sizes say that they are not the same head.
func likeness(a, b Box) float32 {
	if r := a.Height() / b.Height(); !(r < joinSize && r > 1/joinSize) {
		return 0
	}
	return a.overlap(b)
}
