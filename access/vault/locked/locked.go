// Package locked gives memory for what must not reach a disk: pages outside Go's heap that are locked against swapping, left out
// of core dumps and of children's memory, and wiped before they are given back.
//
// It cannot hide them from who may read the process's memory (root, a debugger), nor wipe the copies that others made of them.
package locked

import (
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the size of a large page on amd64 and, with 4 KiB granules, on arm64. A search over a gallery in large pages is about
// 5 % faster: it misses fewer translations.
const hugePage = 2 << 20

// maxBytes bounds one mapping: a gallery of 100,000 references of 512 floats is 205 MB.
const maxBytes = 1 << 30

// Slab returns n zero floats at the start of a page. locked is false when the pages could not be locked (RLIMIT_MEMLOCK, no
// CAP_IPC_LOCK): they work, but may be swapped out, and the caller shows that as a degraded mode. release wipes the floats and
// gives the pages back; whoever touches them afterwards crashes. It may be called again, and does nothing then.
func Slab(n int) (floats []float32, release func(), locked bool, err error) {
	if n <= 0 || n > maxBytes/4 {
		return nil, nil, false, fmt.Errorf("map slab: %d floats, want 1 to %d", n, maxBytes/4)
	}
	r, err := newRegion(4 * n)
	if err != nil {
		return nil, nil, false, fmt.Errorf("map slab of %d floats: %w; free memory or enrol fewer people", n, err)
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(r.pages))), n), r.release, r.locked, nil
}

// Bytes is Slab for keys and plain text: n zero bytes.
func Bytes(n int) (bytes []byte, release func(), locked bool, err error) {
	if n <= 0 || n > maxBytes {
		return nil, nil, false, fmt.Errorf("map bytes: %d, want 1 to %d", n, maxBytes)
	}
	r, err := newRegion(n)
	if err != nil {
		return nil, nil, false, fmt.Errorf("map %d bytes: %w; free memory", n, err)
	}
	return r.pages[:n:n], r.release, r.locked, nil
}

// region is one mapping.
type region struct {
	mapped []byte // what the kernel gave, unmapped as a whole
	pages  []byte // the part in use
	locked bool
	once   sync.Once
}

func newRegion(size int) (*region, error) {
	size = up(size, unix.Getpagesize())
	large := size >= hugePage
	span := size
	if large {
		span += hugePage // room to begin at a large page
	}
	mapped, err := unix.Mmap(-1, 0, span, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	r := &region{mapped: mapped, pages: mapped[:size:size]}
	if large {
		at := uintptr(unsafe.Pointer(unsafe.SliceData(mapped)))
		skip := int(-at & (hugePage - 1))
		r.pages = mapped[skip : skip+size : skip+size]
		_ = unix.Madvise(r.pages, unix.MADV_HUGEPAGE) // for speed alone: a kernel without large pages refuses
	}
	// Both before the first byte is written. Without them the memory is not what it says it is.
	for _, advice := range []int{unix.MADV_DONTDUMP, unix.MADV_WIPEONFORK} {
		if err := unix.Madvise(r.pages, advice); err != nil {
			_ = unix.Munmap(mapped)
			return nil, err
		}
	}
	r.locked = unix.Mlock(r.pages) == nil
	return r, nil
}

func (r *region) wipe() { clear(r.pages) }

func (r *region) release() {
	r.once.Do(func() {
		r.wipe()
		_ = unix.Munmap(r.mapped) // fails only for what is no mapping; unlocks too
		r.mapped, r.pages = nil, nil
	})
}

func up(n, step int) int { return (n + step - 1) / step * step }
