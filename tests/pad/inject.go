package main

import (
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/twin"
)

// injector is the way from the scene to the frame that eye gets. An honest camera draws the scene in the lamp's light; who has
// taken the camera or its bus does something else. It fills f.Image and may change Seq and Stamp, which must not run backwards.
type injector func(p *walkUp, f *frames.Frame)

func honest(p *walkUp, f *frames.Frame) { p.draw(f, p.lamp(f.Stamp)) }

// delayed shows the scene in the light of another time: behind the lamp, or before it.
func delayed(by func(p *walkUp) time.Duration) injector {
	delay, drawn := time.Duration(0), false
	return func(p *walkUp, f *frames.Frame) {
		if !drawn {
			delay, drawn = by(p), true
		}
		p.draw(f, p.lamp(f.Stamp-delay))
	}
}

func frozen() injector {
	return func(p *walkUp, f *frames.Frame) {
		if p.n == 1 {
			p.draw(f, 1)
		}
	}
}

// looped plays the same frames again and again, taken in the light of an idle kiosk.
func looped(length int) injector {
	var loop [][]byte
	return func(p *walkUp, f *frames.Frame) {
		if len(loop) < length {
			p.draw(f, 1)
			loop = append(loop, append([]byte(nil), f.Image.Pix...))
			return
		}
		copy(f.Image.Pix, loop[int(p.n-1)%length])
	}
}

// recorded plays what the camera saw in another session, begun when this one begins. From the chip named splice on it is a third one.
func recorded(splice, shift float64) injector {
	var of access.SessionID
	var chips []access.Chip
	return func(p *walkUp, f *frames.Frame) {
		if o := p.opened; o != nil && o.Session != of {
			of, chips = o.Session, append([]access.Chip(nil), o.Chips...)
			for part := range 2 {
				other, err := p.book.Code(p.chance.IntN(p.book.Size()))
				for k := range chips {
					if part == 0 || float64(k) >= splice*float64(len(chips)) {
						chips[k].Lit = err == nil && other.Lit(k)
					}
				}
			}
		}
		f.Stamp += time.Duration(shift * float64(p.interval))
		p.draw(f, lampOf(chips, f.Stamp))
	}
}

// answering makes frames of a still face, lit by what guess says of each chip while a session runs. guess gets how the lamp was in the
// chips before: who has taken the camera sees each frame's light after its exposure.
func answering(prepare func(p *walkUp), guess func(seen []bool) float64) injector {
	var of access.SessionID
	return func(p *walkUp, f *frames.Frame) {
		light := 1.0
		if o := p.opened; o != nil {
			if o.Session != of {
				of = o.Session
				prepare(p)
			}
			if k := int((f.Stamp - o.Chips[0].From) / p.interval); f.Stamp > o.Chips[0].From && k < len(o.Chips) {
				seen := make([]bool, k)
				for i := range seen {
					seen[i] = o.Chips[i].Lit
				}
				light = guess(seen)
			}
		}
		p.studio.Draw(f.Image.Pix, 0, f.Seq, twin.Light{Lamp: light, Still: time.Second, Camera: p.light})
	}
}

// blind draws a code of the same book and answers with it.
func blind() injector {
	var code access.Code
	return answering(
		func(p *walkUp) { code, _ = p.book.Code(p.chance.IntN(p.book.Size())) },
		func(seen []bool) float64 { return on(code.Lit(len(seen))) })
}

// adaptive knows the book and all chips but the one that is shown. It takes the likelier one; a soft one answers with how likely it is.
func adaptive(soft bool) injector {
	var length int
	memo := map[beginning]float64{}
	return answering(
		func(p *walkUp) { length = p.policy.Profile.Chips() },
		func(seen []bool) float64 {
			at := beginning{chips: length}
			for _, lit := range seen {
				at, _ = at.after(lit)
			}
			lit, dark := memoWays(memo, at, true), memoWays(memo, at, false)
			if chance := lit / (lit + dark); soft {
				return chance
			} else {
				return on(chance >= 0.5)
			}
		})
}

func on(lit bool) float64 {
	if lit {
		return 1
	}
	return 0
}

// beginning is what counts of the chips before: how many, how many lit, and the run that they end in.
type beginning struct {
	chips, shown, lit, run int
	last                   bool
}

// longestRun is that of the books.
const longestRun = 3

// after is the beginning with one chip more. ok is false when no code goes on so.
func (b beginning) after(lit bool) (beginning, bool) {
	if b.shown > 0 && b.last == lit {
		b.run++
	} else {
		b.run = 1
	}
	b.shown, b.last = b.shown+1, lit
	if lit {
		b.lit++
	}
	return b, b.run <= longestRun && b.lit <= b.chips/2 && b.shown-b.lit <= b.chips/2 && b.shown <= b.chips
}

// memoWays is how many codes go on from b with a chip that is lit, or dark.
func memoWays(memo map[beginning]float64, b beginning, lit bool) float64 {
	next, ok := b.after(lit)
	if !ok {
		return 0
	}
	if next.shown == next.chips {
		return 1
	}
	n, known := memo[next]
	if !known {
		n = memoWays(memo, next, true) + memoWays(memo, next, false)
		memo[next] = n
	}
	return n
}
