//go:build !kiosk

package twin

import (
	"errors"
	"fmt"
	"slices"
)

// suits says which forms a statement about an actor's make goes with.
var suits = map[string][]Form{
	"reflectance": {Living, Mask},
	"glasses":     {Living},
	"size":        {Print, Screen},
	"scale":       {Print, Screen},
	"bent":        {Print},
	"glossy":      {Print, Screen, Mask},
	"cut":         {Print, Mask},
	"dark":        {Screen},
	"film":        {Screen},
	"plays":       {Screen},
	"paint":       {Mask},
	"shakes":      {Print, Screen, Mask},
	"follows":     {Living, Print, Screen, Mask},
}

// dressing reads what the actor named last is made of.
func (p *parser) dressing(verb string) (err error) {
	n := len(p.scene.Actors)
	if n == 0 {
		return fmt.Errorf("%q before any actor", verb)
	}
	a := &p.scene.Actors[n-1]
	if !slices.Contains(suits[verb], a.Form) {
		return fmt.Errorf("%q does not go with this kind of actor", verb)
	}
	once := fmt.Sprint(n, verb)
	if verb != "cut" && p.seen[once] {
		return fmt.Errorf("%q stands twice for one actor", verb)
	}
	p.seen[once] = true
	g := &a.guise
	switch verb {
	case "reflectance":
		a.reflectance, err = p.number(0.1, 0.9)
	case "glasses":
		g.glasses = true
	case "size":
		if g.width, err = p.number(0.05, 0.6); err == nil {
			g.height, err = p.number(0.05, 0.6)
		}
	case "scale":
		g.scale, err = p.number(0.3, 1.5)
	case "bent":
		g.bent, err = p.number(0.05, 2)
	case "glossy":
		g.glossy = true
	case "cut":
		err = p.cut(a)
	case "dark":
		g.dark = true
	case "film":
		g.film, err = p.number(0, 0.6)
	case "plays":
		err = p.plays(a)
	case "paint":
		g.paint, err = p.number(0, 1)
	case "shakes":
		a.shakes, err = p.number(0, 0.05)
	case "follows":
		if a.follows = true; n == 1 {
			err = errors.New("nobody is there to be followed")
		}
	}
	return err
}

func (p *parser) cut(a *Actor) error {
	what := &a.guise.eyesCut
	switch word := p.word(); {
	case word == "eyes":
	case word == "head" && a.Form == Print:
		what = &a.guise.headCut
	default:
		return fmt.Errorf("%q cannot be cut here", word)
	}
	if *what {
		return errors.New("it has been cut already")
	}
	*what = true
	return nil
}

// maxRecorded bounds a recording, in chips.
const maxRecorded = 64

// plays reads "plays BITS at T".
func (p *parser) plays(a *Actor) (err error) {
	code := p.word()
	if len(code) == 0 || len(code) > maxRecorded || slices.ContainsFunc([]byte(code), func(c byte) bool { return c != '0' && c != '1' }) {
		return fmt.Errorf("%q is not a code of 1 to %d times 0 or 1", code, maxRecorded)
	}
	a.guise.video, a.recording.code = true, code
	if err = p.literal("at"); err == nil {
		a.recording.start, err = p.time()
	}
	return err
}
