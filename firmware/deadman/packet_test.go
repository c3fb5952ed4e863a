package deadman

import (
	"bytes"
	"testing"
)

func seeds() [][]byte {
	good := packet{kindFed, 1}.encode()
	return [][]byte{
		good, packet{kindReady, 1<<64 - 1}.encode(), packet{kindRecorded, 0}.encode(), nil, good[:15], append(bytes.Clone(good), 0),
		[]byte("LDM2\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"), // another version
		[]byte("LDM1\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01"), // something where zeros belong
		[]byte("LDM1\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"), // no kind
		[]byte("LDM1\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"), // a kind of tomorrow
	}
}

func TestDecode(t *testing.T) {
	for i, b := range seeds() {
		if _, err := decode(b); (err == nil) != (i < 3) {
			t.Errorf("%q: %v", b, err)
		}
	}
	if got := string((packet{kindReady, 0x0102}).encode()); got != "LDM1\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x02" {
		t.Errorf("the format has changed: %q", got)
	}
}

// Whatever is taken is written in one way only.
func FuzzDecode(f *testing.F) {
	for _, b := range seeds() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := decode(b); err == nil && !bytes.Equal(p.encode(), b) {
			t.Errorf("%q is taken as %+v, which is written %q", b, p, p.encode())
		}
	})
}
