package main

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const page = 4096 // what reaches a disk in one piece at most; a sector may be as small as 512

// disk is a model of files as POSIX promises them. What a file was given becomes durable with its fsync; names become durable with the
// fsync of their folder, in the order in which they were made.
type disk struct {
	files map[string]*inode // as a running system sees them
	kept  map[string]*inode // names that a power cut leaves
	names []naming          // not yet durable
}

type inode struct {
	durable []byte
	waiting []change
}

// change is a write, or a new length when data is nil.
type change struct {
	off  int64
	data []byte
	cut  bool // may make the file shorter
}

// naming is a name that was made, moved or removed. A nil inode removes.
type naming struct {
	path, from string
	inode      *inode
}

func newDisk() *disk { return &disk{files: map[string]*inode{}, kept: map[string]*inode{}} }

func (d *disk) open(path string, truncate bool) *inode {
	f := d.files[path]
	if f == nil {
		f = &inode{}
		d.name(naming{path: path, inode: f})
	} else if truncate {
		f.waiting = append(f.waiting, change{cut: true})
	}
	return f
}

func (d *disk) name(n naming) {
	put(d.files, n)
	d.names = append(d.names, n)
}

func put(names map[string]*inode, n naming) {
	if n.from != "" {
		delete(names, n.from)
	}
	if n.inode == nil {
		delete(names, n.path)
		return
	}
	names[n.path] = n.inode
}

func (d *disk) rename(from, to string) { d.name(naming{path: to, from: from, inode: d.files[from]}) }

func (d *disk) link(from, to string) { d.name(naming{path: to, inode: d.files[from]}) }

func (d *disk) remove(path string) { d.name(naming{path: path}) }

func (f *inode) sync() {
	f.durable, f.waiting = f.content(f.waiting), nil
}

// syncFolder makes the names in a folder durable. A journal keeps their order, so those that were made before go with them.
func (d *disk) syncFolder(folder string) {
	last := -1
	for i, n := range d.names {
		if filepath.Dir(n.path) == folder || n.from != "" && filepath.Dir(n.from) == folder {
			last = i
		}
	}
	for _, n := range d.names[:last+1] {
		put(d.kept, n)
	}
	d.names = slices.Clone(d.names[last+1:])
}

func (f *inode) content(changes []change) []byte {
	b := slices.Clone(f.durable)
	for _, c := range changes {
		end := int(c.off) + len(c.data)
		if c.data == nil && c.cut && end < len(b) {
			b = b[:end]
		}
		if end > len(b) {
			b = append(b, make([]byte, end-len(b))...)
		}
		copy(b[c.off:], c.data)
	}
	return b
}

// A loss says what becomes of that which is not durable.
type loss int

const (
	loseNothing loss = iota // the process died, the kernel did not
	loseAll
	loseSome
)

// write builds under dir what the disk holds after a cut, paths being taken relative to root.
func (d *disk) write(root, dir string, l loss, rng *rand.Rand) error {
	names := maps.Clone(d.kept)
	for _, n := range d.names[:d.surviving(l, rng)] {
		put(names, n)
	}
	for _, path := range slices.Sorted(maps.Keys(names)) { // sorted, so that a seed gives the same cuts again
		f, to := names[path], filepath.Join(dir, strings.TrimPrefix(path, root))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(to, f.content(f.surviving(l, rng)), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (d *disk) surviving(l loss, rng *rand.Rand) int {
	switch l {
	case loseNothing:
		return len(d.names)
	case loseAll:
		return 0
	}
	return rng.IntN(len(d.names) + 1)
}

// surviving picks of the waiting changes any, and of a write any of its pages.
func (f *inode) surviving(l loss, rng *rand.Rand) []change {
	switch l {
	case loseNothing:
		return f.waiting
	case loseAll:
		return nil
	}
	var some []change
	for _, c := range f.waiting {
		if c.data == nil {
			if rng.IntN(2) == 0 {
				some = append(some, c)
			}
			continue
		}
		piece := int64(page)
		if rng.IntN(4) == 0 {
			piece = 512
		}
		for off := c.off; off < c.off+int64(len(c.data)); {
			end := min((off/piece+1)*piece, c.off+int64(len(c.data)))
			if rng.IntN(2) == 0 {
				some = append(some, change{off: off, data: c.data[off-c.off : end-c.off]})
			}
			off = end
		}
	}
	return some
}
