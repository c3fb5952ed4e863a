package access

import (
	"testing"
	"time"
)

// Every signal beside a good score, with the table alone: it denies, asks for a higher bar, or stands in the record.
//
// Control: A28
func TestEverySignalAgainstAGoodScore(t *testing.T) {
	tests := []struct {
		signal  Signal
		verdict Verdict
		reason  Reason
	}{
		{SignalTamper, Denied, ReasonTamper},
		{SignalLockdown, Denied, ReasonLockdown},
		{SignalDebugImage, Denied, ReasonDebugImage},
		{SignalCameraChanged, Denied, ReasonOtherCamera},
		{SignalStaleChallenge, Denied, ReasonStaleChallenge},
		{SignalFailures, Retry, ReasonSteppedUp},
		{SignalPresence, Retry, ReasonSteppedUp},
		{SignalProvider, Retry, ReasonSteppedUp},
		{SignalClock, Granted, ReasonAllowed},
		{SignalStale, Granted, ReasonAllowed},
		{signalEnd, Denied, ReasonNotReady}, // one that a newer program knows
		{signals - 1, Denied, ReasonNotReady},
	}
	if len(tests) != int(signalEnd)+2 {
		t.Fatalf("%d signals are tried, %d are known", len(tests)-2, signalEnd)
	}
	for _, tt := range tests {
		p, q := DefaultPolicy(), question()
		q.Signals = q.Signals.With(tt.signal, true)
		d := Decide(p, q)
		if d.Verdict != tt.verdict || d.Reason != tt.reason || d.Pass().Valid() != (tt.verdict == Granted) {
			t.Errorf("%v: %v because of %v; want %v, %v", tt.signal, d.Verdict, d.Reason, tt.verdict, tt.reason)
		}
		if tt.reason != ReasonSteppedUp {
			continue
		}
		q.Bar = p.Bar(q.Signals)
		if d := Decide(p, q); q.Bar.Profile != Restricted || d.Verdict != Granted {
			t.Errorf("%v: a session at %v is %v because of %v", tt.signal, q.Bar.Profile, d.Verdict, d.Reason)
		}
	}
	q := question()
	q.Signals = q.Signals.With(SignalFailures, true).With(SignalLockdown, true)
	q.Bar = DefaultPolicy().Bar(q.Signals)
	if d := Decide(DefaultPolicy(), q); d.Reason != ReasonLockdown {
		t.Errorf("two signals: %v because of %v", d.Verdict, d.Reason)
	}
	q.Bar = Bar{}
	if d := Decide(DefaultPolicy(), q); d.Verdict == Granted {
		t.Error("a session that was held to nothing opens the door")
	}
}

// A policy makes signals stronger, none weaker, and none of those that anybody can cause into one that shuts the door.
//
// Control: A28
func TestSignalRules(t *testing.T) {
	up := func(list ...Signal) (s Signals) {
		for _, x := range list {
			s = s.With(x, true)
		}
		return s
	}
	for name, r := range map[string]SignalRules{
		"denied by failures":         {Deny: up(SignalFailures)},
		"confirmed after failures":   {Confirm: up(SignalFailures)},
		"denied by a presence":       {Deny: up(SignalPresence)},
		"tamper merely confirmed":    {Confirm: up(SignalTamper)},
		"lockdown merely stepped up": {StepUp: up(SignalLockdown)},
		"debug image denied already": {Deny: up(SignalDebugImage)},
		"provider stepped up twice":  {StepUp: up(SignalProvider)},
		"two effects":                {StepUp: up(SignalClock), Deny: up(SignalClock)},
		"a signal that is none":      {Deny: up(signalEnd)},
	} {
		p := DefaultPolicy()
		p.Signals = r
		if p.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, tt := range map[string]struct {
		rules   SignalRules
		up      Signals
		verdict Verdict
		reason  Reason
	}{
		"provider denies":         {SignalRules{Deny: up(SignalProvider)}, up(SignalProvider), Denied, ReasonProvider},
		"clock denies":            {SignalRules{Deny: up(SignalClock)}, up(SignalClock), Denied, ReasonClock},
		"clock steps up":          {SignalRules{StepUp: up(SignalClock)}, up(SignalClock), Granted, ReasonAllowed},
		"clock asks":              {SignalRules{Confirm: up(SignalClock)}, up(SignalClock), Uncertain, ReasonUnconfirmed},
		"presence asks":           {SignalRules{Confirm: up(SignalPresence)}, up(SignalPresence), Uncertain, ReasonUnconfirmed},
		"what denies goes before": {SignalRules{Confirm: up(SignalClock)}, up(SignalClock, SignalTamper), Denied, ReasonTamper},
		"nothing is up":           {SignalRules{Deny: up(SignalProvider, SignalClock)}, 0, Granted, ReasonAllowed},
	} {
		p, q := DefaultPolicy(), question()
		p.Signals, q.Signals = tt.rules, tt.up
		q.Bar = p.Bar(tt.up)
		if higher := q.Bar.Profile > p.Profile; higher != (tt.rules.StepUp|tt.rules.Confirm != 0) {
			t.Errorf("%s: a higher bar: %v", name, higher)
		}
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		d := Decide(p, q)
		if d.Verdict != tt.verdict || d.Reason != tt.reason {
			t.Errorf("%s: %v because of %v", name, d.Verdict, d.Reason)
		}
		if why := p.Denying(tt.up); (why != ReasonNone) != (tt.verdict == Denied) || why != ReasonNone && why != tt.reason {
			t.Errorf("%s: said to deny because of %v", name, why)
		}
		if d.Reason != ReasonUnconfirmed {
			continue
		}
		if d.Pass().Valid() {
			t.Errorf("%s: a pass without the operator's word", name)
		}
		if d := Confirm(p, q, Candidate{Person: q.Candidate.Person, Standing: Permitted}); d.Verdict != Granted || !d.Pass().Valid() {
			t.Errorf("%s: with the operator's word %v because of %v", name, d.Verdict, d.Reason)
		}
		q.Candidate.SecondPerson = PersonID{8}
		if d := Confirm(p, q, Candidate{Person: PersonID{8}, Standing: Permitted}); d.Verdict == Granted {
			t.Errorf("%s: the operator's word let somebody else in", name)
		}
	}
}

// A session that a signal steps up asks for one profile more, whatever else is up, and for relief if the policy says so.
//
// Control: B21
func TestBar(t *testing.T) {
	two := Signals(0).With(SignalFailures, true).With(SignalPresence, true)
	for _, tt := range []struct {
		profile Profile
		relief  bool
		up      Signals
		want    Bar
	}{
		{Office, false, 0, Bar{Office, false}},
		{Office, true, 0, Bar{Office, false}},
		{Office, false, two, Bar{Restricted, false}},
		{Office, true, two, Bar{Restricted, true}},
		{Restricted, false, two, Bar{High, false}},
		{High, false, two, Bar{High, true}}, // which that profile needs in any case
	} {
		p := DefaultPolicy()
		p.Profile, p.Signals.Relief, p.Challenge.NeedRelief = tt.profile, tt.relief, tt.profile == High
		if got := p.Bar(tt.up); got != tt.want {
			t.Errorf("%v with %q: %+v, want %+v", tt.profile, tt.up, got, tt.want)
		}
	}
	if !(Bar{High, true}).clears(Bar{Office, false}) || (Bar{High, false}).clears(Bar{Office, true}) || (Bar{Office, true}).clears(Bar{High, true}) {
		t.Error("a bar is mistaken for another")
	}
}

func TestStaleChallenge(t *testing.T) {
	p := DefaultPolicy()
	for after, want := range map[time.Duration]bool{-1: true, 0: false, p.Deadline: false, p.Deadline + 1: true} {
		if got := p.Stale(time.Hour, time.Hour+after).Has(SignalStaleChallenge); got != want {
			t.Errorf("%v after it was opened: stale %v", after, got)
		}
	}
}

// All names fit into a record beside a correlation id.
func TestSignalsAreNamed(t *testing.T) {
	all := Signals(1<<signalEnd - 1)
	if n := len("signals: " + all.String() + "; recurrence " + CorrelationID{}.String()); n > MaxDetail {
		t.Errorf("%d bytes: %q", n, all)
	}
	if s := Signals(0).With(SignalTamper, true).With(SignalClock, true).With(SignalTamper, false); s.String() != "clock untrusted" {
		t.Errorf("signals %q", s)
	}
}
