package wire

import (
	"bytes"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// sample has one field of every sort that the messages of the house use.
type sample struct {
	ID     [16]byte      `cbor:"1,keyasint"`
	Digest [32]byte      `cbor:"2,keyasint"`
	Wait   time.Duration `cbor:"3,keyasint"`
	Name   string        `cbor:"4,keyasint"`
	On     bool          `cbor:"5,keyasint"`
	Level  float32       `cbor:"6,keyasint"`
	Probe  []float32     `cbor:"7,keyasint"`
	Parts  []part        `cbor:"8,keyasint"`
	Count  uint64        `cbor:"24,keyasint"`
}

type part struct {
	Level [2]float32 `cbor:"1,keyasint"`
	Hint  uint8      `cbor:"2,keyasint"`
}

func whole() sample {
	return sample{
		ID: [16]byte{0xAA, 15: 0xBB}, Digest: [32]byte{1}, Wait: -1500 * time.Millisecond, Name: "Tür", On: true,
		Level: 0.1, Probe: []float32{1, -0.5, 3.4028235e38}, Parts: []part{{[2]float32{255, 0}, 3}}, Count: 1 << 40,
	}
}

// golden is written out by hand from RFC 8949, so that neither a new version of the library nor a changed option can move a byte.
const golden = "a9" +
	"01" + "50" + "aa0000000000000000000000000000bb" +
	"02" + "5820" + "0100000000000000000000000000000000000000000000000000000000000000" +
	"03" + "3a59682eff" + // -1,500,000,000
	"04" + "6454c3bc72" +
	"05" + "f5" +
	"06" + "fa3dcccccd" +
	"07" + "83" + "f93c00" + "f9b800" + "fa7f7fffff" +
	"08" + "81" + "a2" + "01" + "82" + "f95bf8" + "f90000" + "02" + "03" +
	"1818" + "1b0000010000000000"

func TestGolden(t *testing.T) {
	got, err := Marshal(whole())
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(got) != golden {
		t.Fatalf("got  %x\nwant %s", got, golden)
	}
	var back sample
	if err := Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, whole()) {
		t.Fatalf("got %+v", back)
	}
}

// A probe crosses the socket bit for bit, whatever its components are.
func TestProbeBitExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	probe := make([]float32, 512)
	for i := range probe {
		for {
			probe[i] = math.Float32frombits(rng.Uint32())
			if probe[i]-probe[i] == 0 { // finite
				break
			}
		}
	}
	copy(probe, []float32{0, float32(math.Copysign(0, -1)), math.SmallestNonzeroFloat32, math.MaxFloat32, 65504, 65520, 5.9604645e-8, 1e-8})
	data, err := Marshal(probe)
	if err != nil {
		t.Fatal(err)
	}
	var back []float32
	if err := Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	for i := range probe {
		if math.Float32bits(back[i]) != math.Float32bits(probe[i]) {
			t.Fatalf("component %d: %x became %x", i, math.Float32bits(probe[i]), math.Float32bits(back[i]))
		}
	}
}

func TestNilIsEmpty(t *testing.T) {
	for _, p := range [][]float32{nil, {}} {
		data, err := Marshal(p)
		if err != nil || !bytes.Equal(data, []byte{0x80}) {
			t.Fatalf("%#v encoded to %x, %v", p, data, err)
		}
	}
}

// Control: A26
// Control: S4
func TestRefused(t *testing.T) {
	type one struct {
		A uint64 `cbor:"1,keyasint"`
	}
	type list struct {
		L []uint8   `cbor:"1,keyasint"`
		F []float32 `cbor:"2,keyasint"`
	}
	tests := []struct {
		name string
		in   string
		into any
	}{
		{"empty", "", new(one)},
		{"truncated", "a101", new(one)},
		{"trailing byte", "a1010000", new(one)},
		{"second value", "a10100a10100", new(one)},
		{"unknown field", "a201000200", new(one)},
		{"missing field", "a0", new(one)},
		{"duplicate key", "a201000100", new(one)},
		{"keys out of order", "a202800140", new(list)},
		{"integer longer than needed", "a1011800", new(one)},
		{"key longer than needed", "a1180100", new(one)},
		{"length longer than needed", "b8010100", new(one)},
		{"indefinite map", "bf0100ff", new(one)},
		{"indefinite array", "9f01ff", new([]uint16)},
		{"indefinite bytes", "5f4100ff", new([]byte)},
		{"indefinite text", "7f6161ff", new(string)},
		{"tag", "c100", new(uint64)},
		{"bignum", "c24101", new(uint64)},
		{"self-described", "d9d9f700", new(uint64)},
		{"invalid UTF-8", "62c328", new(string)},
		{"bytes where text stands", "4161", new(string)},
		{"text where bytes stand", "6161", new([]byte)},
		{"negative for unsigned", "20", new(uint64)},
		{"overflow", "190100", new(uint8)},
		{"float where an integer stands", "f93c00", new(uint64)},
		{"integer where a float stands", "01", new(float32)},
		{"float longer than needed", "fa3f800000", new(float32)},
		{"float64 that a float32 cannot hold", "fb3fb999999999999a", new(float32)},
		{"NaN", "f97e00", new(float32)},
		{"NaN with payload", "fa7fc00001", new(float32)},
		{"infinity", "f97c00", new(float32)},
		{"negative infinity", "fbfff0000000000000", new(float64)},
		{"null for a list", "f6", new([]float32)},
		{"null for a struct", "f6", new(one)},
		{"null for a number", "f6", new(uint64)},
		{"undefined", "f7", new(any)},
		{"unassigned simple value", "e0", new(any)},
		{"simple value", "f8ff", new(any)},
		{"too few bytes for an array", "43000000", new([4]byte)},
		{"too many bytes for an array", "450000000000", new([4]byte)},
		{"too few elements for an array", "81f93c00", new([2]float32)},
		{"too many elements for an array", "83f93c00f93c00f93c00", new([2]float32)},
		{"text key", "a1614100", new(one)},
		{"deep", strings.Repeat("81", MaxDepth+1) + "00", new(any)},
		{"array claims 4 G elements", "9affffffff", new([]uint16)},
		{"bytes claim 2^63", "5b7fffffffffffffff", new([]byte)},
		{"array over the bound", "991001" + strings.Repeat("00", MaxElements+1), new([]uint16)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data, err := hex.DecodeString(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			before := reflect.ValueOf(tt.into).Elem().Interface()
			if err := Unmarshal(data, tt.into); err == nil {
				t.Fatalf("accepted as %+v", reflect.ValueOf(tt.into).Elem())
			}
			if after := reflect.ValueOf(tt.into).Elem().Interface(); !reflect.DeepEqual(before, after) {
				t.Fatalf("refused, yet the value became %+v", after)
			}
		})
	}
}

// Control: S4
func TestTooLarge(t *testing.T) {
	if _, err := Marshal(make([]byte, MaxBytes)); err == nil {
		t.Error("encoded more than MaxBytes")
	}
	if err := Unmarshal(make([]byte, MaxBytes+1), new([]byte)); err == nil {
		t.Error("decoded more than MaxBytes")
	}
}

func TestMarshalRefusesWhatUnmarshalWould(t *testing.T) {
	for _, v := range []any{float32(math.NaN()), math.Inf(1), []float32{float32(math.Inf(-1))}, make(chan int)} {
		if data, err := Marshal(v); err == nil {
			t.Errorf("%v encoded to %x", v, data)
		}
	}
}

// A value that was there before is replaced whole, so that no field of an earlier message survives.
func TestUnmarshalReplaces(t *testing.T) {
	type opt struct {
		A uint64 `cbor:"1,keyasint,omitempty"`
	}
	v := opt{A: 7}
	if err := Unmarshal([]byte{0xa0}, &v); err != nil || v.A != 0 {
		t.Fatalf("%+v, %v", v, err)
	}
	if Unmarshal([]byte{0xa0}, opt{}) == nil || Unmarshal([]byte{0xa0}, (*opt)(nil)) == nil {
		t.Fatal("decoded into something that is not a pointer")
	}
}

func FuzzUnmarshal(f *testing.F) {
	seed, _ := hex.DecodeString(golden)
	f.Add(seed)
	f.Add([]byte{0xa0})
	f.Add([]byte{0x9f, 0xff})
	f.Add([]byte{0xfa, 0x7f, 0xc0, 0, 0})
	f.Add(bytes.Repeat([]byte{0x81}, 40))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, into := range []any{new(sample), new(any), new([]float32), new(map[string]any)} {
			if Unmarshal(data, into) != nil {
				continue
			}
			again, err := Marshal(reflect.ValueOf(into).Elem().Interface())
			if err != nil || !bytes.Equal(again, data) {
				t.Fatalf("%T: %x came back as %x, %v", into, data, again, err)
			}
		}
	})
}

func BenchmarkUnmarshalProbe(b *testing.B) {
	data, err := Marshal(make([]float32, 512))
	if err != nil {
		b.Fatal(err)
	}
	var probe []float32
	for b.Loop() {
		if err := Unmarshal(data, &probe); err != nil {
			b.Fatal(err)
		}
	}
}
