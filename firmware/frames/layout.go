package frames

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// The ring on the wire. A reader connects to a unixpacket socket and receives one greeting, with the memfd of the ring as its only
// ancillary data, and then one announcement a frame. All it may send is how much light the camera shall take in. All numbers are little-endian, those
// of a light an i64 of nanoseconds and a float32.
//
//	greeting      magic[8] version u16, width u16, height u16, slots u16, interval i64, virtual u8, 4 x (length u8, text[64]), least light, most light
//	announcement  seq u64, stamp i64, light, slot u32
//	request       light
//	memfd         slots x (version u64, padding to slotHeader, pixels row by row, padding to slotAlign)
//
// A slot's version is 2*seq of the frame it holds, and odd while the writer is in it.
const (
	greetingMagic  = "lintel\xf0\x01"
	layoutVersion  = 2
	textSize       = 64 // bytes of each of the camera's four texts
	lightSize      = 8 + 4
	greetingSize   = 8 + 4*2 + 8 + 1 + 4*(1+textSize) + 2*lightSize
	announceSize   = 8 + 8 + lightSize + 4
	slotHeader     = 64   // a cache line, so that pixels start aligned
	slotAlign      = 4096 // a page, so that slots never share one
	maxSide        = 4096 // pixels; bounds the mapping to maxSlots*16 MiB
	minSide        = 16
	maxSlots       = 16
	maxExposure    = 10 * time.Second
	maxGain        = 1000
	maxInterval    = 10 * time.Second // the emulated board runs at about half a frame a second
	requiredSeals  = unix.F_SEAL_SHRINK
	writerSeals    = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_FUTURE_WRITE | unix.F_SEAL_SEAL
	greetingWithin = time.Second // a writer that accepts and does not greet is broken
)

// geometry is what both ends compute offsets from; it is trusted only after check.
type geometry struct {
	width, height, slots int
}

func (g geometry) check() error {
	if g.width < minSide || g.width > maxSide || g.height < minSide || g.height > maxSide {
		return fmt.Errorf("frame size %dx%d outside %d..%d", g.width, g.height, minSide, maxSide)
	}
	if g.slots < 2 || g.slots > maxSlots {
		return fmt.Errorf("%d slots outside 2..%d", g.slots, maxSlots)
	}
	return nil
}

func (g geometry) pixels() int { return g.width * g.height }
func (g geometry) stride() int {
	return (slotHeader + g.pixels() + slotAlign - 1) / slotAlign * slotAlign
}
func (g geometry) size() int { return g.stride() * g.slots }

// announcement is one frame's packet.
type announcement struct {
	seq   uint64
	stamp time.Duration
	light Light
	slot  uint32
}

func (l Light) put(p []byte) {
	binary.LittleEndian.PutUint64(p, uint64(l.Exposure))
	binary.LittleEndian.PutUint32(p[8:], math.Float32bits(l.Gain))
}

// parseLight refuses what no camera can do. Zero stands for what is not known.
func parseLight(p []byte) (Light, error) {
	l := Light{time.Duration(binary.LittleEndian.Uint64(p)), math.Float32frombits(binary.LittleEndian.Uint32(p[8:]))}
	if l.Exposure < 0 || l.Exposure > maxExposure || !(l.Gain >= 0 && l.Gain <= maxGain) {
		return Light{}, errors.New("exposure or gain out of bounds")
	}
	return l, nil
}

func (a announcement) put(p []byte) {
	binary.LittleEndian.PutUint64(p[0:], a.seq)
	binary.LittleEndian.PutUint64(p[8:], uint64(a.stamp))
	a.light.put(p[16:])
	binary.LittleEndian.PutUint32(p[16+lightSize:], a.slot)
}

// parseAnnouncement checks what can be checked without the ring's state.
func parseAnnouncement(p []byte, slots int) (announcement, error) {
	if len(p) != announceSize {
		return announcement{}, fmt.Errorf("parse announcement: %d bytes instead of %d", len(p), announceSize)
	}
	a := announcement{
		seq:   binary.LittleEndian.Uint64(p[0:]),
		stamp: time.Duration(binary.LittleEndian.Uint64(p[8:])),
		slot:  binary.LittleEndian.Uint32(p[16+lightSize:]),
	}
	var err error
	if a.light, err = parseLight(p[16:]); err != nil {
		return announcement{}, fmt.Errorf("parse announcement: %w", err)
	}
	switch {
	case a.slot >= uint32(slots):
		return announcement{}, fmt.Errorf("parse announcement: slot %d of %d", a.slot, slots)
	case a.stamp < 0:
		return announcement{}, errors.New("parse announcement: stamp out of bounds")
	}
	return a, nil
}

func appendGreeting(p []byte, g geometry, c Camera, least, most Light) ([]byte, error) {
	if c.Interval <= 0 || c.Interval > maxInterval {
		return nil, fmt.Errorf("describe camera: interval %v outside 0..%v", c.Interval, maxInterval)
	}
	if c.Port+c.Device+c.Release+c.Serial != "" { // a reader would take it for another camera
		return nil, errors.New("describe camera: a ring carries no USB identity")
	}
	p = append(p, greetingMagic...)
	for _, v := range [...]int{layoutVersion, g.width, g.height, g.slots} {
		p = binary.LittleEndian.AppendUint16(p, uint16(v))
	}
	p = binary.LittleEndian.AppendUint64(p, uint64(c.Interval))
	virtual := byte(0)
	if c.Virtual {
		virtual = 1
	}
	p = append(p, virtual)
	for _, s := range [...]string{c.Driver, c.Card, c.Bus, c.Format} {
		if len(s) > textSize {
			return nil, fmt.Errorf("describe camera: %q is longer than %d bytes", s, textSize)
		}
		var text [textSize]byte
		copy(text[:], s)
		p = append(append(p, byte(len(s))), text[:]...)
	}
	for _, l := range [...]Light{least, most} {
		var b [lightSize]byte
		l.put(b[:])
		if _, err := parseLight(b[:]); err != nil {
			return nil, fmt.Errorf("describe camera: %w", err)
		}
		p = append(p, b[:]...)
	}
	return p, nil
}

func parseGreeting(p []byte) (g geometry, c Camera, least, most Light, err error) {
	fail := func(err error) (geometry, Camera, Light, Light, error) {
		return geometry{}, Camera{}, Light{}, Light{}, err
	}
	if len(p) != greetingSize {
		return fail(fmt.Errorf("parse greeting: %d bytes instead of %d", len(p), greetingSize))
	}
	if string(p[:8]) != greetingMagic {
		return fail(errors.New("parse greeting: not a frame ring"))
	}
	half := func(at int) int { return int(binary.LittleEndian.Uint16(p[at:])) }
	if v := half(8); v != layoutVersion {
		return fail(fmt.Errorf("parse greeting: version %d instead of %d", v, layoutVersion))
	}
	g = geometry{width: half(10), height: half(12), slots: half(14)}
	if err := g.check(); err != nil {
		return fail(fmt.Errorf("parse greeting: %w", err))
	}
	c = Camera{Interval: time.Duration(binary.LittleEndian.Uint64(p[16:]))}
	if c.Interval <= 0 || c.Interval > maxInterval || p[24] > 1 {
		return fail(errors.New("parse greeting: camera description out of bounds"))
	}
	c.Virtual = p[24] == 1
	at := 25
	for _, s := range [...]*string{&c.Driver, &c.Card, &c.Bus, &c.Format} {
		n, text := int(p[at]), p[at+1:at+1+textSize]
		if n > textSize || len(bytes.Trim(text[n:], "\x00")) != 0 {
			return fail(errors.New("parse greeting: camera text out of bounds"))
		}
		*s = string(text[:n])
		at += 1 + textSize
	}
	for _, l := range [...]*Light{&least, &most} {
		if *l, err = parseLight(p[at:]); err != nil {
			return fail(fmt.Errorf("parse greeting: %w", err))
		}
		at += lightSize
	}
	return g, c, least, most, nil
}
