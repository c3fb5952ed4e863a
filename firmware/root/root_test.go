//go:build !kiosk

package root

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/drivers/tpm/swtpm"
	"github.com/lintel-access/lintel/sync/wire"
)

// machine is a provisioned kiosk with its software TPM and the release role's key.
type machine struct {
	t       *testing.T
	state   string
	chip    *swtpm.Process
	release *ecdsa.PrivateKey
	secrets tpm.Secrets
	image   Measurements
	options tpm.Options
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	release, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, state: t.TempDir(), release: release, secrets: tpm.NewSecrets()}
	if err := os.Chmod(m.state, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range m.image {
		m.image[i] = sha256.Sum256([]byte{byte(i)})
	}
	m.options.Deadline = 2 * time.Second
	m.power()
	if _, err := Provision(Path(m.chip.Socket()), m.state, m.secrets, &release.PublicKey, m.options, true); err != nil {
		t.Fatal(err)
	}
	m.approve(m.image)
	return m
}

// power starts the TPM on its state, as a power-on does.
func (m *machine) power() {
	m.t.Helper()
	if m.chip != nil {
		if err := m.chip.Stop(); err != nil {
			m.t.Fatal(err)
		}
	} else {
		m.t.Cleanup(func() { m.chip.Stop() })
	}
	dir, err := os.MkdirTemp("", "root")
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { os.RemoveAll(dir) })
	if m.chip, err = swtpm.StartAt(filepath.Join(m.state, "chip"), filepath.Join(dir, "s")); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) approve(image Measurements) {
	m.t.Helper()
	id, err := Load(m.state)
	if err != nil {
		m.t.Fatal(err)
	}
	a, err := Approve(m.release, id, image, id.Floor)
	if err == nil {
		err = WriteApprovals(m.state, a)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) open() *Root {
	m.t.Helper()
	r, err := Open(Path(m.chip.Socket()), m.state, m.options)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { r.Close() })
	return r
}

func (m *machine) boot(image Measurements) *Root {
	m.t.Helper()
	r := m.open()
	if _, err := r.Extend(image); err != nil {
		m.t.Fatal(err)
	}
	return r
}

func TestVaultAndLogHangOnTheRoot(t *testing.T) {
	m := newMachine(t)
	r := m.open()
	fresh, err := r.Extend(m.image)
	if err != nil || !fresh {
		t.Fatalf("first start: fresh %v, %v", fresh, err)
	}
	if fresh, err := r.Fresh(); err != nil || !fresh {
		t.Fatalf("data key that sealed nothing: fresh %v, %v", fresh, err)
	}
	path := filepath.Join(m.state, "vault.db")
	v, err := vault.Open(path, vault.Options{Root: r, Device: r.Identity().Device, Adopt: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if fresh, err := r.Fresh(); err != nil || fresh {
		t.Fatalf("data key that sealed a vault: fresh %v, %v", fresh, err)
	}
	log, _, err := auditlog.Open(filepath.Join(m.state, "audit"), auditlog.Options{Merkle: &auditlog.Merkle{
		Origin: r.Identity().Origin(), Key: r.AuditKey(), Anchor: r, Counter: r.AuditCounter,
		Attest: func(ctx context.Context, top [32]byte) ([32]byte, error) {
			_, sum, err := r.AttestTime(ctx, top)
			return sum, err
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := log.Append(auditlog.Vital, []byte{0xa0}); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Anchor(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Close()

	// The program starts again; the TPM was not reset.
	r = m.open()
	if fresh, err := r.Extend(m.image); err != nil || fresh {
		t.Errorf("second start of the program: fresh %v, %v", fresh, err)
	}
	if v, err = vault.Open(path, vault.Options{Root: r, Device: r.Identity().Device}); err != nil {
		t.Fatal(err)
	}
	v.Close()
}

// Only the measured and approved state opens the data key, whoever starts the kiosk.
//
// Control: C14
// Control: P4
func TestUnapprovedImageUnsealsNothing(t *testing.T) {
	m := newMachine(t)
	other := m.image
	other[0][0] ^= 1
	r := m.boot(other)
	if _, err := r.Unseal(); !errors.Is(err, tpm.ErrPCR) {
		t.Errorf("changed image: %v", err)
	}
	if _, err := r.AuditKey().Sign(rand.Reader, make([]byte, 32), crypto.SHA256); !errors.Is(err, tpm.ErrPCR) {
		t.Errorf("changed image signs: %v", err)
	}
	r.Close()
	m.approve(other) // an update moves the approval, not the key
	m.power()
	if _, err := m.boot(other).Unseal(); err != nil {
		t.Errorf("after the new image was approved: %v", err)
	}
}

// Control: C14
func TestOtherTPM(t *testing.T) {
	m, thief := newMachine(t), newMachine(t)
	if _, err := Open(Path(thief.chip.Socket()), m.state, m.options); !errors.Is(err, tpm.ErrOtherTPM) {
		t.Errorf("disk of one kiosk at the TPM of another: %v", err)
	}
}

// A TPM that falls silent is an error within the deadline, away from then on, and back when it answers again.
func TestSilentTPM(t *testing.T) {
	m := newMachine(t)
	r := m.boot(m.image)
	if err := syscall.Kill(m.chip.Pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Counter(); !errors.Is(err, tpm.ErrSilent) {
		t.Errorf("silent TPM: %v", err)
	}
	start := time.Now()
	if _, err := r.Raise(); !errors.Is(err, ErrAway) || time.Since(start) > m.options.Deadline/2 {
		t.Errorf("away TPM: %v after %v", err, time.Since(start))
	}
	if err := r.Revive(); err == nil {
		t.Error("a silent TPM was revived")
	}
	if err := syscall.Kill(m.chip.Pid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	revive(t, r)
	if _, err := r.Unseal(); err != nil {
		t.Errorf("unseal after it came back: %v", err)
	}
}

// revive opens a TPM anew as soon as its old handle is closed.
func revive(t *testing.T, r *Root) {
	t.Helper()
	for until := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := r.Revive()
		if err == nil && r.Away() == nil {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("revive: %v, away %v", err, r.Away())
		}
	}
}

func TestDamagedFiles(t *testing.T) {
	m := newMachine(t)
	if _, err := Provision(Path(m.chip.Socket()), m.state, m.secrets, &m.release.PublicKey, m.options, false); !errors.Is(err, ErrProvisioned) {
		t.Errorf("provisioned twice: %v", err)
	}
	for _, name := range []string{identityName, approvalsName} {
		path := filepath.Join(m.state, "root", name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for what, data := range map[string][]byte{
			"empty": {}, "cut": whole[:len(whole)/2], "long": append(whole, 0), "huge": make([]byte, maxFile+1), "text": []byte("identity"),
		} {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(Path(m.chip.Socket()), m.state, m.options); err == nil {
				t.Errorf("%s %s was taken", what, name)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Path(m.chip.Socket()), m.state, m.options); err == nil {
			t.Errorf("without %s it opened", name)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Load(t.TempDir()); !errors.Is(err, ErrNotProvisioned) {
		t.Errorf("empty folder: %v", err)
	}
	id, err := Load(m.state)
	if err != nil {
		t.Fatal(err)
	}
	id.Version--
	data, err := wire.Marshal(id)
	if err == nil {
		err = os.WriteFile(filepath.Join(m.state, "root", identityName), data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(m.state); !errors.Is(err, ErrEarlier) {
		t.Errorf("an earlier version's: %v", err)
	}
}

// The one key that another program may use signs one kind of message.
func TestTLSKeySignsHandshakesAlone(t *testing.T) {
	m := newMachine(t)
	r := m.boot(m.image)
	verify := []byte(strings.Repeat(" ", 64) + "TLS 1.3, client CertificateVerify\x00" + strings.Repeat("h", 32))
	if _, err := r.SignTLS(verify); err != nil {
		t.Error(err)
	}
	for name, message := range map[string][]byte{
		"checkpoint": []byte("lintel/00\n5\nAAAA\n"), "server's": []byte(strings.Repeat(" ", 64) + "TLS 1.3, server CertificateVerify\x00" + strings.Repeat("h", 32)),
		"digest": make([]byte, 32), "nothing": nil, "longer": append(verify, 0),
	} {
		if _, err := r.SignTLS(message); err == nil {
			t.Errorf("%s was signed", name)
		}
	}
}

func TestMeasureTellsImagesApart(t *testing.T) {
	dir := t.TempDir()
	for _, name := range Programs() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := board.Load("desk")
	if err != nil {
		t.Fatal(err)
	}
	first, err := Measure(dir, [32]byte{1}, [32]byte{2}, b)
	if err != nil {
		t.Fatal(err)
	}
	differs := func(what string, want [4]bool, bundle, policy [32]byte, b board.Board) {
		t.Helper()
		m, err := Measure(dir, bundle, policy, b)
		if err != nil {
			t.Fatal(err)
		}
		for i := range m {
			if (m[i] != first[i]) != want[i] {
				t.Errorf("%s: measurement %d changed: %v", what, i, m[i] != first[i])
			}
		}
	}
	differs("the same", [4]bool{}, [32]byte{1}, [32]byte{2}, b)
	differs("other models", [4]bool{1: true}, [32]byte{9}, [32]byte{2}, b)
	differs("other policy", [4]bool{2: true}, [32]byte{1}, [32]byte{9}, b)
	product := b
	product.Lab = false
	differs("no lab", [4]bool{2: true, 3: true}, [32]byte{1}, [32]byte{2}, product)
	if err := os.WriteFile(filepath.Join(dir, "eye"), []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	differs("other eye", [4]bool{0: true}, [32]byte{1}, [32]byte{2}, b)
	if err := os.Remove(filepath.Join(dir, "eye")); err != nil {
		t.Fatal(err)
	}
	if _, err := Measure(dir, [32]byte{1}, [32]byte{2}, b); err == nil {
		t.Error("an image without eye was measured")
	}
}

func TestCPUSecret(t *testing.T) {
	sys := t.TempDir()
	if s, err := CPUSecret(board.NoCPUSecret, sys); s != nil || err != nil {
		t.Errorf("none: %x, %v", s, err)
	}
	if _, err := CPUSecret(board.RPiOTP, sys); err == nil {
		t.Error("a board without the memory gave a secret")
	}
	dir := filepath.Join(sys, "bus/nvmem/devices/rpi-otp-private0")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for size, ok := range map[int]bool{0: false, 31: false, 32: true} {
		memory := []byte(strings.Repeat("k", size))
		if err := os.WriteFile(filepath.Join(dir, "nvmem"), memory, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := CPUSecret(board.RPiOTP, sys); (err == nil) != ok || ok && string(s) != string(memory) {
			t.Errorf("%d bytes: %x, %v", size, s, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "nvmem"), make([]byte, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := CPUSecret(board.RPiOTP, sys); err == nil {
		t.Error("a memory that was never programmed gave a secret")
	}
	if _, err := CPUSecret("fuse", sys); err == nil {
		t.Error("an unknown kind gave a secret")
	}
}
