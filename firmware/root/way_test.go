//go:build !kiosk

package root

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/tpm"
)

// bus opens lines to a software TPM as openSPI does to a chip, and notes how many of them are open.
type bus struct {
	net.Conn
	t      *testing.T
	socket string
	opened int
	inUse  bool
	closed chan struct{} // a close waits for it; nil: for nothing
}

func (b *bus) open() (tpm.Line, error) {
	if b.inUse {
		b.t.Error("two lines on one bus")
	}
	c, err := net.Dial("unix", b.socket)
	if err != nil {
		return nil, err
	}
	b.Conn, b.inUse = c, true
	b.opened++
	return b, nil
}

func (b *bus) Close() error {
	if b.closed != nil {
		<-b.closed
	}
	b.inUse = false
	return b.Conn.Close()
}

// A TPM without a driver is provisioned, opened, and opened anew by a line of its own each time, never by two at once.
func TestBareTPM(t *testing.T) {
	m := newMachine(t)
	id, err := Load(m.state)
	if err != nil {
		t.Fatal(err)
	}
	b := &bus{t: t, socket: m.chip.Socket()}
	other := t.TempDir()
	again, err := Provision(Bare(b.open), other, m.secrets, &m.release.PublicKey, m.options, false)
	if err != nil || again.Device != id.Device {
		t.Fatalf("provisioned again over a line: %v, device %x, was %x", err, again.Device, id.Device)
	}
	if b.opened != 2 || b.inUse {
		t.Errorf("provisioning opened %d lines and left one in use: %v", b.opened, b.inUse)
	}

	r, err := Open(Bare(b.open), m.state, m.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if _, err := r.Extend(m.image); err != nil {
		t.Fatal(err)
	}
	b.closed = make(chan struct{})
	if err := syscall.Kill(m.chip.Pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Counter(); !errors.Is(err, tpm.ErrSilent) {
		t.Errorf("silent TPM: %v", err)
	}
	if err := syscall.Kill(m.chip.Pid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := r.Revive(); !errors.Is(err, ErrAway) || b.opened != 3 {
		t.Errorf("revived beside a line that is still open: %v, %d lines", err, b.opened)
	}
	close(b.closed)
	revive(t, r)
	if _, err := r.Unseal(); err != nil || b.opened < 4 { // more on a busy machine: revived again
		t.Errorf("unseal after it came back: %v, %d lines", err, b.opened)
	}
}

func TestWayTo(t *testing.T) {
	for transport, want := range map[board.Transport]Path{board.SWTPM: "/run/x/tpm.sock", board.TPMRM0: "/dev/tpmrm0"} {
		if way, err := WayTo(board.TPM{Transport: transport}, "/run/x"); err != nil || way != want {
			t.Errorf("%s: %v, %v", transport, way, err)
		}
	}
	if way, err := WayTo(board.TPM{Transport: "i2c"}, ""); err == nil {
		t.Errorf("an unknown transport leads to %v", way)
	}
	spi := board.TPM{Transport: board.TPMSPI, SPI: board.SPI{Bus: 31, ChipSelect: 7, Hz: 10_000_000}}
	way, err := WayTo(spi, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(spi.Device()); err == nil {
		t.Fatalf("this machine has %s: the test needs a bus that is not there", spi.Device())
	}
	m := newMachine(t)
	_, opened := Open(way, m.state, m.options)
	_, provisioned := Provision(way, t.TempDir(), m.secrets, &m.release.PublicKey, m.options, true)
	if errs := []error{opened, provisioned}; slices.ContainsFunc(errs, func(err error) bool { return !errors.Is(err, fs.ErrNotExist) }) {
		t.Errorf("an absent bus: %q", errs)
	}
}
