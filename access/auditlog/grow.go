package auditlog

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// leafOf is what is known of one record's leaf.
type leafOf struct {
	seq  uint64
	hash tlog.Hash
	lost bool // the record cannot be read and no tombstone stands for it: hash is zero
}

// eachLeaf walks the records from on until, in order, none left out: in tombstones, in segments, and those that are lost.
func (l *Log) eachLeaf(segments []uint64, from, until uint64, f func(leafOf) error) error {
	at := from
	pass := func(seq uint64, hash tlog.Hash) error {
		if seq < at || seq >= until {
			return nil
		}
		for ; at < seq; at++ {
			if err := f(leafOf{seq: at, lost: true}); err != nil {
				return err
			}
		}
		at++
		return f(leafOf{seq: seq, hash: hash})
	}
	for _, first := range l.out.tombs {
		t, err := l.out.readTomb(first)
		if err != nil || first+uint64(len(t.leaves)) <= at {
			continue // its records are lost, unless they come later
		}
		for i, h := range t.leaves {
			if err := pass(first+uint64(i), h); err != nil {
				return err
			}
		}
	}
	for i, first := range segments {
		end := until
		if i+1 < len(segments) {
			end = segments[i+1]
		}
		if end <= at || first >= until {
			continue
		}
		s, err := l.load(first, end)
		if err != nil {
			return err
		}
		for _, fr := range s.frames {
			if err := pass(fr.seq, tlog.RecordHash(fr.record)); err != nil {
				return err
			}
		}
	}
	for ; at < until; at++ {
		if err := f(leafOf{seq: at, lost: true}); err != nil {
			return err
		}
	}
	return nil
}

// plant opens the tree and brings it to the log's head. It reports whether the last segment may be continued: not when hashes say
// that records stood behind its end. Nothing is written before the log has been found to contain what is remembered.
func (l *Log) plant(r *Recovery) (continues bool, err error) {
	if l.tree, err = openTree(l.out.path(hashesName)); err != nil {
		return false, err
	}
	t := l.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	continues = true
	known := leaves(t.stored)
	// A hash is written only after its record is durable, so a hash without record tells of a loss: the last write, of which the
	// segment alone cannot tell damage from a tear. More than one write cannot be lost so; then the file is not believed.
	if known > l.head && known-l.head <= maxBatch {
		r.Damage = append(r.Damage, Damage{l.head, known})
		l.head, continues = known, false
	} else if known > l.head {
		r.Notes = append(r.Notes, fmt.Sprintf("hashes of %d records found, the log has %d", known, l.head))
	}
	stored := t.stored
	from := min(t.sure, l.head)
	err = l.grow(from, stored, r)
	if errors.Is(err, ErrCutOff) && from > 0 {
		// Before anybody is accused: the file of hashes may be what is damaged.
		if again := l.grow(0, stored, r); again == nil {
			err = nil
			r.Notes = append(r.Notes, "hashes were damaged; they were made again from the records")
		}
	}
	if err != nil {
		return false, err
	}
	return continues, t.commit()
}

// grow makes the hashes from a tree of so many leaves on, in memory, and holds the log to what is remembered. The caller holds the
// tree's mu; stored is how many hashes the file had.
func (l *Log) grow(from uint64, stored int64, r *Recovery) error {
	t := l.tree
	if err := t.rewind(from); err != nil {
		return err
	}
	err := l.eachLeaf(slices.Clone(l.out.segments), from, l.head, func(f leafOf) error {
		if f.lost {
			// What no file knows any more counts as the record without bytes, which no append can make.
			f.hash = tlog.RecordHash(nil)
			if h, ok := t.kept(f.seq, stored); ok {
				f.hash = h
			}
		}
		t.add(f.hash)
		return nil
	})
	if err != nil {
		return err
	}
	t.mu.Unlock()
	defer t.mu.Lock()
	return l.remembered(r)
}
