package main

import (
	"errors"
	"slices"
	"time"
)

const (
	requestBurst = 8               // of headquarters' requests are answered at once: so many operators it lets wait for one kiosk
	requestEvery = 5 * time.Second // then one more: headquarters asks for keys once a minute, and a releaser signs one challenge at a time
	requestsKept = 256             // of those that came are known again; somebody who replays more of older ones is bounded by the pace
)

var errPace = errors.New("too many requests at once")

// requests bounds what headquarters' requests cost. Their signatures never end, and whoever carries them may bring each again. The zero requests has
// answered none.
type requests struct {
	seen  [][16]byte // the newest last
	spent int
	since time.Duration // CLOCK_MONOTONIC, when spent was paid off last
}

// admit reports whether a request came before, and, of one that did not, whether it may be answered now.
func (r *requests) admit(id [16]byte, now time.Duration) (known, ok bool) {
	if slices.Contains(r.seen, id) {
		return true, false
	}
	paid := int((now - r.since) / requestEvery)
	r.since += time.Duration(paid) * requestEvery
	if r.spent = max(0, r.spent-paid); r.spent >= requestBurst {
		return false, false // it is not remembered: headquarters may send it again
	}
	r.spent++
	r.seen = append(r.seen[max(0, len(r.seen)+1-requestsKept):], id)
	return false, true
}
