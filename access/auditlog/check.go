package auditlog

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Check reads the whole log and returns what is damaged. With a Merkle tree it hashes every record and compares each hash of the
// tree's file: a record that is not the one that was hashed counts as damaged, a tree that does not follow from the records is an
// error, and the whole is held once more to what is remembered (ErrCutOff).
func (l *Log) Check() ([]Damage, error) {
	damage, err := l.check()
	if err != nil {
		return damage, fmt.Errorf("check audit log: %w", err)
	}
	return damage, nil
}

func (l *Log) check() ([]Damage, error) {
	l.expiring.RLock()
	defer l.expiring.RUnlock()
	segments, head, _ := l.extent()
	fresh := &tree{} // in memory, with nothing but its edge
	var damage []Damage
	err := l.eachLeaf(segments, 0, head, func(f leafOf) error {
		if f.lost {
			damage = extend(damage, f.seq)
		}
		if l.tree == nil {
			return nil
		}
		return l.compare(fresh, f, &damage)
	})
	if err != nil || l.tree == nil {
		return damage, err
	}
	return damage, l.remembered(&Recovery{})
}

// compare takes one leaf into a fresh tree and holds the hashes that it completes to the stored ones.
func (l *Log) compare(fresh *tree, f leafOf, damage *[]Damage) error {
	at := tlog.StoredHashIndex(0, int64(f.seq))
	stored, err := l.tree.ReadHashes([]int64{at})
	if err != nil {
		return err
	}
	if !f.lost && f.hash != stored[0] {
		*damage = extend(*damage, f.seq)
	}
	fresh.add(stored[0])
	for i := 1; i < len(fresh.pending)/tlog.HashSize; i++ {
		h, err := l.tree.ReadHashes([]int64{at + int64(i)})
		if err != nil {
			return err
		}
		if string(h[0][:]) != string(fresh.pending[i*tlog.HashSize:][:tlog.HashSize]) {
			return fmt.Errorf("file %q is damaged at record %d: remove it, it is made again at the next start", hashesName, f.seq)
		}
	}
	fresh.pending = fresh.pending[:0]
	return nil
}

// extend adds one sequence to ranges that are in order.
func extend(list []Damage, seq uint64) []Damage {
	if n := len(list); n > 0 && list[n-1].Until == seq {
		list[n-1].Until++
		return list
	}
	return append(list, Damage{seq, seq + 1})
}
