package walkup

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/sync/wire"
)

// enrolling is held while the one desk enrols its people of whose state every other test takes a copy.
var enrolling sync.Mutex

// enrolledState is the state of a desk that has enrolled its people and was stopped in order.
func enrolledState(t *testing.T) string {
	t.Helper()
	enrolling.Lock()
	defer enrolling.Unlock()
	from := filepath.Join(programs, "enrolled")
	if _, err := os.Stat(from); err != nil {
		startDesk(t, from).stop()
	}
	to := filepath.Join(t.TempDir(), "state")
	copyState(t, to, from)
	return to
}

// copyState copies files with the modes that the programs insist on.
func copyState(t *testing.T, to, from string) {
	t.Helper()
	must(t, os.CopyFS(to, os.DirFS(from)))
	must(t, filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// recorded are the records of a log's folder, in order; none when it holds no log.
func recorded(t *testing.T, dir string) (list []access.Record) {
	t.Helper()
	log, err := auditlog.Inspect(dir)
	if err != nil {
		return nil
	}
	_, err = log.Walk(func(e auditlog.Entry) error {
		var r access.Record
		err := wire.Unmarshal(e.Record, &r)
		list = append(list, r)
		return err
	})
	must(t, err)
	return list
}

func count(list []access.Record, e access.Event) (n int) {
	for _, r := range list {
		if r.Event == e {
			n++
		}
	}
	return n
}

// pull stops door where it stands, changes the ground under it, kills it and waits until the supervisor's next one works on that ground.
func (d *desk) pull(change func(disk string)) state {
	d.t.Helper()
	s, err := d.state()
	must(d.t, err)
	pid := s.pid("door")
	must(d.t, syscall.Kill(pid, syscall.SIGSTOP)) // it writes nothing meanwhile
	change(d.disk())
	must(d.t, syscall.Kill(pid, syscall.SIGKILL))
	return d.until(30*time.Second, "door is back", func(s state) bool { return s.phase("door") == "running" && s.pid("door") != pid })
}

func (d *desk) disk() string { return filepath.Join(d.dir, "kiosk") }

// closed makes sure of a door that recognises nobody: it says why in one sentence, whoever is enrolled walks up in vain, and leaving works.
func (d *desk) closed(sentence string) {
	d.t.Helper()
	s := d.until(20*time.Second, "the page says "+sentence, func(s state) bool {
		return s.says("nobody is recognised: "+sentence) && s.Door.Text == "Out of order" && s.phase("link") == "running" && s.pid("eye") != 0
	})
	said := 0
	for _, n := range s.Notices {
		if strings.Contains(n.Text, sentence) {
			said++
		}
	}
	if said != 1 {
		d.t.Errorf("the page says it %d times: %+v", said, s.Notices)
	}
	records := s.Records
	d.act("scene", "enrolled-1")
	d.until(5*time.Second, "somebody walks up", func(s state) bool { return s.Scene != "" })
	d.act("tamper", "on")
	d.until(15*time.Second, "they have gone again", func(s state) bool {
		if s.Door.Released || s.Door.Walkup != "idle" || s.Door.Text != "Out of order" || len(s.Decisions) > 0 {
			d.t.Fatalf("a door that recognises nobody: %+v", s)
		}
		return s.Scene == ""
	})
	d.act("tamper", "off")
	d.act("rex", "")
	d.until(untilReleased, "REX releases the door", func(s state) bool { return s.Door.Released })
	d.until(15*time.Second, "it is recorded", func(s state) bool { return s.Records >= records+3 })
	time.Sleep(pressed)
}

// pressed is how long the page presses the button. A door that is started meanwhile would take it for one more request.
const pressed = 300 * time.Millisecond

// untilReleased is how long the page may take to show a release, which lasts five seconds, on a busy machine.
const untilReleased = 4 * time.Second

// duties makes sure of what a door does on any ground.
func (d *desk) duties() {
	d.t.Helper()
	rest := func(s state) bool {
		return s.Scene == "" && !s.Door.Released && !s.Door.Ajar && (s.Door.State == "locked down" || s.Door.State == "secured")
	}
	d.until(10*time.Second, "the door relocks", rest)
	d.act("scene", "forced")
	d.until(10*time.Second, "a forced door is told", func(s state) bool { return strings.Contains(s.Door.Text, "forced open") })
	d.until(10*time.Second, "the door is shut again", rest)
	d.act("fire", "on")
	d.until(3*time.Second, "fire releases the door", func(s state) bool { return s.Door.Released && s.Door.State == "fire released" })
	d.act("fire", "off")
	d.until(10*time.Second, "the lock is secured after the fire", rest)
}

// release is the key by which the desk approves images.
func (d *desk) release() *ecdsa.PrivateKey {
	d.t.Helper()
	block, _ := pem.Decode(read(d.t, filepath.Join(d.dir, "offline", "release.key")))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(d.t, err)
	return key.(*ecdsa.PrivateKey)
}

// ground is one bad ground: it takes what lies at path away for a while and puts something else there, or nothing.
type ground struct {
	name, path, says string
	put              func(t *testing.T, path, kept string)
}

// The ground of a kiosk is pulled away in every way that an accident or a thief of the disk has. Each time it says what is wrong and what to do,
// recognises nobody, lets everybody out and writes down what happened; with the right ground back it is as before.
func TestKioskOnBadGround(t *testing.T) {
	nothing := func(*testing.T, string, string) {}
	t.Parallel()
	t.Run("vault", func(t *testing.T) {
		t.Parallel()
		dir := enrolledState(t)
		older := read(t, filepath.Join(dir, "kiosk", "vault.db"))
		d := startDesk(t, dir) // every start raises the counter: the copy is an older one now
		grounds := []ground{
			{"damaged pages", "vault.db", "vault is damaged: check the disk", func(t *testing.T, path, kept string) {
				data := read(t, kept)
				for page := 2; page < len(data)/4096; page++ {
					data[page*4096+16+page] ^= 0xff
				}
				must(t, os.WriteFile(path, data, 0o600))
			}},
			{"cut short", "vault.db", "vault is damaged: check the disk", func(t *testing.T, path, kept string) {
				must(t, os.WriteFile(path, read(t, kept)[:3*4096], 0o600))
			}},
			{"of a newer program", "vault.db", "vault was written by a newer program: install that version", func(t *testing.T, path, kept string) {
				must(t, os.WriteFile(path, read(t, kept), 0o600))
				db, err := bbolt.Open(path, 0o600, nil)
				must(t, err)
				must(t, db.Update(func(tx *bbolt.Tx) error {
					return tx.Bucket([]byte("meta")).Put([]byte("schema"), binary.BigEndian.AppendUint32(nil, 99))
				}))
				must(t, db.Close())
			}},
			{"missing", "vault.db", "vault is missing or not sealed: put the right one back", nothing},
			{"of yesterday", "vault.db", "vault is an older copy than the TPM's counter allows: begin anew", func(t *testing.T, path, _ string) {
				must(t, os.WriteFile(path, older, 0o600))
			}},
			{"plain, of a thief", "vault.db", "vault is missing or not sealed: put the right one back", func(t *testing.T, path, _ string) {
				v, err := vault.Open(path, vault.Options{})
				must(t, err)
				must(t, v.Put(vault.Person{ID: access.PersonID{1}, Generation: 1}))
				must(t, v.Close())
			}},
		}
		d.stand(grounds, map[access.Event]int{access.EventVaultRefused: len(grounds)})
	})
	t.Run("root", func(t *testing.T) {
		t.Parallel()
		d := startDesk(t, enrolledState(t))
		d.stand([]ground{
			{"no identity", "root/identity", "the kiosk is not provisioned: put root/identity back", nothing},
			{"damaged identity", "root/identity", "a file below root is damaged: put back", func(t *testing.T, path, kept string) {
				must(t, os.WriteFile(path, read(t, kept)[:100], 0o600))
			}},
			{"no approval", "root/approvals", "no image is approved for this kiosk: have the release role", nothing},
			{"approval of another image", "root/approvals", "this image is not the approved one: start the approved image", func(t *testing.T, path, kept string) {
				id, err := root.Load(d.disk())
				must(t, err)
				a, err := root.Approve(d.release(), id, root.Measurements{{1}, {2}, {3}, {4}}, id.Floor)
				must(t, err)
				must(t, root.WriteApprovals(d.disk(), a))
			}},
		}, map[access.Event]int{access.EventTPMSilent: 3, access.EventMeasurementsDiffer: 1, access.EventEmergencyLogTaken: 1})
	})
	t.Run("audit log", func(t *testing.T) {
		t.Parallel()
		d := startDesk(t, enrolledState(t))
		d.stand([]ground{
			{"cut off", "audit", "audit log is not the one that is remembered: delete nothing", func(t *testing.T, path, kept string) {
				copyState(t, path, kept)
				segments, err := filepath.Glob(filepath.Join(path, "*.seg"))
				must(t, err)
				must(t, os.Truncate(segments[0], 1500))
				must(t, os.Remove(filepath.Join(path, "hashes"))) // with them the cut records would only count as lost
			}},
			{"missing", "audit", "audit log is not the one that is remembered: delete nothing", nothing},
		}, map[access.Event]int{access.EventAuditCutOff: 2, access.EventEmergencyLogTaken: 1})
	})
}

// stand puts a desk on one bad ground after the other, on the first for long, and at last on its own again. events are what the log must hold then,
// each so often.
func (d *desk) stand(grounds []ground, events map[access.Event]int) {
	t := d.t
	began := d.untilWell(20 * time.Second)
	kept := filepath.Join(t.TempDir(), "kept")
	away := "" // the path whose right content lies in kept
	back := func(disk string) {
		if away == "" {
			return
		}
		must(t, os.RemoveAll(filepath.Join(disk, away)))
		must(t, os.Rename(kept, filepath.Join(disk, away)))
		away = ""
	}
	for i, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			d.t = t
			d.pull(func(disk string) {
				back(disk)
				path := filepath.Join(disk, g.path)
				must(t, os.Rename(path, kept))
				away = g.path
				g.put(t, path, kept)
			})
			d.closed(g.says)
			if i == 0 {
				d.duties()
			}
		})
	}
	d.t = t
	d.pull(back)
	d.untilWell(20 * time.Second)
	d.walkUp("enrolled-1", "granted")
	after := d.untilWell(20 * time.Second)
	if after.Enrolled != began.Enrolled || after.Records <= began.Records {
		t.Errorf("%d people and %d records after it all, %d and %d before", after.Enrolled, after.Records, began.Enrolled, began.Records)
	}
	d.stop()
	if _, err := os.Stat(filepath.Join(d.disk(), "emergency")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the emergency log was not taken over: %v", err)
	}
	said := recorded(t, filepath.Join(d.disk(), "audit"))
	events[access.EventExitRequested], events[access.EventTamperOpened] = len(grounds), len(grounds)
	events[access.EventDoorForcedOpen], events[access.EventFireStarted] = 1, 1
	for e, want := range events {
		if n := count(said, e); n != want {
			t.Errorf("the log says %q %d times, want %d", e, n, want)
		}
	}
}

// One flipped bit in the log is found and said; the kiosk works on, since what the TPM remembers of it still proves the rest.
func TestDamagedRecordIsTold(t *testing.T) {
	t.Parallel()
	dir := enrolledState(t)
	segments, err := filepath.Glob(filepath.Join(dir, "kiosk", "audit", "*.seg"))
	must(t, err)
	data := read(t, segments[0])
	data[1000] ^= 1
	must(t, os.WriteFile(segments[0], data, 0o600))
	d := startDesk(t, dir)
	d.until(5*time.Second, "the damage is told", func(s state) bool {
		return s.says("of the audit log are damaged: what they said is lost")
	})
	d.walkUp("enrolled-1", "granted")
}

// Without the program that simulates the TPM the desk says so at once, and how to get it.
func TestDeskWithoutSoftwareTPM(t *testing.T) {
	cmd := exec.Command(program("desk"), "-no-headquarters", "-addr", freePort(t), "-cache", cache, "-state", filepath.Join(t.TempDir(), "state"))
	cmd.Env = []string{"PATH=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	if err == nil || string(out) != "desk: run: sudo apt-get install swtpm\n" {
		t.Errorf("%v: %q", err, out)
	}
}

// The disk at the TPM of another kiosk opens nothing, and takes nothing over; back at its own it is as before.
func TestDiskAtAnotherTPM(t *testing.T) {
	t.Parallel()
	dir := enrolledState(t)
	chip, own := filepath.Join(dir, "tpm"), filepath.Join(t.TempDir(), "own")
	must(t, os.Rename(chip, own)) // the desk makes a new one: of a TPM's state nothing is on the disk
	d := launchDesk(t, dir)
	d.closed("this is not the TPM that was provisioned: return the disk to its board")
	d.stop()
	records := recorded(t, filepath.Join(d.disk(), "emergency"))
	if count(records, access.EventTPMSilent) != 1 || count(records, access.EventExitRequested) != 1 {
		t.Errorf("the emergency log holds %d records, not what happened", len(records))
	}
	must(t, os.RemoveAll(chip))
	must(t, os.Rename(own, chip))
	d = startDesk(t, dir)
	d.walkUp("enrolled-2", "granted")
	d.stop()
	after := recorded(t, filepath.Join(d.disk(), "audit"))
	if count(after, access.EventEmergencyLogTaken) != 1 || count(after, access.EventExitRequested) != 1 {
		t.Error("the emergency log was not taken over")
	}
}

// A TPM that falls silent while the kiosk works is told, and people are let in from memory; when it answers again all is well without a restart.
func TestTPMFallsSilent(t *testing.T) {
	t.Parallel()
	d := startDesk(t, enrolledState(t))
	s := d.untilWell(20 * time.Second)
	pid := child(t, d.cmd.Process.Pid, "swtpm")
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	defer syscall.Kill(pid, syscall.SIGCONT)
	d.walkUp("enrolled-1", "granted")
	d.until(40*time.Second, "the silence is told", func(s state) bool { return s.says("TPM does not answer: nothing is revoked for good") })
	d.walkUp("enrolled-2", "granted")
	if said := d.refused("revoke", s.People[2].Name); !strings.Contains(said, "check the TPM") {
		t.Errorf("a revocation without the TPM says %q", said)
	}
	must(t, syscall.Kill(pid, syscall.SIGCONT))
	d.until(50*time.Second, "all is well again", func(s state) bool { return !s.says("TPM") })
	d.walkUp("enrolled-3", "denied") // it was refused as not final, and holds
	d.walkUp("enrolled-1", "granted")
}

// child is the process of that name which another one has started.
func child(t *testing.T, parent int, name string) int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	for _, path := range paths {
		var pid, ppid int
		var comm, status string
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		if _, err := fmt.Sscan(string(data), &pid, &comm, &status, &ppid); err == nil && ppid == parent && comm == "("+name+")" {
			return pid
		}
	}
	t.Fatalf("process %d has no child %q", parent, name)
	return 0
}
