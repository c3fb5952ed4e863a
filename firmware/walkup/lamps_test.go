package walkup

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
)

// slowLamp is switched a while after it was told to, and remembers when.
type slowLamp struct {
	slow    time.Duration
	refuses bool
	at      []time.Duration
	on      []bool
}

func (l *slowLamp) Set(on bool) (time.Duration, error) {
	if l.refuses && !on {
		return 0, errors.New("line is gone")
	}
	time.Sleep(l.slow)
	at := now()
	l.at, l.on = append(l.at, at), append(l.on, on)
	return at, nil
}

// lit reports whether the lamp was lit all the time from one moment to another, and whether it was lit at none of it.
func (l *slowLamp) lit(from, to time.Duration) (always, never bool) {
	always, never = true, true
	for i, on := range l.on {
		until := to
		if i+1 < len(l.at) {
			until = l.at[i+1]
		}
		if max(from, l.at[i]) < min(to, until) {
			always, never = always && on, never && !on
		}
	}
	return always, never
}

// Two lines cannot be switched at the same moment: a chip holds only while both lamps are as its code says.
//
// Control: A16
func TestTwoLampsAreSettledInEveryChip(t *testing.T) {
	book, err := access.Office.PairBook()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 77, 333, 629} {
		code, err := book.Code(i)
		if err != nil {
			t.Fatal(err)
		}
		left, right := &slowLamp{slow: time.Millisecond}, &slowLamp{slow: 3 * time.Millisecond}
		chips, err := shine(context.Background(), lamps{left, right}, now, code, now()+lead, even(int(code.Length), 20*time.Millisecond))
		if err != nil || len(chips) != int(code.Length) {
			t.Fatalf("code %d: %d chips, %v", i, len(chips), err)
		}
		for k, c := range chips {
			wantLeft, wantRight := code.Lamps(k)
			if c.Left != wantLeft || c.Right != wantRight || c.Lit != code.Lit(k) {
				t.Errorf("code %d, chip %d: %+v, want %v and %v", i, k, c, wantLeft, wantRight)
			}
			if c.From >= c.To { // on a machine that is too busy there is no such time, and no frame in it
				continue
			}
			for name, l := range map[string]struct {
				*slowLamp
				want bool
			}{"left": {left, c.Left}, "right": {right, c.Right}} {
				if always, never := l.lit(c.From, c.To); always != l.want || never == l.want {
					t.Errorf("code %d, chip %d: the %s lamp is not as the chip says", i, k, name)
				}
			}
		}
		if !left.on[len(left.on)-1] || !right.on[len(right.on)-1] {
			t.Errorf("code %d: a lamp was left dark", i)
		}
		right.refuses = true
		if _, err := shine(context.Background(), lamps{left, right}, now, code, now()+lead, even(int(code.Length), time.Millisecond)); err == nil {
			t.Errorf("code %d: played on a lamp that cannot be switched", i)
		}
		if !left.on[len(left.on)-1] {
			t.Errorf("code %d: the other lamp was left dark", i)
		}
	}
}

func TestNewWantsOneLampOrTwo(t *testing.T) {
	b := start(t, nil)
	cfg := b.w.cfg
	for name, c := range map[string]struct {
		lamps []Lamp
		chips int
	}{
		"none": {nil, 0}, "one": {[]Lamp{&slowLamp{}}, 12}, "two": {[]Lamp{&slowLamp{}, &slowLamp{}}, 7},
		"three": {[]Lamp{&slowLamp{}, &slowLamp{}, &slowLamp{}}, 0}, "one that is not there": {[]Lamp{&slowLamp{}, nil}, 0},
	} {
		cfg.Lamps = c.lamps
		w, err := New(cfg)
		if (err == nil) != (c.chips > 0) {
			t.Errorf("%s: %v", name, err)
		} else if err == nil {
			if code, err := draw(w.books[access.Office]); err != nil || int(code.Length) != c.chips || code.Two() != (len(c.lamps) == 2) {
				t.Errorf("%s: draws %+v, %v", name, code, err)
			}
		}
	}
}
