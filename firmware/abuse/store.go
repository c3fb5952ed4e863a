package abuse

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/lintel-access/lintel/access"
)

// Ending is that of a bundle's file name.
const Ending = ".abuse"

// unfinished is that of a file which is being written, or was when the power went.
const unfinished = ".part"

// ErrNoRoom means that one bundle alone is more than all may be together.
var ErrNoRoom = errors.New("the bundle is larger than all bundles may be together")

// Store is the folder of the bundles. One goroutine may use it.
type Store struct{ dir string }

// OpenStore makes the folder if it is missing, of mode 0700, and removes what was not finished.
func OpenStore(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open bundles: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"+unfinished))
	if err != nil {
		return nil, fmt.Errorf("open bundles: %w", err)
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("open bundles: %w", err)
		}
	}
	return &Store{dir}, nil
}

// name is that of a walk-up's bundle. Names are in the order of the walk-ups, whatever the clock said.
func name(s access.SessionID, wall int64) string {
	return fmt.Sprintf("%010d-%010d-%d%s", s.Boot, s.Number, wall, Ending)
}

// kept is one bundle in the store.
type kept struct {
	name  string
	wall  int64
	bytes uint64
}

// list is what the store holds, the oldest first. What has no name of ours is not looked at.
func (s *Store) list() (all []kept, sum uint64, err error) {
	entries, err := os.ReadDir(s.dir) // sorted by name
	if err != nil {
		return nil, 0, fmt.Errorf("list bundles: %w", err)
	}
	for _, e := range entries {
		var id access.SessionID
		var wall int64
		if n, _ := fmt.Sscanf(e.Name(), "%d-%d-%d"+Ending, &id.Boot, &id.Number, &wall); n != 3 || name(id, wall) != e.Name() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, 0, fmt.Errorf("list bundles: %w", err)
		}
		all, sum = append(all, kept{e.Name(), wall, uint64(info.Size())}), sum+uint64(info.Size())
	}
	return all, sum, nil
}

// Begin opens the file of a new bundle, of mode 0600. It is in the store once it was committed.
func (s *Store) Begin(id access.SessionID, wall int64) (*Entry, error) {
	f, err := os.OpenFile(filepath.Join(s.dir, name(id, wall)+unfinished), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin bundle: %w", err)
	}
	return &Entry{store: s, file: f, Name: name(id, wall)}, nil
}

// Entry is a bundle that is being written.
type Entry struct {
	Name  string
	Bytes uint64

	store *Store
	file  *os.File
}

// Write adds to the file.
func (e *Entry) Write(p []byte) (int, error) {
	n, err := e.file.Write(p)
	e.Bytes += uint64(n)
	return n, err
}

// Commit makes the bundle durable, unless it alone has more than so many bytes. On any error there is no bundle of that name. Until the older ones are
// made to Fit, all together may have more.
func (e *Entry) Commit(most uint64) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("keep bundle: %w", err), e.Discard())
		}
	}()
	if e.Bytes > most {
		return ErrNoRoom
	}
	if err := errors.Join(e.file.Sync(), e.file.Close()); err != nil {
		return err
	}
	path := filepath.Join(e.store.dir, e.Name)
	if err := os.Rename(e.file.Name(), path); err != nil {
		return err
	}
	if err := e.store.sync(); err != nil {
		return errors.Join(err, os.Remove(path)) // after a cut it might be gone: nobody is told that it was made
	}
	return nil
}

// Fit removes the oldest bundles, which it names, until all have room in so many bytes. The one of the name that stays, if there is one, is spared: it is
// the newest, whatever its number. One that cannot be removed keeps no other from going.
func (s *Store) Fit(most uint64, stays string) (dropped []string, err error) {
	all, sum, err := s.list()
	for _, old := range all {
		if sum <= most {
			break
		}
		if old.name == stays {
			continue
		}
		if failed := os.Remove(filepath.Join(s.dir, old.name)); failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		sum, dropped = sum-old.bytes, append(dropped, old.name)
	}
	if len(dropped) > 0 {
		err = errors.Join(err, s.sync())
	}
	if err != nil {
		return dropped, fmt.Errorf("drop bundles: %w", err)
	}
	return dropped, nil
}

// Discard removes the file.
func (e *Entry) Discard() error {
	err := os.Remove(e.file.Name())
	if errors.Is(err, os.ErrNotExist) {
		err = nil // committed already
	}
	if closed := e.file.Close(); !errors.Is(closed, os.ErrClosed) {
		err = errors.Join(err, closed)
	}
	return err
}

// Expire removes the bundles of walk-ups before a Unix second and says how many they were. One that cannot be removed keeps no other from going. The second is that of the kiosk's own clock: who sets it can
// have bundles expire early, or be kept until they are dropped for room.
func (s *Store) Expire(before int64) (gone int, err error) {
	all, _, err := s.list()
	for _, k := range all {
		if k.wall >= before {
			continue
		}
		if failed := os.Remove(filepath.Join(s.dir, k.name)); failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		gone++
	}
	if gone > 0 {
		err = errors.Join(err, s.sync())
	}
	if err != nil {
		return gone, fmt.Errorf("expire bundles: %w", err)
	}
	return gone, nil
}

// sync makes the folder durable.
func (s *Store) sync() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Hourly bounds how many bundles are made within an hour: whoever stands at the door can cause one with each try, and flash wears out. The zero Hourly
// has seen none.
type Hourly struct{ made []time.Duration }

// maxHourly is as many as the tries after which a door lengthens its cool-down by default.
const maxHourly = 20

// Take tells whether one more may be made now, and counts it.
func (h *Hourly) Take(now time.Duration) bool {
	h.made = slices.DeleteFunc(h.made, func(at time.Duration) bool { return now-at >= time.Hour })
	if len(h.made) >= maxHourly {
		return false
	}
	h.made = append(h.made, now)
	return true
}
