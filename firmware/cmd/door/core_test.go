//go:build !kiosk

package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// vaultKeys are the keys of a sealed vault, derived as FORMAT.md of access/vault says.
func vaultKeys(data, device [32]byte) (map[string][32]byte, error) {
	keys := map[string][32]byte{"data key": data}
	for _, name := range []string{"index", "value", "wrap", "sum", "subject", "transform"} {
		derived, err := hkdf.Key(sha256.New, data[:], device[:], "lintel vault 2 "+name, 32)
		if err != nil {
			return nil, err
		}
		keys[name+" key"] = [32]byte(derived)
	}
	return keys, nil
}

// contentKeys opens the key of each person in a vault's file.
func contentKeys(path string, wrap, device [32]byte) (map[string][32]byte, error) {
	block, err := aes.NewCipher(wrap[:])
	if err != nil {
		return nil, err
	}
	with, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	keys := map[string][32]byte{}
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("key")).ForEach(func(name, sealed []byte) error {
			bound := binary.BigEndian.AppendUint32([]byte("lintel vault"), 2)
			bound = append(append(append(bound, device[:]...), make([]byte, 32)...), "\x03key"...)
			plain, err := with.Open(nil, nil, sealed, append(bound, name...))
			if err == nil {
				keys[string(name)] = [32]byte(plain)
			}
			return err
		})
	})
	return keys, err
}

// padded are the two forms in which HMAC keeps a key of 32 bytes (RFC 2104).
func padded(key [32]byte) (inner, outer []byte) {
	inner, outer = bytes.Repeat([]byte{0x36}, 64), bytes.Repeat([]byte{0x5c}, 64)
	for i, b := range key {
		inner[i] ^= b
		outer[i] ^= b
	}
	return inner[:32], outer[:32]
}

func (p *process) dictionary() *dictionary {
	var d dictionary
	for i, plain := range p.vectors() {
		name := [...]string{"probe", "guest", "reference"}[min(i, 2)]
		d.vector(name, plain)
		d.vector("turned "+name, p.turned[i])
	}
	for _, row := range p.rows {
		d.vector("transform", row)
	}
	for name, key := range p.keys {
		d.secret(name, key[:])
		inner, outer := padded(key)
		d.secret(name+" in HMAC", inner)
		d.secret(name+" in HMAC", outer)
	}
	for _, key := range p.content {
		d.secret("content key", key[:])
	}
	return &d
}

// remains are the secrets that a core image is known to hold, and why. Everything else that is found in one is a leak.
var remains = map[string]string{
	"value key":   "expanded by crypto/aes on the heap",
	"wrap key":    "expanded by crypto/aes on the heap",
	"content key": "expanded by crypto/aes on the heap, for each record that was opened, until that memory is used again",
	"subject key": "HKDF takes it for each day's key",
	"data key":    "HKDF and the TPM's answer leave it in buffers until that memory is used again",
}

// spilt is how many words of another key may be found: one copy that HKDF made while it derived the key, and one that lay in the processor's registers
// when a signal interrupted a thread.
const spilt = 2 * (32 - 7)

// lanes is how many words of a vector four of the processor's wide registers hold, with which it is copied and turned: what the kernel keeps of a thread that
// a signal interrupts there, until the next signal. On a busy machine a thread is interrupted often.
const lanes = 4 * 8

// image searches the memory of the program. In what a core image would hold only what is known to remain may be found; it returns what was found in
// the pages that are left out of one.
func (p *process) image(when string, d *dictionary) map[string]int {
	p.t.Helper()
	dumped, undumped, size, err := remember(p.cmd.Process.Pid, d)
	if err != nil {
		p.t.Fatal(err)
	}
	left := []string{}
	for name, n := range dumped.names {
		name = strings.TrimSuffix(name, " in memory")
		switch {
		case remains[name] != "":
			left = append(left, name)
		case strings.Contains(name, " key") && n <= spilt, !strings.Contains(name, " key") && n <= lanes:
			left = append(left, name+" (spilt)")
		default:
			p.t.Errorf("%s a core image holds %d words of %s", when, n, name)
		}
	}
	slices.Sort(left)
	p.t.Logf("%s: a core image of %d MB would hold, as is known: %q", when, size>>20, left)
	found := map[string]int{}
	for name, n := range undumped.names {
		found[strings.TrimSuffix(name, " in memory")] = n
	}
	return found
}

// needsRoot leaves a test out for whoever is not root, which make test says aloud, and fails it in ci, where nothing is left out.
func needsRoot(t *testing.T, what string) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s needs root, and ci must not leave it out", what)
	}
	t.Skipf("%s needs root", what)
}

// A core image of the running program holds no reference, no probe and no transform, and of the keys only those that remains names: at rest, after
// somebody walked up, after an enrolment and after everybody was deleted; then their references are in no memory at all. Afterwards all that the program
// has written is found with strict modes.
//
// Control: C05
// Control: C11
// Control: C12
// Control: C30
func TestCoreImageHoldsNoTemplate(t *testing.T) {
	needsRoot(t, "reading another program's memory")
	p := newProcess(t)
	p.seal()
	p.start(0)
	d := p.dictionary()
	every := len(p.people) * (dim - 1)

	// That the pages left out hold what they should is also the proof that the search finds it.
	found := p.image("at rest", d)
	if found["turned reference"] != every || found["transform"] != dim*(dim-1) || found["reference"] != 0 {
		t.Errorf("the pages that are left out hold %v", found)
	}
	for _, key := range []string{"index key", "sum key", "subject key", "transform key"} {
		if found[key] == 0 {
			t.Errorf("the %s is in no page that is left out", key)
		}
	}

	v := p.visits()
	var out ipc.Outcome
	for range 30 { // a busy machine loses frames
		var err error
		if out, err = v.come(p.probe, nil); err != nil {
			t.Fatal(err)
		}
		if out.Verdict == access.Granted {
			break
		}
	}
	if out.Person != p.people[0].id {
		t.Fatalf("somebody enrolled was %v: %v", out.Verdict, out.Reason)
	}
	if found = p.image("after a walk-up", d); found["probe"]+found["turned probe"] != 0 {
		t.Errorf("the pages that are left out hold a probe: %v", found)
	}

	guest := access.PersonID{7, 1}
	if err := v.enrol(guest, func() error { _, err := v.come(p.guest, nil); return err }); err != nil {
		t.Fatal(err)
	}
	if found = p.image("after an enrolment", d); found["turned guest"] < dim-1 || found["guest"] != 0 {
		t.Errorf("the pages that are left out hold %v", found)
	}

	for _, who := range append(p.people, visitor{id: guest}) {
		if err := v.order(ipc.KindDelete, ipc.Delete{Person: who.id}); err != nil {
			t.Fatal(err)
		}
	}
	found = p.image("after all were deleted", d)
	for _, name := range []string{"reference", "turned reference", "guest", "turned guest", "probe", "turned probe"} {
		if found[name] != 0 {
			t.Errorf("%d words of a %s are left in memory", found[name], name)
		}
	}
	if err := p.stop(); err != nil {
		t.Errorf("door ended: %v\n%s", err, p.said.all())
	}
	strictModes(t, p.state)
}

// known are the names of all that door keeps in its state folder, as docs/ARCHITECTURE.md lists them.
var known = []string{
	"vault.db", "root", "root/identity", "root/approvals", "root/audit.pub", "root/time", "root/headquarters",
	"audit", "audit/lock", "audit/cursor", "audit/hashes", "audit/checkpoint",
	"audit/[0-9]*.seg", "audit/[0-9]*.gone", "audit/spare.[0-9]*",
	"abuse", "abuse/[0-9]*.abuse", "abuse/[0-9]*.abuse.part",
}

// strictModes walks a state folder: whatever is in it is door's own, of a name that is known, a folder of mode 0700 or a plain file of 0600.
func strictModes(t *testing.T, state string) {
	t.Helper()
	seen := map[string]bool{}
	err := filepath.WalkDir(state, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if info.IsDir() {
			want = fs.ModeDir | 0o700
		}
		name, err := filepath.Rel(state, path)
		if info.Mode() != want || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()) {
			t.Errorf("%q has mode %v and owner %d, want %v and our own", name, info.Mode(), info.Sys().(*syscall.Stat_t).Uid, want)
		}
		at := slices.IndexFunc(known, func(pattern string) bool { ok, _ := filepath.Match(pattern, name); return ok })
		if name != "." && at < 0 {
			t.Errorf("%q lies in the state folder; docs/ARCHITECTURE.md does not know it", name)
		} else if name != "." {
			seen[known[at]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, must := range []string{"vault.db", "root/identity", "root/approvals", "root/audit.pub", "root/time", "audit/hashes", "audit/checkpoint", "audit/[0-9]*.seg"} {
		if !seen[must] {
			t.Errorf("%q is missing: the walk proves little", must)
		}
	}
}

// The kernel makes no core image of the running program, and shows its memory to nobody of the same user.
//
// Control: C30
func TestNobodyReadsTheMemoryOfDoor(t *testing.T) {
	needsRoot(t, "starting a program as another user")
	const uid = 65534 // nobody
	p := newProcess(t)
	for _, path := range []string{p.programs, filepath.Join(p.programs, "door"), p.run, filepath.Join(p.run, "lines.sock"), p.state} {
		if err := os.Chown(path, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	p.start(uid) // without a TPM: what is asked here does not need one
	pid := p.cmd.Process.Pid
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^Max core file size +0 +0 `).Match(limits) {
		t.Errorf("a core image has room:\n%s", limits)
	}
	look := func(pid int) ([]byte, error) {
		cmd := exec.Command("cat", fmt.Sprintf("/proc/%d/maps", pid))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, NoSetGroups: true}}
		return cmd.Output()
	}
	if maps, err := look(pid); err == nil {
		t.Errorf("another program of the user reads where its memory is: %d bytes", len(maps))
	}
	// The owner of these files is root for a program that may not be dumped, and the program's user for any other.
	owner := func(pid int) uint32 {
		info, err := os.Stat(fmt.Sprintf("/proc/%d/maps", pid))
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Uid
	}
	other := exec.Command("sleep", "60")
	other.SysProcAttr = p.cmd.SysProcAttr
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { other.Process.Kill(); other.Wait() }()
	time.Sleep(50 * time.Millisecond) // until it is sleep
	if maps, err := look(other.Process.Pid); err != nil || len(maps) == 0 || owner(other.Process.Pid) != uid {
		t.Errorf("of a program that may be dumped nothing is seen either: %v", err)
	}
	if owner(pid) != 0 {
		t.Error("the kernel would make a core image of door")
	}
}
