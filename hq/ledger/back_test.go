package ledger

import (
	"slices"
	"testing"
)

// Back gives what Walk gives, the other way round and over several segments, and stops when it is told to.
func TestBack(t *testing.T) {
	b := newBench(t)
	k, err := b.Ledger.kiosk(b.id)
	if err != nil {
		t.Fatal(err)
	}
	k.folder.segment = 4 << 10
	for sent := uint64(0); sent < 300; sent += 50 {
		b.add(t, 50)
		b.sign(t)
		b.mustSend(t, b.report(t, sent, 50), sent+50)
	}
	if list, err := segments(k.folder.dir); err != nil || len(list) < 3 {
		t.Fatalf("%d segments, %v: want several", len(list), err)
	}
	r, err := Inspect(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	var forth, back []string
	if err := r.Walk(b.name(), 0, func(e Entry) error { forth = append(forth, string(e.Record)); return nil }); err != nil {
		t.Fatal(err)
	}
	next := uint64(300)
	err = r.Back(b.name(), func(e Event) bool {
		if next--; e.Index != next || !e.Known || !e.Vouched || e.Kiosk != b.name() {
			t.Errorf("record %d is %+v", next, e)
		}
		back = append(back, string(e.Record))
		return true
	})
	slices.Reverse(back)
	if err != nil || len(back) != 300 || !slices.Equal(forth, back) {
		t.Errorf("%d forth, %d back, %v", len(forth), len(back), err)
	}
	seen := 0
	if err := r.Back(b.name(), func(Event) bool { seen++; return seen < 3 }); err != nil || seen != 3 {
		t.Errorf("it went on to %d, %v", seen, err)
	}
}
