package walkup

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/match"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// MaxFollowed is how many faces are followed at a time. It bounds the memory and the time of each failed session; who shows more faces than these has
// the least recent of them forgotten, those that are flagged last.
const MaxFollowed = 32

// FollowFloats is the length of the slab that NewTrail needs.
const FollowFloats = MaxFollowed * (access.ProbeSize + 1)

// ErrNotFlagged means that no face of that correlation id waits for a review: it never did, its time is over, or it was reviewed.
var ErrNotFlagged = errors.New("no recurrence of that id waits for a review")

// Trail follows faces from one session that failed the checks against attacks to the next, while the policy says so. It knows nobody who passed them,
// and nothing that it knows can deny anybody. Probes lie in its slab and nowhere else. It may be used by several goroutines.
type Trail struct {
	rules  access.Follow
	bundle [32]byte

	lifting sync.Mutex // held for a whole Lift, also while durable waits for a disk: mu is not, for walk-ups wait for it

	mu     sync.Mutex
	scores []float32
	rows   *match.Float32
	faces  [MaxFollowed]followed // by owner number; the zero followed is a free place
}

// followed is what is known of a face beside its first probe.
type followed struct {
	id          access.CorrelationID
	first, last time.Duration // CLOCK_MONOTONIC
	count       uint32
	materials   uint8 // a bit for each
	flagged     bool
}

// Recurrence is what a failed session adds to what is known of its face. The zero Recurrence is that of a face that is not followed.
type Recurrence struct {
	ID        access.CorrelationID
	Count     uint32 // failed sessions, this one included
	Materials string // names of those that it was presented in
	Flagged   bool
	News      bool // this session had it flagged
}

// NewTrail follows faces that one model bundle measured. Its probes lie in the slab of FollowFloats, which the caller gives, guards and takes back
// after Wipe.
func NewTrail(rules access.Follow, bundle [32]byte, slab []float32) (*Trail, error) {
	if err := rules.Validate(); err != nil {
		return nil, err
	}
	if !rules.On || len(slab) != FollowFloats {
		return nil, fmt.Errorf("make trail: on %v, with a slab of %d floats", rules.On, len(slab))
	}
	rows, err := match.NewFloat32(slab[:MaxFollowed*access.ProbeSize], access.ProbeSize)
	if err != nil {
		return nil, err
	}
	return &Trail{rules: rules, bundle: bundle, scores: slab[MaxFollowed*access.ProbeSize:], rows: rows}, nil
}

// Failed takes the probe of a session that failed, which it leaves as it is. One of another bundle, or that is no probe, is not followed. It walks all
// that is kept, whoever it is.
func (t *Trail) Failed(probe []float32, bundle [32]byte, m access.Material, now time.Duration) (Recurrence, error) {
	if bundle != t.bundle || len(probe) != access.ProbeSize || match.Check(probe) != nil {
		return Recurrence{}, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	found, err := t.rows.Search(probe, t.scores)
	clear(t.scores)
	if err != nil {
		return Recurrence{}, err
	}
	slot := found.Owner
	if !found.Found || !(found.Score > t.rules.Threshold) {
		slot = t.room()
		if _, err := t.rows.Append(slot, probe); err != nil {
			return Recurrence{}, err
		}
		t.faces[slot] = followed{first: now}
		rand.Read(t.faces[slot].id[:])
	}
	f := &t.faces[slot]
	f.last, f.materials = now, f.materials|1<<m
	f.count++
	news := !f.flagged && f.count >= uint32(t.rules.Limit)
	f.flagged = f.flagged || news
	return Recurrence{f.id, f.count, f.presented(), f.flagged, news}, nil
}

// presented names the materials.
func (f *followed) presented() string {
	var names []string
	for m := range access.Material(8) {
		if f.materials>>m&1 == 1 {
			names = append(names, m.String())
		}
	}
	return strings.Join(names, ", ")
}

// room is a free place. Where there is none, the face that was seen longest ago gives up its own; one that is flagged only when all are.
func (t *Trail) room() uint32 {
	worst := 0
	for i, f := range t.faces {
		if f.count == 0 {
			return uint32(i)
		}
		if w := t.faces[worst]; w.flagged && !f.flagged || w.flagged == f.flagged && f.last < w.last {
			worst = i
		}
	}
	t.drop(worst)
	return uint32(worst)
}

// drop forgets a face and wipes its probe.
func (t *Trail) drop(slot int) {
	t.rows.RemoveOwner(uint32(slot))
	t.faces[slot] = followed{}
}

func (t *Trail) expire(now time.Duration) {
	for i, f := range t.faces {
		if f.count > 0 && now-f.first > t.rules.Keep {
			t.drop(i)
		}
	}
}

// Expire forgets every face whose time is over. Somebody calls it also when nobody comes.
func (t *Trail) Expire(now time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
}

// Lift ends the flag of a face: after durable has put it on record, what is kept of the face is wiped. If it fails again it is a new one, under a new
// random id. ErrNotFlagged when none of that id waits, as when an order is repeated.
func (t *Trail) Lift(id access.CorrelationID, now time.Duration, durable func() error) error {
	t.lifting.Lock()
	defer t.lifting.Unlock()
	t.Expire(now)
	if !t.flagged(id, func(int) {}) {
		return ErrNotFlagged
	}
	if err := durable(); err != nil {
		return err
	}
	t.flagged(id, t.drop) // unless it gave up its place meanwhile
	return nil
}

// flagged has f do something with the place of a flagged face, and reports whether there is one of that id.
func (t *Trail) flagged(id access.CorrelationID, f func(slot int)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := slices.IndexFunc(t.faces[:], func(f followed) bool { return f.flagged && f.id == id })
	if slot >= 0 {
		f(slot)
	}
	return slot >= 0
}

// Waiting are the faces that wait for a review, the most recent first, at most ipc.MaxRecurrences.
func (t *Trail) Waiting() (list []ipc.Recurrence) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.faces {
		if f.flagged {
			list = append(list, ipc.Recurrence{ID: f.id, First: f.first, Last: f.last, Count: f.count, Materials: f.presented()})
		}
	}
	slices.SortFunc(list, func(a, b ipc.Recurrence) int { return cmp.Compare(b.Last, a.Last) })
	return list[:min(len(list), ipc.MaxRecurrences)]
}

// Wipe zeroes the probes, forgets every face and lets go of the slab: from then on nobody is followed.
func (t *Trail) Wipe() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows.Wipe()
	clear(t.scores)
	t.rows, t.scores, t.bundle = new(match.Float32), nil, [32]byte{}
	t.faces = [MaxFollowed]followed{}
}
