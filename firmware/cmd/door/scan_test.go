package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/match"
	"github.com/lintel-access/lintel/sync/wire"
)

// A dictionary is what must not be found somewhere, cut into words of eight bytes: long enough that none turns up by chance in some gigabytes, short
// enough that half of a secret is found, too. The zero dictionary is empty.
type dictionary struct {
	words  map[uint64]string
	sieve  []uint64 // a bit for each hash of a word: most of what is looked at needs no look into the map
	scores map[uint32]bool
}

const sieveBits = 26

func hash(w uint64) uint64 { return w * 0x9E3779B97F4A7C15 >> (64 - sieveBits) }

func (d *dictionary) word(name string, w uint64) {
	if w == 0 || w == math.MaxUint64 {
		return // no secret: it is everywhere
	}
	if d.words == nil {
		d.words, d.sieve = map[uint64]string{}, make([]uint64, 1<<(sieveBits-6))
	}
	h := hash(w)
	d.words[w] = name
	d.sieve[h/64] |= 1 << (h % 64)
}

// secret adds any eight consecutive bytes of one.
func (d *dictionary) secret(name string, b []byte) {
	for ; len(b) >= 8; b = b[1:] {
		d.word(name, binary.LittleEndian.Uint64(b))
	}
}

// vector adds any two consecutive components of one.
func (d *dictionary) vector(name string, v []float32) {
	for i := range v[1:] {
		d.word(name, pair(v[i], v[i+1]))
	}
}

func pair(a, b float32) uint64 {
	return uint64(math.Float32bits(b))<<32 | uint64(math.Float32bits(a))
}

// score adds a comparison score. Those that are not secret, because anybody can say them, are left out.
func (d *dictionary) score(s float32) {
	if s == 0 || s == 1 || s == -1 || s == match.NoScore {
		return
	}
	if d.scores == nil {
		d.scores = map[uint32]bool{}
	}
	d.scores[math.Float32bits(s)] = true
	wide := math.Float64bits(float64(s))
	d.word("score", wide)
	d.word("score", binary.BigEndian.Uint64(binary.LittleEndian.AppendUint64(nil, wide)))
}

// A haul is what was found in all that was looked at.
type haul struct {
	where  string // is being looked at
	names  map[string]int
	tagged map[uint32]bool // scores behind the head that CBOR gives a float32
	bare   map[uint32]bool // scores as four bytes alone: chance makes some
	chance float64         // how many of the bare ones chance is expected to make
}

// look searches data, which is of one piece: as it is, floats as CBOR writes them, and as float64.
func (d *dictionary) look(data []byte, h *haul) {
	if h.names == nil {
		h.names, h.tagged, h.bare = map[string]int{}, map[uint32]bool{}, map[uint32]bool{}
	}
	try := func(w uint64) {
		if s := hash(w); d.sieve[s/64]>>(s%64)&1 == 1 {
			if name, found := d.words[w]; found {
				h.names[name+" in "+h.where]++
			}
		}
	}
	const cbor = 0xfa // major type 7, four bytes follow
	var last uint32
	for i := 0; i+4 <= len(data); i++ {
		four := binary.LittleEndian.Uint32(data[i:])
		if four == 0 && last == 0 {
			continue
		}
		last = four
		h.chance += 2 * float64(len(d.scores)) / (1 << 32)
		for _, s := range [2]uint32{four, binary.BigEndian.Uint32(data[i:])} {
			if d.scores[s] && s != four && i > 0 && data[i-1] == cbor {
				h.tagged[s] = true
			} else if d.scores[s] {
				h.bare[s] = true
			}
		}
		if i+8 > len(data) {
			continue
		}
		eight := binary.LittleEndian.Uint64(data[i:])
		try(eight)
		if data[i] == cbor && i+10 <= len(data) && data[i+5] == cbor {
			try(uint64(binary.BigEndian.Uint32(data[i+6:]))<<32 | uint64(binary.BigEndian.Uint32(data[i+1:])))
		}
		if i+16 <= len(data) && plausible(eight) && plausible(binary.LittleEndian.Uint64(data[i+8:])) {
			try(pair(float32(math.Float64frombits(eight)), float32(math.Float64frombits(binary.LittleEndian.Uint64(data[i+8:])))))
		}
	}
}

// plausible tells a float64 of 2^-31 to 2 from other bytes.
func plausible(bits uint64) bool {
	e := bits >> 52 & 0x7ff
	return e >= 0x3e0 && e <= 0x3ff
}

var (
	hexadecimal = regexp.MustCompile(`[0-9a-fA-F]{16,}`)
	base64Text  = regexp.MustCompile(`[A-Za-z0-9+/]{22,}`)
	// fraction is how a component or a score would be printed: nothing that door says has four decimals.
	fraction = regexp.MustCompile(`\b0\.[0-9]{4,}|[0-9]\.[0-9]{4,}e-[0-9]{2}`)
)

// read searches data as look does, and what it says in hexadecimal and base64. where is told with what is found.
func (d *dictionary) read(where string, data []byte, h *haul) {
	h.where = where
	d.look(data, h)
	for _, run := range hexadecimal.FindAll(data, -1) {
		for from := range 2 {
			if b, err := hex.DecodeString(string(run[from : from+(len(run)-from)/2*2])); err == nil {
				d.look(b, h)
			}
		}
	}
	for _, run := range base64Text.FindAll(data, -1) {
		for from := range 4 {
			if b, err := base64.RawStdEncoding.DecodeString(string(run[from : from+(len(run)-from)/4*4])); err == nil {
				d.look(b, h)
			}
		}
	}
	for _, f := range fraction.FindAll(data, -1) {
		h.names[fmt.Sprintf("decimal fraction %q in %s", f, where)]++
	}
}

// faults are what a haul must not have. A score of four bytes without a head is made by chance now and then: only more than chance makes are a fault,
// and a score that leaks once a walk-up is hundreds.
func (h *haul) faults() (list []string) {
	for name, n := range h.names {
		list = append(list, fmt.Sprintf("%s, %d times", name, n))
	}
	if len(h.tagged) > 2 {
		list = append(list, fmt.Sprintf("%d scores in CBOR", len(h.tagged)))
	}
	if most := 10 + 4*h.chance; float64(len(h.bare)) > most {
		list = append(list, fmt.Sprintf("%d scores as four bytes, %.1f are made by chance", len(h.bare), h.chance))
	}
	return list
}

func drawVector(rng *rand.Rand) []float32 {
	v := make([]float32, access.ProbeSize)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	match.Normalise(v)
	return v
}

func littleEndian(v []float32) (b []byte) {
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// The scan of the other tests finds each thing when it is there, and nothing where nothing is.
//
// Control: A32
func TestScanFindsWhatIsPlanted(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var d dictionary
	template, id, levels := drawVector(rng), access.PersonID{}, []float32{61.25431, 149.7713, 150.0137}
	for i := range id {
		id[i] = byte(rng.Uint32())
	}
	d.vector("template", template)
	d.vector("levels", levels)
	d.secret("id", id[:])
	var scores []float32
	for range 50 {
		scores = append(scores, rng.Float32())
		d.score(scores[len(scores)-1])
	}
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	encoded := func(v any) []byte {
		b, err := wire.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var bare, wide []byte
	for _, s := range scores {
		bare = append(noise(1), append(littleEndian([]float32{s}), bare...)...)
	}
	for _, x := range template[7:11] {
		wide = binary.LittleEndian.AppendUint64(wide, math.Float64bits(float64(x)))
	}
	for name, planted := range map[string][]byte{
		"id": id[:], "half an id": id[4:12], "id in hexadecimal": []byte(id.String()), "id in capitals": []byte(strings.ToUpper(id.String())),
		"id in base64": []byte(base64.StdEncoding.EncodeToString(id[:])), "id in a name": []byte("person/" + id.String()),
		"16 bytes of a template": littleEndian(template)[100:116], "template in CBOR": encoded(template[40:43]), "template as float64": wide,
		"template in hexadecimal": []byte(hex.EncodeToString(littleEndian(template[:4]))), "template as text": []byte(fmt.Sprint(template[:2])),
		"small component as text": []byte(strconv.FormatFloat(1.2345678e-05, 'g', -1, 32)),
		"levels":                  littleEndian(levels), "levels in CBOR": encoded(levels),
		"scores": bare, "scores in CBOR": encoded(scores[:4]), "score as float64": binary.LittleEndian.AppendUint64(nil, math.Float64bits(float64(scores[3]))),
		"score as text": []byte(fmt.Sprintf("score=%.4f", scores[5])),
	} {
		var h haul
		d.read(name, append(append(noise(999), planted...), noise(999)...), &h)
		if len(h.faults()) == 0 {
			t.Errorf("%s was not found", name)
		}
	}
	var h haul
	d.read("noise", noise(1<<20), &h)
	if f := h.faults(); f != nil {
		t.Errorf("found in noise: %q", f)
	}
}
