package health

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
)

// MaxSentence bounds a sentence, in bytes: a status carries no longer one.
const MaxSentence = 200

// Findings is what is known of each part now. The zero Findings knows nothing, waits for every part, and allows nothing. Its methods may be called
// from any goroutine.
type Findings struct {
	mu    sync.Mutex
	parts [partEnd]finding // the first is unused
}

type finding struct {
	state  State
	detail string
	spared bool // the board does not have it
}

// New waits for every part that the board has.
func New(b board.Board) *Findings {
	f := &Findings{}
	for _, p := range spared(b) {
		f.parts[p].spared = true
	}
	return f
}

// Transition is a mode that was entered or left because of a part.
type Transition struct {
	Mode    Mode
	Entered bool
	Part    Part
	Detail  string
}

// Event is the number under which the transition is recorded.
func (t Transition) Event() access.Event {
	if t.Entered {
		return t.Mode.Policy().Entered
	}
	return t.Mode.Policy().Left
}

// String is what the record says, at most access.MaxDetail bytes.
func (t Transition) String() string {
	s := fmt.Sprintf("%v: %v", t.Mode, t.Part)
	if t.Detail != "" {
		s += ": " + t.Detail
	}
	return clip(s, access.MaxDetail)
}

// Set says how a part was found, and why: detail is short, plain and never from outside. It returns what has to be recorded: the mode that is left
// and the one that is entered. The end of unknown is neither. A part that this package does not know changes nothing; the detail of a state that
// lasts is replaced.
func (f *Findings) Set(p Part, s State, detail string) (list []Transition) {
	if p == 0 || p >= partEnd {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.active()
	f.parts[p] = finding{state: s, detail: detail}
	after := f.active()
	for m := range Mode(modeEnd) {
		if m != SelfTest && before[m] != after[m] {
			list = append(list, Transition{Mode: m, Entered: after[m], Part: p, Detail: detail})
		}
	}
	slices.SortStableFunc(list, func(a, b Transition) int { return order(a.Entered, b.Entered) }) // left first
	return list
}

func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// mode is the one that a part puts the kiosk in. A part that nobody could look at because the way to it is missing says nothing of its own; the profile
// counts it as missing all the same.
func (f *Findings) mode(p Part) Mode {
	found := f.parts[p]
	if found.spared {
		return Whole
	}
	if found.state == Unknown {
		for _, q := range p.behind() {
			if f.parts[q].state == Missing {
				return Whole
			}
		}
	}
	return p.mode(found.state)
}

// active are the modes that the kiosk is in, Whole never among them.
func (f *Findings) active() (in [modeEnd]bool) {
	for p := Part(1); p < partEnd; p++ {
		if m := f.mode(p); m != Whole {
			in[m] = true
		}
	}
	return in
}

// State is how a part was found last.
func (f *Findings) State(p Part) State {
	if p >= partEnd {
		return Unknown
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.parts[p].state
}

// Profile is what the kiosk can do now.
func (f *Findings) Profile() Profile {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := full()
	for p := Part(1); p < partEnd; p++ {
		found := f.parts[p]
		if found.spared {
			all.Alarms &= p.allows(Missing).Alarms // it takes nothing else: the board is made so
			continue
		}
		all = all.meet(p.allows(found.state))
	}
	return all
}

// Modes are those that the kiosk is in, the most restrictive first.
func (f *Findings) Modes() (list []Mode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for m, in := range f.active() {
		if in {
			list = append(list, Mode(m))
		}
	}
	sortModes(list)
	return list
}

func sortModes(list []Mode) {
	slices.SortStableFunc(list, func(a, b Mode) int { return int(a.Policy().Allows.Assurance) - int(b.Policy().Allows.Assurance) })
}

// Unknown are the parts that the self-test has not looked at yet.
func (f *Findings) Unknown() (list []Part) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p := Part(1); p < partEnd; p++ {
		if f.mode(p) == SelfTest {
			list = append(list, p)
		}
	}
	return list
}

// Passed reports whether every part was looked at and none failed to do what it was asked. A mode that has another cause is no failure.
func (f *Findings) Passed() bool {
	return !slices.ContainsFunc(f.Modes(), func(m Mode) bool { return m == SelfTest || m.Policy().Entered == access.EventSelfTestFailed })
}

// Sentences name the modes, the most restrictive first.
func (f *Findings) Sentences() (list []string) {
	for _, m := range f.Modes() {
		list = append(list, f.Sentence(m))
	}
	return list
}

// Sentence names a mode with what it comes to and the reasons, at most MaxSentence bytes.
func (f *Findings) Sentence(m Mode) string {
	return m.Sentence(f.reasons(m))
}

// Sentence names the mode with what it comes to and the reason, if there is one, at most MaxSentence bytes.
func (m Mode) Sentence(why string) string {
	s := fmt.Sprintf("%v: %v", m, m.Policy().Says)
	if why != "" {
		s += " (" + why + ")"
	}
	return clip(s, MaxSentence)
}

// reasons are the details of the parts that a mode is due to; of the self-test, the parts.
func (f *Findings) reasons(m Mode) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var why []string
	for p := Part(1); p < partEnd; p++ {
		switch found := f.parts[p]; {
		case f.mode(p) != m:
		case m == SelfTest:
			why = append(why, p.String())
		case found.detail != "":
			why = append(why, found.detail)
		}
	}
	return strings.Join(why, ", ")
}

// clip cuts a text to so many bytes, and not through a letter.
func clip(s string, most int) string { return strings.ToValidUTF8(s[:min(len(s), most)], "") }
