package main

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/lintel-access/lintel/firmware/frames"
)

// species is one way to stand before a kiosk. Its scene is written in the language of docs/SCENES.md, so that any presentation can be
// printed, changed and run again from a file.
type species struct {
	name  string
	bona  bool // the person themselves: to be accepted
	write func(s *script)
	// inject makes the way of the frames for one presentation; nil: an honest camera.
	inject func(s *script) injector
	// allowed is how many of 300 may be accepted, and why, where the target of none cannot be met.
	allowed int
	why     string
	// sheet says that relief is what stops it. Where that could not be known, what was accepted is not held against the targets; nothing else is excused
	// so.
	sheet bool
}

// script writes the scene of one presentation. All that is left to chance in it comes from one generator.
type script struct {
	*rand.Rand
	strings.Builder
	cast  int
	notes []string
}

func (s *script) line(format string, args ...any) { fmt.Fprintf(s, format+"\n", args...) }

func (s *script) between(low, high float64) float64 { return low + (high-low)*s.Float64() }

func (s *script) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// half is true in half of the presentations, and notes which half this one belongs to.
func (s *script) half(yes, no string) bool {
	if s.IntN(2) == 0 {
		s.note("%s", yes)
		return true
	}
	s.note("%s", no)
	return false
}

// somebody is a member of the cast, another one each time it is called with the one before.
func (s *script) somebody(but int) int {
	n := 1 + s.IntN(s.cast)
	for n == but {
		n = 1 + s.IntN(s.cast)
	}
	return n
}

// walk lets the actor come the last quarter of a metre to its place, at 0.6 m/s, and turn to the camera.
func (s *script) walk(x, y, z, yaw, pitch, roll float64) {
	s.line("at 0s position %.3f %.3f %.3f", x+s.between(-0.05, 0.05), y, z+0.25)
	s.line("at 0.4s position %.3f %.3f %.3f", x, y, z)
	s.line("at 0s turn %.1f %.1f %.1f", yaw, pitch, roll)
}

// place is a position within the picture at a distance, and a small turn.
func (s *script) place(near, far float64) {
	z := s.between(near, far)
	s.note("distance %s", band(z, 0.6, 0.9))
	s.walk(s.between(-0.10, 0.10)*z, s.between(-0.03, 0.06)*z, z, s.between(-15, 15), s.between(-10, 10), s.between(-5, 5))
}

func band(v, low, high float64) string {
	switch {
	case v < low:
		return fmt.Sprintf("below %g", low)
	case v < high:
		return fmt.Sprintf("%g to %g", low, high)
	}
	return fmt.Sprintf("from %g", high)
}

// Ambient light, in the unit of scenes: a dark hall, dusk, an office, a bright lobby.
var lights = []struct {
	name  string
	level float64
}{{"darkness", 0.02}, {"dim", 0.3}, {"office", 1}, {"bright", 2}}

func (s *script) begin(title string) {
	l := lights[s.IntN(len(lights))]
	s.note("light %s", l.name)
	s.line("title %q\nduration 5s\nseed %d\nambient %g", title, s.Uint32(), l.level)
}

func (s *script) person(n int) {
	r := s.between(0.25, 0.75)
	s.note("reflectance %s", band(r, 0.4, 0.6))
	s.line("person enrolled %d\nreflectance %.3f", n, r)
	if s.Float64() < 0.3 {
		s.line("glasses")
		s.note("with glasses")
	}
	s.place(0.40, 1.20)
}

func living(s *script) {
	s.begin("Somebody comes")
	n := s.somebody(0)
	s.person(n)
	if s.Float64() < 0.15 {
		s.note("two people")
		s.line("person enrolled %d", s.somebody(n))
		s.walk(s.between(0.3, 0.5)*float64(1-2*s.IntN(2)), 0, s.between(1.5, 2.2), s.between(-20, 20), 0, 0)
	}
}

// Papers, and how large a face fits on each, 1 being life-size.
var papers = []struct {
	name                     string
	width, height, low, high float64
}{{"A5", 0.148, 0.210, 0.55, 0.8}, {"A4", 0.210, 0.297, 0.8, 1.1}, {"A3", 0.297, 0.420, 0.95, 1.4}}

// printed holds up a photograph; more are the statements that make it what it is.
func printed(more func(s *script)) func(*script) {
	return func(s *script) {
		s.begin("A print")
		paper := papers[s.IntN(len(papers))]
		scale := s.between(paper.low, paper.high)
		s.note("paper %s", paper.name)
		s.line("print of enrolled %d\nsize %g %g\nscale %.3f", s.somebody(0), paper.width, paper.height, scale)
		s.line("shakes %.4f", s.between(0, 0.004))
		if more != nil {
			more(s)
		}
		s.place(max(0.3, 0.4*scale), scale+0.1)
	}
}

// behind puts somebody behind what was named last, who moves with it.
func behind(s *script, depth float64, write func()) {
	z := s.between(0.40, 0.8)
	x, y := s.between(-0.05, 0.05), s.between(0, 0.04)
	yaw, pitch := s.between(-10, 10), s.between(-6, 6)
	write()
	s.walkTogether(x, y, z, yaw, pitch)
	s.line("person enrolled %d\nfollows\nreflectance %.3f", s.somebody(0), s.between(0.3, 0.7))
	s.walkTogether(x, y, z+depth, yaw, pitch)
}

func (s *script) walkTogether(x, y, z, yaw, pitch float64) {
	s.line("at 0s position %.3f %.3f %.3f\nat 0.4s position %.3f %.3f %.3f\nat 0s turn %.1f %.1f 0", x, y, z+0.2, x, y, z, yaw, pitch)
}

// screen holds up a phone or a tablet.
func screen(more func(s *script)) func(*script) {
	return func(s *script) {
		s.begin("A screen")
		w, h, scale := 0.17, 0.24, s.between(0.75, 1)
		if s.half("phone", "tablet") {
			w, h, scale = 0.07, 0.15, s.between(0.35, 0.45)
		}
		s.line("screen of enrolled %d\nsize %g %g\nscale %.3f", s.somebody(0), w, h, scale)
		more(s)
		s.place(max(0.3, 0.45*scale), 0.8*scale+0.15)
	}
}

func mask(eyes bool) func(*script) {
	return func(s *script) {
		s.begin("A mask")
		behind(s, 0.015, func() {
			s.line("mask of enrolled %d\nreflectance %.3f\npaint %.2f", s.somebody(0), s.between(0.3, 0.7), s.between(0.6, 1))
			if eyes {
				s.line("cut eyes")
			}
			if s.half("lacquered", "matte") {
				s.line("glossy")
			}
		})
	}
}

// longestRun is that of the books.
const longestRun = 3

// recordedCode is a lamp code of another session, as a recording shows it: 12 chips, six lit, no run longer than three.
func (s *script) recordedCode() string {
	for {
		code, lit, run, longest := make([]byte, 12), 0, 0, 0
		for i := range code {
			code[i] = byte('0' + s.IntN(2))
			lit += int(code[i] - '0')
			if run++; i > 0 && code[i] != code[i-1] {
				run = 1
			}
			longest = max(longest, run)
		}
		if lit == 6 && longest <= longestRun {
			return string(code)
		}
	}
}

func late(n float64) func(*walkUp) time.Duration {
	return func(p *walkUp) time.Duration { return time.Duration(n * float64(p.interval)) }
}

func framesBetween(low, high float64) func(*walkUp) time.Duration {
	return func(p *walkUp) time.Duration {
		return time.Duration((low + (high-low)*p.chance.Float64()) * float64(p.interval))
	}
}

const guessed = "a guess passes once in as many tries as the book has codes, by design: with 616 codes and 300 tries none passes with 61 % and at most two with 98.6 %"

const hedged = "who sees the lamp in each frame after its exposure guesses the next chip better than by chance; counted over all 616 codes, without noise, the best found passes 10 of them at a rank margin of 0.35 and 2 at 0.5"

const noise = "relief is measured with noise: one sheet in a hundred or so gets over the limit, small and shaken ones more often; what stops it is the number of tries, each an alarm (docs/PAD.md)"

const highlight = "the highlights of a lacquered sheet that is bent may fall where a nose answers, and look like it; what stops it is the number of tries, each an alarm (docs/PAD.md)"

const shaped = "what has the shape and the colours of the head answers the lamp as the head does; no check of light alone can tell it, and the learned one is off by default"

var catalogue = []species{
	{name: "bona fide", bona: true, write: living},

	{name: "print, matte", write: printed(nil), sheet: true, allowed: 6, why: noise},
	{name: "print, glossy", write: printed(func(s *script) { s.line("glossy") }), sheet: true, allowed: 6, why: noise},
	{name: "print, bent", write: printed(func(s *script) { s.line("bent %.3f", s.between(0.07, 0.40)) }), sheet: true, allowed: 10, why: noise},
	{name: "print, bent and glossy", write: printed(func(s *script) { s.line("bent %.3f\nglossy", s.between(0.07, 0.40)) }), sheet: true, allowed: 75, why: highlight},
	{name: "print, cut to the head", write: printed(func(s *script) { s.line("cut head") }), sheet: true, allowed: 6, why: noise},
	{name: "print, cut to the head and bent", write: printed(func(s *script) { s.line("cut head\nbent %.3f", s.between(0.07, 0.25)) }), sheet: true, allowed: 10, why: noise},
	{name: "print, eyes cut out", write: func(s *script) {
		s.begin("A print with living eyes behind")
		if s.half("worn bent", "held flat") {
			behind(s, 0.035, func() {
				s.line("print of enrolled %d\nsize 0.297 0.42\ncut eyes\ncut head\nbent %.3f", s.somebody(0), s.between(0.09, 0.20))
			})
			return
		}
		behind(s, 0.03, func() {
			paper := papers[1+s.IntN(2)]
			s.line("print of enrolled %d\nsize %g %g\ncut eyes", s.somebody(0), paper.width, paper.height)
		})
	}, sheet: true, allowed: 6, why: noise},
	{name: "print on a stick", write: func(s *script) {
		s.begin("A small print on a stick")
		n := s.somebody(0)
		s.line("print of enrolled %d\nsize 0.148 0.21\nscale %.3f\nshakes %.4f", n, s.between(0.4, 0.6), s.between(0.005, 0.02))
		if s.half("cut to the head", "uncut") {
			s.line("cut head")
		}
		s.place(0.30, 0.50)
		s.line("person enrolled %d\nat 0s position %.3f 0.05 %.3f\nat 0s turn 50 15 0", s.somebody(n), s.between(0.25, 0.4), s.between(0.9, 1.3))
	}, sheet: true, allowed: 20, why: noise},

	{name: "screen, dark in infrared", write: screen(func(s *script) { s.line("dark\nglossy") })},
	{name: "screen, emits infrared", write: screen(func(s *script) { s.line("glossy") })},
	{name: "screen under a film", write: screen(func(s *script) {
		s.line("film %.3f", s.between(0.05, 0.4))
		if s.half("glossy", "matte") {
			s.line("glossy")
		}
	})},
	{name: "screen, replays an infrared video", write: screen(func(s *script) { s.line("glossy\nplays %s at %.3fs", s.recordedCode(), s.between(0.10, 0.16)) })},

	{name: "mask", write: mask(false), allowed: 300, why: shaped},
	{name: "mask with eye holes", write: mask(true), allowed: 300, why: shaped},

	{name: "injected: frozen", write: living, inject: func(*script) injector { return frozen() }},
	{name: "injected: looped", write: living, inject: func(s *script) injector { return looped(7) }},
	{name: "injected: another session", write: living, inject: func(s *script) injector {
		return recorded(1, 0.5*on(s.half("re-timed", "as it was")))
	}},
	{name: "injected: spliced", write: living, inject: func(s *script) injector { return recorded(0.5, 0) }},
	{name: "injected: one frame late", write: living, inject: func(s *script) injector { return delayed(late(1)) }},
	{name: "injected: one frame early", write: living, inject: func(s *script) injector { return delayed(late(-1)) }},
	{name: "injected: inverted", write: living, inject: func(s *script) injector {
		return func(p *walkUp, f *frames.Frame) {
			l := p.light(f.Stamp)
			if p.opened != nil {
				l = p.lit([2]float64{1 - max(l.Lamp, l.Pair[0]), 1 - l.Pair[1]}, 0)
			}
			p.draw(f, l)
		}
	}},
	{name: "injected: constant", write: living, inject: func(s *script) injector { return func(p *walkUp, f *frames.Frame) { p.draw(f, p.all(0.5)) } }},
	{name: "injected: blind guess", write: living, inject: func(*script) injector { return blind() }, allowed: 2, why: guessed},
	{name: "injected: adaptive guess", write: living, inject: func(s *script) injector { return adaptive(s.half("hedged", "decided")) }, allowed: 3, why: hedged},
	{name: "injected: deep fake", write: living, inject: func(s *script) injector { return delayed(framesBetween(0.6, 1.4)) }},
	{name: "injected: relay of light", write: living, inject: func(s *script) injector { return delayed(framesBetween(0, 0.3)) }, allowed: 300,
		why: "who holds the camera and answers the lamp within a third of a frame gives the right answer: the lamp proves no more; what stops it is the pinned camera in a closed box"},
}

// chance is the generator of one presentation. Seed sets share none.
func chance(set string, name string, index int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%s/%d", set, name, index)
	return rand.New(rand.NewPCG(h.Sum64(), 0x706164))
}

// script writes the scene of one presentation, and gives the way of its frames.
func (k *species) script(set string, index, cast int) (*script, injector) {
	s := &script{Rand: chance(set, k.name, index), cast: cast}
	k.write(s)
	if k.inject == nil {
		return s, honest
	}
	return s, k.inject(s)
}
