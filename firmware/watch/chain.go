package watch

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
)

// chain hashes frames into the chain of a session. It keeps its hash, so that a frame costs no allocation. The zero chain is ready.
type chain struct {
	pixels hash.Hash
	buf    [32 + 32 + 8 + 8]byte
}

// link is the next link; see access.FrameEvidence.Chain.
func (c *chain) link(before [32]byte, f frames.Frame) [32]byte {
	if c.pixels == nil {
		c.pixels = sha256.New()
	}
	c.pixels.Reset()
	r := f.Image.Rect
	for y := r.Min.Y; y < r.Max.Y; y++ {
		i := f.Image.PixOffset(r.Min.X, y)
		c.pixels.Write(f.Image.Pix[i : i+r.Dx()])
	}
	copy(c.buf[:], before[:])
	c.pixels.Sum(c.buf[32:32])
	binary.BigEndian.PutUint64(c.buf[64:], f.Seq)
	binary.BigEndian.PutUint64(c.buf[72:], uint64(f.Stamp))
	return sha256.Sum256(c.buf[:])
}

// newest is of the pixels that were linked last.
func (c *chain) newest() access.PixelHash { return access.PixelHash(c.buf[32:]) }
