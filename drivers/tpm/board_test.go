//go:build !kiosk

package tpm

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/lintel-access/lintel/drivers/tpm/swtpm"
)

// board is a simulated board: a swtpm with its state, and the release role's key.
type board struct {
	t       testing.TB
	dir     string
	process *swtpm.Process
	secrets Secrets
	release *ecdsa.PrivateKey
	id      Identity
	options Options
}

// bareBoard has a TPM that nobody took yet.
func bareBoard(t testing.TB) *board {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm") // t.TempDir's name can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	release, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := &board{t: t, dir: filepath.Join(dir, "s"), secrets: NewSecrets(), release: release}
	b.options = Options{
		CPUSecret:   []byte("one time programmable"),
		Endorsement: b.secrets.Endorsement(),
		Authority:   Authority{Release: &release.PublicKey, Board: []byte("board 7")},
	}
	b.powerOn()
	t.Cleanup(b.powerOff)
	return b
}

// newBoard has a provisioned TPM.
func newBoard(t testing.TB) *board {
	t.Helper()
	b := bareBoard(t)
	b.provision()
	return b
}

func (b *board) provision() {
	b.t.Helper()
	id, err := Provision(b.process.Socket(), b.secrets, b.options)
	if err != nil {
		b.t.Fatal(err)
	}
	b.id, b.options.Pin = id, id.Pin
}

func (b *board) powerOn() {
	b.t.Helper()
	p, err := swtpm.Start(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	b.process = p
}

func (b *board) powerOff() {
	b.t.Helper()
	if err := b.process.Stop(); err != nil {
		b.t.Error(err)
	}
}

func (b *board) restart() {
	b.t.Helper()
	b.powerOff()
	b.powerOn()
}

// open opens the TPM until the test ends or close is called.
func (b *board) open() *TPM {
	b.t.Helper()
	t, err := Open(b.process.Socket(), b.options)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { t.Close() })
	return t
}

// bare is a connection that asks the TPM without any of this package's care.
func (b *board) bare() transport.TPMCloser {
	b.t.Helper()
	w, _, err := dial(b.process.Socket(), 0)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { w.Close() })
	return w
}

// approve approves the board's present measurements for a version.
func (b *board) approve(t *TPM, version uint64) Approval {
	b.t.Helper()
	pcrs, err := t.Read(PCRImage, PCRModels, PCRDebug)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.approvePolicy(Policy{PCRs: pcrs, Version: version})
}

func (b *board) approvePolicy(p Policy) Approval {
	b.t.Helper()
	a, err := Approve(b.release, p, b.options.Authority.Board)
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
