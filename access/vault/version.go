package vault

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// urgency says what a change does to the counter.
type urgency uint8

const (
	quiet       urgency = iota // an attempt, an enrolment: nothing
	ordinary                   // raises it within the day's budget; beyond that it waits for Settle
	restricting                // always raises it: putting back the older file would give back what was taken
)

const (
	// defaultBudget is how many times a day the counter may rise before ordinary changes wait: 64 are 233,600 in ten years. What the
	// board's TPM endures stands in its data sheet; a board that endures less sets Options.Budget.
	defaultBudget = 64
	// batchFor is how old a change that waits may get before Settle raises the counter for it. The roof settles every 10 s: 60 s at most.
	batchFor = 50 * time.Second
)

// ErrUnacknowledged means that a change is in the file and not final: the counter could not be raised, so that it holds only unless an older copy of
// the file is put back, or what it freed could not be overwritten. Nothing is to be acknowledged; the next restricting change, Settle and the next
// start try again.
var ErrUnacknowledged = errors.New("change is stored, but not final: check the TPM and the disk; nothing is acknowledged until the TPM's counter has risen and what was freed is overwritten")

// sealing is what an open sealed vault knows beside its file. All of it belongs to Vault.mu.
type sealing struct {
	*seal
	root    Root
	head    head   // as it stands in the file
	counter uint64 // the root's, when it was last known
	unsure  bool   // a raise failed: it may have happened or not
	batched bool   // a change waits for the counter
	// unscrubbed says that free pages may hold what a change dropped.
	unscrubbed bool
	since      time.Duration
	budget     uint32

	now     func() time.Duration
	last    time.Duration // when the clock was last moved on
	trusted func() (time.Time, bool)

	// cut is called at the points where a power cut is worth trying; tests set it.
	cut func(point string)
}

// present is the head with the clock moved on to now.
func (s *sealing) present() head {
	h := s.head
	var wall int64
	if t, ok := s.trusted(); ok {
		wall = t.Unix()
	}
	h.advance(s.now()-s.last, wall)
	return h
}

// Believe has the wall clock told by trusted, which says false while nobody vouches for it, in the place of Options.Trusted.
func (v *Vault) Believe(trusted func() (time.Time, bool)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.sealed != nil {
		v.sealed.trusted = trusted
	}
}

// Trusted is the newest time that anybody vouched for, in Unix seconds, and how much time has demonstrably passed since. at is 0 when nobody ever did.
func (v *Vault) Trusted() (at int64, since time.Duration) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.sealed == nil {
		return 0, 0
	}
	h := v.sealed.present()
	return h.Trusted, h.Age - h.TrustedAge
}

// view runs f on what is stored.
func (v *Vault) view(f func(book) error) error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.db.View(func(tx *bbolt.Tx) error {
		if v.sealed == nil {
			return f(plainBook{tx})
		}
		h := v.sealed.present()
		return f(&sealedBook{tx: tx, seal: v.sealed.seal, head: &h})
	})
}

// change runs f in one transaction. In a sealed vault: commit with fsync, raise the counter, scrub, return. v.mu is held.
func (v *Vault) change(u urgency, f func(book) error) error {
	return v.weigh(u, func(b book) (urgency, error) { return u, f(b) })
}

// weigh is change where only the transaction shows how urgent it is: f says so, at most as much as most. What changes nothing wears no counter.
func (v *Vault) weigh(most urgency, f func(book) (urgency, error)) error {
	if v.closed {
		return errClosed // its keys are gone
	}
	s := v.sealed
	if s == nil {
		return v.db.Update(func(tx *bbolt.Tx) error {
			_, err := f(plainBook{tx})
			return err
		})
	}
	// What waits for the counter is raised by itself first: a file of the version that waits exists already, and could stand in for
	// the one that this change makes if the two shared a raise. When that fails this change is stored, but not acknowledged.
	var waiting error
	switch {
	case s.batched && most == restricting:
		waiting = v.raiseBatched()
	case s.head.Version != s.counter && most != quiet:
		waiting = s.complete()
	}
	at := s.now()
	next := s.present()
	var u urgency
	var raise bool
	var b *sealedBook
	err := v.db.Update(func(tx *bbolt.Tx) (err error) {
		b = &sealedBook{tx: tx, seal: s.seal, head: &next}
		if u, err = f(b); err != nil {
			return err
		}
		raise = s.count(&next, u)
		s.reach("before commit")
		return b.writeHead()
	})
	if err != nil {
		return err
	}
	s.head, s.last = next, at
	s.reach("after commit")
	if u == ordinary && !raise && !s.batched {
		s.batched, s.since = true, at
	}
	if raise {
		err = s.complete()
		s.reach("after raise")
	}
	s.unscrubbed = s.unscrubbed || b.dropped
	if b.dropped || u == restricting {
		err = errors.Join(err, v.scrubbed())
		s.reach("after scrub")
	}
	if err == nil {
		err = waiting
	}
	return err
}

// scrubbed overwrites what earlier changes freed, if that has not been done yet.
func (v *Vault) scrubbed() error {
	if !v.sealed.unscrubbed {
		return nil
	}
	if err := scrub(v.db); err != nil {
		return fmt.Errorf("%w: %w", ErrUnacknowledged, err)
	}
	v.sealed.unscrubbed = false
	return nil
}

// count decides whether a change raises the counter, and sets the version and the budget accordingly. A version that still waits for
// its raise takes further changes along: never two at a time.
func (s *sealing) count(h *head, u urgency) (raise bool) {
	if day := int64(h.Age / (24 * time.Hour)); day != h.Day {
		h.Day, h.Raised = day, 0
	}
	if u == quiet || u == ordinary && h.Raised >= s.budget {
		return false
	}
	if h.Version == s.counter {
		h.Version++
		h.Raised++
	}
	return true
}

// complete raises the counter to the version of the file. It asks the counter first when it cannot know what it is.
func (s *sealing) complete() error {
	if s.head.Version == s.counter {
		return nil
	}
	if s.unsure {
		now, err := s.root.Counter()
		if err != nil {
			return fmt.Errorf("%w: %w: read counter: %w", ErrUnacknowledged, ErrRoot, err)
		}
		if err := admit(s.head.Version, now); err != nil {
			return fmt.Errorf("%w: %w", ErrUnacknowledged, err)
		}
		s.counter, s.unsure = now, false
		if now == s.head.Version {
			return nil
		}
	}
	now, err := s.root.Raise()
	if err != nil {
		s.unsure = true
		return fmt.Errorf("%w: %w: raise counter: %w", ErrUnacknowledged, ErrRoot, err)
	}
	s.unsure = false
	if now != s.head.Version {
		s.unsure = true // or each try would raise it further
		return fmt.Errorf("%w: raise counter: it is %d, the vault's version %d; something else raises it", ErrUnacknowledged, now, s.head.Version)
	}
	s.counter = now
	return nil
}

// Settle does what is due: it raises the counter for changes that waited 50 s, tries again a raise that failed, and writes down how
// old the vault is. The roof calls it every 10 s. A plain vault has nothing to settle.
func (v *Vault) Settle() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.sealed
	if s == nil || v.closed {
		return nil
	}
	var err error
	switch now := s.now(); {
	case s.batched && now-s.since >= batchFor:
		err = v.raiseBatched()
	case s.head.Version != s.counter:
		err = s.complete()
	case now-s.last >= saveAge:
		err = v.change(quiet, func(book) error { return nil })
	}
	err = errors.Join(err, v.scrubbed())
	if err != nil {
		return fmt.Errorf("settle vault: %w", err)
	}
	return nil
}

// raiseBatched gives the changes that waited a version of their own.
func (v *Vault) raiseBatched() error {
	s := v.sealed
	s.batched = false
	err := v.change(restricting, func(book) error { return nil })
	if err != nil && s.head.Version == s.counter {
		s.batched = true // not even committed
	}
	return err
}

func (s *sealing) reach(point string) {
	if s.cut != nil {
		s.cut(point)
	}
}

// admit compares the version of a file with the counter. One ahead is well: the power went between commit and raise, and the raise is
// made up for.
func admit(version, counter uint64) error {
	switch {
	case version == counter || version == counter+1:
		return nil
	case version < counter:
		return fmt.Errorf("%w: it is version %d, the counter %d", ErrRolledBack, version, counter)
	}
	return fmt.Errorf("%w: it is version %d, the counter only %d", ErrOtherTPM, version, counter)
}

func newSealing(o Options) (*sealing, error) {
	keys, err := newSeal(o.Root, o.Device)
	if err != nil {
		return nil, err
	}
	counter, err := o.Root.Counter()
	if err != nil {
		keys.wipe()
		return nil, fmt.Errorf("%w: read counter: %w", ErrRoot, err)
	}
	return &sealing{
		seal: keys, root: o.Root, counter: counter, budget: o.Budget, now: o.Now, last: o.Now(), trusted: o.Trusted,
	}, nil
}

// inspect reads the head and walks the records of a file that nobody has written to yet.
func (s *sealing) inspect(tx *bbolt.Tx) (err error) {
	if s.head, err = readHead(tx, s.seal); err != nil {
		return err
	}
	if err := admit(s.head.Version, s.counter); err != nil {
		return err
	}
	h := s.head
	return (&sealedBook{tx: tx, seal: s.seal, head: &h}).walk()
}

// adopt seals a plain vault as the version that the next raise makes valid.
func (s *sealing) adopt(db *bbolt.DB) error {
	s.head = head{Version: s.counter + 1, Turn: 1}
	if err := s.rotate(); err != nil {
		return err
	}
	err := db.Update(func(tx *bbolt.Tx) error {
		if err := adopt(tx, s.seal, &s.head); err != nil {
			return fmt.Errorf("seal plain vault: %w", err)
		}
		return nil
	})
	s.reach("after adoption")
	return err
}

// rotate makes the transform that the head names.
func (s *sealing) rotate() (err error) {
	s.q, err = newRotation(s.seed(s.head.Turn), s.head.Turn)
	return err
}
