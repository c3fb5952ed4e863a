package ledger

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/sync/wire"
)

var (
	// ErrUncovered means that no checkpoint all of whose records are here covers the record yet.
	ErrUncovered = errors.New("record is in no checkpoint yet")
	// ErrNoSession means that no record says how the session ended.
	ErrNoSession = errors.New("no record says how the session ended")
)

// Reader looks at a ledger that another process may be writing. It takes no lock and changes nothing.
type Reader struct{ dir string }

// Inspect returns a Reader of the ledger in dir.
func Inspect(dir string) (*Reader, error) {
	if _, err := os.Stat(filepath.Join(dir, "lock")); err != nil {
		return nil, fmt.Errorf("inspect ledger: %q holds none: %w", dir, err)
	}
	return &Reader{dir}, nil
}

// Kiosks are the names of those whose records are here, in order.
func (r *Reader) Kiosks() ([]string, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, fmt.Errorf("list kiosks: %w", err)
	}
	name := regexp.MustCompile(`^[0-9a-f]{32}$`)
	var list []string
	for _, e := range entries {
		if e.IsDir() && name.MatchString(e.Name()) {
			list = append(list, e.Name())
		}
	}
	return list, nil
}

// Find is the one kiosk whose name begins so.
func (r *Reader) Find(prefix string) (string, error) {
	list, err := r.Kiosks()
	if err != nil {
		return "", err
	}
	found := ""
	for _, name := range list {
		switch {
		case !strings.HasPrefix(name, prefix):
		case found != "":
			return "", fmt.Errorf("more than one kiosk begins with %q", prefix)
		default:
			found = name
		}
	}
	if found == "" {
		return "", fmt.Errorf("no kiosk begins with %q", prefix)
	}
	return found, nil
}

func (r *Reader) path(kiosk string) string { return filepath.Join(r.dir, kiosk) }

// Walk gives the kiosk's records that are vouched for to f, from one on, in order and each once, until f returns an error. A record is valid during the
// call only.
func (r *Reader) Walk(kiosk string, from uint64, f func(Entry) error) error {
	at := reading{dir: r.path(kiosk), index: from}
	for {
		list, err := at.some()
		if err != nil {
			return fmt.Errorf("read records of kiosk %s: %w", kiosk, err)
		}
		if len(list) == 0 {
			return nil
		}
		for _, e := range list {
			if err := f(e); err != nil {
				return err
			}
		}
	}
}

// Key is the kiosk's audit key, as it was when its first record came.
func (r *Reader) Key(kiosk string) (*ecdsa.PublicKey, error) {
	line, err := readBounded(r.path(kiosk), keyName, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("read key of kiosk %s: %w", kiosk, err)
	}
	_, key, err := proof.ParseVerifierKey(strings.TrimSuffix(string(line), "\n"))
	return key, err
}

// Alarms are those of the kiosk, open and over.
func (r *Reader) Alarms(kiosk string) ([]Alarm, error) {
	s, err := r.state(kiosk)
	return s.Alarms, err
}

func (r *Reader) state(kiosk string) (kept, error) {
	s, err := loadState(r.path(kiosk))
	if err != nil {
		return s, fmt.Errorf("read state of kiosk %s: %w", kiosk, err)
	}
	return s, nil
}

// Receipt is the record with the proof that it stands in the newest checkpoint all of whose records are here, for proof.VerifyReceipt, which has been
// asked already. It returns ErrUncovered when there is none that has the record.
func (r *Reader) Receipt(kiosk string, index uint64) ([]byte, error) {
	b, err := r.receipt(kiosk, index)
	if err != nil {
		return nil, fmt.Errorf("make receipt of record %d of kiosk %s: %w", index, kiosk, err)
	}
	return b, nil
}

func (r *Reader) receipt(kiosk string, index uint64) ([]byte, error) {
	s, err := r.state(kiosk)
	if err != nil {
		return nil, err
	}
	key, err := r.Key(kiosk)
	if err != nil {
		return nil, err
	}
	if s.Covered.none() {
		return nil, ErrUncovered
	}
	c, err := proof.OpenCheckpoint(s.Covered.Note, key)
	if err != nil {
		return nil, err
	}
	if index >= c.Size {
		return nil, fmt.Errorf("%w: the newest has %d", ErrUncovered, c.Size)
	}
	list, err := (&reading{dir: r.path(kiosk), index: index}).some()
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%w: it cannot be read", ErrDamaged)
	}
	if err != nil {
		return nil, err
	}
	hashes, err := os.Open(filepath.Join(r.path(kiosk), hashesName))
	if err != nil {
		return nil, err
	}
	defer hashes.Close()
	path, err := tlog.ProveRecord(int64(c.Size), int64(index), hashFile{hashes})
	if err != nil {
		return nil, err
	}
	receipt := proof.Receipt{Record: list[0].Record, Seq: index, Checkpoint: s.Covered.Note}
	for _, h := range path {
		receipt.Path = append(receipt.Path, h)
	}
	b, err := receipt.Marshal()
	if err == nil {
		if _, verify := proof.VerifyReceipt(b, key); verify != nil {
			err = fmt.Errorf("%w: %w", ErrDamaged, verify)
		}
	}
	return b, err
}

// Ending is a record that says how a session ended.
type Ending struct {
	Kiosk   string
	Index   uint64
	Arrived time.Time
	Record  access.Record
	Earlier int // records before it that claim to be the end of the same session
}

// Session finds the last record that says how a session at this kiosk ended. It returns ErrNoSession when there is none.
func (r *Reader) Session(kiosk string, id access.SessionID) (Ending, error) {
	end, found := Ending{Kiosk: kiosk}, 0
	mark, err := wire.Marshal(id) // the encoding is deterministic: a record of the session contains these bytes
	if err != nil {
		return end, err
	}
	err = r.Walk(kiosk, 0, func(e Entry) error {
		if !bytes.Contains(e.Record, mark) {
			return nil
		}
		if rec, ok := decode(e.Record); ok && rec.Session == id && rec.Event.Concludes() {
			end.Index, end.Arrived, end.Record, end.Earlier = e.Index, e.Arrived, rec, found
			found++
		}
		return nil
	})
	if err == nil && found == 0 {
		err = ErrNoSession
	}
	return end, err
}
