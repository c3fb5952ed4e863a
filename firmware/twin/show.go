//go:build !kiosk

package twin

import (
	"fmt"
	"time"
)

const (
	sway = 0.003 // metres; how far somebody who stands still moves
	nod  = 1.0   // degrees
)

// show is a scene with its cast, ready to be drawn.
type show struct {
	scene  *Scene
	bodies [maxActors]body
	start  time.Duration // stamp of its first frame; 0 before that
	ended  chan struct{}
}

// wardrobe keeps what was made for a person once. A nil wardrobe keeps nothing.
type wardrobe map[costume]*body

type costume struct {
	of    *Person
	form  Form
	guise guise
}

// maxWardrobe bounds it: a sheet is up to a megabyte.
const maxWardrobe = 128

func (w wardrobe) dress(p *Person, form Form, g guise) *body {
	c := costume{p, form, g}
	b := w[c]
	if b == nil {
		b = p.dress(form, g)
		if len(w) >= maxWardrobe {
			clear(w)
		}
		if w != nil {
			w[c] = b
		}
	}
	return b
}

// stage finds the people of a scene and makes the pictures they hold up.
func stage(s *Scene, cast *Cast, w wardrobe) (*show, error) {
	v := &show{scene: s, ended: make(chan struct{})}
	for i := range s.Actors {
		a := &s.Actors[i]
		p := cast.find(a)
		if p == nil {
			return nil, fmt.Errorf("the scene needs %s %d; the cast has %d enrolled and %d strangers",
				roleNames[a.Role], a.Number, len(cast.Enrolled), len(cast.Strangers))
		}
		v.bodies[i] = *w.dress(p, a.Form, a.guise)
		v.bodies[i].tint = a.reflectance / skinAlbedo
	}
	return v, nil
}

func (w *show) light() lighting {
	return lighting{ambient: w.scene.ambient, sun: w.scene.sun, sunFrom: w.scene.sunFrom, gain: w.scene.gain}
}

// place appends the actors present at t, the farthest first.
func (w *show) place(things []placed, t time.Duration, seed uint64) []placed {
	axis := 0
	for i := range w.scene.Actors {
		a := &w.scene.Actors[i]
		if !a.follows {
			axis = 8 * (i + 1)
		}
		if t < a.enters || t >= a.leaves {
			continue
		}
		p := placed{body: &w.bodies[i], at: along(a.position, t), turn: along(a.turn, t)}
		if a.Form == Screen {
			p.body.tint = a.recording.share(t)
		}
		if a.shakes > 0 {
			// A hand trembles about ten times as fast as a body sways.
			p.at = p.at.add(vec{drift(seed, axis+6, 10*t), drift(seed, axis+7, 10*t), 0}.scale(a.shakes))
		}
		p.at = p.at.add(vec{drift(seed, axis, t), drift(seed, axis+1, t), drift(seed, axis+2, t)}.scale(sway))
		p.turn = p.turn.add(vec{drift(seed, axis+3, t), drift(seed, axis+4, t), drift(seed, axis+5, t)}.scale(nod))
		things = append(things, p)
		for k := len(things) - 1; k > 0 && things[k].at.z > things[k-1].at.z; k-- {
			things[k], things[k-1] = things[k-1], things[k]
		}
	}
	return things
}
