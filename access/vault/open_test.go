package vault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/sync/wire"
)

// Control: C05
// Control: C12
func TestModes(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	file := path(t)
	v := mustOpen(t, file, Options{})
	mustPut(t, v, someone(t, 1, 1))
	seen := 0
	err := filepath.WalkDir(filepath.Dir(file), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = fs.ModeDir | 0o700
		}
		if seen++; info.Mode() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || seen != 2 {
		t.Fatalf("%d entries, %v", seen, err)
	}
	v.Close()
	for _, wide := range []struct {
		path string
		mode fs.FileMode
		was  fs.FileMode
	}{{file, 0o640, 0o600}, {file, 0o602, 0o600}, {filepath.Dir(file), 0o710, 0o700}} {
		if err := os.Chmod(wide.path, wide.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(file, Options{}); err == nil || !strings.Contains(err.Error(), "mode") {
			t.Errorf("%s with mode %v: %v", wide.path, wide.mode, err)
		}
		if err := os.Chmod(wide.path, wide.was); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(filepath.Dir(file), "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(link, Options{}); err == nil {
		t.Error("followed a symbolic link")
	}
	if _, err := Open(filepath.Join(t.TempDir(), "absent", "vault.db"), Options{}); err == nil {
		t.Error("made a folder")
	}
}

func TestSecondInstance(t *testing.T) {
	file := path(t)
	mustOpen(t, file, Options{})
	start := time.Now()
	if _, err := Open(file, Options{Wait: 50 * time.Millisecond}); !errors.Is(err, ErrInUse) {
		t.Fatalf("got %v", err)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Fatalf("took %v", d)
	}
}

// refused opens a file that is no whole vault and checks that it stays as it is.
func refused(t *testing.T, file string, content []byte, want error) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if v, err := Open(file, Options{}); !errors.Is(err, want) {
		if err == nil {
			v.Close()
		}
		t.Errorf("got %v, want %v", err, want)
	}
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, content) {
		t.Errorf("the file was changed: %d bytes, %v", len(now), err)
	}
}

func TestForeignFiles(t *testing.T) {
	file := path(t)
	refused(t, file, nil, ErrForeign)
	refused(t, file, []byte("root:x:0:0\n"), ErrForeign)
	refused(t, file, make([]byte, 64<<10), ErrForeign)
	refused(t, file, bytes.Repeat([]byte("SQLite format 3\x00"), 4096), ErrForeign)

	for name, fill := range map[string]func(*bbolt.Tx) error{
		"empty": func(*bbolt.Tx) error { return nil },
		"another program's": func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket([]byte(bucketMeta))
			return errors.Join(err, b.Put([]byte(keyMagic), []byte("etcd")))
		},
		"without buckets": func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket([]byte(bucketMeta))
			return errors.Join(err, b.Put([]byte(keyMagic), []byte(magic)), b.Put([]byte(keySchema), []byte{0, 0, 0, 1}))
		},
	} {
		t.Run(name, func(t *testing.T) { refused(t, file, bolt(t, fill), ErrForeign) })
	}
}

func bolt(t *testing.T, fill func(*bbolt.Tx) error) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "b")
	db, err := bbolt.Open(file, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(fill), db.Close()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// bend opens the vault's file with bbolt itself.
func bend(t *testing.T, file string, f func(*bbolt.Tx) error) []byte {
	t.Helper()
	db, err := bbolt.Open(file, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(f), db.Close()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestSchema(t *testing.T) {
	file := path(t)
	mustOpen(t, file, Options{}).Close()
	for _, version := range []uint32{schemaSealed + 1, 1 << 31} {
		content := bend(t, file, func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte(bucketMeta)).Put([]byte(keySchema), binary.BigEndian.AppendUint32(nil, version))
		})
		refused(t, file, content, ErrNewer)
	}
	// A plain file that calls itself sealed is none.
	refused(t, file, bend(t, file, func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(bucketMeta)).Put([]byte(keySchema), []byte{0, 0, 0, schemaSealed})
	}), ErrForeign)
}

func TestDamagedRecords(t *testing.T) {
	put := func(bucket, key string, value []byte) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucket)).Put([]byte(key), value) }
	}
	long, err := wire.Marshal(Lockout{Boot: 1, Failures: make([]time.Duration, MaxFailures+1)})
	if err != nil {
		t.Fatal(err)
	}
	scaled, err := encodePerson(someone(t, 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.IndexFunc(scaled[16:], func(r rune) bool { return r != 0 }) + 16
	copy(scaled[i&^3:], bytes.Repeat([]byte{0x40}, 32)) // a template that is longer than 1 would beat every threshold
	id := string(bytes.Repeat([]byte{7}, 16))
	for name, f := range map[string]func(*bbolt.Tx) error{
		"person is no CBOR":    put(bucketPerson, id, []byte("hello")),
		"person is empty":      put(bucketPerson, id, nil),
		"person with long key": put(bucketPerson, id+"x", nil),
		"template too long":    put(bucketPerson, id, scaled),
		"tombstone":            put(bucketTombstone, id, []byte{1}),
		"tombstone's key":      put(bucketTombstone, "x", make([]byte, 8)),
		"boot":                 put(bucketMeta, keyBoot, []byte{1}),
		"lockout":              put(bucketLockout, "front", long),
		"schema":               put(bucketMeta, keySchema, nil),
		"schema 0":             put(bucketMeta, keySchema, make([]byte, 4)),
	} {
		t.Run(name, func(t *testing.T) {
			file := path(t)
			mustOpen(t, file, Options{}).Close()
			refused(t, file, bend(t, file, f), ErrForeign)
		})
	}
}

// Whatever length a copy was cut to and whichever bit has flipped: the vault opens with people that pass their bounds, or it is refused
// and stays as it is. It never panics.
func TestCutAndFlipped(t *testing.T) {
	file := path(t)
	v := mustOpen(t, file, Options{})
	for n := range 30 {
		mustPut(t, v, someone(t, n+1, 2))
	}
	if err := errors.Join(v.Delete(someone(t, 3, 0).ID, 0), v.SetLockout("front", Lockout{Boot: 1, Failures: []time.Duration{5}})); err != nil {
		t.Fatal(err)
	}
	var used int64
	if err := v.db.View(func(tx *bbolt.Tx) error { used = tx.Size(); return nil }); err != nil {
		t.Fatal(err)
	}
	v.Close()
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	opened, stayed := 0, 0
	try := func(what string, content []byte) {
		t.Helper()
		bent := filepath.Join(filepath.Dir(file), "bent")
		if err := os.WriteFile(bent, content, 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := Open(bent, Options{})
		if err == nil {
			opened++
			if err := v.All(bundle, func(Person) error { return nil }); err != nil {
				t.Errorf("%s: opened, but %v", what, err)
			}
			v.Close()
		} else {
			stayed++
			if !errors.Is(err, ErrForeign) && !errors.Is(err, ErrNewer) {
				t.Errorf("%s: %v", what, err)
			}
			if now, err := os.ReadFile(bent); err != nil || !bytes.Equal(now, content) {
				t.Errorf("%s: refused, yet changed", what)
			}
		}
		os.Remove(bent)
	}
	for n := 1; n < int(used); n += 1531 {
		try(fmt.Sprintf("cut at %d", n), whole[:n])
	}
	if opened != 0 {
		t.Errorf("%d short files opened", opened)
	}
	page := os.Getpagesize()
	for at := 0; at < int(used); {
		bent := slices.Clone(whole)
		bent[at] ^= 1 << (at % 8)
		try(fmt.Sprintf("bit in byte %d", at), bent)
		if at%page < 80 {
			at += 3 // page headers and their first elements, densely
		} else {
			at += 397
		}
	}
	if opened == 0 || stayed < 50 {
		t.Errorf("%d opened, %d refused: nothing was tested", opened, stayed)
	}
}

// A disk that is full is an error of that one change; what was stored stays.
//
// The limit on the size of files holds for the whole process, and so for the file in which go test notes what a test opened: it is another process's.
func TestFullDisk(t *testing.T) {
	const inChild = "LINTEL_TEST_FULL_DISK"
	if os.Getenv(inChild) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.timeout=1m", "-test.v")
		cmd.Env = append(os.Environ(), inChild+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestFullDisk") {
			t.Fatalf("%v: %s", err, out)
		}
		return
	}
	file := path(t)
	v := mustOpen(t, file, Options{})
	mustPut(t, v, someone(t, 1, 1))
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(info.Size()), Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	n := 2
	for err = nil; err == nil && n < 1000; n++ {
		err = v.Put(someone(t, n, MaxReferences))
	}
	if err == nil || !strings.Contains(err.Error(), unix.EFBIG.Error()) { // bbolt does not wrap it
		t.Errorf("after %d people: %v", n, err)
	}
	if v.Count() != n-2 {
		t.Errorf("%d people counted, %d stored", v.Count(), n-2)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	mustPut(t, v, someone(t, n, 1))
	v.Close()
	if v = mustOpen(t, file, Options{}); v.Count() != n-1 {
		t.Errorf("%d people after reopening", v.Count())
	}
}

// BenchmarkOpen is the start of door with a thousand people of two references each.
func BenchmarkOpen(b *testing.B) {
	file := path(b)
	v := mustOpen(b, file, Options{})
	v.db.NoSync = true
	for n := range 1000 {
		mustPut(b, v, someone(b, n+1, 2))
	}
	v.db.NoSync = false
	v.Close()
	for b.Loop() {
		mustOpen(b, file, Options{}).Close()
	}
}
