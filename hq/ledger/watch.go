package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lintel-access/lintel/sync/wire"
)

// Remove has the ledger miss a kiosk no more: the alarms that only its next word could end are over, and what it recorded is kept. It may be said again.
func (l *Ledger) Remove(id [32]byte) error {
	k := l.settled(id)
	var err error
	if k != nil {
		err = k.close() // before it can be added again, or its folder be written by another
	}
	delete(l.kiosks, id)
	l.mu.Unlock()
	if err = errors.Join(err, l.endAll(id, AlarmKind.ends)); err != nil {
		return fmt.Errorf("remove kiosk %s from the ledger: %w", wire.Name(id), err)
	}
	return nil
}

// Raise notes an alarm that somebody else has found and announced, until End or Lift. One that stands open stays as it is.
func (l *Ledger) Raise(id [32]byte, kind AlarmKind, text string) error {
	now := l.options.Now()
	if err := l.amend(id, func(s *kept) bool { return !s.rings(kind) && s.raise(kind, text, nil, now) }); err != nil {
		return fmt.Errorf("raise alarm %q of kiosk %s: %w", kind, wire.Name(id), err)
	}
	return nil
}

// Lift ends the alarms of a kiosk that do not end by themselves: a person has judged them. What is seen again is raised again.
func (l *Ledger) Lift(id [32]byte) error {
	if err := l.endAll(id, func(k AlarmKind) bool { return !k.ends() }); err != nil {
		return fmt.Errorf("lift alarms of kiosk %s: %w", wire.Name(id), err)
	}
	return nil
}

// End ends an alarm that somebody else has found and announced.
func (l *Ledger) End(id [32]byte, kind AlarmKind) error {
	now := l.options.Now()
	if err := l.amend(id, func(s *kept) bool { return s.end(kind, now) }); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("end alarm %q of kiosk %s: %w", kind, wire.Name(id), err)
	}
	return nil
}

// endAll ends those open alarms that are of such a kind, and announces that.
func (l *Ledger) endAll(id [32]byte, such func(AlarmKind) bool) error {
	now := l.options.Now()
	var over []Alarm
	err := l.amend(id, func(s *kept) bool {
		for i := range s.Alarms {
			if a := &s.Alarms[i]; such(a.Kind) && s.end(a.Kind, now) {
				over = append(over, *a)
			}
		}
		return len(over) > 0
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has no folder, and so no alarm
	}
	for _, a := range over {
		if err == nil && l.options.Alarm != nil {
			l.options.Alarm(id, a)
		}
	}
	return err
}

// amend changes what is kept of a kiosk, whether its records are open or not, durably when f reports that it has changed something.
func (l *Ledger) amend(id [32]byte, f func(*kept) (changed bool)) error {
	k := l.settled(id)
	if k == nil { // nobody else writes there while l is held
		defer l.mu.Unlock()
		if l.kiosks == nil {
			return errClosed
		}
		return amendFolder(filepath.Join(l.dir, wire.Name(id)), f)
	}
	l.mu.Unlock()
	err := k.locked(l.options.Now(), func() error {
		if k.folder.broken != nil { // what is not kept is not changed either: whoever reads the disk would see another ledger
			return k.folder.broken
		}
		k.unsaved = f(&k.state) || k.unsaved
		return nil
	})
	if errors.Is(err, os.ErrClosed) { // it was removed while this waited
		return l.amend(id, f)
	}
	return err
}

func amendFolder(dir string, f func(*kept) (changed bool)) error {
	s, err := (&Reader{filepath.Dir(dir)}).state(filepath.Base(dir))
	if err != nil || !f(&s) {
		return err
	}
	s.Version = stateVersion // where there was none yet
	return (&folder{dir: dir}).save(s)
}

// Status says how far the ledger has come with a kiosk; of one whose records are not open, what its folder says of commands, Trust and alarms. ErrUnknown,
// if it has none.
func (l *Ledger) Status(id [32]byte) (Status, error) {
	if k, err := l.kiosk(id); err == nil {
		return k.status(), nil
	}
	name := wire.Name(id)
	s, err := (&Reader{l.dir}).state(name)
	if err != nil {
		return Status{}, err
	}
	if s.Version == 0 {
		return Status{}, fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	return Status{Strange: s.Strange, Applied: s.Applied, Trust: s.Trust, Alarms: s.Alarms}, nil
}
