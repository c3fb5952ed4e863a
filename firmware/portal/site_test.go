package portal

import (
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/wiring"
)

// site is what hangs on the kiosk's lines: a door with its lock, an enclosure, a button, a panel, lamps, and the wires between.
type site struct {
	*door
	is   map[board.Line]bool            // the things themselves, named by the line that they belong to: door open, enclosure open, pressed, fire
	to   map[board.Line]board.Line      // wires that went to another place
	bent map[board.Line]func(bool) bool // what a wire makes of a level
}

func dead(bool) bool        { return false }
func stuck(bool) bool       { return true }
func reversed(on bool) bool { return !on }

func (s *site) wire(thing board.Line) board.Line {
	if l, moved := s.to[thing]; moved {
		return l
	}
	return thing
}

func (s *site) through(thing board.Line, on bool) bool {
	if bend := s.bent[thing]; bend != nil {
		return bend(on)
	}
	return on
}

// does moves a thing, and gives the door the edge that its wire makes of it.
func (s *site) does(thing board.Line, on bool) {
	was := s.through(thing, s.is[thing])
	s.is[thing] = on
	if now := s.through(thing, on); now != was {
		s.press(s.wire(thing), now)
	}
}

// sees is an output as it arrives.
func (s *site) sees(thing board.Line) bool {
	on, _ := s.bench.Level(s.wire(thing))
	return s.through(thing, on)
}

func (s *site) at() wiring.Test {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.test
}

func (s *site) short() {
	s.does(board.REX, true)
	s.after(500 * time.Millisecond)
	s.does(board.REX, false)
}

func (s *site) long() {
	s.does(board.REX, true)
	s.after(2500 * time.Millisecond)
	s.does(board.REX, false)
}

// answer says yes or no.
func (s *site) answer(yes bool) {
	if yes {
		s.short()
	} else {
		s.long()
	}
}

// begin opens door and enclosure and holds the button, as docs/INSTALL.md says.
func (s *site) begin() {
	s.short()
	s.does(board.Contact, true)
	s.does(board.Tamper, true)
	s.does(board.REX, true)
	s.after(5500 * time.Millisecond)
	s.does(board.REX, false)
	s.after(16 * time.Second) // a button that is the wrong way round needs that long to be found
}

// install does at each step what docs/INSTALL.md says, and closes the enclosure when there is no more to do.
func (s *site) install(t *testing.T) {
	s.begin()
	for range 40 {
		switch at := s.at(); {
		case at.State == wiring.Judged:
			s.after(1600 * time.Millisecond)
		case at.State == wiring.Asking:
			s.step(t, at.Step)
		default:
			s.does(board.Tamper, false)
			return
		}
	}
	t.Fatalf("the test does not end: %+v", s.at())
}

func (s *site) step(t *testing.T, step wiring.Step) {
	t.Helper()
	asked := func() bool { at := s.at(); return at.State == wiring.Asking && at.Step == step }
	switch step {
	case wiring.LEDRed, wiring.LEDGreen, wiring.LEDBlue:
		s.after(time.Second)
		right := true
		for _, l := range []board.Line{board.LEDRed, board.LEDGreen, board.LEDBlue} {
			right = right && s.sees(l) == (l == step.Line())
		}
		s.answer(right)
	case wiring.Buzzer, wiring.Lamp, wiring.Lamp2:
		changes, was := 0, s.sees(step.Line())
		for range 400 {
			s.after(10 * time.Millisecond)
			if now := s.sees(step.Line()); now != was {
				changes, was = changes+1, now
			}
		}
		s.answer(changes > 2)
	case wiring.Exit:
		s.short()
	case wiring.Tamper:
		s.does(board.Tamper, false)
		s.after(500 * time.Millisecond)
		s.does(board.Tamper, true)
	case wiring.Contact:
		s.does(board.Contact, false)
		s.after(time.Second)
		if !asked() {
			return // an enclosure that says so when the door is shut
		}
		s.short()
		s.does(board.Contact, true) // by the handle if the lock does not give
		s.after(time.Second)
		s.does(board.Contact, false)
		s.after(4 * time.Second)
	case wiring.Relay:
		s.short()
		for range 300 { // 30 s
			s.after(100 * time.Millisecond)
			if led := s.View().Indication; led.Pattern == access.Steady && asked() && s.sees(board.Relay) {
				s.does(board.Contact, true)
			}
		}
		s.does(board.Contact, false)
	case wiring.Fire:
		s.does(board.Fire, true)
		s.after(time.Second)
		s.does(board.Fire, false)
	}
	if asked() {
		s.long()
	}
}

// atSite runs a story at a site whose lamp burns, as it does while nobody stands there.
func atSite(t *testing.T, prepare func(*Config, *site), story func(*testing.T, *site)) {
	t.Helper()
	s := &site{is: map[board.Line]bool{}, to: map[board.Line]board.Line{}, bent: map[board.Line]func(bool) bool{}}
	atDoor(t, func(c *Config, b *bench, _ *book) {
		c.Board.Lines[board.Lamp2] = board.Wire{} // every line there is
		if prepare != nil {
			prepare(c, s)
		}
		b.levels[board.Lamp] = true
		for _, l := range []board.Line{board.REX, board.Contact, board.Tamper, board.Fire} {
			b.levels[s.wire(l)] = s.through(l, false)
		}
	}, func(t *testing.T, d *door) {
		s.door = d
		story(t, s)
	})
}
