package auditlog

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// Entry is one record with its place.
type Entry struct {
	Seq    uint64
	Record []byte
}

// Read returns up to most records from sequence from on, in order; none when from is the head. Before a damaged range it stops; a
// read that starts in one returns a Damage, whose Until is where to go on. Likewise an Expired.
func (l *Log) Read(from uint64, most int) ([]Entry, error) {
	l.expiring.RLock()
	defer l.expiring.RUnlock()
	segments, head, expired := l.extent()
	if from > head {
		return nil, fmt.Errorf("read audit log: from %d, it ends at %d", from, head)
	}
	if from < expired {
		return nil, Expired{Until: expired}
	}
	var list []Entry
	for i, first := range segments {
		until := head
		if i+1 < len(segments) {
			until = segments[i+1]
		}
		if from >= until || len(list) >= most || from < first {
			continue
		}
		s, err := l.load(first, until)
		if err != nil {
			return list, fmt.Errorf("read audit log: %w", err)
		}
		for _, d := range s.damage {
			if d.From <= from && from < d.Until && len(list) == 0 {
				return nil, d
			}
		}
		for _, f := range s.frames {
			if f.seq == from && len(list) < most {
				list = append(list, Entry{f.seq, slices.Clone(f.record)})
				from++
			}
		}
	}
	if len(list) == 0 && from < head && most > 0 {
		return nil, Damage{From: from, Until: from + 1} // a whole segment is missing
	}
	return list, nil
}

// extent is what the log has: its segments, the sequence of the next record and of the first that has not expired.
func (l *Log) extent() (segments []uint64, head, expired uint64) {
	l.disk.Lock()
	defer l.disk.Unlock()
	return slices.Clone(l.out.segments), l.Head(), l.out.expired
}

// load scans one segment as far as its records are durable and belong before until.
func (l *Log) load(first, until uint64) (scanned, error) {
	f, err := os.Open(l.out.path(segmentName(first)))
	if errors.Is(err, os.ErrNotExist) {
		return scanned{next: until, damage: []Damage{{first, until}}}, nil
	}
	if err != nil {
		return scanned{}, err
	}
	defer f.Close()
	data, err := readSegment(f)
	if err != nil {
		return scanned{}, err
	}
	s := scan(data, first)
	// What stands behind until is being written, or belongs to nobody.
	s.frames = slices.DeleteFunc(s.frames, func(f frame) bool { return f.seq >= until })
	s.damage = slices.DeleteFunc(s.damage, func(d Damage) bool { return d.From >= until })
	if s.next < until {
		s.damage = append(s.damage, Damage{s.next, until})
	}
	return s, nil
}
