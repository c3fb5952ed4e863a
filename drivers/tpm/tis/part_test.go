//go:build !kiosk

package tis

import (
	"encoding/binary"
	"errors"
	"fmt"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

// part is a TPM with a FIFO interface on an SPI bus, byte by byte: what PTP says of registers and states, as we read it, and the faults that a bus can
// have. It complains about every misuse of the protocol that it sees.
type part struct {
	// What kind of chip it is.
	identity, capability uint32
	burst                int  // most bytes between two looks at the status
	waits                int  // wait states of each access
	stutter              bool // every other look shows a burst count of 0
	straight             bool // commandReady aborts and makes ready at once
	slow                 int  // looks at the status before a command is done
	execute              func(command []byte) []byte
	busy                 int // commands to answer with TPM_RC_RETRY

	// Faults.
	dead     *byte // the level of MISO when nobody drives it
	waiting  bool  // wait states without end
	noBurst  bool
	noData   bool
	noValid  bool
	noReady  bool
	deaf     bool // forgets every FIFO byte but the first
	early    bool // Expect falls early
	cut      int  // bytes of an answer after which dataAvail falls, until responseRetry; 0: none
	cuts     int  // how often
	more     bool // dataAvail stands after the last byte
	onByte   func(n int)
	flip     func(n int, mosi, miso byte) (byte, byte)
	refuseTx bool

	// State.
	active    bool
	state     state
	in, out   []byte
	at        int
	looks     int
	burstLeft int

	// The access under way.
	selected bool
	phase    int // bytes of the header so far
	head     [frameHeader]byte
	pending  int // wait states to come
	moved    int // data bytes
	latched  uint32

	bytes, messages, accesses int
	cancels                   int
	complaints                []string
}

type state int

const (
	idle state = iota
	isReady
	reception
	execution
	completion
)

func newPart(execute func([]byte) []byte) *part {
	return &part{identity: 0x001B15D1, capability: 0x30000697, burst: 64, execute: execute}
}

func (p *part) complain(format string, v ...any) {
	if len(p.complaints) < 20 {
		p.complaints = append(p.complaints, fmt.Sprintf(format, v...))
	}
}

// reset is what the chip's reset line does.
func (p *part) reset() { p.active, p.state, p.in, p.out, p.at = false, idle, nil, nil, 0 }

// heal ends every fault.
func (p *part) heal() {
	p.dead, p.waiting, p.noBurst, p.noData, p.noValid, p.noReady, p.deaf, p.early, p.cut, p.cuts, p.more = nil, false, false, false, false, false, false, false, 0, 0, false
	p.onByte, p.flip, p.refuseTx, p.burst = nil, nil, false, 64
}

// A port opens the bus once, as sysfs does.
type port struct {
	*part
	connected, closed bool
}

func (p *part) port() *port { return &port{part: p} }

func (o *port) String() string                    { return "SPI0.1" }
func (o *port) LimitSpeed(physic.Frequency) error { return nil }
func (o *port) Close() error {
	if o.closed {
		return errors.New("closed twice")
	}
	o.closed = true
	return nil
}

func (o *port) Connect(f physic.Frequency, mode spi.Mode, bits int) (spi.Conn, error) {
	if o.connected || mode != spi.Mode0 || bits != 8 {
		return nil, errors.New("connect: once, mode 0, 8 bits")
	}
	o.connected = true
	return o, nil
}

func (o *port) Duplex() conn.Duplex { return conn.Full }
func (o *port) Tx(w, r []byte) error {
	return o.TxPackets([]spi.Packet{{W: w, R: r}})
}

func (o *port) TxPackets(packets []spi.Packet) error {
	if o.closed || o.refuseTx {
		o.deselect()
		return errors.New("input/output error")
	}
	o.messages++
	for _, p := range packets {
		for i := range p.W {
			o.selected = true
			mosi := p.W[i]
			var flipMISO byte
			if o.onByte != nil {
				o.onByte(o.bytes)
			}
			if o.flip != nil {
				var m byte
				m, flipMISO = o.flip(o.bytes, 0, 0)
				mosi ^= m
			}
			o.bytes++
			miso := o.exchange(mosi) ^ flipMISO
			if o.dead != nil {
				miso = *o.dead
			}
			if p.R != nil {
				p.R[i] = miso
			}
		}
		if !p.KeepCS {
			o.deselect()
		}
	}
	return nil
}

func (p *part) deselect() {
	if p.selected && p.phase == frameHeader && p.pending == 0 && p.moved != p.size() {
		p.complain("access of %d bytes ended after %d", p.size(), p.moved)
	}
	p.selected, p.phase, p.moved = false, 0, 0
}

func (p *part) size() int { return int(p.head[0]&0x3F) + 1 }

// exchange is one byte in each direction.
func (p *part) exchange(mosi byte) byte {
	switch {
	case p.phase < frameHeader:
		p.head[p.phase] = mosi
		if p.phase++; p.phase < frameHeader {
			return 0
		}
		p.accesses++
		p.pending = p.waits
		if p.waiting || p.pending > 0 {
			p.pending = max(1, p.pending)
			return 0
		}
		return ready
	case p.waiting:
		return 0
	case p.pending > 0:
		if p.pending--; p.pending > 0 {
			return 0
		}
		return ready
	}
	register := binary.BigEndian.Uint16(p.head[2:])
	if p.moved++; p.moved > p.size() || p.head[1] != page {
		p.complain("clocked beyond the access, or page %02x", p.head[1])
		return 0xFF
	}
	if register < regFIFO || register >= regFIFO+4 {
		register += uint16(p.moved - 1)
	}
	if p.head[0]&toRead != 0 {
		return p.load(register)
	}
	p.store(register, mosi)
	return 0xFF
}

func (p *part) load(register uint16) byte {
	word := func(v uint32, base uint16) byte { return byte(v >> (8 * (register - base))) }
	switch {
	case register == regAccess:
		a := byte(accessValid) | 1
		if p.active {
			a |= byte(accessActive)
		}
		return a
	case register >= regIdentity && register < regIdentity+4:
		return word(p.identity, regIdentity)
	case register == regRevision:
		return 0x1B
	case register >= regCapability && register < regCapability+4:
		return word(p.capability, regCapability)
	case !p.active:
		return 0xFF
	case register >= regStatus && register < regStatus+4:
		if register == regStatus {
			p.latched = p.status()
		}
		return word(p.latched, regStatus)
	case register >= regFIFO && register < regFIFO+4:
		if p.burstLeft--; p.burstLeft < 0 {
			p.complain("read beyond the burst count")
		}
		if p.state != completion || p.at >= len(p.out) {
			return 0xFF
		}
		p.at++
		return p.out[p.at-1]
	}
	return 0xFF
}

func (p *part) status() uint32 {
	p.looks++
	s := uint32(0x04000000 | 0x04) // a TPM 2.0 whose self-test is done
	if !p.noValid {
		s |= uint32(statusValid)
	}
	burst := p.burst
	switch p.state {
	case idle:
		burst = 0
	case isReady:
		if !p.noReady {
			s |= uint32(statusReady)
		}
	case reception:
		if p.lacks() {
			s |= uint32(statusExpect)
		} else {
			burst = 0
		}
	case execution:
		burst = 0
		if p.slow > 0 {
			p.slow--
		} else if !p.noData {
			p.state = completion
		}
	case completion:
		burst = min(burst, len(p.out)-p.at)
		gone := p.cuts > 0 && p.at >= p.cut
		if p.at < len(p.out) && !gone || p.more {
			s |= uint32(statusData)
			burst = max(burst, 1)
		}
	}
	if p.noBurst || p.stutter && p.looks%2 == 0 {
		burst = 0
	}
	p.burstLeft = burst
	return s | uint32(burst)<<8
}

// lacks tells whether the command is not whole yet.
func (p *part) lacks() bool {
	if p.early && len(p.in) > 4 {
		return false
	}
	return len(p.in) < header || len(p.in) < int(binary.BigEndian.Uint32(p.in[2:]))
}

func (p *part) store(register uint16, b byte) {
	if register == regAccess {
		switch {
		case b&0x08 != 0:
			p.complain("seized")
		case b&byte(accessRequest) != 0:
			p.active = true
		case b&byte(accessActive) != 0:
			p.active = false
		}
		return
	}
	if !p.active {
		p.complain("wrote register %#04x without the locality", register)
		return
	}
	switch register {
	case regStatus:
		p.order(status(b))
	case regStatusCancel:
		if p.cancels++; p.state == execution {
			p.state, p.out = completion, refusal(0x909) // TPM_RC_CANCELED
		}
	case regFIFO, regFIFO + 1, regFIFO + 2, regFIFO + 3:
		if p.burstLeft--; p.burstLeft < 0 {
			p.complain("wrote beyond the burst count")
		}
		if p.state == isReady {
			p.state, p.in = reception, nil
		}
		if p.state != reception || !p.lacks() {
			p.complain("wrote a byte that was not expected")
			return
		}
		if !p.deaf || len(p.in) == 0 {
			p.in = append(p.in, b)
		}
	}
}

func (p *part) order(b status) {
	switch {
	case b.has(statusReady) && (p.state == idle || p.state == isReady || p.straight):
		p.state = isReady
	case b.has(statusReady):
		p.state = idle
	case b.has(statusAgain) && p.state == completion:
		p.at = 0
		p.cuts = max(0, p.cuts-1)
	case b.has(statusGo):
		if p.state != reception || p.lacks() {
			p.complain("started without a whole command")
			return
		}
		p.state, p.at = execution, 0
		if p.busy > 0 {
			p.busy--
			p.out = refusal(0x922) // TPM_RC_RETRY
			return
		}
		p.out = p.execute(p.in)
	}
}

// refusal is an answer that holds nothing but a response code.
func refusal(code uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{0x80, 0x01, 0, 0, 0, header}, code)
}
