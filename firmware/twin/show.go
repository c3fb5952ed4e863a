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

// stage finds the people of a scene and makes the pictures they hold up.
func stage(s *Scene, cast *Cast) (*show, error) {
	w := &show{scene: s, ended: make(chan struct{})}
	for i := range s.Actors {
		a := &s.Actors[i]
		p := cast.find(a)
		if p == nil {
			return nil, fmt.Errorf("the scene needs %s %d; the cast has %d enrolled and %d strangers",
				roleNames[a.Role], a.Number, len(cast.Enrolled), len(cast.Strangers))
		}
		switch a.Form {
		case Living:
			w.bodies[i] = body{mesh: p.relief, texture: p.head}
		case Print:
			m, t := p.newPrint()
			w.bodies[i] = body{mesh: m, texture: t}
		case Screen:
			m, t := p.newScreen()
			w.bodies[i] = body{mesh: m, texture: t, emits: true}
		}
	}
	return w, nil
}

func (w *show) light() lighting {
	return lighting{ambient: w.scene.ambient, sun: w.scene.sun, sunFrom: w.scene.sunFrom, gain: w.scene.gain}
}

// place appends the actors present at t, the farthest first.
func (w *show) place(things []placed, t time.Duration, seed uint64) []placed {
	for i := range w.scene.Actors {
		a := &w.scene.Actors[i]
		if t < a.enters || t >= a.leaves {
			continue
		}
		axis := 8 * (i + 1)
		p := placed{body: &w.bodies[i], at: along(a.position, t), turn: along(a.turn, t)}
		p.at = p.at.add(vec{drift(seed, axis, t), drift(seed, axis+1, t), drift(seed, axis+2, t)}.scale(sway))
		p.turn = p.turn.add(vec{drift(seed, axis+3, t), drift(seed, axis+4, t), drift(seed, axis+5, t)}.scale(nod))
		things = append(things, p)
		for k := len(things) - 1; k > 0 && things[k].at.z > things[k-1].at.z; k-- {
			things[k], things[k-1] = things[k-1], things[k]
		}
	}
	return things
}
