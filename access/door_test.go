package access

import (
	"slices"
	"testing"
	"time"
)

var testTimes = DoorTimes{
	Release: 5 * time.Second, ExtendedRelease: 15 * time.Second,
	HeldOpen: 30 * time.Second, ExtendedHeldOpen: 90 * time.Second,
	PreAlarm: 10 * time.Second, RelockOnOpen: true,
}

// everyDoorEvent is each event with each of its arguments, those that no caller should send included.
func everyDoorEvent() []DoorEvent {
	var all []DoorEvent
	for kind := range DoorEventKind(TamperClosed + 3) {
		switch kind {
		case PoweredOn:
			for bits := range 16 {
				all = append(all, DoorEvent{Kind: kind, Found: DoorFound{
					Ajar: bits&1 != 0, Fire: bits&2 != 0, Tamper: bits&4 != 0, Lockdown: bits&8 != 0}})
			}
		case PassAccepted:
			all = append(all, DoorEvent{Kind: kind}, DoorEvent{Kind: kind, Extended: true})
		case TimeOver:
			for timer := range DoorTimer(HeldOpenTimer + 2) {
				all = append(all, DoorEvent{Kind: kind, Timer: timer})
			}
		default:
			all = append(all, DoorEvent{Kind: kind})
		}
	}
	return all
}

// world is an access point with what its effects have done to the board: the relay as the effects left it, the running timers.
type world struct {
	a     AccessPoint
	relay bool
	runs  [HeldOpenTimer + 1]bool
}

func (w world) next(times DoorTimes, e DoorEvent) (world, []DoorEffect) {
	a, do := w.a.Next(times, e)
	w.a = a
	for _, f := range do.All() {
		switch f.Kind {
		case ReleaseRelay, HoldRelay:
			w.relay = true
		case SecureRelay:
			w.relay = false
		case StartTimer:
			w.runs[f.Timer] = true
		case StopTimer:
			w.runs[f.Timer] = false
		}
	}
	return w, slices.Clone(do.All())
}

// expire is the world in which the timer has run out, before the access point hears of it.
func (w world) expire(e DoorEvent) world {
	if e.Kind == TimeOver && int(e.Timer) < len(w.runs) {
		w.runs[e.Timer] = false
	}
	return w
}

func has(do []DoorEffect, kind DoorEffectKind) bool {
	return slices.ContainsFunc(do, func(f DoorEffect) bool { return f.Kind == kind })
}

// TestDoorWalk walks every state that can be reached and gives it every event.
func TestDoorWalk(t *testing.T) {
	for _, relock := range []bool{true, false} {
		times := testTimes
		times.RelockOnOpen = relock
		states, steps := walkDoor(t, times)
		t.Logf("relock on open %v: %d access points, %d transitions", relock, states, steps)
		if states < 50 {
			t.Errorf("only %d access points reached: the walk is broken", states)
		}
	}
}

func walkDoor(t *testing.T, times DoorTimes) (states, steps int) {
	events := everyDoorEvent()
	seen := map[world]bool{{}: true}
	for queue := []world{{}}; len(queue) > 0; queue = queue[1:] {
		from := queue[0]
		for _, e := range events {
			// A timer that does not run can still have expired just before it was stopped: both cases are walked.
			steps++
			to, do := from.expire(e).next(times, e)
			if e.Kind == TimeOver && int(e.Timer) < len(from.runs) && !from.runs[e.Timer] && (len(do) != 0 || to != from) {
				t.Errorf("%+v: late timer %d did %v", from.a, e.Timer, do)
			}
			for _, broken := range brokenRules(from, to, e, do, times) {
				t.Errorf("%s\n  from %+v\n  event %+v\n  to %+v\n  effects %v", broken, from.a, e, to.a, do)
			}
			if t.Failed() {
				t.FailNow()
			}
			if !seen[to] {
				seen[to] = true
				queue = append(queue, to)
			}
		}
	}
	return len(seen), steps
}

// brokenRules says which promises of the access point a transition breaks.
func brokenRules(from, to world, e DoorEvent, do []DoorEffect, times DoorTimes) (broken []string) {
	rule := func(holds bool, name string) {
		if !holds {
			broken = append(broken, name)
		}
	}
	a, b := from.a, to.a
	released, held, secured := has(do, ReleaseRelay), has(do, HoldRelay), has(do, SecureRelay)

	rule(!released || e.Kind == PassAccepted || e.Kind == ExitRequested, "only Pass and REX release the relay")
	rule(!held || e.Kind == FireStarted || e.Kind == PoweredOn && e.Found.Fire, "only fire holds the relay released")
	rule(to.relay == b.Relay, "the relay is where the access point believes it")
	rule(!(e.Kind == PassAccepted && a.Lockdown && released), "a locked down door never releases on Pass")
	rule(!(b.Lockdown && b.Relay) || b.Egress || b.Fire, "in lockdown only egress and fire keep the relay released")
	rule(b.Fire == (b.State == FireReleased), "FireReleased means fire")
	rule(!b.Fire || to.relay, "in a fire the door is released")
	rule(e.Kind != ExitRequested || to.relay, "REX always leaves the door released")
	rule(e.Kind != ExitRequested || a.Fire || do[0].Kind == ReleaseRelay, "REX acts before anything is recorded")
	rule(e.Kind != FireStarted || a.Fire || do[0].Kind == HoldRelay, "fire acts before anything is recorded")
	rule(e.Kind != PoweredOn || to.relay == e.Found.Fire, "at power-on the relay is secured unless there is fire")
	rule(e.Kind != PoweredOn || e.Found.Fire || do[0].Kind == SecureRelay, "power-on secures the relay first")
	rule(e.Kind != PoweredOn || b.Lockdown == e.Found.Lockdown && b.Tamper == e.Found.Tamper && b.Ajar == e.Found.Ajar,
		"power-on takes the door as it is found")

	rule(to.runs[ReleaseTimer] == (b.Relay && !b.Fire), "every release has a running timer")
	rule(to.runs[PreAlarmTimer] == (b.State == Open && !b.Warned), "an open door counts towards its pre-alarm")
	rule(to.runs[HeldOpenTimer] == (b.State == Open && b.Warned), "a warned door counts towards its alarm")
	rule(!b.Egress || b.Relay, "egress is a release")
	rule(!b.Warned || b.State == Open, "only an open door is warned")

	switch b.State {
	case Secured, LockedDown:
		rule(!b.Ajar && !b.Relay && !b.Extended, "a door at rest is closed and secured")
		rule(b.Lockdown == (b.State == LockedDown), "the resting state tells lockdown")
	case Released:
		rule(!b.Ajar && b.Relay, "a released door is closed")
	case Open, HeldOpen, ForcedOpen:
		rule(b.Ajar, "an open door is open")
	}
	rule(b.State != ForcedOpen || a.State == ForcedOpen || e.Kind == ContactOpened && !a.Relay, "forced means opened without a release")
	if alarm := a.State == ForcedOpen || a.State == HeldOpen; alarm && b.State != a.State {
		rule(e.Kind == ContactClosed || e.Kind == FireStarted || e.Kind == PoweredOn, "an alarm ends when the door closes")
	}
	if e.Kind == TamperOpened || e.Kind == TamperClosed {
		unlike := b
		unlike.Tamper = a.Tamper
		rule(unlike == a && !released && !held && !secured, "tamper is orthogonal")
	}
	for _, f := range do {
		rule(f.Kind != ReleaseRelay || f.For > 0 && f.For <= times.ExtendedRelease, "a release has an end")
		rule(f.Kind != StartTimer || f.For > 0, "a timer runs for a while")
		rule(f.Kind != Raise || f.Event.Known() && f.Event != EventNone, "an event that is raised has a name")
	}
	if level := e.Kind != PassAccepted && e.Kind != ExitRequested && e.Kind != PoweredOn && e.Kind != TimeOver; level {
		again, more := to.next(times, e)
		rule(again == to && len(more) == 0, "an input that is already so changes nothing")
	}
	rule(e.Kind != 0 && e.Kind <= TamperClosed || from == to && len(do) == 0, "an unknown event changes nothing")
	rule(IndicateDoor(b).Text != "", "every state is indicated")
	return broken
}

// TestDoorTotal gives every event to every value that an AccessPoint can hold, reachable or not: none may panic, and whatever was
// believed before, fire releases, REX releases, and time alone secures.
func TestDoorTotal(t *testing.T) {
	events := everyDoorEvent()
	for state := range DoorState(FireReleased + 2) {
		for bits := range 1 << 9 {
			a := AccessPoint{State: state, Ajar: bits&1 != 0, Relay: bits&2 != 0, Egress: bits&4 != 0, Extended: bits&8 != 0,
				Entered: bits&16 != 0, Warned: bits&32 != 0, Lockdown: bits&64 != 0, Fire: bits&128 != 0, Tamper: bits&256 != 0}
			for _, e := range events {
				a.Next(testTimes, e)
				a.Next(DoorTimes{}, e)
			}
			if b, _ := a.Next(testTimes, DoorEvent{Kind: FireStarted}); !b.Fire {
				t.Fatalf("%+v: fire ignored", a)
			}
			if b, _ := a.Next(testTimes, DoorEvent{Kind: ExitRequested}); !b.Relay && !b.Fire {
				t.Fatalf("%+v: REX ignored", a)
			}
			if b, _ := a.Next(testTimes, DoorEvent{Kind: TimeOver, Timer: ReleaseTimer}); b.Relay && !b.Fire {
				t.Fatalf("%+v: still released when the time is over", a)
			}
		}
	}
}

// TestDoorStories are the ways through the drawing that people take.
func TestDoorStories(t *testing.T) {
	pass, rex := DoorEvent{Kind: PassAccepted}, DoorEvent{Kind: ExitRequested}
	opened, closed := DoorEvent{Kind: ContactOpened}, DoorEvent{Kind: ContactClosed}
	over := func(timer DoorTimer) DoorEvent { return DoorEvent{Kind: TimeOver, Timer: timer} }
	longPass := DoorEvent{Kind: PassAccepted, Extended: true}
	lock, lift := DoorEvent{Kind: LockdownSet}, DoorEvent{Kind: LockdownLifted}
	fire, noFire := DoorEvent{Kind: FireStarted}, DoorEvent{Kind: FireEnded}

	type step struct {
		e     DoorEvent
		state DoorState
		relay bool
		event Event // the last one raised; EventNone when none was
	}
	stories := []struct {
		name   string
		relock bool
		steps  []step
	}{
		{"in and shut", true, []step{
			{pass, Released, true, EventDoorReleased}, {opened, Open, false, EventDoorOpened}, {closed, Secured, false, EventDoorClosed}}},
		{"granted and not entered", true, []step{
			{pass, Released, true, EventDoorReleased}, {over(ReleaseTimer), Secured, false, EventDoorRelocked}}},
		{"without relock on open the time ends the release", false, []step{
			{pass, Released, true, EventDoorReleased}, {opened, Open, true, EventDoorOpened}, {closed, Released, true, EventDoorClosed},
			{over(ReleaseTimer), Secured, false, EventDoorRelocked}}},
		{"held open", true, []step{
			{pass, Released, true, EventDoorReleased}, {opened, Open, false, EventDoorOpened},
			{over(PreAlarmTimer), Open, false, EventHeldOpenWarned}, {over(HeldOpenTimer), HeldOpen, false, EventDoorHeldOpen},
			{closed, Secured, false, EventDoorClosed}}},
		{"forced", true, []step{{opened, ForcedOpen, false, EventDoorForcedOpen}, {closed, Secured, false, EventDoorClosed}}},
		{"forced in lockdown", true, []step{
			{lock, LockedDown, false, EventLockdownSet}, {opened, ForcedOpen, false, EventDoorForcedOpen},
			{closed, LockedDown, false, EventDoorClosed}}},
		{"a second person while the door stands open", true, []step{
			{pass, Released, true, EventDoorReleased}, {opened, Open, false, EventDoorOpened}, {pass, Open, true, EventDoorReleased},
			{closed, Released, true, EventDoorClosed}, {opened, Open, false, EventDoorOpened}}},
		{"lockdown refuses entry and never exit", true, []step{
			{lock, LockedDown, false, EventLockdownSet}, {pass, LockedDown, false, EventReleaseRefused},
			{rex, Released, true, EventExitRequested}, {pass, Released, true, EventReleaseRefused},
			{opened, Open, false, EventDoorOpened}, {closed, LockedDown, false, EventDoorClosed}, {lift, Secured, false, EventLockdownLifted}}},
		{"lockdown cuts an entry", true, []step{
			{pass, Released, true, EventDoorReleased}, {lock, LockedDown, false, EventLockdownSet}}},
		{"lockdown leaves an exit alone", true, []step{
			{rex, Released, true, EventExitRequested}, {lock, Released, true, EventLockdownSet},
			{over(ReleaseTimer), LockedDown, false, EventDoorRelocked}}},
		{"fire wins over lockdown and ends in it", true, []step{
			{lock, LockedDown, false, EventLockdownSet}, {fire, FireReleased, true, EventFireStarted},
			{pass, FireReleased, true, EventNone}, {rex, FireReleased, true, EventExitRequested},
			{lift, FireReleased, true, EventLockdownLifted}, {lock, FireReleased, true, EventLockdownSet},
			{opened, FireReleased, true, EventDoorOpened}, {over(ReleaseTimer), FireReleased, true, EventNone},
			{noFire, Open, false, EventFireEnded}, {closed, LockedDown, false, EventDoorClosed}}},
		{"found open at power-on", true, []step{
			{DoorEvent{Kind: PoweredOn, Found: DoorFound{Ajar: true}}, Open, false, EventDoorFoundOpen},
			{over(PreAlarmTimer), Open, false, EventHeldOpenWarned}, {over(HeldOpenTimer), HeldOpen, false, EventDoorHeldOpen},
			{pass, HeldOpen, true, EventDoorReleased}, {over(ReleaseTimer), HeldOpen, false, EventDoorRelocked}}},
		{"power-on forgets a release", true, []step{
			{longPass, Released, true, EventDoorReleased}, {DoorEvent{Kind: PoweredOn}, Secured, false, EventNone}}},
	}
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) {
			times := testTimes
			times.RelockOnOpen = story.relock
			var w world
			for i, s := range story.steps {
				var do []DoorEffect
				w, do = w.expire(s.e).next(times, s.e)
				last := EventNone
				for _, f := range do {
					if f.Kind == Raise {
						last = f.Event
					}
				}
				if w.a.State != s.state || w.relay != s.relay || last != s.event {
					t.Fatalf("step %d: %v, relay %v, %q; want %v, relay %v, %q", i, w.a.State, w.relay, last, s.state, s.relay, s.event)
				}
			}
		})
	}
}

func TestDoorExtendedTimes(t *testing.T) {
	var w world
	w, do := w.next(testTimes, DoorEvent{Kind: PassAccepted, Extended: true})
	if f := (DoorEffect{Kind: ReleaseRelay, For: 15 * time.Second}); do[0] != f {
		t.Errorf("extended Pass: first effect %v, want %v", do[0], f)
	}
	w, do = w.next(testTimes, DoorEvent{Kind: ExitRequested})
	if do[0].For != 15*time.Second {
		t.Errorf("REX during an extended release shortens it to %v", do[0].For)
	}
	w, do = w.next(testTimes, DoorEvent{Kind: ContactOpened})
	if f := (DoorEffect{Kind: StartTimer, Timer: PreAlarmTimer, For: 80 * time.Second}); !slices.Contains(do, f) {
		t.Errorf("extended passage: effects %v, want %v", do, f)
	}
	w, _ = w.next(testTimes, DoorEvent{Kind: ContactClosed})
	if _, do = w.next(testTimes, DoorEvent{Kind: PassAccepted}); do[0].For != 5*time.Second {
		t.Errorf("the next person's release lasts %v", do[0].For)
	}
}

func TestDoorTimesValidate(t *testing.T) {
	if err := DefaultDoorTimes().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	spoil := []func(*DoorTimes){
		func(d *DoorTimes) { *d = DoorTimes{} },
		func(d *DoorTimes) { d.Release = 0 },
		func(d *DoorTimes) { d.Release = 3 * time.Minute },
		func(d *DoorTimes) { d.ExtendedRelease = d.Release - 1 },
		func(d *DoorTimes) { d.ExtendedRelease = 3 * time.Minute },
		func(d *DoorTimes) { d.HeldOpen = time.Second },
		func(d *DoorTimes) { d.HeldOpen = time.Hour },
		func(d *DoorTimes) { d.ExtendedHeldOpen = d.HeldOpen - 1 },
		func(d *DoorTimes) { d.ExtendedHeldOpen = time.Hour },
		func(d *DoorTimes) { d.PreAlarm = 0 },
		func(d *DoorTimes) { d.PreAlarm = d.HeldOpen },
	}
	for i, f := range spoil {
		d := testTimes
		f(&d)
		if d.Validate() == nil {
			t.Errorf("case %d: %+v accepted", i, d)
		}
	}
}

func TestDoorNextDoesNotAllocate(t *testing.T) {
	var a AccessPoint
	if n := testing.AllocsPerRun(100, func() {
		a, _ = a.Next(testTimes, DoorEvent{Kind: PassAccepted})
		a, _ = a.Next(testTimes, DoorEvent{Kind: ContactOpened})
		a, _ = a.Next(testTimes, DoorEvent{Kind: ContactClosed})
	}); n != 0 {
		t.Errorf("three transitions allocate %v times", n)
	}
}

func TestDoorStateNames(t *testing.T) {
	for s, want := range []string{"secured", "released", "open", "held open", "forced open", "locked down", "fire released", "door state 7"} {
		if got := DoorState(s).String(); got != want {
			t.Errorf("state %d prints %q, want %q", s, got, want)
		}
	}
}

func TestPass(t *testing.T) {
	if (Pass{}).Valid() || mint(SessionID{}, PersonID{}, time.Second, false).Valid() || mint(SessionID{Number: 1}, PersonID{}, 0, false).Valid() {
		t.Error("a Pass without a session or without an end is valid")
	}
	p := mint(SessionID{Boot: 2, Number: 3}, PersonID{4}, time.Second, true)
	if !p.Valid() || p.Session() != (SessionID{Boot: 2, Number: 3}) || p.Person() != (PersonID{4}) || p.Until() != time.Second || !p.Extended() {
		t.Errorf("minted Pass reads %+v", p)
	}
}
