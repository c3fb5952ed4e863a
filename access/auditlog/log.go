// Package auditlog keeps the audit records of door: append-only segment files, each record durable before it is acknowledged,
// with space set aside so that neither a full disk nor a flood of presentations can stop the record of a grant, an alarm or an
// egress. FORMAT.md is the layout. Records are opaque bytes here; a record's sequence is its place in the Merkle log of part 2.
package auditlog

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

var (
	// ErrFull means that there is no room for a record of its class.
	ErrFull = errors.New("audit log is full")
	// ErrInUse means that another process has the log open.
	ErrInUse = errors.New("audit log is in use: is the program running twice?")
	// ErrBroken means that a write failed: what the disk holds is unknown until the log is opened again.
	ErrBroken = errors.New("audit log is broken")
)

// Class says what a record may consume.
type Class uint8

const (
	Ordinary Class = 0 // presentations that end in no grant: refused when the reserve is not whole
	Vital    Class = 1 // grants, alarms, REX: may use the reserve
)

// Options of a log. Zero values stand for the defaults.
type Options struct {
	SegmentBytes int // of one segment; 1 MiB
	Reserve      int // segments that only vital records may begin; 4
	MaxSegments  int // segments and reserve together; 256, half of the 512 MB that /perm has
	// Merkle hashes the records into a tree; nil leaves all of that away.
	Merkle *Merkle
}

const (
	defaultSegment  = 1 << 20
	defaultReserve  = 4
	defaultSegments = 256

	minSegment = headerSize + frameHead + MaxRecord
	maxSegment = 1 << 28

	maxBatch = 64 // records that share an fdatasync; more wait for the next
)

// Log is the open audit log. Its methods may be called by several goroutines.
type Log struct {
	disk sync.Mutex // held while writing; taken before mu
	out  space
	file *os.File // the last segment
	off  int      // where its next frame goes
	buf  []byte
	lock *os.File

	expiring sync.RWMutex // held by Expire, and for reading by whoever opens segments; taken before disk
	sealing  sync.Mutex   // held while a checkpoint is made or read; taken before mu
	merkle   *Merkle
	tree     *tree // nil without Merkle

	mu         sync.Mutex
	next       *batch // the batch that appends join now
	head       uint64
	cursor     uint64
	broken     error
	signed     []byte // the last checkpoint
	signedSize uint64
}

// batch is a few records that become durable together.
type batch struct {
	done  chan struct{}
	items []item
}

type item struct {
	class  Class
	record []byte
	seq    uint64
	err    error
}

// Append stores a record and returns its sequence once it is durable. It returns ErrFull when its class has no room: vital records
// may still pass then. It keeps record until it returns.
func (l *Log) Append(class Class, record []byte) (uint64, error) {
	if len(record) == 0 || len(record) > MaxRecord {
		return 0, fmt.Errorf("append record: %d bytes, want 1 to %d", len(record), MaxRecord)
	}
	l.mu.Lock()
	b := l.next
	leads := b == nil || len(b.items) == maxBatch
	if leads {
		b = &batch{done: make(chan struct{})}
		l.next = b
	}
	mine := len(b.items)
	b.items = append(b.items, item{class: class, record: record})
	l.mu.Unlock()

	if leads {
		// Whoever comes while the previous batch is being written joins this one.
		l.disk.Lock()
		l.mu.Lock()
		if l.next == b {
			l.next = nil
		}
		l.mu.Unlock()
		l.write(b.items)
		l.disk.Unlock()
		close(b.done)
	}
	<-b.done
	if err := b.items[mine].err; err != nil {
		return 0, fmt.Errorf("append record: %w", err)
	}
	return b.items[mine].seq, nil
}

// write places the records of a batch and makes them durable. The caller holds disk.
func (l *Log) write(items []item) {
	placed := 0 // items[placed:i] are in buf and not yet durable
	l.buf = l.buf[:0]
	seq := l.Head()
	first := seq
	for i := range items {
		it := &items[i]
		need := frameHead + len(it.record)
		if l.off+len(l.buf)+need > l.out.segment {
			l.flush(items[placed:i])
			placed, first = i, seq
			if it.err = l.rotate(it.class, seq); it.err != nil {
				continue
			}
		} else if it.err = l.admit(it.class); it.err != nil {
			continue
		}
		it.seq = seq
		l.buf = appendFrame(l.buf, seq, first, it.record)
		seq++
	}
	l.flush(items[placed:])
}

// admit says whether a record of this class may use the segment that is being filled.
func (l *Log) admit(class Class) error {
	if err := l.failed(); err != nil {
		return err
	}
	if class == Vital {
		return nil
	}
	return l.out.refill(l.out.reserve)
}

// rotate begins the next segment. An ordinary record must not begin one at the reserve's cost.
func (l *Log) rotate(class Class, first uint64) error {
	if err := l.failed(); err != nil {
		return err
	}
	if err := l.out.refill(l.out.reserve + 1); err != nil && class != Vital {
		return err
	}
	f, err := l.out.begin(first)
	if errors.Is(err, ErrFull) {
		return err
	}
	if err != nil {
		return l.fail(err)
	}
	if l.file != nil {
		l.file.Close() // all of it is durable
	}
	l.file, l.off = f, headerSize
	return nil
}

// flush writes buf and settles the items whose frames it holds.
func (l *Log) flush(items []item) {
	if len(l.buf) == 0 {
		return
	}
	_, err := l.file.WriteAt(l.buf, int64(l.off))
	if err == nil {
		err = unix.Fdatasync(int(l.file.Fd()))
	}
	if err != nil {
		err = l.fail(err)
	}
	l.off += len(l.buf)
	l.buf = l.buf[:0]
	if err == nil && l.tree != nil {
		if err = l.tree.append(items); err != nil {
			err = l.fail(err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range items {
		if items[i].err != nil {
			continue
		}
		if items[i].err = err; err == nil {
			l.head = items[i].seq + 1
		}
	}
}

// fail remembers the first failed write. After a failed fsync the kernel may call the next one good although the data is lost, so
// nothing is written any more.
func (l *Log) fail(cause error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = fmt.Errorf("%w: %w", ErrBroken, cause)
	}
	return l.broken
}

func (l *Log) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// Head is the number of records, lost ones included: the sequence of the next.
func (l *Log) Head() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// Reserve is how many preallocated segments there are and how many there should be. Fewer is a degraded mode: the disk is full.
func (l *Log) Reserve() (have, want int) {
	l.disk.Lock()
	defer l.disk.Unlock()
	return l.out.spares, l.out.reserve
}

// Close ends the log. Nothing is lost without it.
func (l *Log) Close() error {
	l.disk.Lock()
	defer l.disk.Unlock()
	l.fail(os.ErrClosed)
	var err error
	if l.file != nil {
		err = l.file.Close()
	}
	if l.tree != nil {
		err = errors.Join(err, l.tree.file.Close()) // hashes that still wait are made again at open
	}
	return errors.Join(err, l.lock.Close())
}
