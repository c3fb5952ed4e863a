//go:build !kiosk

package tis

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/lintel-access/lintel/drivers/tpm"
	"periph.io/x/conn/v3/physic"
)

// quick are limits that leave a loaded machine room and keep the tests short.
func quick() limits {
	return limits{a: 60 * time.Millisecond, b: 60 * time.Millisecond, c: 40 * time.Millisecond, wait: 40 * time.Millisecond}
}

// rig is a part with a real swtpm behind it, that nobody has started: no flag of swtpm's does TPM2_Startup for us.
type rig struct {
	*part
	t       testing.TB
	dir     string
	conn    net.Conn
	process *exec.Cmd
	release *ecdsa.PrivateKey
	secrets tpm.Secrets
	options tpm.Options
	limit   time.Duration // of each command from here on; 0: that of the options
}

// hasty is a line whose commands have the rig's limit: only what a fault silences need be short of time.
type hasty struct {
	*Line
	*rig
}

func (h hasty) SetDeadline(t time.Time) error {
	if h.limit > 0 {
		t = time.Now().Add(h.limit)
	}
	return h.Line.SetDeadline(t)
}

func newRig(t testing.TB) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "tis") // t.TempDir's name can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	release, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: dir, release: release, secrets: tpm.NewSecrets()}
	r.part = newPart(r.ask)
	r.options = tpm.Options{CPUSecret: []byte("cpu"), Endorsement: r.secrets.Endorsement(), Authority: tpm.Authority{Release: &release.PublicKey, Board: []byte("board 7")}}
	r.powerOn()
	t.Cleanup(r.powerOff)
	return r
}

// provisioned is a rig whose TPM is ours.
func provisioned(t testing.TB) *rig {
	t.Helper()
	r := newRig(t)
	id, err := tpm.ProvisionLine(r.line(quick()), r.secrets, r.options)
	if err != nil {
		t.Fatal(err)
	}
	r.options.Pin = id.Pin
	return r
}

func (r *rig) powerOn() {
	r.t.Helper()
	socket := filepath.Join(r.dir, "socket")
	// It ends when the connection does, so no crash of a test leaves it behind.
	r.process = exec.Command("swtpm", "socket", "--tpm2", "--terminate", "--tpmstate", "dir="+r.dir, "--server", "type=unixio,path="+socket, "--flags", "not-need-init")
	var said bytes.Buffer
	r.process.Stdout, r.process.Stderr = &said, &said
	if err := r.process.Start(); err != nil {
		r.t.Fatalf("%v; run: sudo apt-get install swtpm", err)
	}
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("unix", socket)
		if err == nil {
			r.conn = c
			return
		}
		if time.Now().After(until) {
			r.process.Process.Kill()
			r.process.Wait()
			r.t.Fatalf("swtpm does not listen: %v; it said %q", err, said.String())
		}
	}
}

func (r *rig) powerOff() {
	r.conn.Close()
	r.process.Wait()
}

// reboot is a reset of the chip.
func (r *rig) reboot() {
	r.t.Helper()
	r.part.reset()
	r.powerOff()
	r.powerOn()
}

// ask has swtpm execute a command.
func (r *rig) ask(command []byte) []byte {
	r.conn.SetDeadline(time.Now().Add(20 * time.Second))
	answer := make([]byte, most)
	_, err := r.conn.Write(command)
	if err == nil {
		_, err = io.ReadFull(r.conn, answer[:header])
	}
	if err == nil {
		answer = answer[:min(most, binary.BigEndian.Uint32(answer[2:]))]
		_, err = io.ReadFull(r.conn, answer[header:])
	}
	if err != nil {
		r.t.Errorf("swtpm: %v", err)
		return refusal(0x101) // TPM_RC_FAILURE
	}
	return answer
}

func (r *rig) line(by limits) *Line {
	r.t.Helper()
	l, err := open(r.port(), 10*physic.MegaHertz, by)
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

// open opens the TPM over the bus, until the test ends or it is closed.
func (r *rig) open() (*tpm.TPM, error) {
	l, err := open(r.port(), 10*physic.MegaHertz, quick())
	if err != nil {
		return nil, err
	}
	return tpm.OpenLine(hasty{l, r}, r.options)
}

func (r *rig) mustOpen() *tpm.TPM {
	r.t.Helper()
	tp, err := r.open()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { tp.Close() })
	return tp
}

func (r *rig) approve(tp *tpm.TPM) tpm.Approval {
	r.t.Helper()
	pcrs := must(tp.Read(tpm.PCRImage))(r.t)
	return must(tpm.Approve(r.release, tpm.Policy{PCRs: pcrs, Version: 1000}, r.options.Authority.Board))(r.t)
}

// content checks that the part saw no misuse of the protocol and that the bus is at rest.
func (r *rig) content() {
	r.t.Helper()
	for _, c := range r.complaints {
		r.t.Errorf("the part complains: %s", c)
	}
	r.complaints = nil
	if r.selected {
		r.t.Error("chip select was left asserted")
	}
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
