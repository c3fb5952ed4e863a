package health

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
)

// rows are the table as it was first written: a part, and the mode that the kiosk is in when that is impaired or missing.
var rows = []struct {
	part              Part
	name              string
	impaired, missing Mode
}{
	{Camera, "camera", CameraStalls, NoCamera},
	{Infrared, "infrared", NoInfrared, NoInfrared},
	{Exposure, "exposure", ExposureLoose, ExposureLoose},
	{Lamp, "lamp", LampWeak, LampUnseen},
	{LampDelay, "lamp delay", LampUnsteady, LampUntimed},
	{Relay, "relay", RelayStuck, RelayDead},
	{Contact, "contact", ContactImplausible, ContactDead},
	{REX, "exit button", ExitDead, ExitDead},
	{Tamper, "tamper switch", TamperDead, TamperDead},
	{Fire, "fire input", FireDead, FireDead},
	{Indicator, "indicators", IndicatorDead, IndicatorDead},
	{TPM, "TPM", TPMSilent, TPMAbsent},
	{Measurements, "measurements", ImageRefused, ImageRefused},
	{Vault, "vault", VaultImpaired, VaultRefused},
	{AuditLog, "audit log", EmergencyOnly, NothingRecorded},
	{Signing, "signing", Unsigned, Unsigned},
	{History, "history", HistoryDamaged, HistoryDamaged},
	{Memory, "memory", MemoryUnlocked, NoMemory},
	{Storage, "storage", StorageLow, StorageFull},
	{Clock, "clock", ClockUnvouched, ClockWrong},
	{Models, "models", ModelsSlow, NoModels},
	{Eye, "eye", EyeAway, EyeAway},
	{Link, "link", LinkAway, LinkAway},
	{Watchdog, "watchdog", NoWatchdog, NoWatchdog},
	{Confinement, "confinement", LooselyConfined, LooselyConfined},
	{Guessing, "guard against guessing", TPMLockout, TPMLockout},
	{LearnedCheck, "learned check", LearnedOff, LearnedMissing},
}

// works is a kiosk of which every part works.
func works() *Findings {
	f := &Findings{}
	for _, r := range rows {
		f.Set(r.part, Works, "")
	}
	return f
}

// TestEveryPartInEveryState goes through the table: alone, each part in each state gives its mode, its policy and its records.
// Proves A15, N3.
//
// Control: A15
// Control: N3
func TestEveryPartInEveryState(t *testing.T) {
	reached := map[Mode]bool{Whole: true}
	for i, r := range rows {
		if int(r.part) != i+1 || r.part.String() != r.name {
			t.Errorf("part %d is %d %q: append only", i+1, r.part, r.part)
		}
		for s := range State(5) { // the last is none
			want := map[State]Mode{Works: Whole, Impaired: r.impaired, Missing: r.missing}
			mode, judged := want[s]
			if !judged {
				mode = SelfTest
			}
			f := works()
			list := f.Set(r.part, s, "the reason")
			if got := f.mode(r.part); got != mode {
				t.Errorf("%v %v: mode %v, want %v", r.part, s, got, mode)
			}
			reached[mode] = true
			allowed := mode.Policy().Allows
			if mode == SelfTest {
				allowed = r.missing.Policy().Allows
			}
			if got := f.Profile(); got != allowed {
				t.Errorf("%v %v: the kiosk can do %+v, its mode allows %+v", r.part, s, got, allowed)
			}
			switch {
			case mode == Whole || mode == SelfTest:
				if len(list) != 0 {
					t.Errorf("%v %v: records %v", r.part, s, list)
				}
			case len(list) != 1 || list[0] != Transition{mode, true, r.part, "the reason"} || list[0].Event() != mode.Policy().Entered:
				t.Errorf("%v %v: records %v, want %v entered", r.part, s, list, mode)
			default:
				back := f.Set(r.part, Works, "")
				if len(back) != 1 || back[0] != (Transition{mode, false, r.part, ""}) || back[0].Event() != mode.Policy().Left {
					t.Errorf("%v back: records %v, want %v left", r.part, back, mode)
				}
			}
		}
		if i, m := r.impaired.Policy().Allows, r.missing.Policy().Allows; r.part != Relay && i.meet(m) != m {
			t.Errorf("a missing %v allows more than an impaired one", r.part)
		}
	}
	if len(rows) != partEnd-1 {
		t.Errorf("%d parts in the table, %d in the code", len(rows), partEnd-1)
	}
	for m := range Mode(modeEnd) {
		if !reached[m] && m != SelfTest {
			t.Errorf("no part leads to %v", m)
		}
	}
}

// TestPolicies holds every mode to what all of them must keep.
func TestPolicies(t *testing.T) {
	names := map[string]Mode{}
	for m := range Mode(modeEnd) {
		p := m.Policy()
		if other, twice := names[p.Name]; twice || p.Name == "" {
			t.Errorf("modes %d and %d are both called %q", m, other, p.Name)
		}
		names[p.Name] = m
		if m == Whole {
			continue
		}
		if n := len(p.Name) + len(": ") + len(p.Says); p.Says == "" || n > MaxSentence-30 {
			t.Errorf("%v: a sentence of %d bytes leaves no room for a reason", m, n)
		}
		if nobody := !p.Allows.Recognises(); nobody != (m.Shown() == access.IndicateOutOfOrder()) {
			t.Errorf("%v: people see %q, recognised: %v", m, m.Shown().Text, p.Allows.Assurance)
		} else if nobody && !strings.Contains(p.Says, "nobody is") {
			t.Errorf("%v does not say that nobody is recognised: %q", m, p.Says)
		}
		if m == SelfTest {
			continue
		}
		if !p.Entered.Known() || !p.Left.Known() || p.Entered == p.Left || p.Entered.Severity() < access.Warning || p.Left.Severity() > access.Notice {
			t.Errorf("%v is recorded as %v and %v", m, p.Entered, p.Left)
		}
		if p.Allows == full() && p.Entered == access.EventSelfTestFailed {
			t.Errorf("%v: an alert that costs nothing", m)
		}
		if p.Allows.Recording < Vital && p.Allows.Recognises() {
			t.Errorf("%v lets people in without a record", m)
		}
	}
	for _, m := range []Mode{modeEnd, 255} {
		if m.Policy() != (Policy{}) || m.Shown() != access.IndicateOutOfOrder() || m.String() != fmt.Sprintf("mode %d", m) {
			t.Errorf("unknown mode %d allows something", m)
		}
	}
}

// TestDocument compares docs/OPERATIONS.md with the table, cell by cell.
func TestDocument(t *testing.T) {
	page, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## Degraded modes\n")
	if !found {
		t.Fatal("docs/OPERATIONS.md has no section of degraded modes")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	listed := map[string]string{}
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, " | "); len(cells) == 11 {
			listed[strings.Trim(cells[0], "| ")] = strings.TrimSpace(line)
		}
	}
	delete(listed, "mode")
	for m := SelfTest; m < modeEnd; m++ {
		if want := row(m); listed[m.String()] != want {
			t.Errorf("docs/OPERATIONS.md has\n%s\nwant\n%s", listed[m.String()], want)
		}
		delete(listed, m.String())
	}
	for name := range listed {
		t.Errorf("docs/OPERATIONS.md lists %q, which is no mode", name)
	}
}

// row is a mode as the document has it.
func row(m Mode) string {
	p := m.Policy()
	yes := func(b bool) string {
		if b {
			return "yes"
		}
		return "no"
	}
	var because []string
	for _, r := range rows {
		switch {
		case r.impaired == m && r.missing == m:
			because = append(because, r.name)
		case r.impaired == m:
			because = append(because, r.name+" impaired")
		case r.missing == m:
			because = append(because, r.name+" missing")
		}
	}
	cells := []string{p.Name, strings.Join(because, ", "), p.Allows.Assurance.String(), p.Allows.Egress.String(), p.Allows.Alarms.String(),
		p.Allows.Recording.String(), yes(p.Allows.Remote), yes(p.Allows.Scheduled), m.Shown().Text, fmt.Sprint(uint16(p.Entered)), p.Says}
	if m == SelfTest {
		cells = []string{p.Name, "any part not looked at yet", "as missing", "as missing", "as missing", "as missing", "as missing", "as missing", m.Shown().Text, "–", p.Says}
	}
	if cells[8] == "" {
		cells[8] = "the door's own"
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

// TestProfileHasNoOrder: whatever is found, and in whatever order, the kiosk can do the least of what each finding allows.
// Proves A12.
//
// Control: A12
func TestProfileHasNoOrder(t *testing.T) {
	const seed = 20261122
	random := rand.New(rand.NewPCG(seed, seed))
	for range 2000 {
		found := make([]State, len(rows))
		want := full()
		for i, r := range rows {
			if found[i] = State(random.IntN(4)); random.IntN(3) > 0 {
				found[i] = Works
			}
			want = want.meet(r.part.allows(found[i]))
		}
		one, other := works(), &Findings{}
		for _, i := range random.Perm(len(rows)) {
			one.Set(rows[i].part, found[i], "")
		}
		for _, i := range random.Perm(len(rows)) {
			other.Set(rows[i].part, State(random.IntN(4)), "what was found before")
		}
		for _, i := range random.Perm(len(rows)) {
			other.Set(rows[i].part, found[i], "")
		}
		if a, b := one.Profile(), other.Profile(); a != want || b != want {
			t.Fatalf("of %v: %+v and %+v, want %+v", found, a, b, want)
		}
		if a, b := fmt.Sprint(one.Sentences()), fmt.Sprint(other.Sentences()); a != b {
			t.Fatalf("of %v: %s and %s", found, a, b)
		}
		for _, m := range one.Modes() {
			if all := one.Profile(); m != SelfTest && all.meet(m.Policy().Allows) != all {
				t.Fatalf("of %v: %v allows less than the whole", found, m)
			}
		}
	}
}

// TestNothingKnownIsNothingAllowed: the zero Findings, and a board of which nothing was looked at, can do nothing.
func TestNothingKnownIsNothingAllowed(t *testing.T) {
	b, err := board.Load("desk")
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*Findings{"zero": {}, "desk": New(b)} {
		if p := f.Profile(); p.Recognises() || p.Remote || p.Scheduled || p.Alarms != 0 && name == "zero" || p.Egress != ByWire || p.Recording != Unrecorded {
			t.Errorf("%s: %+v", name, p)
		}
		if f.Passed() || len(f.Sentences()) != 1 || !strings.HasPrefix(f.Sentences()[0], "self-test: ") {
			t.Errorf("%s: passed %v, says %q", name, f.Passed(), f.Sentences())
		}
	}
	for _, p := range []Part{0, partEnd, 255} {
		f := works()
		if list := f.Set(p, Missing, ""); list != nil || f.Profile() != full() || p.mode(Works) != Whole || p.allows(Works) != (Profile{}) {
			t.Errorf("part %d that nobody knows: %v", p, list)
		}
	}
}

// TestBoardSparesParts: what a board does not have by design is not waited for, until somebody finds something about it.
func TestBoardSparesParts(t *testing.T) {
	b, err := board.Load("desk")
	if err != nil {
		t.Fatal(err)
	}
	b.Camera.Infrared, b.Watchdog.Device = true, "/dev/watchdog0"
	delete(b.Lines, board.Fire)
	delete(b.Lines, board.Tamper)
	f := New(b)
	if got := fmt.Sprint(f.Unknown()); strings.Contains(got, "fire") || strings.Contains(got, "tamper") || !strings.Contains(got, "infrared") || !strings.Contains(got, "indicators") {
		t.Errorf("waits for %v", got)
	}
	for _, p := range f.Unknown() {
		f.Set(p, Works, "")
	}
	want := full()
	want.Alarms = DoorAlarms // what the board does not have raises no alarm, and is no fault
	if !f.Passed() || f.Profile() != want || f.Modes() != nil {
		t.Errorf("passed %v, %+v, %v", f.Passed(), f.Profile(), f.Modes())
	}
	if list := f.Set(Fire, Missing, "wire"); len(list) != 1 || f.Profile().Egress != ByWire || f.Passed() {
		t.Errorf("a fire input that was found broken: %v", list)
	}
}
