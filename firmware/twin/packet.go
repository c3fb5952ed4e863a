//go:build !kiosk

package twin

import (
	"encoding/binary"
	"fmt"
	"time"
)

// The lines socket (unixpacket, integers little-endian). The client asks, the board answers each request in order, and sends
// an edge by itself whenever an input changes.
//
//	request  version u8, kind u8 (set, level), line u8, on u8, tag u32
//	report   version u8, kind u8 (answer, edge), line u8, on u8, tag u32 (of the request; 0 for an edge), stamp i64
const (
	linesVersion = 1
	requestSize  = 8
	reportSize   = 16

	kindSet    = 1
	kindLevel  = 2
	kindAnswer = 3
	kindEdge   = 4
)

type request struct {
	kind, line int
	on         bool
	tag        uint32
}

type report struct {
	request
	stamp time.Duration
}

func (r request) put(p []byte) {
	p[0], p[1], p[2], p[3] = linesVersion, byte(r.kind), byte(r.line), 0
	if r.on {
		p[3] = 1
	}
	binary.LittleEndian.PutUint32(p[4:], r.tag)
}

func (r report) put(p []byte) {
	r.request.put(p)
	binary.LittleEndian.PutUint64(p[8:], uint64(r.stamp))
}

// parseRequest checks everything but who may set which line. low and high are the kinds that may come this way.
func parseRequest(p []byte, low, high int) (request, error) {
	if len(p) != requestSize {
		return request{}, fmt.Errorf("parse line packet: %d bytes", len(p))
	}
	r := request{kind: int(p[1]), line: int(p[2]), on: p[3] == 1, tag: binary.LittleEndian.Uint32(p[4:])}
	if p[0] != linesVersion || r.kind < low || r.kind > high || r.line >= len(lines) || p[3] > 1 {
		return request{}, fmt.Errorf("parse line packet: version %d, kind %d, line %d, level %d", p[0], p[1], p[2], p[3])
	}
	return r, nil
}

func parseReport(p []byte) (report, error) {
	if len(p) != reportSize {
		return report{}, fmt.Errorf("parse line packet: %d bytes instead of %d", len(p), reportSize)
	}
	r, err := parseRequest(p[:requestSize], kindAnswer, kindEdge)
	return report{r, time.Duration(binary.LittleEndian.Uint64(p[requestSize:]))}, err
}
