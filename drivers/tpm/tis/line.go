package tis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

var (
	// ErrAbsent means that no TPM answers on the bus: not fitted, not powered, other chip select, or held in reset.
	ErrAbsent = errors.New("no tpm answers on the spi bus")
	// ErrReset means that the chip forgot locality 0 while it was ours: it was reset, or somebody else sits on the bus. What it measured may be gone.
	ErrReset = errors.New("tpm was reset or lost its locality")
)

// The times between two looks at a register.
const (
	firstPause = 100 * time.Microsecond
	mostPause  = 2 * time.Millisecond
)

// Line is an open TPM: one Write of a whole command, then Reads of its answer. Each exchange needs a deadline (SetDeadline); without one it
// ends at once. It is not safe for concurrent use. After an error close it and open the bus anew: Open brings the chip to rest from wherever it was left.
type Line struct {
	bus    bus
	port   spi.PortCloser
	limits limits
	chip   Chip
	piece  int // bytes of the FIFO in one access
	until  time.Time

	command  [most]byte // kept for a chip that asks to have it again
	commands int        // bytes of it; 0: no command is open
	answer   [most]byte
	unread   []byte // of answer
}

// Open takes the TPM on port at no more than speed, and locality 0 with it. The port is the line's from here on: it is closed with it, and on failure.
func Open(port spi.PortCloser, speed physic.Frequency) (*Line, error) {
	return open(port, speed, profile())
}

func open(port spi.PortCloser, speed physic.Frequency, by limits) (*Line, error) {
	l := &Line{port: port, limits: by}
	if err := l.start(speed); err != nil {
		return nil, errors.Join(fmt.Errorf("open tpm on %q: %w", port.String(), err), port.Close())
	}
	l.until = time.Time{}
	return l, nil
}

func (l *Line) start(speed physic.Frequency) error {
	conn, err := l.port.Connect(speed, spi.Mode0, 8) // PTP 1.04, 7.4: mode 0, most significant bit first
	if err != nil {
		return err
	}
	l.bus = bus{conn: conn, wait: l.limits.wait}
	if err := l.find(); err != nil {
		return err
	}
	if err := l.claim(); err != nil {
		return err
	}
	// Whoever was here before may have left a command in any state.
	l.until = time.Now().Add(2 * l.limits.b)
	if err := l.bus.write(regStatus, byte(statusReady)); err != nil {
		return err
	}
	return l.makeReady()
}

// find waits for the chip's own start and reads what it is.
func (l *Line) find() error {
	if err := l.awaitAccess("start", access.valid); err != nil {
		return fmt.Errorf("%w: %w", ErrAbsent, err)
	}
	var b [4]byte
	if err := l.bus.read(regIdentity, b[:]); err != nil {
		return err
	}
	id := binary.LittleEndian.Uint32(b[:])
	if id == 0 || id == 1<<32-1 {
		return fmt.Errorf("%w: vendor and device are %08x", ErrAbsent, id)
	}
	if err := l.bus.read(regCapability, b[:]); err != nil {
		return err
	}
	capability := binary.LittleEndian.Uint32(b[:])
	if err := l.bus.read(regRevision, b[:1]); err != nil {
		return err
	}
	l.chip = Chip{Vendor: uint16(id), Device: uint16(id >> 16), Revision: b[0], Interface: uint8(capability >> 28 & 7)}
	l.piece = piece(capability)
	return nil
}

// claim asks for locality 0. It is never seized: nobody else is on this bus, so whoever holds it is a fault to be seen.
func (l *Line) claim() error {
	if err := l.bus.write(regAccess, byte(accessRequest)); err != nil {
		return err
	}
	return l.awaitAccess("locality 0", func(a access) bool { return a.valid() && a&accessActive != 0 })
}

// awaitAccess looks at the access register until it is as wanted. A chip that is starting may not answer at all.
func (l *Line) awaitAccess(what string, wanted func(access) bool) error {
	until := time.Now().Add(l.limits.a)
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		var b [1]byte
		err := l.bus.read(regAccess, b[:])
		switch {
		case err == nil && wanted(access(b[0])):
			return nil
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case time.Now().After(until):
			return errors.Join(fmt.Errorf("await %s: %w after %v, access register is %#02x", what, os.ErrDeadlineExceeded, l.limits.a, b[0]), err)
		}
		time.Sleep(pause)
	}
}

// Chip is what the TPM said at Open that it is.
func (l *Line) Chip() Chip { return l.chip }

// SetDeadline sets when the next exchange must be over. A step of the protocol may end earlier, by its own limit.
func (l *Line) SetDeadline(t time.Time) error { l.until = t; return nil }

// Close aborts a command that is under way, which may take four seconds (twice PTP's time-out B), gives the locality up and closes the port.
func (l *Line) Close() error {
	if l.port == nil {
		return fs.ErrClosed
	}
	if l.commands > 0 {
		l.until = time.Now().Add(2 * l.limits.b)
		_ = l.makeReady() // whether the chip still listens is not this call's business: the next Open tells
	}
	_ = l.bus.write(regAccess, byte(accessActive))
	err := l.port.Close()
	l.port, l.commands, l.unread = nil, 0, nil
	return err
}
