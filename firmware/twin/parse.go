//go:build !kiosk

package twin

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lintel-access/lintel/board"
)

// Bounds of a scene's text, so that nobody's file can make the desk slow or large.
const (
	MaxSceneBytes  = 64 << 10 // of a scene file
	maxLineLength  = 200      // bytes
	maxActors      = 4
	maxKeys        = 64 // per actor and kind
	maxInputs      = 32
	maxDuration    = time.Minute
	maxQuoted      = 80 // bytes of a title or a reason
	fingerOnButton = 300 * time.Millisecond
)

// ParseScene reads a scene in the language of docs/SCENES.md. Errors name the line.
func ParseScene(name string, text []byte) (*Scene, error) {
	if len(text) > MaxSceneBytes {
		return nil, fmt.Errorf("parse scene %q: more than %d bytes", name, MaxSceneBytes)
	}
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("parse scene %q: not UTF-8 text", name)
	}
	p := parser{scene: &Scene{Name: name, ambient: 1, gain: 1}, seen: map[string]bool{}}
	for i, line := range strings.Split(string(text), "\n") {
		if err := p.line(strings.TrimSuffix(line, "\r")); err != nil {
			return nil, fmt.Errorf("parse scene %q: line %d: %w", name, i+1, err)
		}
	}
	if err := p.finish(); err != nil {
		return nil, fmt.Errorf("parse scene %q: %w", name, err)
	}
	return p.scene, nil
}

type parser struct {
	scene *Scene
	seen  map[string]bool // statements that may stand once
	words []string
}

func (p *parser) line(line string) error {
	if len(line) > maxLineLength {
		return fmt.Errorf("longer than %d bytes", maxLineLength)
	}
	words, err := split(line)
	if err != nil || len(words) == 0 {
		return err
	}
	p.words = words[1:]
	switch words[0] {
	case "title", "seed", "duration", "ambient", "sun", "gain", "passes", "suspend", "resume", "revoke", "delete":
		if p.seen[words[0]] {
			return fmt.Errorf("%q stands twice", words[0])
		}
		p.seen[words[0]] = true
	}
	if err := p.statement(words[0]); err != nil {
		return err
	}
	if len(p.words) != 0 {
		return fmt.Errorf("%q after the end of the statement", p.words[0])
	}
	return nil
}

// split cuts a line into words; a quoted text is one word that keeps its first quotation mark, and # begins a comment.
func split(line string) ([]string, error) {
	var words []string
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" || line[0] == '#' {
			return words, nil
		}
		if line[0] == '"' {
			end := strings.IndexByte(line[1:], '"')
			if end < 0 {
				return nil, errors.New("quotation mark without an end")
			}
			if end > maxQuoted {
				return nil, fmt.Errorf("quoted text longer than %d bytes", maxQuoted)
			}
			words = append(words, line[:end+1])
			line = line[end+2:]
			continue
		}
		end := strings.IndexAny(line, " \t#\"")
		if end < 0 {
			end = len(line)
		}
		words = append(words, line[:end])
		line = line[end:]
	}
}

func (p *parser) statement(verb string) (err error) {
	s := p.scene
	switch verb {
	case "title":
		s.Title, err = p.quoted()
	case "seed":
		var v float64
		v, err = p.number(0, 1<<32)
		s.seed = uint64(v)
	case "duration":
		s.Duration, err = p.time()
	case "ambient":
		s.ambient, err = p.number(0, 20)
	case "gain":
		s.gain, err = p.number(0.1, 8)
	case "sun":
		err = p.sun()
	case "passes":
		s.Passes, err = p.choice("yes", "no")
	case "expect":
		err = p.expect()
	case "person":
		err = p.actor(Living)
	case "print":
		err = errors.Join(p.literal("of"), p.actor(Print))
	case "screen":
		err = errors.Join(p.literal("of"), p.actor(Screen))
	case "mask":
		err = errors.Join(p.literal("of"), p.actor(Mask))
	case "enters", "leaves", "at", "looks":
		err = p.acting(verb)
	case "reflectance", "glasses", "size", "scale", "bent", "glossy", "cut", "dark", "film", "plays", "paint", "shakes", "follows":
		err = p.dressing(verb)
	case "press", "set", "force":
		err = p.input(verb)
	case "suspend", "resume", "revoke", "delete":
		o := Order{Verb: verb}
		if err = p.literal("enrolled"); err == nil {
			o.Number, err = p.ordinal()
		}
		s.Orders = append(s.Orders, o)
	default:
		err = fmt.Errorf("unknown statement %q", verb)
	}
	return err
}

func (p *parser) sun() (err error) {
	s := p.scene
	if s.sun, err = p.number(0, 50); err != nil {
		return err
	}
	if err = p.literal("from"); err != nil {
		return err
	}
	from, err := p.three(-1, 1)
	if err == nil && from.dot(from) < 0.01 {
		err = errors.New("the sun needs a direction")
	}
	s.sunFrom = from.unit()
	return err
}

func (p *parser) expect() error {
	e := &p.scene.Expect
	word := p.word()
	if word == "door" {
		if e.Door != "" {
			return errors.New(`"expect door" stands twice`)
		}
		var err error
		e.Door, err = p.quoted()
		return err
	}
	i := slices.Index(outcomeNames[:], word)
	if i < 0 {
		return fmt.Errorf("expect %q: not one of granted, denied, retry, nothing, refused, shut, door", word)
	}
	if p.seen["expect"] {
		return errors.New(`"expect" stands twice`)
	}
	p.seen["expect"] = true
	e.Outcome = Outcome(i)
	if len(p.words) == 0 {
		return nil
	}
	if err := p.literal("reason"); err != nil {
		return err
	}
	var err error
	e.Reason, err = p.quoted()
	return err
}

func (p *parser) actor(form Form) error {
	if len(p.scene.Actors) == maxActors {
		return fmt.Errorf("more than %d actors", maxActors)
	}
	a := Actor{Form: form, leaves: maxDuration}
	role := p.word()
	i := slices.Index(roleNames[:], role)
	if i < 0 {
		return fmt.Errorf("%q is neither enrolled nor stranger", role)
	}
	a.Role = Role(i)
	n, err := p.ordinal()
	a.Number = n
	p.scene.Actors = append(p.scene.Actors, a)
	return err
}

// ordinal is somebody's number in the cast.
func (p *parser) ordinal() (int, error) {
	n, err := p.number(1, 99)
	if err == nil && n != math.Trunc(n) {
		err = fmt.Errorf("there is no person number %v", n)
	}
	return int(n), err
}

// acting reads what the actor named last does.
func (p *parser) acting(verb string) (err error) {
	if len(p.scene.Actors) == 0 {
		return fmt.Errorf("%q before any actor", verb)
	}
	a := &p.scene.Actors[len(p.scene.Actors)-1]
	switch verb {
	case "enters":
		a.enters, err = p.time()
	case "leaves":
		a.leaves, err = p.time()
	case "looks":
		if err = p.literal("away"); err == nil {
			err = addKey(&a.turn, key{value: vec{x: 75}})
		}
	case "at":
		var k key
		if k.at, err = p.time(); err != nil {
			return err
		}
		switch word := p.word(); word {
		case "position":
			if k.value, err = p.three(-8, 8); err != nil {
				return err
			}
			if k.value.z < 0.3 {
				return fmt.Errorf("%v m is nearer than 0.3 m", k.value.z)
			}
			err = addKey(&a.position, k)
		case "turn":
			if k.value, err = p.three(-90, 90); err == nil {
				err = addKey(&a.turn, k)
			}
		default:
			err = fmt.Errorf("%q is neither position nor turn", word)
		}
	}
	return err
}

func addKey(keys *[]key, k key) error {
	if n := len(*keys); n == maxKeys {
		return fmt.Errorf("more than %d keys", maxKeys)
	} else if n > 0 && k.at <= (*keys)[n-1].at {
		return errors.New("keys must follow each other in time")
	}
	*keys = append(*keys, k)
	return nil
}

// input reads "press LINE at T [for T]", "set LINE on|off at T" and "force at T".
func (p *parser) input(verb string) error {
	line, on, held := board.Contact, true, leafOpenFor
	var err error
	if verb != "force" { // forcing moves the leaf, which the board knows as its contact
		line = board.Line(p.word())
		if line != board.REX && line != board.Fire && line != board.Tamper {
			return fmt.Errorf("%q is not an input that can be worked: rex, fire, tamper", line)
		}
		held = fingerOnButton
	}
	if verb == "set" {
		if on, err = p.choice("on", "off"); err != nil {
			return err
		}
	}
	if err = p.literal("at"); err != nil {
		return err
	}
	at, err := p.time()
	if err != nil {
		return err
	}
	if verb == "press" && len(p.words) > 0 {
		if err = p.literal("for"); err != nil {
			return err
		}
		if held, err = p.time(); err != nil {
			return err
		}
	}
	p.scene.inputs = append(p.scene.inputs, input{at, line, on})
	if verb != "set" {
		p.scene.inputs = append(p.scene.inputs, input{at + held, line, false})
	}
	if len(p.scene.inputs) > maxInputs {
		return fmt.Errorf("more than %d changes of inputs", maxInputs)
	}
	return nil
}

func (p *parser) finish() error {
	s := p.scene
	if s.Title == "" {
		return errors.New("no title")
	}
	if s.Duration < 100*time.Millisecond {
		return errors.New("no duration, or less than 0.1s")
	}
	for i := range s.Actors {
		if a := &s.Actors[i]; len(a.position) == 0 {
			return fmt.Errorf("actor %d has no position", i+1)
		} else if a.leaves <= a.enters {
			return fmt.Errorf("actor %d leaves before entering", i+1)
		}
	}
	slices.SortStableFunc(s.inputs, func(a, b input) int { return int(a.at - b.at) })
	return nil
}

func (p *parser) word() string {
	if len(p.words) == 0 {
		return ""
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w
}

func (p *parser) literal(want string) error {
	if w := p.word(); w != want {
		return fmt.Errorf("%q where %q should stand", w, want)
	}
	return nil
}

func (p *parser) choice(yes, no string) (bool, error) {
	switch w := p.word(); w {
	case yes:
		return true, nil
	case no:
		return false, nil
	default:
		return false, fmt.Errorf("%q is neither %s nor %s", w, yes, no)
	}
}

func (p *parser) quoted() (string, error) {
	w := p.word()
	if len(w) < 2 || w[0] != '"' {
		return "", fmt.Errorf("%q where a text in quotation marks should stand", w)
	}
	return w[1:], nil
}

func (p *parser) number(low, high float64) (float64, error) {
	w := p.word()
	v, err := strconv.ParseFloat(w, 64)
	if err != nil || !(v >= low && v <= high) {
		return 0, fmt.Errorf("%q is not a number from %v to %v", w, low, high)
	}
	return v, nil
}

func (p *parser) three(low, high float64) (v vec, err error) {
	for _, f := range [...]*float64{&v.x, &v.y, &v.z} {
		if *f, err = p.number(low, high); err != nil {
			return vec{}, err
		}
	}
	return v, nil
}

// time reads seconds with their unit, "1.25s".
func (p *parser) time() (time.Duration, error) {
	w := p.word()
	number, unit := strings.CutSuffix(w, "s")
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !unit || !(v >= 0 && v <= maxDuration.Seconds()) {
		return 0, fmt.Errorf("%q is not a time from 0s to %vs", w, maxDuration.Seconds())
	}
	return time.Duration(math.Round(v*1000)) * time.Millisecond, nil
}
