package tis

import (
	"errors"
	"fmt"
	"os"
	"time"

	"periph.io/x/conn/v3/spi"
)

// The framing of one register access: PTP 1.04, 7.4 (SPI bit protocol).
const (
	frameHeader = 4
	frameData   = 64 // bytes that one access may carry
	toRead      = 0x80
	page        = 0xD4 // upper byte of each register's address, D4_0000 in the chip's address space
	ready       = 0x01 // bit 0 of the byte that ends the wait states

	// Wait states last microseconds, so the first are polled without a pause.
	eagerWaits = 64
	waitPause  = 100 * time.Microsecond
)

// bus reads and writes registers.
type bus struct {
	conn    spi.Conn
	wait    time.Duration // the longest that wait states may last
	packet  [1]spi.Packet
	out, in [frameData]byte
}

// read fills data from a register: at most frameData bytes.
func (b *bus) read(register uint16, data []byte) error {
	if err := b.address(toRead, register, len(data)); err != nil {
		return fmt.Errorf("read register %#04x: %w", register, err)
	}
	clear(b.out[:len(data)])
	if err := b.clock(len(data), false); err != nil {
		return fmt.Errorf("read register %#04x: %w", register, err)
	}
	copy(data, b.in[:])
	return nil
}

// write writes data to a register: at most frameData bytes.
func (b *bus) write(register uint16, data ...byte) error {
	if err := b.address(0, register, len(data)); err != nil {
		return fmt.Errorf("write register %#04x: %w", register, err)
	}
	copy(b.out[:], data)
	if err := b.clock(len(data), false); err != nil {
		return fmt.Errorf("write register %#04x: %w", register, err)
	}
	return nil
}

// address sends the header and sits out the wait states. Afterwards chip select is held if err is nil.
func (b *bus) address(direction byte, register uint16, n int) error {
	if n < 1 || n > frameData {
		return fmt.Errorf("%d bytes are not within 1..%d", n, frameData)
	}
	b.out = [frameData]byte{direction | byte(n-1), page, byte(register >> 8), byte(register)}
	if err := b.clock(frameHeader, true); err != nil {
		return err
	}
	last := b.in[frameHeader-1]
	b.out = [frameData]byte{}
	until := time.Now().Add(b.wait)
	for i := 0; last&ready == 0; i++ {
		if i >= eagerWaits {
			if time.Now().After(until) {
				// One byte more lets chip select go: the chip drops the access.
				return errors.Join(fmt.Errorf("%w: wait states for more than %v", os.ErrDeadlineExceeded, b.wait), b.clock(1, false))
			}
			time.Sleep(waitPause)
		}
		if err := b.clock(1, true); err != nil {
			return err
		}
		last = b.in[0]
	}
	return nil
}

// clock exchanges n bytes. An error lets chip select go (Linux does so with each message that fails).
func (b *bus) clock(n int, hold bool) error {
	b.packet[0] = spi.Packet{W: b.out[:n], R: b.in[:n], KeepCS: hold}
	return b.conn.TxPackets(b.packet[:])
}
