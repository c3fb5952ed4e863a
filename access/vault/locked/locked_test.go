package locked

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// flags are the kernel's about the mapping that at lies in; nil when it lies in none.
func flags(t *testing.T, at uintptr) []string {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	inside := false
	for s := bufio.NewScanner(f); s.Scan(); {
		first, _, _ := strings.Cut(s.Text(), " ")
		if from, to, ok := strings.Cut(first, "-"); ok {
			a, err := strconv.ParseUint(from, 16, 64)
			b, err2 := strconv.ParseUint(to, 16, 64)
			inside = err == nil && err2 == nil && uintptr(a) <= at && at < uintptr(b)
		} else if first == "VmFlags:" && inside {
			return strings.Fields(s.Text())[1:]
		}
	}
	return nil
}

func has(flags []string, want string) bool { return strings.Contains(fmt.Sprint(flags, " "), want) }

// Control: C30
func TestPagesAreLockedUndumpedAndWiped(t *testing.T) {
	for _, n := range []int{1, 1000, 1 << 20} { // 4 bytes, 4 kB, 4 MiB: the last in large pages
		floats, release, locked, err := Slab(n)
		if err != nil || len(floats) != n {
			t.Fatalf("%d floats: %d, %v", n, len(floats), err)
		}
		if !locked {
			t.Fatalf("%d floats could not be locked: this test needs CAP_IPC_LOCK or `ulimit -l` of 4096 and more", n)
		}
		at := uintptr(unsafe.Pointer(&floats[0]))
		for i := range floats {
			floats[i] = 1
		}
		got := flags(t, at)
		for _, want := range []string{"lo", "dd", "wf"} { // locked, not dumped, wiped on fork
			if !has(got, want) {
				t.Errorf("%d floats: the kernel's flags %v lack %q", n, got, want)
			}
		}
		if large := n*4 >= hugePage; large && at%hugePage != 0 {
			t.Errorf("%d floats begin at %x, not at a large page", n, at)
		}
		release()
		release()
		if has(flags(t, at), "dd") {
			t.Errorf("%d floats: still mapped after release", n)
		}
	}
	r, err := newRegion(100)
	if err != nil {
		t.Fatal(err)
	}
	defer r.release()
	copy(r.pages, "a template")
	r.wipe() // what release does before it unmaps
	if s := strings.Trim(string(r.pages), "\x00"); s != "" {
		t.Errorf("wiped, yet %q is left", s)
	}
}

// Without the right to lock there is memory all the same, and it says so.
//
// Control: C30
func TestUnlockable(t *testing.T) {
	runtime.LockOSThread() // never unlocked: the thread ends with the test, and its lost capability with it
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &old); err != nil {
		t.Fatal(err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	data[0].Effective &^= 1 << unix.CAP_IPC_LOCK
	if err := unix.Capset(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 0, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_MEMLOCK, &old)
	floats, release, locked, err := Slab(512)
	if err != nil || len(floats) != 512 {
		t.Fatalf("%d floats, %v", len(floats), err)
	}
	defer release()
	if locked {
		t.Error("reported as locked")
	}
	if got := flags(t, uintptr(unsafe.Pointer(&floats[0]))); !has(got, "dd") {
		t.Errorf("the kernel's flags %v lack dd", got)
	}
	b, free, locked, err := Bytes(32)
	if err != nil || len(b) != 32 || cap(b) != 32 || locked {
		t.Fatalf("%d bytes, locked %v, %v", len(b), locked, err)
	}
	free()
}

func TestSizes(t *testing.T) {
	for _, n := range []int{0, -1, maxBytes} {
		if _, _, _, err := Slab(n); err == nil {
			t.Errorf("%d floats accepted", n)
		}
	}
	for _, n := range []int{0, -1, maxBytes + 1} {
		if _, _, _, err := Bytes(n); err == nil {
			t.Errorf("%d bytes accepted", n)
		}
	}
}
