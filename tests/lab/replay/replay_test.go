//go:build linux

package replay

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// entry is one entry of a log as the kernel writes it.
func entry(at uint64, flags uint64, data string) []byte {
	sectors := (len(data) + sector - 1) / sector
	length := 0
	if flags&flagMark != 0 {
		sectors, length = 0, len(data)
	}
	b := binary.LittleEndian.AppendUint64(nil, at)
	for _, v := range []uint64{uint64(sectors), flags, uint64(length)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	if flags&flagMark != 0 {
		return slices.Concat(b, []byte(data), make([]byte, sector-headerBytes-len(data)))
	}
	b = append(b, make([]byte, sector-headerBytes)...)
	b = append(b, data...)
	return append(b, make([]byte, sectors*sector-len(data))...)
}

func logOf(entries ...[]byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, logMagic)
	b = binary.LittleEndian.AppendUint64(b, logVersion)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(entries)))
	b = binary.LittleEndian.AppendUint32(b, sector)
	return append(append(b, make([]byte, sector-28)...), slices.Concat(entries...)...)
}

func TestParse(t *testing.T) {
	end := entry(0, flagMark, lastMark)
	steps, err := parse(bytes.NewReader(logOf(entry(8, flagMetadata, "metadata"), entry(0, flagFlush, ""), entry(0, flagMark, "aside"), entry(16, flagFUA, strings.Repeat("x", 600)), end)))
	if err != nil || len(steps) != 3 {
		t.Fatalf("%d steps, %v", len(steps), err)
	}
	if s := steps[0]; s.sector != 8 || s.flush || s.fua || !bytes.HasPrefix(s.data, []byte("metadata")) || len(s.data) != sector {
		t.Errorf("write: %+v", s)
	}
	if s := steps[1]; !s.flush || s.data != nil {
		t.Errorf("flush: %+v", s)
	}
	if s := steps[2]; !s.fua || len(s.data) != 2*sector || s.data[599] != 'x' || s.data[600] != 0 {
		t.Errorf("forced write: %+v", s)
	}
	good := logOf(entry(8, 0, "data"), end)
	long := bytes.Clone(good)
	long[sector+8] = 200 // sectors
	for what, log := range map[string][]byte{
		"nothing": nil, "no log": make([]byte, 4*sector), "cut short": good[:2*sector], "no end": logOf(entry(8, 0, "data")), "more entries than there are": long,
		"discard": logOf(entry(8, 4, ""), end), "unknown flag": logOf(entry(8, 32, ""), end), "long mark": logOf(entry(0, 0, ""), append(binary.LittleEndian.AppendUint64(make([]byte, 16), flagMark), bytes.Repeat([]byte{0xff}, sector)...)),
	} {
		if steps, err := parse(bytes.NewReader(log)); err == nil {
			t.Errorf("%s: %d steps", what, len(steps))
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(logOf(entry(8, 0, "data"), entry(0, flagFlush, ""), entry(0, flagMark, lastMark)))
	f.Add(logOf(entry(8, flagFUA|flagMetadata, "data")))
	f.Fuzz(func(t *testing.T, log []byte) {
		steps, err := parse(bytes.NewReader(log))
		total := 0
		for _, s := range steps {
			total += len(s.data)
		}
		if err == nil && total > len(log) {
			t.Errorf("%d bytes of a log of %d", total, len(log))
		}
	})
}

// recording is one of two writes, a flush, a mark, a write, a forced write, a flush.
func recording() *Recording {
	const marks = 16 * page
	write := func(at int64, with byte, sectors int) step {
		return step{sector: at, data: bytes.Repeat([]byte{with}, sectors*sector)}
	}
	forced := write(80, 'd', 1)
	forced.fua = true
	mark := step{sector: marks / sector, data: append([]byte("0 said"), make([]byte, sector-6)...)}
	return &Recording{base: make([]byte, marks+page), marks: marks, steps: []step{
		write(64, 'a', 1), write(72, 'b', 2), {flush: true}, mark, write(64, 'c', 1), forced, {flush: true},
	}}
}

func TestPoints(t *testing.T) {
	want := []Point{
		{0, None}, {0, Torn}, {1, None}, {1, Writes}, {1, Torn}, {2, All}, {3, All}, {4, None}, {4, Torn}, {5, None}, {5, Torn}, {6, All},
	}
	if got := recording().Points(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if w, f, m := recording().Writes(); w != 3 || f != 3 || m != 1 {
		t.Errorf("%d writes, %d flushes, %d marks", w, f, m)
	}
}

// What was flushed or forced is there whatever is lost, and what was not, only as the loss says.
func TestDiskAfterACut(t *testing.T) {
	r := recording()
	for l := All; l <= Torn; l++ {
		seen := map[string]bool{}
		for seed := range uint64(200) {
			d := &disk{durable: bytes.Clone(r.base), live: bytes.Repeat([]byte{'?'}, len(r.base)), loss: l, rng: func() *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }}
			picture := ""
			for i, s := range r.steps {
				if _, said := r.mark(s); said {
					continue
				}
				d.take(s)
				if i == 1 || i == 2 || i == 5 {
					d.build()
					for _, at := range []int{64, 72, 73, 80} {
						picture += string(max(d.live[at*sector], '.'))
					}
					picture += " "
				}
			}
			if bytes.IndexByte(d.live, '?') >= 0 {
				t.Fatal("something of an earlier cut is left")
			}
			seen[picture] = true
		}
		want := map[Loss][]string{
			All:  {".... abb. abbd "},
			None: {"abb. abb. cbbd "},
			// Of the first two writes any, then both. The third goes as the first did: the dice are thrown anew at each point.
			Writes: {".... abb. abbd ", "abb. abb. cbbd ", "a... abb. cbbd ", ".bb. abb. abbd "},
			Torn:   {"a.b. abb. cbbd ", "ab.. abb. cbbd ", "..b. abb. abbd "},
		}[l]
		for _, w := range want {
			if !seen[w] {
				t.Errorf("%v: %q was never there", l, w)
			}
		}
		if most := map[Loss]int{All: 1, None: 1, Writes: 8, Torn: 16}[l]; len(seen) > most {
			t.Errorf("%v: %d pictures: %v", l, len(seen), seen)
		}
		for s := range seen {
			if !strings.Contains(s, " abb. ") || !strings.HasSuffix(s, "bbd ") {
				t.Errorf("%v: %q lacks what was flushed", l, s)
			}
		}
	}
}

// The first page of the disk is there whole or not at all; the second is torn.
func TestSuperblockIsNotTorn(t *testing.T) {
	torn := false
	for seed := range uint64(50) {
		d := &disk{durable: make([]byte, 4*page), live: make([]byte, 4*page), loss: Torn, rng: func() *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }}
		d.take(step{sector: 2, data: bytes.Repeat([]byte{'x'}, 2*page-2*sector)})
		d.build()
		if n := bytes.Count(d.live[:page], []byte{'x'}); n != 0 && n != page-2*sector {
			t.Fatalf("seed %d: %d bytes of the first page", seed, n)
		}
		n := bytes.Count(d.live[page:], []byte{'x'})
		torn = torn || n > 0 && n < page
	}
	if !torn {
		t.Error("nothing was ever torn")
	}
}

// Of two flushes under way, the one that began later has ended first, and covers what was done after the marks that the other one covers.
func TestMarksAreBeforeWhatFollowedThem(t *testing.T) {
	r := recording()
	mark := func(n int) step {
		return step{sector: r.marks / sector, data: append(fmt.Appendf(nil, "%d said", n), 0)}
	}
	write := func(at int64) step { return step{sector: at, data: make([]byte, sector)} }
	flush, forced, told := step{flush: true}, step{sector: 80, data: make([]byte, sector), fua: true}, step{told: true}
	for what, c := range map[string]struct {
		steps []step
		want  string
	}{
		"in order":                  {[]step{told, mark(0), write(1), flush, told, mark(1), write(2), flush}, "m0 1 F m1 2 F"},
		"made during a flush":       {[]step{write(1), flush, told, write(2), forced, mark(0), flush}, "1 F 2 f m0 F"},
		"covered, and ended later":  {[]step{told, write(1), flush, mark(0), write(2), flush}, "m0 1 F 2 F"},
		"two of three":              {[]step{told, told, told, mark(2), write(1), flush, mark(0), mark(1), flush}, "m0 m1 m2 1 F F"},
		"made while it was covered": {[]step{told, told, mark(0), write(1), flush, mark(1), flush}, "m0 1 F m1 F"},
		"never flushed":             {[]step{told, told, write(1), mark(0), write(2), mark(1)}, "1 m0 2 m1"},
	} {
		var got []string
		for _, s := range order(c.steps, r.number) {
			switch n, said := r.number(s); {
			case said:
				got = append(got, fmt.Sprintf("m%d", n))
			case s.flush:
				got = append(got, "F")
			case s.fua:
				got = append(got, "f")
			default:
				got = append(got, fmt.Sprint(s.sector))
			}
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}
