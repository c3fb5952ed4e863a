package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault/locked"
)

const dim = access.ProbeSize

// A rotation is an orthogonal matrix Q of dim x dim, drawn from a secret seed uniformly among all of them (Haar measure). Templates
// are stored as Q·t and probes compared as Q·p: lengths and cosines stay, so scores stay.
//
// What it gives. One stored template without Q is a uniformly random direction: it cannot be compared with a photograph, with
// another kiosk's templates, or with those from before a new Q. k known pairs (t, Q·t) tell Q on their span and nothing beside it.
//
// What it does not give. Cosines between the templates of one set are those of the people: two leaked sets that share people are
// linked by them alone, and dim known pairs give Q. It is no encryption and not irreversible: with Q a template is a face again.
// A structured transform (signs, permutations, Hadamard) would be faster and have fewer unknowns; at 0.1 ms a probe it need not be.
type rotation struct {
	turn    uint64    // which seed
	rows    []float32 // dim rows of dim, in locked pages
	release func()
	locked  bool
}

// newRotation builds Q by Stewart's recursion: a uniform matrix of order m is a reflection that takes the first axis to a uniform
// direction, times a uniform matrix of order m-1. The seed's stream and the arithmetic fix it up to rounding, on every machine.
func newRotation(seed [32]byte, turn uint64) (*rotation, error) {
	rows, release, isLocked, err := locked.Slab(dim * dim)
	if err != nil {
		return nil, fmt.Errorf("make transform: %w", err)
	}
	q := make([]float64, dim*dim)
	v, along := make([]float64, dim), make([]float64, dim)
	defer func() { clear(q); clear(v); clear(along) }()
	g, err := newGaussian(seed)
	if err != nil {
		release()
		return nil, fmt.Errorf("make transform: %w", err)
	}
	q[dim*dim-1] = math.Copysign(1, g.next())
	for m := 2; m <= dim; m++ {
		first := dim - m // the block of order m begins at row and column first
		q[first*dim+first] = 1
		x := v[first:]
		var squares float64
		for i := range x {
			x[i] = g.next()
			squares += x[i] * x[i]
		}
		// The reflection along x/|x| + sign·e1 takes e1 to -sign·x/|x|: the sign of no cancellation.
		length := math.Sqrt(squares)
		sign := math.Copysign(1, x[0])
		scale := 1 / (squares + length*math.Abs(x[0])) // 2 over the squared length of the next line's x
		x[0] += sign * length
		sums := along[first:]
		clear(sums)
		for i, a := range x {
			row := q[(first+i)*dim+first:][:m]
			for j, b := range row {
				sums[j] += a * b
			}
		}
		for i, a := range x {
			row := q[(first+i)*dim+first:][:m]
			a *= scale
			for j := range row {
				row[j] = -sign * (row[j] - a*sums[j])
			}
		}
	}
	for i, x := range q {
		rows[i] = float32(x)
	}
	return &rotation{turn, rows, release, isLocked}, nil
}

// drop wipes Q.
func (q *rotation) drop() {
	q.release()
	q.rows, q.locked = nil, false
}

// apply sets dst to Q·t. Both have dim components and do not overlap.
func (q *rotation) apply(dst, t []float32) {
	dst, t = dst[:dim], t[:dim]
	for i := range dst {
		row := q.rows[i*dim:][:dim]
		var a, b, c, d float32 // four sums: the processor adds them side by side, and rounding is less
		for j := 0; j < dim; j += 4 {
			r, u := row[j:j+4:j+4], t[j:j+4:j+4]
			a += r[0] * u[0]
			b += r[1] * u[1]
			c += r[2] * u[2]
			d += r[3] * u[3]
		}
		dst[i] = (a + b) + (c + d)
	}
}

// undo sets dst to the t of which Q·t is given: Q's inverse is its transpose.
func (q *rotation) undo(dst, turned []float32) {
	dst = dst[:dim]
	clear(dst)
	for i, a := range turned[:dim] {
		row := q.rows[i*dim:][:dim]
		for j := range dst {
			dst[j] += a * row[j]
		}
	}
}

// gaussian draws normal numbers from AES-256 in counter mode, by Box and Muller: nothing in it branches on a rounding, so that two
// processors get the same matrix but for the last bits.
type gaussian struct {
	stream cipher.Stream
	spare  float64
	full   bool
}

func newGaussian(seed [32]byte) (*gaussian, error) {
	block, err := aes.NewCipher(seed[:])
	if err != nil {
		return nil, err
	}
	return &gaussian{stream: cipher.NewCTR(block, make([]byte, aes.BlockSize))}, nil
}

func (g *gaussian) next() float64 {
	if g.full {
		g.full = false
		return g.spare
	}
	radius := math.Sqrt(-2 * math.Log(g.uniform()))
	sin, cos := math.Sincos(2 * math.Pi * g.uniform())
	g.spare, g.full = radius*sin, true
	return radius * cos
}

// uniform is in (0, 1], of 53 bits.
func (g *gaussian) uniform() float64 {
	var b [8]byte
	g.stream.XORKeyStream(b[:], b[:])
	return float64(binary.LittleEndian.Uint64(b[:])>>11+1) / (1 << 53)
}
