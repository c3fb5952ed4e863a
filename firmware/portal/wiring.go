package portal

import (
	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/wiring"
)

// try gives the installer's test what happened and carries out what it asks for. The door comes first, always: it has served the same edge before,
// so that REX and fire do what they do without a test.
func (p *Portal) try(e wiring.Event) {
	next, effects := p.test.Next(e)
	if next != p.test {
		p.mu.Lock()
		p.test = next
		p.mu.Unlock()
		p.changed()
	}
	now := p.cfg.Now()
	for _, f := range effects.All() {
		switch f.Kind {
		case wiring.StartTimer:
			p.trying[f.Timer] = now + f.For
		case wiring.StopTimer:
			p.trying[f.Timer] = 0
		case wiring.TakeLamp:
			p.lamp, _ = p.cfg.Lines.Level(f.Line) // one that cannot be read is left dark afterwards
			p.light(f.Line, false)
		case wiring.SetLamp:
			p.light(f.Line, f.On)
		case wiring.GiveLamp:
			p.light(f.Line, p.lamp || f.Line == board.Lamp) // by which people are found, whatever it was in the midst of
		case wiring.Release:
			// The door's own transition for a Pass, with its times, its watch over the contact and the relay's guard.
			_ = p.happen(access.DoorEvent{Kind: access.PassAccepted}, now) // the loop ends by p.failed
		case wiring.Report:
			p.note(f.Event, p.point.State, f.Detail)
		}
	}
}

// light sets a lamp. One that cannot be set stays dark, and the installer says so.
func (p *Portal) light(l board.Line, on bool) { _, _ = p.cfg.Lines.Set(l, on) }

// tryDoor tells the test how the door stands, once that has changed.
func (p *Portal) tryDoor() {
	if p.told != [2]bool{p.point.Relay, p.point.Lockdown} {
		p.told = [2]bool{p.point.Relay, p.point.Lockdown}
		p.try(wiring.Event{Kind: wiring.DoorIs, Released: p.point.Relay, Lockdown: p.point.Lockdown})
	}
}

// display is what the LEDs and the buzzer play.
func (p *Portal) display() wiring.Display {
	v := p.View()
	if v.Testing {
		return v.test
	}
	return wiring.Display{Indication: v.Indication}
}
