package access

import (
	"testing"
	"time"
)

// TestDenialsAlike decides one walk-up for every reason that denies and compares what the person sees and hears.
func TestDenialsAlike(t *testing.T) {
	want := Indication{LED: Red, Pattern: Wink, Buzzer: LowBuzz, Text: "Not recognised or not permitted"}
	good := Question{
		Session: SessionID{Boot: 1, Number: 1}, Checked: true, Threshold: 0.5, Calibrated: true, Bar: DefaultPolicy().Bar(0), Now: time.Second,
		Candidate: Candidate{Found: true, Person: PersonID{1}, Standing: Permitted, Score: 0.95, Second: -1},
	}
	if d := Decide(DefaultPolicy(), good); d.Verdict != Granted {
		t.Fatalf("the question that all others are bent from is %v: %v", d.Verdict, d.Reason)
	}
	denials := map[string]func(*Question){
		"attack by photograph":   func(q *Question) { q.Check = ReasonLiveness },
		"attack by replay":       func(q *Question) { q.Check = ReasonWrongAnswer },
		"unknown":                func(q *Question) { q.Candidate.Score = 0.1 },
		"nobody enrolled":        func(q *Question) { q.Candidate = Candidate{} },
		"not permitted":          func(q *Question) { q.Candidate.Standing = NotPermitted },
		"revoked":                func(q *Question) { q.Candidate.Standing = Revoked },
		"suspended":              func(q *Question) { q.Candidate.Standing = Suspended },
		"expired":                func(q *Question) { q.Candidate.Standing = Expired },
		"locked out":             func(q *Question) { q.Candidate.Locked = true },
		"lockdown":               func(q *Question) { q.Lockdown = true },
		"enclosure open":         func(q *Question) { q.Tamper = true },
		"verdict never computed": func(q *Question) { *q = Question{} },
	}
	for name, bend := range denials {
		q := good
		bend(&q)
		d := Decide(DefaultPolicy(), q)
		if d.Verdict != Denied {
			t.Errorf("%s: %v (%v), want a denial", name, d.Verdict, d.Reason)
		}
		for _, a := range []AccessPoint{{}, {State: LockedDown, Lockdown: true}} {
			if got := Combine(a, IndicateSession(Showing, HintNone, d.Verdict)); got != want {
				t.Errorf("%s: shows %+v, want %+v", name, got, want)
			}
		}
	}
	if got := Combine(AccessPoint{}, IndicateSession(Showing, HintNone, Decision{}.Unrecorded().Verdict)); got != want {
		t.Errorf("not recorded: shows %+v", got)
	}
	if got := IndicateVerdict(Verdict(77)); got != want {
		t.Errorf("an unknown verdict shows %+v", got)
	}
}

func TestSessionStagesAlike(t *testing.T) {
	want := IndicateSession(Capturing, HintNone, Denied)
	for _, s := range []SessionState{Capturing, Assessing, Comparing} {
		for h := HintNone; h <= HintSeveral; h++ {
			for v := Denied; v <= Uncertain; v++ {
				if got := IndicateSession(s, h, v); got != want {
					t.Errorf("%v, hint %v, %v: shows %+v, want %+v", s, h, v, got, want)
				}
			}
		}
	}
}

// everyIndication is the whole table, by what it stands for.
func everyIndication() map[string]Indication {
	all := map[string]Indication{"open, warned": IndicateDoor(AccessPoint{State: Open, Warned: true})}
	for s := range DoorState(FireReleased + 2) {
		all["door "+s.String()] = IndicateDoor(AccessPoint{State: s})
	}
	for h := range Hint(HintSeveral + 2) {
		all["hint "+h.String()] = IndicateHint(h)
	}
	for v := range Verdict(Uncertain + 2) {
		all["verdict "+v.String()] = IndicateVerdict(v)
	}
	for s := range SessionState(Cooldown + 2) {
		all["session "+s.String()] = IndicateSession(s, HintNone, Denied)
	}
	return all
}

func TestIndicationsReadable(t *testing.T) {
	for name, in := range everyIndication() {
		if in == (Indication{}) {
			continue
		}
		if len(in.Text) == 0 || len(in.Text) > MaxText {
			t.Errorf("%s: text %q has %d bytes, want 1 to %d", name, in.Text, len(in.Text), MaxText)
		}
		for _, c := range []byte(in.Text) {
			if c < ' ' || c > '~' {
				t.Errorf("%s: text %q holds byte %#x", name, in.Text, c)
			}
		}
		if (in.LED == Unlit) != (in.Pattern == Dark) {
			t.Errorf("%s: LED %v with pattern %v", name, in.LED, in.Pattern)
		}
	}
}

// TestColourIsNeverAlone: somebody who sees no colours tells the outcomes and alarms apart by pattern and sound.
func TestColourIsNeverAlone(t *testing.T) {
	seen := map[[2]uint8]string{}
	for name, in := range map[string]Indication{
		"granted": IndicateVerdict(Granted), "denied": IndicateVerdict(Denied), "retry": IndicateVerdict(Retry), "uncertain": IndicateVerdict(Uncertain),
		"at rest": IndicateDoor(AccessPoint{}), "alarm": IndicateDoor(AccessPoint{State: ForcedOpen}),
		"reminder": IndicateDoor(AccessPoint{State: Open, Warned: true}), "hint": IndicateHint(HintTooFar),
	} {
		key := [2]uint8{uint8(in.Pattern), uint8(in.Buzzer)}
		if other, taken := seen[key]; taken {
			t.Errorf("%s and %s differ in nothing but colour and text", name, other)
		}
		seen[key] = name
	}
}

func TestCombine(t *testing.T) {
	denied, welcome := IndicateVerdict(Denied), IndicateVerdict(Granted)
	cases := []struct {
		name   string
		a      AccessPoint
		walkup Indication
		want   Indication
	}{
		{"nobody", AccessPoint{}, Indication{}, IndicateDoor(AccessPoint{})},
		{"walk-up over rest", AccessPoint{}, welcome, welcome},
		{"walk-up over release", AccessPoint{State: Released}, welcome, welcome},
		{"walk-up over lockdown", AccessPoint{State: LockedDown}, denied, denied},
		{"fire over all", AccessPoint{State: FireReleased}, denied, IndicateDoor(AccessPoint{State: FireReleased})},
		{"held open over walk-up", AccessPoint{State: HeldOpen}, welcome, IndicateDoor(AccessPoint{State: HeldOpen})},
		{"forced open over walk-up", AccessPoint{State: ForcedOpen}, denied, IndicateDoor(AccessPoint{State: ForcedOpen})},
		{"the reminder is heard", AccessPoint{State: Open, Warned: true}, welcome, Indication{Green, Steady, Reminder, "Welcome"}},
	}
	for _, c := range cases {
		if got := Combine(c.a, c.walkup); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	if a, b := (AccessPoint{State: Secured}), (AccessPoint{State: Secured, Tamper: true}); IndicateDoor(a) != IndicateDoor(b) {
		t.Error("the open enclosure shows at the door")
	}
}
