//go:build !kiosk

package twin

import (
	"sync"
	"time"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/frames"
)

// lines are all wires of the board; a packet names one by its place here, so the order is append only.
var lines = [...]board.Line{board.Relay, board.Lamp, board.Contact, board.REX, board.Tamper, board.Fire,
	board.LEDRed, board.LEDGreen, board.LEDBlue, board.Buzzer, board.Lamp2}

func lineNumber(l board.Line) (int, bool) {
	for i := range lines {
		if lines[i] == l {
			return i, true
		}
	}
	return 0, false
}

func output(l board.Line) bool {
	switch l {
	case board.Contact, board.REX, board.Tamper, board.Fire:
		return false
	}
	return true
}

// historySize bounds what wires remember. The lamp's fastest code, one switch a frame, fills it in half a minute; an exposure
// looks back less than a frame.
const historySize = 1024

// wires are the levels of all lines with their past. Outputs are off when nobody drives them, as relaxed relays are.
type wires struct {
	mu      sync.Mutex
	level   [len(lines)]bool
	history [historySize]board.Edge
	edges   uint64                       // ever recorded
	notify  func(line int, e board.Edge) // called with mu held for every change of an input; must not block
}

// set changes a line and returns when it did: the stamp is taken with the lock held, so stamps never run backwards.
func (w *wires) set(line int, on bool) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.setLocked(line, on)
}

func (w *wires) setLocked(line int, on bool) time.Duration { return w.note(line, on, frames.Now()) }

// note takes in that a line changed at now. Called with mu held; stamps must not run backwards.
func (w *wires) note(line int, on bool, now time.Duration) time.Duration {
	if w.level[line] == on {
		return now
	}
	w.level[line] = on
	e := board.Edge{Line: lines[line], On: on, Stamp: now}
	w.history[w.edges%historySize] = e
	w.edges++
	if w.notify != nil && !output(e.Line) {
		w.notify(line, e)
	}
	return now
}

func (w *wires) get(line int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.level[line]
}

// release turns all outputs off: what the relays, the lamp driver and the indicators do when door is gone.
func (w *wires) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, l := range lines {
		if output(l) {
			w.setLocked(i, false)
		}
	}
}

// since lists the edges later than stamp, oldest first; those older than the memory are gone.
func (w *wires) since(stamp time.Duration) []board.Edge {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := w.edges - min(w.edges, historySize)
	for at := w.edges; at > first; at-- {
		if w.history[(at-1)%historySize].Stamp <= stamp {
			first = at
		}
	}
	list := make([]board.Edge, 0, w.edges-first)
	for at := first; at < w.edges; at++ {
		list = append(list, w.history[at%historySize])
	}
	return list
}

// share is the part of from..to in which a line was on; to must not lie in the future.
func (w *wires) share(line int, from, to time.Duration) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := w.edges - min(w.edges, historySize)
	var lit time.Duration
	level, end := w.level[line], to
	for at := w.edges; at > first && end > from; at-- {
		e := &w.history[(at-1)%historySize]
		if e.Line != lines[line] {
			continue
		}
		if e.Stamp < end {
			start := max(e.Stamp, from)
			if level {
				lit += end - start
			}
			end = start
		}
		level = !e.On
	}
	if level && end > from {
		lit += end - from
	}
	return float64(lit) / float64(to-from)
}
