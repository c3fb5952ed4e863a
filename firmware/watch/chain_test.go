package watch

import (
	"crypto/sha256"
	"image"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/inference/face"
)

// inference may not import access, so it numbers the hints itself; here the two lists meet.
func TestHintsOfBothFloorsAgree(t *testing.T) {
	pairs := []struct {
		below face.Hint
		above access.Hint
	}{
		{face.HintNone, access.HintNone}, {face.HintNobody, access.HintNobody}, {face.HintTooFar, access.HintTooFar},
		{face.HintTooClose, access.HintTooClose}, {face.HintTooDark, access.HintTooDark}, {face.HintSaturated, access.HintSaturated},
		{face.HintBlurred, access.HintBlurred}, {face.HintTurned, access.HintTurned}, {face.HintCutOff, access.HintCutOff},
		{face.HintSeveral, access.HintSeveral},
	}
	for i, p := range pairs {
		if access.Hint(p.below) != p.above || int(p.above) != i {
			t.Errorf("hint %d of inference is %v, of access %v", i, access.Hint(p.below), p.above)
		}
	}
}

// A link of the chain depends on every pixel, the sequence, the stamp and the link before.
func TestChainTiesFramesTogether(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 8, 4))
	f := frames.Frame{Image: img, Seq: 7, Stamp: time.Second}
	var c chain
	first := c.link(sha256.Sum256([]byte("nonce")), f)
	seen := map[[32]byte]string{first: "first"}
	add := func(name string, l [32]byte) {
		if other, ok := seen[l]; ok {
			t.Errorf("%s has the link of %s", name, other)
		}
		seen[l] = name
	}
	add("another link before", c.link(first, f))
	g := f
	g.Seq++
	add("another sequence", c.link(sha256.Sum256([]byte("nonce")), g))
	g = f
	g.Stamp++
	add("another stamp", c.link(sha256.Sum256([]byte("nonce")), g))
	for i := range img.Pix {
		img.Pix[i] ^= 1
		add("another pixel", c.link(sha256.Sum256([]byte("nonce")), f))
		img.Pix[i] ^= 1
	}
	if c.link(sha256.Sum256([]byte("nonce")), f) != first {
		t.Error("the same frame gives another link")
	}
}

// What door compares is of the pixels alone: the same picture again has it whatever its number, stamp and place in the chain.
func TestPixelsAreHashedAlone(t *testing.T) {
	f := frames.Frame{Image: image.NewGray(image.Rect(0, 0, 8, 4)), Seq: 7, Stamp: time.Second}
	var c chain
	link := c.link([32]byte{1}, f)
	first := c.newest()
	f.Seq, f.Stamp = 8, 2*time.Second
	c.link(link, f)
	if whole := sha256.Sum256(f.Image.Pix); first != c.newest() || first != access.PixelHash(whole[:]) {
		t.Errorf("%x, then %x, want %x", first, c.newest(), whole)
	}
	f.Image.Pix[9] = 1
	if c.link(link, f); c.newest() == first {
		t.Error("another pixel has the same hash")
	}
}
