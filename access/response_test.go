package access

import (
	"math/rand/v2"
	"testing"
	"time"
)

const frame = time.Second / 30

// filmed is a lamp's random code, with chips that never fall in step with the frames, and a camera that films it.
func filmed(r *rand.Rand, delay, exposure, jitter time.Duration, depth, noise float64) (chips []Chip, seen []Glimpse) {
	book, err := NewBook(12)
	if err != nil {
		panic(err)
	}
	code, err := book.Code(r.IntN(book.Size()))
	if err != nil {
		panic(err)
	}
	at := time.Second
	for k := range 12 {
		length := frame*2 + time.Duration(k*7%12)*frame/12
		chips = append(chips, Chip{From: at, To: at + length, Lit: code.Lit(k)})
		at += length
	}
	h := history{chips}
	for end := time.Second - frame + time.Duration(r.Int64N(int64(frame))); end < at+2*frame; end += frame {
		stamp := end + delay + time.Duration((2*r.Float64()-1)*float64(jitter))
		seen = append(seen, Glimpse{stamp, float32(30 + depth*float64(h.share(end, exposure)) + r.NormFloat64()*noise)})
	}
	return chips, seen
}

func TestRespond(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		delay := time.Duration(r.Int64N(int64(2 * frame)))
		exposure := frame/8 + time.Duration(r.Int64N(int64(frame*3/2)))
		jitter := time.Duration(r.Int64N(int64(4 * time.Millisecond)))
		chips, seen := filmed(r, delay, exposure, jitter, 5+60*r.Float64(), .2)
		got, found := Respond(chips, seen, frame)
		if !found {
			t.Fatalf("delay %v, exposure %v, jitter %v: not found", delay, exposure, jitter)
		}
		// The middle of the exposure is what the chips are told apart by.
		if off := (got.Delay + got.Exposure/2) - (delay + exposure/2); off.Abs() > 2*time.Millisecond+got.Spread+jitter {
			t.Errorf("delay %v, exposure %v, jitter %v: found delay %v, exposure %v: its middle is %v off", delay, exposure, jitter, got.Delay, got.Exposure, off)
		}
		if got.Spread > jitter+8*time.Millisecond {
			t.Errorf("spread %v of a jitter of %v", got.Spread, jitter)
		}
	}
}

// A jitter that is there is found.
func TestRespondSpread(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var calm, restless time.Duration
	for range 50 {
		chips, seen := filmed(r, frame/2, frame/4, 0, 40, .2)
		got, _ := Respond(chips, seen, frame)
		calm += got.Spread / 50
		chips, seen = filmed(r, frame/2, frame/4, frame/3, 40, .2)
		got, _ = Respond(chips, seen, frame)
		restless += got.Spread / 50
	}
	if calm > 4*time.Millisecond || restless < calm+3*time.Millisecond {
		t.Errorf("spread %v without jitter, %v with one of a third of a frame", calm, restless)
	}
}

func TestRespondRefuses(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	chips, seen := filmed(r, frame/2, frame/4, 0, 40, .2)
	other, _ := filmed(r, frame/2, frame/4, 0, 40, .2)
	_, blind := filmed(r, frame/2, frame/4, 0, 0, 2)
	_, faint := filmed(r, frame/2, frame/4, 0, .3, .02)
	inverted := make([]Glimpse, len(seen))
	for i, g := range seen {
		inverted[i] = Glimpse{g.Stamp, 100 - g.Level}
	}
	late := make([]Glimpse, len(seen))
	for i, g := range seen {
		late[i] = Glimpse{g.Stamp + 5*frame, g.Level}
	}
	tests := []struct {
		name  string
		chips []Chip
		seen  []Glimpse
	}{
		{"no chip", nil, seen}, {"no frame", chips, nil}, {"few frames", chips, seen[:minResponseFrames-2]},
		{"another code", other, seen}, {"a lamp that is not seen", chips, blind}, {"a lamp that is hardly seen", chips, faint},
		{"a picture that darkens with the lamp", chips, inverted}, {"later than three frames", chips, late},
	}
	for _, tt := range tests {
		if got, found := Respond(tt.chips, tt.seen, frame); found {
			t.Errorf("%s: found %+v", tt.name, got)
		}
	}
	if _, found := Respond(chips, seen, 0); found {
		t.Error("found with no interval")
	}
}
