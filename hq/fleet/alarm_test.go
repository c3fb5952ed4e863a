package fleet

import (
	"errors"
	"fmt"
	"testing"
)

// wantAlarms holds what a list shows of a kiosk to the words of its alarms.
func wantAlarms(t *testing.T, h *house, k *double, want ...Kind) {
	t.Helper()
	var is []Kind
	for _, a := range overview(t, h, k.name).Alarms {
		is = append(is, a.Kind)
	}
	if fmt.Sprint(is) != fmt.Sprint(want) {
		t.Errorf("alarms %v, want %v", is, want)
	}
}

// Nobody waits for the records of a kiosk that was removed or replaced, now and after a start; one that comes back is waited for again.
//
// Control: G5
func TestNobodyWaitsForAKioskThatIsGone(t *testing.T) {
	h, s := newSignedHouse(t)
	stays, goes, replaced := h.introduce("a"), h.introduce("b"), h.introduce("c")
	waits := func(when string, want ...bool) {
		t.Helper()
		if is := fmt.Sprint([]bool{s.waitsFor(stays), s.waitsFor(goes), s.waitsFor(replaced)}); is != fmt.Sprint(want) {
			t.Errorf("%s: waited for %s, want %v", when, is, want)
		}
	}
	waits("before", true, true, true)
	if err := h.fleet.Remove(t.Context(), goes.name, "sold"); err != nil {
		t.Fatal(err)
	}
	if err := h.fleet.Replace(t.Context(), replaced.name, stays.name); err != nil {
		t.Fatal(err)
	}
	waits("gone", true, false, false)
	s.met[goes.id] = true // as a program before this one left it
	h.restart()
	waits("after a start", true, false, false)
	if err := h.fleet.Quarantine(t.Context(), stays.name, "?"); err != nil {
		t.Fatal(err)
	}
	h.restart()
	waits("quarantined", true, false, false)
	if err := goes.enter("b"); err != nil {
		t.Fatal(err)
	}
	waits("back", true, true, false)
}

// A kiosk whose records cannot be opened keeps nobody from being served: it is an alarm until somebody has mended it and says so.
func TestDamagedRecordsOfOneKiosk(t *testing.T) {
	h, s := newSignedHouse(t)
	damaged, other := h.introduce("a"), h.introduce("b")
	s.hurt[damaged.id] = fmt.Errorf("%w: record 7", ErrDamage)
	told := 0
	c := h.fleet.config
	c.Alarm = func([32]byte, Alarm, bool) { told++ }
	for n := range 2 { // raised, and again at the start while it stands
		if _, err := Open(t.Context(), c); err != nil || told != n+1 {
			t.Errorf("start %d: told %d times, %v", n, told, err)
		}
	}
	h.restart()
	other.listen()
	other.greet()
	other.until("it is told the time", func() bool { return other.times > 0 })
	wantAlarms(t, h, damaged, Damage)
	wantAlarms(t, h, other)
	if err := h.fleet.Lift(t.Context(), damaged.name); !errors.Is(err, ErrDamage) {
		t.Errorf("lifted while nothing was mended: %v", err)
	}
	wantAlarms(t, h, damaged, Damage)
	delete(s.hurt, damaged.id)
	if err := h.fleet.Lift(t.Context(), damaged.name); err != nil || !s.waitsFor(damaged) {
		t.Errorf("%v, waited for: %v", err, s.waitsFor(damaged))
	}
	wantAlarms(t, h, damaged)

	s.hurt[damaged.id] = errors.New("the disk is full") // nobody's own
	if _, err := Open(t.Context(), h.fleet.config); err == nil {
		t.Error("headquarters starts although the ledger takes nothing in")
	}
}

// Alarms are told to whoever shows them: when they are raised, again at the start, and when they are lifted; also those of a kiosk that is gone.
func TestAlarmsAreTold(t *testing.T) {
	h := newHouse(t, false)
	var told []string
	h.fleet.config.Alarm = func(_ [32]byte, a Alarm, on bool) { told = append(told, fmt.Sprint(a.Kind, " ", on)) }
	k := h.introduce("a")
	d, err := h.fleet.at(k.name)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		h.fleet.alarm(t.Context(), d, Garbage, "words")
	}
	d.mu.Unlock()
	if _, err := Open(t.Context(), h.fleet.config); err != nil {
		t.Fatal(err)
	}
	if err := h.fleet.Remove(t.Context(), k.name, "sold"); err != nil {
		t.Fatal(err)
	}
	if err := h.fleet.Lift(t.Context(), k.name); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(told) != "[garbage true garbage true garbage false]" {
		t.Errorf("told %v", told)
	}
	if o := overview(t, h, k.name); o.State != Removed {
		t.Errorf("it is %v", o.State)
	}
}
