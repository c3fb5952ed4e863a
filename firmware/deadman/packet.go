package deadman

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// A packet has 16 bytes: four of magic, one of kind, three zero bytes, and a big-endian counter. It is not the CBOR of the other sockets because
// PID 1 must not fail, and least of all in a decoder.
const (
	magic      = "LDM1" // version 1
	packetSize = 16
)

// kind says what a packet is. Append only: door and PID 1 may come from different images during an update.
type kind uint8

const (
	kindFed      kind = 1 // program → supervisor
	kindReady    kind = 2 // program → supervisor
	kindWords    kind = 3 // supervisor → program: you are condemned, write your last record
	kindRecorded kind = 4 // program → supervisor: written
)

type packet struct {
	kind    kind
	counter uint64 // of the sender's packets on this line, from 1
}

func (p packet) encode() []byte {
	b := make([]byte, packetSize)
	copy(b, magic)
	b[4] = byte(p.kind)
	binary.BigEndian.PutUint64(b[8:], p.counter)
	return b
}

var errPacket = errors.New("not a packet of the dead-man")

func decode(b []byte) (packet, error) {
	if len(b) != packetSize || string(b[:4]) != magic || !bytes.Equal(b[5:8], make([]byte, 3)) {
		return packet{}, errPacket
	}
	p := packet{kind: kind(b[4]), counter: binary.BigEndian.Uint64(b[8:])}
	if p.kind < kindFed || p.kind > kindRecorded {
		return packet{}, fmt.Errorf("%w: kind %d", errPacket, p.kind)
	}
	return p, nil
}
