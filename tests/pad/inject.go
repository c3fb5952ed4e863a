package main

import (
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
)

// injector is the way from the scene to the frame that eye gets. An honest camera draws the scene in the lamp's light; who has
// taken the camera or its bus does something else. It fills f.Image and may change Seq and Stamp, which must not run backwards.
type injector func(p *walkUp, f *frames.Frame)

func honest(p *walkUp, f *frames.Frame) { p.draw(f, p.light(f.Stamp)) }

// delayed shows the scene in the light of another time: behind the lamp, or before it.
func delayed(by func(p *walkUp) time.Duration) injector {
	delay, drawn := time.Duration(0), false
	return func(p *walkUp, f *frames.Frame) {
		if !drawn {
			delay, drawn = by(p), true
		}
		p.draw(f, p.light(f.Stamp-delay))
	}
}

func frozen() injector {
	return func(p *walkUp, f *frames.Frame) {
		if p.n == 1 {
			p.draw(f, p.all(1))
		}
	}
}

// looped plays the same frames again and again, taken in the light of an idle kiosk.
func looped(length int) injector {
	var loop [][]byte
	return func(p *walkUp, f *frames.Frame) {
		if len(loop) < length {
			p.draw(f, p.all(1))
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
						if err == nil {
							chips[k] = chip(other, k, chips[k].From, chips[k].To)
						}
					}
				}
			}
		}
		f.Stamp += time.Duration(shift * float64(p.interval))
		p.draw(f, p.lightOf(chips, f.Stamp))
	}
}

// answering makes frames of a still face, lit by what guess says of each chip while a session runs. guess gets how the lamps were in the
// chips before: who has taken the camera sees each frame's light after its exposure.
func answering(prepare func(p *walkUp), guess func(seen []access.Chip) [2]float64) injector {
	var of access.SessionID
	return func(p *walkUp, f *frames.Frame) {
		light := [2]float64{1, 1}
		if o := p.opened; o != nil {
			if o.Session != of {
				of = o.Session
				prepare(p)
			}
			if k := int((f.Stamp - o.Chips[0].From) / p.interval); f.Stamp > o.Chips[0].From && k < len(o.Chips) {
				light = guess(o.Chips[:k])
			}
		}
		l := p.lit(light, time.Second)
		l.Camera = p.taken
		p.studio.Draw(f.Image.Pix, 0, f.Seq, l)
	}
}

// blind draws a code of the same book and answers with it.
func blind() injector {
	var code access.Code
	return answering(
		func(p *walkUp) { code, _ = p.book.Code(p.chance.IntN(p.book.Size())) },
		func(seen []access.Chip) [2]float64 {
			left, right := code.Lamps(len(seen))
			return [2]float64{on(left), on(right)}
		})
}

// adaptive knows the book and all chips but the one that is shown. It takes the likeliest light; a soft one answers with how likely each lamp is.
func adaptive(soft bool) injector {
	var left []access.Code // that began as the one that is shown
	return answering(
		func(p *walkUp) {
			for i := len(p.codes); i < p.book.Size(); i++ {
				c, _ := p.book.Code(i)
				p.codes = append(p.codes, c)
			}
			left = append(left[:0], p.codes...)
		},
		func(seen []access.Chip) [2]float64 {
			k := len(seen)
			var ways [4]float64 // with no lamp, the left one, the right one, both
			kept := left[:0]
			for _, c := range left {
				if k == 0 || begins(c, k-1, seen[k-1]) {
					kept = append(kept, c)
					ways[symbol(c.Lamps(k))]++
				}
			}
			left = kept
			all := float64(len(kept))
			if soft {
				return [2]float64{(ways[1] + ways[3]) / all, (ways[2] + ways[3]) / all}
			}
			likeliest := 0
			for s, n := range ways {
				if n > ways[likeliest] {
					likeliest = s
				}
			}
			return [2]float64{on(likeliest&1 == 1), on(likeliest&2 == 2)}
		})
}

// begins reports whether a code shows in chip k what was seen.
func begins(c access.Code, k int, seen access.Chip) bool {
	return symbol(c.Lamps(k)) == symbol(lamps(seen))
}

func symbol(left, right bool) int { return int(on(left)) + 2*int(on(right)) }

func on(lit bool) float64 {
	if lit {
		return 1
	}
	return 0
}
