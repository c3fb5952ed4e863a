package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/sync/wire"
)

// kiosk is the records of one kiosk, open for writing.
type kiosk struct {
	Kiosk
	options *Options

	mu      sync.Mutex
	shared  *atomic.Int64 // what all kiosks of the ledger hold; see bounds
	holds   int64         // of it, this one
	folder  *folder
	tree    *tree
	state   kept
	unsaved bool // state on disk is older
	pending pending
	early   map[uint64]wire.Records // messages that came before those before them, by their first record
	ahead   []awaited               // checkpoints that cover more than is here, oldest first
	heard   time.Time               // when the kiosk last signed something new, or was added
	bare    time.Time               // since when new checkpoints have come without the attestation that they name; zero: none has
	hole    time.Time               // since when records are missing that others follow; zero: none are
	told    []Alarm                 // to be announced once mu is free
}

// awaited is a checkpoint whose records have not all come.
type awaited struct {
	signed
	since time.Time
}

// Status says how far the ledger has come with a kiosk.
type Status struct {
	Records uint64           // vouched for and durable
	Pending int              // here, and not vouched for yet
	Signed  uint64           // records that the kiosk has signed for
	Covered proof.Checkpoint // newest checkpoint all of whose records are here; its Origin is empty when there is none
	Strange uint64           // records that this program cannot decode
	Applied Applied          // by records that are vouched for
	Trust   uint64           // version of the document in force, by those; 0: none
	Alarms  []Alarm          // open or over, one of a kind
}

func openKiosk(dir string, k Kiosk, o *Options, shared *atomic.Int64, tune func(*folder)) (*kiosk, error) {
	if k.Audit == nil || k.Attestation == nil {
		return nil, errors.New("it has no audit key or no attestation key")
	}
	err := keepKey(dir, k)
	if err != nil {
		return nil, err
	}
	n := &kiosk{Kiosk: k, options: o, shared: shared, early: map[uint64]wire.Records{}, heard: o.Now()}
	if n.state, err = readState(dir, k); err != nil {
		return nil, err
	}
	if n.folder, err = openFolder(dir); err != nil {
		return nil, err
	}
	if tune != nil {
		tune(n.folder)
	}
	if n.tree, err = openTree(n.folder.path(hashesName)); err == nil {
		err = n.plant()
	}
	if err == nil {
		n.pending.list, err = readPending(dir, n.folder.head)
	}
	if err == nil {
		err = n.folder.keepPending(&n.pending, n.pending.list) // what follows on alone
	}
	if err != nil {
		return nil, errors.Join(err, n.close())
	}
	if s := n.state.Newest; s.Size > n.folder.head {
		n.ahead = []awaited{{s, n.heard}}
	}
	n.count()
	return n, nil
}

// errNoKey is of a folder whose files somebody took away.
var errNoKey = fmt.Errorf("%w: its folder has no %s", ErrDamaged, keyName)

// keepKey makes the folder with the note of whose records these are, and refuses those of another key.
func keepKey(dir string, k Kiosk) error {
	line, err := proof.VerifierKey(k.origin(), k.Audit)
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return makeFolder(dir, line)
	}
	old, err := readBounded(dir, keyName, maxKeyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errNoKey
	case err == nil && strings.TrimSuffix(string(old), "\n") != line:
		return ErrOtherKey
	}
	return err
}

// makeFolder makes a kiosk's folder, which nobody sees without its key.
func makeFolder(dir, key string) error {
	begun := dir + newSuffix
	if err := os.Mkdir(begun, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return noRoom(err)
	}
	err := (&folder{dir: begun}).replace(keyName, []byte(key+"\n"))
	if err == nil {
		err = os.Rename(begun, dir)
	}
	if err == nil {
		err = syncDir(filepath.Dir(dir))
	}
	return noRoom(err)
}

// plant makes the tree that the records say, from the hashes on disk as far as a checkpoint proves them.
func (k *kiosk) plant() error {
	covered := k.state.Covered
	if were := max(covered.Size, k.state.Looked); k.folder.head < were {
		return fmt.Errorf("%w: %d records are here, %d were", ErrDamaged, k.folder.head, were)
	}
	if !covered.none() && covered.Size > 0 {
		err := k.tree.rewind(covered.Size)
		if root, failed := k.tree.root(covered.Size); err != nil || failed != nil || root != covered.Root {
			k.tree.rewind(0)
		}
	}
	r := reading{dir: k.folder.dir, index: k.tree.size}
	for k.tree.size < k.folder.head {
		list, err := r.some()
		if err == nil && len(list) == 0 {
			err = fmt.Errorf("%w: record %d cannot be read", ErrDamaged, k.tree.size)
		}
		if err != nil {
			return err
		}
		g := k.tree.grow(list)
		if err := g.write(); err != nil {
			return err
		}
		g.take()
		for _, e := range list {
			k.look(e, k.heard)
		}
	}
	if covered.none() || covered.Size == 0 {
		return nil
	}
	if root, err := k.tree.root(covered.Size); err != nil || root != covered.Root {
		return fmt.Errorf("%w: its records are not those of its checkpoint of %d", ErrDamaged, covered.Size)
	}
	return nil
}

// unvouched stands before the detail of records that a kiosk took over from its emergency log, where they keep the boot that they were written in.
const unvouched = "unvouched: "

// look looks at a record that is vouched for, once.
func (k *kiosk) look(e Entry, now time.Time) {
	s := &k.state
	if e.Index < s.Looked {
		return
	}
	s.Looked = e.Index + 1
	r, ok := decode(e.Record)
	if !ok {
		s.Strange++
		k.alarm(AlarmUnreadable, fmt.Sprintf("record %d", e.Index), nil, now)
		return
	}
	if r.Event == access.EventCommandApplied && !strings.HasPrefix(r.Detail, unvouched) {
		s.applied(r.Detail)
	}
	if r.Event == access.EventTrustChanged && !strings.HasPrefix(r.Detail, unvouched) {
		s.trusts(r.Detail)
	}
	if r.Event != access.EventBooted || r.Boot == 0 || strings.HasPrefix(r.Detail, unvouched) {
		return
	}
	if r.Boot <= s.Booted {
		k.alarm(AlarmClone, fmt.Sprintf("record %d says boot %d, after boot %d", e.Index, r.Boot, s.Booted), nil, now)
	}
	s.Booted = r.Boot
}

// alarm notes an alarm, to be announced once mu is free.
func (k *kiosk) alarm(kind AlarmKind, text string, evidence []byte, now time.Time) {
	if k.state.raise(kind, text, evidence, now) {
		k.unsaved = true
		k.tell(kind)
	}
}

func (k *kiosk) over(kind AlarmKind, now time.Time) {
	if k.state.end(kind, now) {
		k.unsaved = true
		k.tell(kind)
	}
}

func (k *kiosk) tell(kind AlarmKind) {
	for _, a := range k.state.Alarms {
		if a.Kind == kind {
			k.told = append(k.told, a)
		}
	}
}

// locked runs f, keeps what it changed of the state, and announces alarms.
func (k *kiosk) locked(now time.Time, f func() error) error {
	k.mu.Lock()
	err := f()
	if k.gap().IsZero() {
		k.over(AlarmGap, now)
	}
	if k.unsaved && k.folder.broken == nil {
		failed := k.tree.sync() // before the state says that a checkpoint proves the hashes on disk
		if failed == nil {
			failed = k.folder.save(k.state)
		}
		k.unsaved = failed != nil
		if failed != nil && (err == nil || errors.Is(err, ErrRefused)) {
			err = failed
		}
	}
	k.count()
	told := k.told
	k.told = nil
	k.mu.Unlock()
	for _, a := range told {
		if k.options.Alarm != nil {
			k.options.Alarm(k.ID, a)
		}
	}
	return err
}

// judge raises the alarms that come by waiting, and ends them.
func (k *kiosk) judge(now time.Time) {
	_ = k.locked(now, func() error { // a state that cannot be written is tried again a second later; the alarm is announced all the same
		if errors.Is(k.folder.broken, os.ErrClosed) { // it was removed while this waited
			return nil
		}
		if quiet := now.Sub(k.heard); quiet > k.options.Silence {
			k.alarm(AlarmSilence, "nothing new was signed for "+quiet.Round(time.Second).String(), nil, now)
		}
		if !k.bare.IsZero() && now.Sub(k.bare) > k.options.Silence {
			k.alarm(AlarmClock, "its checkpoints name attestations that do not come with them", k.state.Newest.Note, now)
		}
		if since := k.gap(); !since.IsZero() && now.Sub(since) > k.options.Gap {
			k.alarm(AlarmGap, fmt.Sprintf("the kiosk has signed for %d records, %d are here", k.state.Newest.Size, k.folder.head), k.state.Newest.Note, now)
		}
		return nil
	})
}

func (k *kiosk) status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return Status{
		Records: k.folder.head, Pending: len(k.pending.list), Signed: k.state.Newest.Size, Covered: k.state.Covered.Checkpoint,
		Strange: k.state.Strange, Applied: k.state.Applied, Trust: k.state.Trust, Alarms: append([]Alarm(nil), k.state.Alarms...),
	}
}

func (k *kiosk) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pending.list = nil
	clear(k.early)
	k.count()
	err := k.folder.close()
	if k.pending.file != nil {
		err = errors.Join(err, k.pending.file.Close())
	}
	if k.tree != nil && k.tree.file.File != nil {
		err = errors.Join(err, k.tree.file.Close())
	}
	return err
}
