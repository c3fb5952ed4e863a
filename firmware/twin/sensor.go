//go:build !kiosk

package twin

import (
	"math"
	"math/rand/v2"
)

const (
	readNoise = 1.1   // gray levels, one sigma, at gain 1
	fullWell  = 10000 // electrons at level 255; shot noise is the square root of the electrons
	noiseSize = 1 << 16
)

// sensor turns light into the gray bytes of a frame: lens blur, shot and read noise, clipping.
type sensor struct {
	gauss []float32
	sigma [256]float32
	gain  float64
	open  float32      // share of the normal exposure that light is gathered for
	rows  [3][]float32 // horizontally blurred rows, a rolling window
}

func newSensor(seed uint64, width int) *sensor {
	s := &sensor{gauss: make([]float32, noiseSize)}
	r := rand.New(rand.NewPCG(seed, 0x6e6f697365))
	for i := range s.gauss {
		s.gauss[i] = float32(r.NormFloat64())
	}
	for i := range s.rows {
		s.rows[i] = make([]float32, width)
	}
	s.setGain(1)
	s.open = 1
	return s
}

// setGain amplifies signal and noise together, as an amplifier does.
func (s *sensor) setGain(g float64) {
	s.gain = g
	for i := range s.sigma {
		electrons := float64(i) / g * fullWell / 255
		shot := math.Sqrt(electrons) * 255 / fullWell * g
		s.sigma[i] = float32(math.Hypot(shot, readNoise*g))
	}
}

// expose reads the canvas out. turn picks the noise of this frame.
func (s *sensor) expose(dst []byte, c *canvas, turn uint64) {
	s.blurRow(c, 0)
	s.blurRow(c, 1)
	for y := range c.height {
		if y+1 < c.height {
			s.blurRow(c, y+1)
		}
		above, here, below := s.rows[max(y-1, 0)%3], s.rows[y%3], s.rows[min(y+1, c.height-1)%3]
		turn = turn*0x5851f42d4c957f2d + 0x14057b7ef767814f
		at := int(turn>>33) % (noiseSize - c.width)
		noise := s.gauss[at : at+len(here)]
		above, below = above[:len(here)], below[:len(here)]
		out := dst[y*c.width : y*c.width+len(here)]
		for x, v := range here {
			// Plain comparisons: the built-in min and max order NaNs and signed zeros too, which costs as much as the rest.
			level := (above[x] + v + v + below[x]) * 0.25
			if level > 255 {
				level = 255
			}
			level += s.sigma[uint8(int32(level))]*noise[x] + 0.5
			if level < 0 {
				level = 0
			} else if level > 255 {
				level = 255
			}
			out[x] = uint8(int32(level))
		}
	}
}

// blurRow spreads each pixel over its neighbours, a quarter to either side: the optical blur of a small fixed lens.
func (s *sensor) blurRow(c *canvas, y int) {
	in := c.lum[y*c.width : (y+1)*c.width]
	out := s.rows[y%3][:len(in)]
	g := float32(0.25*s.gain) * s.open
	left, here := in[0], in[0]
	for x := range len(in) - 1 {
		right := in[x+1]
		out[x] = (left + here + here + right) * g
		left, here = here, right
	}
	out[len(in)-1] = (left + here*3) * g
}
