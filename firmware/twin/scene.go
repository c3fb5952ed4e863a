//go:build !kiosk

package twin

import (
	"time"

	"github.com/lintel-access/lintel/board"
)

// Scene is one played walk-up, parsed from a text of docs/SCENES.md.
type Scene struct {
	Name     string // of the file, without number prefix and ending
	Title    string
	Duration time.Duration
	Passes   bool // somebody walks through when the door is released
	Expect   Expectation
	Orders   []Order // what is to become of enrolled people before the scene. The twin cannot do that: the desk does
	Actors   []Actor

	seed    uint64
	ambient float64
	sun     float64
	sunFrom vec
	gain    float64
	inputs  []input
}

// Order is what is to become of somebody enrolled.
type Order struct {
	Verb   string // suspend, resume, revoke or delete
	Number int    // of the person, from 1
}

// Expectation is what the door should make of the scene. The twin carries it and judges nothing.
type Expectation struct {
	Outcome Outcome
	Reason  string // the reason's English name; empty: any
	Door    string // name of a state the door must have been in; empty: any
}

// Outcome of a walk-up as a scene's author names it. The zero value expects that nothing is decided.
type Outcome uint8

// What a scene can expect.
const (
	Nothing Outcome = iota
	Granted
	Denied
	Retry
	Refused // a session that ends denied, for a retry or uncertain
	Shut    // whatever does not open the door: refused, or nobody is made out
)

var outcomeNames = [...]string{"nothing", "granted", "denied", "retry", "refused", "shut"}

func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "outcome out of range"
}

// Fits reports whether a walk-up ended as expected; verdict is that of its session that counts, or "nothing".
func (o Outcome) Fits(verdict string) bool {
	granted, nothing := verdict == Granted.String(), verdict == Nothing.String()
	return verdict == o.String() || o == Refused && !granted && !nothing || o == Shut && !granted
}

// Actor is somebody, or a picture of somebody, that comes before the camera.
type Actor struct {
	Form   Form
	Role   Role
	Number int // from 1, among the cast of that role

	enters, leaves time.Duration
	position       []key // metres
	turn           []key // yaw, pitch, roll in degrees

	guise       guise
	recording   recording
	reflectance float64 // of skin or material in infrared; 0: as every face is brought to
	shakes      float64 // metres that the hand which holds it trembles
	follows     bool    // moves with the actor before
}

// Form is what of a person is shown.
type Form uint8

// The forms: the person, a printed photograph, a screen that shows the photograph, a mask in the shape of the head.
const (
	Living Form = iota
	Print
	Screen
	Mask
)

// Role says which part of the cast an actor is taken from.
type Role uint8

// The roles.
const (
	Enrolled Role = iota
	Stranger
)

var roleNames = [...]string{"enrolled", "stranger"}

type key struct {
	at    time.Duration
	value vec
}

// input is a change of an input line, or of the door leaf, that the scene makes.
type input struct {
	at   time.Duration
	line board.Line
	on   bool
}

// along is the value at t: even motion from key to key, still before the first and after the last.
func along(keys []key, t time.Duration) vec {
	for i, k := range keys {
		if t < k.at {
			if i == 0 {
				return k.value
			}
			before := keys[i-1]
			return before.value.mix(k.value, float64(t-before.at)/float64(k.at-before.at))
		}
	}
	if len(keys) == 0 {
		return vec{}
	}
	return keys[len(keys)-1].value
}

// Cast is who can play.
type Cast struct {
	Enrolled, Strangers []*Person
}

func (c *Cast) find(a *Actor) *Person {
	people := c.Enrolled
	if a.Role == Stranger {
		people = c.Strangers
	}
	if a.Number < 1 || a.Number > len(people) {
		return nil
	}
	return people[a.Number-1]
}
