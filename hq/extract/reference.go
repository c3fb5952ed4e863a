package extract

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/lintel-access/lintel/access/match"
	"github.com/lintel-access/lintel/sync/wire"
)

// Encode writes a reference as it stands in messages: float32, little-endian.
func Encode(v []float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// Decode reads what Encode wrote: 512 components, of norm 1.
func Decode(b []byte) ([]float32, error) {
	if len(b) != wire.ReferenceBytes {
		return nil, fmt.Errorf("read reference: %d bytes, want %d", len(b), wire.ReferenceBytes)
	}
	v := make([]float32, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	if err := match.Check(v); err != nil {
		clear(v)
		return nil, fmt.Errorf("read reference: %w", err)
	}
	return v, nil
}
