package main

import (
	"bufio"
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/match"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/access/vault/locked"
	"github.com/lintel-access/lintel/sync/wire"
)

// A full vault.
const (
	enrolled   = 10_000
	references = 5 // of each
	templates  = enrolled * references
	perPerson  = references * access.ProbeSize * 4 // bytes of templates

	limitStart    = 3 * time.Second            // from a TPM that runs to a gallery that can be searched
	limitTemplate = 1.1 * access.ProbeSize * 4 // resident bytes of a reference in the gallery
	starts        = 3
)

// benchStart measures what door does before it can know anybody: open the TPM, unseal, open the vault, fill the gallery. The files are
// not in the page cache then, as after power-on.
func benchStart(dir, chipDir string, out io.Writer) ([]measurement, error) {
	folder := filepath.Join(dir, "start")
	defer os.RemoveAll(folder)
	if err := os.MkdirAll(filepath.Join(folder, "vault"), 0o700); err != nil {
		return nil, err
	}
	if err := writePlain(vaultFile(folder), enrolled); err != nil {
		return nil, err
	}
	floor := filepath.Join(folder, "floor")
	key, err := writeFloor(floor)
	if err != nil {
		return nil, err
	}
	adopted, err := adopt(folder, chipDir)
	if err != nil {
		return nil, err
	}
	list, err := judged(out, func() ([]measurement, error) { return timeStarts(folder, chipDir, floor, key) })
	if err != nil {
		return nil, err
	}
	once := measurement{"sealing 10,000 people once", adopted.Seconds(), "s, when provisioning takes over a plain file", 0, false}
	return append([]measurement{once}, list...), nil
}

// timeStarts starts some times, and reads the floor after each.
func timeStarts(folder, chipDir, floor string, key cipher.AEAD) ([]measurement, error) {
	var whole, unseal, read, ratio []float64
	var memory, lockedPages float64
	for range starts {
		s, err := startOnce(folder, chipDir)
		if err != nil {
			return nil, err
		}
		least, err := readFloor(floor, key)
		if err != nil {
			return nil, err
		}
		whole, unseal, read = append(whole, s.whole.Seconds()), append(unseal, float64(s.unseal.Milliseconds())), append(read, least.Seconds())
		ratio = append(ratio, float64(s.whole)/float64(least))
		memory = max(memory, s.memory)
		if s.locked {
			lockedPages = 1
		}
	}
	return []measurement{
		{"start: open TPM and unseal", median(unseal), "ms", 0, false},
		{"start: until the gallery", median(whole), "s, 10,000 people x 5 templates, TPM to search", limitStart.Seconds(), false},
		{"start: floor", median(read), "s, reading and opening the same templates under one key", 0, false},
		{"start/floor", median(ratio), "times", 0, false},
		{"memory a template", memory, "bytes resident in the gallery, 2048 of them components", limitTemplate, false},
		{"gallery in locked pages", lockedPages, "(1: yes)", 0, false},
	}, nil
}

// writePlain writes a plain vault of so many people, as access/vault/FORMAT.md describes schema 1: through vault.Put each person would be a
// transaction and an fsync of its own.
func writePlain(path string, people int) error {
	v, err := vault.Open(path, vault.Options{})
	if err != nil {
		return err
	}
	if err := v.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		return err
	}
	const batch = 500 // people in a transaction
	rng := mathrand.New(mathrand.NewPCG(4, 4))
	for first := 0; first < people; first += batch {
		err := db.Update(func(tx *bbolt.Tx) error {
			for n := first; n < min(first+batch, people); n++ {
				value, err := plainPerson(rng)
				if err != nil {
					return err
				}
				id := access.PersonID{0: 1}
				binary.BigEndian.PutUint64(id[8:], uint64(n))
				if err := tx.Bucket([]byte("person")).Put(id[:], value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return errors.Join(err, db.Close())
		}
	}
	return errors.Join(db.Sync(), db.Close())
}

func plainPerson(rng *mathrand.Rand) ([]byte, error) {
	type plainReference struct {
		Template []byte   `cbor:"1,keyasint"`
		Bundle   [32]byte `cbor:"2,keyasint"`
		Created  uint64   `cbor:"3,keyasint"`
		Quality  float32  `cbor:"4,keyasint"`
	}
	p := struct {
		State      vault.State      `cbor:"1,keyasint"`
		Generation uint64           `cbor:"2,keyasint"`
		References []plainReference `cbor:"3,keyasint"`
	}{State: vault.Active, Generation: 1}
	t := make([]float32, access.ProbeSize)
	for range references {
		for i := range t {
			t[i] = rng.Float32() - .5
		}
		match.Normalise(t)
		r := plainReference{Bundle: bundle(), Created: 1, Quality: .5}
		for _, x := range t {
			r.Template = binary.LittleEndian.AppendUint32(r.Template, math.Float32bits(x))
		}
		p.References = append(p.References, r)
	}
	return wire.Marshal(p)
}

// adopt has the TPM take the plain file over.
func adopt(folder, chipDir string) (took time.Duration, err error) {
	c, err := openChip(chipDir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	begin := time.Now()
	v, err := openVault(folder, c, nil)
	if err != nil {
		return 0, err
	}
	return time.Since(begin), v.Close()
}

// started is what one start took and left.
type started struct {
	whole, unseal time.Duration
	memory        float64 // bytes a template
	locked        bool
}

func startOnce(folder, chipDir string) (s started, err error) {
	if err := forget(vaultFile(folder)); err != nil {
		return s, err
	}
	runtime.GC() // of what was measured before
	begin := time.Now()
	c, err := openChip(chipDir)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if _, err := c.Unseal(); err != nil { // the vault does it once more: so much is on the safe side
		return s, err
	}
	s.unseal = time.Since(begin)
	v, err := vault.Open(vaultFile(folder), vault.Options{Root: c, Device: device()})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	slab, release, isLocked, err := locked.Slab(templates * access.ProbeSize)
	if err != nil {
		return s, err
	}
	defer release()
	gallery, err := match.NewFloat32(slab, access.ProbeSize)
	if err != nil {
		return s, err
	}
	if err := fill(gallery, v); err != nil {
		return s, err
	}
	s.whole, s.locked = time.Since(begin), isLocked
	if gallery.Len() != templates {
		return s, fmt.Errorf("gallery has %d references, want %d", gallery.Len(), templates)
	}
	with, err := resident()
	runtime.KeepAlive(gallery)
	gallery = nil
	release()
	if err != nil {
		return s, err
	}
	without, err := resident()
	s.memory = float64(with-without) / templates
	return s, err
}

func fill(gallery *match.Float32, v *vault.Vault) error {
	owner := uint32(0)
	template := make([]float32, access.ProbeSize)
	defer clear(template)
	return v.All(bundle(), func(p vault.Person) error {
		for _, r := range p.References {
			r.Template.Copy(template)
			r.Template.Wipe()
			if _, err := gallery.Append(owner, template); err != nil {
				return err
			}
		}
		owner++
		return nil
	})
}

// resident is the anonymous memory of this process in bytes, after what is free was given back.
func resident() (int64, error) {
	debug.FreeOSMemory()
	f, err := os.Open("/proc/self/smaps_rollup")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, found := strings.CutPrefix(lines.Text(), "Anonymous:"); found {
			var kilobytes int64
			_, err := fmt.Sscan(rest, &kilobytes)
			return kilobytes << 10, err
		}
	}
	return 0, errors.New("kernel does not tell how much memory is anonymous")
}

// forget has the kernel drop a file from its page cache.
func forget(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return cmp.Or(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
}

// writeFloor writes as many sealed bytes as the vault has of templates, a person's at a time, under one key.
func writeFloor(path string) (cipher.AEAD, error) {
	key := make([]byte, 32)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, perPerson)
	for range enrolled {
		if _, err := f.Write(aead.Seal(nil, nil, plain, nil)); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return aead, errors.Join(f.Sync(), f.Close())
}

func readFloor(path string, aead cipher.AEAD) (time.Duration, error) {
	if err := forget(path); err != nil {
		return 0, err
	}
	begin := time.Now()
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	sealed, plain := make([]byte, perPerson+aead.Overhead()), make([]byte, 0, perPerson)
	for range enrolled {
		if _, err := io.ReadFull(f, sealed); err != nil {
			return 0, err
		}
		if _, err := aead.Open(plain, nil, sealed, nil); err != nil {
			return 0, err
		}
	}
	return time.Since(begin), nil
}
