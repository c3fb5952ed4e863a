//go:build linux

package replay

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Loss is what becomes of that which was written and not flushed.
type Loss uint8

// The losses. A disk may also write in another order; what a cut leaves then is the same, because the later of two writes to one place is all that it
// still knows of them.
const (
	All    Loss = iota // the disk had none of it
	None               // it had all
	Writes             // it had some of the writes
	Torn               // it had some sectors of some writes
)

// whole is how many sectors at the start of the disk are written together or not at all. They hold the file system's superblock, of 1 KB: ext4 reads it
// before it looks into its journal, and does not mount when a half of it is new (seen here: "bad message").
const whole = page / sector

func (l Loss) String() string {
	names := [...]string{"all lost", "none lost", "writes lost", "writes torn"}
	if int(l) >= len(names) {
		return fmt.Sprintf("loss %d", uint8(l))
	}
	return names[l]
}

// Point is a crash point: a loss at the moment after a step.
type Point struct {
	Step int
	Loss Loss
}

// Points are all crash points, in order, that differ from the one before it: at each write, and after each mark.
func (r *Recording) Points() (list []Point) {
	pending := 0
	for i, s := range r.steps {
		_, said := r.mark(s)
		switch {
		case said:
		case s.flush:
			pending = 0
		case !s.fua:
			pending++
		}
		for l := All; l <= Torn; l++ {
			switch {
			case l == None && (said || pending == 0):
			case l == All && !said && pending > 0:
			case l == Writes && pending < 2, l == Torn && pending < 1:
			default:
				list = append(list, Point{i, l})
			}
		}
	}
	return list
}

// Writes counts what the recording has.
func (r *Recording) Writes() (writes, flushes, marks int) {
	for _, s := range r.steps {
		_, said := r.mark(s)
		switch {
		case said:
			marks++
		case s.flush, s.fua:
			flushes++
		default:
			writes++
		}
	}
	return writes, flushes, marks
}

func (r *Recording) mark(s step) (text string, said bool) {
	if len(s.data) == 0 || s.sector*sector < r.marks {
		return "", false
	}
	b, _, _ := bytes.Cut(s.data, []byte{0})
	_, b, _ = bytes.Cut(b, []byte{' '}) // behind its number
	return string(b), true
}

func (r *Recording) number(s step) (n int, said bool) {
	if len(s.data) == 0 || s.sector*sector < r.marks {
		return 0, false
	}
	_, err := fmt.Sscan(string(s.data), &n)
	return n, err == nil
}

// A Mount mounts the disk of a crash point, shows its folder, and unmounts it. It may do so several times; each time the disk is as the cut has left it.
type Mount func(show func(folder string) error) error

// Replay goes through the recording, has every mark heard, and shows the disk at the points, which are in order. It works in dir, a folder in
// memory. The seed decides what is lost.
func (r *Recording) Replay(dir string, points []Point, seed uint64, hear func(mark string) error, show func(Point, Mount) error) (err error) {
	d, err := newDisk(dir, r.base)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	for i, s := range r.steps {
		if text, said := r.mark(s); said {
			if err := hear(text); err != nil {
				return fmt.Errorf("step %d: %w", i, err)
			}
		} else {
			d.take(s)
		}
		for ; len(points) > 0 && points[0].Step == i; points = points[1:] {
			d.rng = func() *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(i)<<8|uint64(d.loss))) }
			d.loss = points[0].Loss
			if err := show(points[0], d.mount); err != nil {
				return err
			}
		}
	}
	return nil
}

// disk is the disk at one moment.
type disk struct {
	durable []byte
	pending []step // written and not flushed
	loss    Loss
	rng     func() *rand.Rand

	device, folder string
	detach         func() error
	live           []byte // the file behind the device
}

func newDisk(dir string, base []byte) (*disk, error) {
	file := filepath.Join(dir, "replayed")
	d := &disk{durable: bytes.Clone(base), folder: filepath.Join(dir, "cut")}
	if err := errors.Join(os.MkdirAll(d.folder, 0o755), os.WriteFile(file, base, 0o600)); err != nil {
		return nil, err
	}
	defer os.Remove(file) // the device holds it
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if d.live, err = unix.Mmap(int(f.Fd()), 0, len(base), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, err
	}
	if d.device, d.detach, err = attach(file); err != nil {
		return nil, errors.Join(err, unix.Munmap(d.live))
	}
	return d, nil
}

func (d *disk) close() error { return errors.Join(d.detach(), unix.Munmap(d.live)) }

// take has the disk take a write or a flush.
func (d *disk) take(s step) {
	if s.flush {
		for _, p := range d.pending {
			put(d.durable, p)
		}
		d.pending = d.pending[:0]
	}
	switch {
	case s.fua:
		put(d.durable, s)
	case len(s.data) > 0:
		d.pending = append(d.pending, s)
	}
}

func put(disk []byte, s step) { copy(disk[s.sector*sector:], s.data) }

// build makes the file behind the device what the cut has left. Only what differs is written.
func (d *disk) build() {
	for at := 0; at < len(d.live); at += page {
		if want := d.durable[at : at+page]; !bytes.Equal(d.live[at:at+page], want) {
			copy(d.live[at:], want)
		}
	}
	rng := d.rng()
	for _, s := range d.pending {
		switch {
		case d.loss == None, d.loss == Writes && rng.IntN(2) == 0:
			put(d.live, s)
		case d.loss == Torn:
			for len(s.data) > 0 {
				piece := step{sector: s.sector, data: s.data[:sector]}
				if s.sector < whole {
					piece.data = s.data[:min(int64(len(s.data)), (whole-s.sector)*sector)]
				}
				if rng.IntN(2) == 0 {
					put(d.live, piece)
				}
				s.sector, s.data = s.sector+int64(len(piece.data)/sector), s.data[len(piece.data):]
			}
		}
	}
}

func (d *disk) mount(show func(folder string) error) (err error) {
	d.build()
	// What the file system finds wrong with itself makes it refuse to be written.
	if err := unix.Mount(d.device, d.folder, "ext4", unix.MS_NOATIME, "errors=remount-ro"); err != nil {
		return fmt.Errorf("mount what a cut has left: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(d.folder, 0)) }()
	return show(d.folder)
}
