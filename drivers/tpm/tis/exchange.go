package tis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/google/go-tpm/tpm2"
)

const (
	header = 10   // tag, size, code: TPM 2.0 part 1, 18
	most   = 4096 // the most that a PC client TPM takes or sends
	tries  = 3    // of a transfer whose framing broke

	// A chip that tests itself or is busy in between asks to have the command again; Linux waits 20 ms and doubles.
	firstRest = 20 * time.Millisecond
)

// errGarbled means that command or answer lost or gained bytes on the bus.
var errGarbled = errors.New("bytes were lost on the spi bus")

// Write sends one whole command and starts it. An error means that it was not started, unless it came from the bus.
func (l *Line) Write(command []byte) (int, error) {
	if len(command) < header || len(command) > most {
		return 0, fmt.Errorf("send command: %d bytes are not within %d..%d", len(command), header, most)
	}
	if l.port == nil {
		return 0, fmt.Errorf("send command: %w", fs.ErrClosed)
	}
	l.unread = nil
	l.commands = copy(l.command[:], command)
	if err := l.send(); err != nil {
		return 0, fmt.Errorf("send command: %w", err)
	}
	return len(command), nil
}

// Read returns bytes of the answer; the first call waits for it.
func (l *Line) Read(p []byte) (int, error) {
	if len(l.unread) == 0 {
		if l.commands == 0 {
			return 0, errors.New("read answer: no command was sent")
		}
		if err := l.receive(); err != nil {
			return 0, fmt.Errorf("read answer: %w", err)
		}
	}
	n := copy(p, l.unread)
	l.unread = l.unread[n:]
	return n, nil
}

func (l *Line) send() error {
	if err := l.held(); err != nil {
		return err
	}
	if err := l.retry(l.feed, statusReady); err != nil {
		return err
	}
	return l.bus.write(regStatus, byte(statusGo))
}

// receive waits for the answer, and sends the command again while the chip says that it has not begun it.
func (l *Line) receive() error {
	for rest := firstRest; ; rest *= 2 {
		if err := l.retry(l.fetch, statusAgain); err != nil {
			return err
		}
		if err := l.bus.write(regStatus, byte(statusReady)); err != nil {
			return err
		}
		switch tpm2.TPMRC(binary.BigEndian.Uint32(l.unread[6:])) {
		case tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting:
			if time.Until(l.until) > rest {
				time.Sleep(rest)
				if err := l.send(); err != nil {
					return err
				}
				continue
			}
		}
		l.commands = 0
		return nil
	}
}

// retry repeats a transfer whose framing broke, after telling the chip so.
func (l *Line) retry(transfer func() error, tell status) error {
	for n := 1; ; n++ {
		err := transfer()
		if !errors.Is(err, errGarbled) || n == tries {
			return err
		}
		if err := l.bus.write(regStatus, byte(tell)); err != nil {
			return err
		}
	}
}

// feed makes the chip ready and writes the command. Expect must stand until the last byte and fall with it: that is how the chip says that its count of
// the bytes is the command's own.
func (l *Line) feed() error {
	if err := l.makeReady(); err != nil {
		return err
	}
	command := l.command[:l.commands]
	for at := 0; at < len(command); {
		s, err := l.await("burst count", l.limits.a, func(s status) bool { return s.burst() > 0 || at > 0 && !s.has(statusExpect) })
		if err != nil {
			return err
		}
		if at > 0 && !s.has(statusExpect) {
			return fmt.Errorf("%w: tpm took %d of %d bytes for a whole command", errGarbled, at, len(command))
		}
		n := min(s.burst(), l.piece, max(1, len(command)-at-1)) // the last byte goes alone
		if err := l.bus.write(regFIFO, command[at:at+n]...); err != nil {
			return err
		}
		at += n
	}
	s, err := l.await("valid status", l.limits.c, func(status) bool { return true })
	if err != nil {
		return err
	}
	if s.has(statusExpect) {
		return fmt.Errorf("%w: tpm waits for more than %d bytes", errGarbled, len(command))
	}
	return nil
}

// fetch reads the answer into l.answer and makes it unread.
func (l *Line) fetch() error {
	size := header
	for at := 0; at < size; {
		limit := l.limits.c
		if at == 0 {
			limit = time.Until(l.until) // the command's own time
		}
		s, err := l.await("data", limit, func(s status) bool { return s.has(statusData) && s.burst() > 0 })
		if at == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.Join(err, l.bus.write(regStatusCancel, commandCancel))
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("%w: answer ends after %d of %d bytes: %v", errGarbled, at, size, err)
		}
		if err != nil {
			return err
		}
		n := min(s.burst(), l.piece, size-at)
		if err := l.bus.read(regFIFO, l.answer[at:at+n]); err != nil {
			return err
		}
		if at += n; at == header {
			announced := binary.BigEndian.Uint32(l.answer[2:])
			if announced < header || announced > most {
				return fmt.Errorf("%w: answer announces %d bytes", errGarbled, announced)
			}
			size = int(announced)
		}
	}
	s, err := l.await("valid status", l.limits.c, func(status) bool { return true })
	if err != nil {
		return err
	}
	if s.has(statusData) {
		return fmt.Errorf("%w: answer goes on after its %d bytes", errGarbled, size)
	}
	l.unread = l.answer[:size]
	return nil
}

// makeReady brings the chip from any state to where it takes a command. PTP lets the first commandReady only abort what there is; the second makes ready.
func (l *Line) makeReady() error {
	isReady := func(s status) bool { return s.has(statusReady) }
	s, err := l.status()
	if err != nil {
		return err
	}
	if s.has(statusValid) && s&statusZero == 0 && isReady(s) {
		return nil
	}
	for range 2 {
		if err = l.bus.write(regStatus, byte(statusReady)); err != nil {
			return err
		}
		if _, err = l.await("command ready", l.limits.b, isReady); !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return err
}

func (l *Line) status() (status, error) {
	var b [4]byte // in one access: the burst count changes between two
	err := l.bus.read(regStatus, b[:])
	return status(binary.LittleEndian.Uint32(b[:])), err
}

// await looks at the status until it is valid and as wanted. It looks once more after its limit is over, so a pre-empted process is not taken for a
// silent chip; but the deadline of the exchange holds, however slowly a chip drips.
func (l *Line) await(what string, limit time.Duration, wanted func(status) bool) (status, error) {
	start := time.Now()
	limit = min(limit, l.until.Sub(start))
	if limit <= 0 {
		return 0, fmt.Errorf("await %s: %w", what, os.ErrDeadlineExceeded)
	}
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		over := time.Since(start) >= limit
		s, err := l.status()
		if err != nil {
			return 0, err
		}
		valid := s.has(statusValid) && s&statusZero == 0
		if valid && wanted(s) {
			return s, nil
		}
		if !valid || over { // a chip whose locality is not ours shows ones
			if err := l.held(); err != nil {
				return 0, err
			}
		}
		if over {
			return 0, fmt.Errorf("await %s: %w after %v, status is %#08x", what, os.ErrDeadlineExceeded, limit, uint32(s))
		}
		time.Sleep(pause)
	}
}

// held tells a chip that no longer knows our locality. What cannot be read as an access register proves nothing.
func (l *Line) held() error {
	var b [1]byte
	if err := l.bus.read(regAccess, b[:]); err != nil {
		return err
	}
	if a := access(b[0]); a.valid() && a&accessActive == 0 {
		return ErrReset
	}
	return nil
}
