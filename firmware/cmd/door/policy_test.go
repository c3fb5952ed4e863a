package main

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zone of these tests, wherever they run

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/sync/wire"
)

// eve is the Saturday before clocks in Berlin jump from 02:00 to 03:00, at 23:00 there.
var eve = time.Date(2027, time.March, 27, 22, 0, 0, 0, time.UTC)

// berlin is the zone as headquarters compiles it.
func berlin(t testing.TB) access.Zone {
	t.Helper()
	place, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	z := access.Zone{Name: "Europe/Berlin"}
	at, last := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC), -1
	for end := at.AddDate(2, 0, 0); at.Before(end); at = at.Add(time.Hour) {
		if _, east := at.In(place).Zone(); east != last {
			z.Offsets, last = append(z.Offsets, access.Offset{From: at.Unix(), East: int32(east)}), east
		}
	}
	z.Until = at.Unix()
	return z
}

// document is the rules of a site with a door "side": staff by schedule, guards and locals always; bend changes it.
func document(t testing.TB, bend func(*access.Site)) []byte {
	t.Helper()
	s := access.Site{
		Format: access.SiteFormat, Text: [32]byte{1}, Name: "Test", Zone: berlin(t), Groups: []string{"guard", "local", "staff"},
		Schedules: []access.Schedule{
			{Name: "nights", Spans: []access.Span{{Days: access.Weekday(6), From: 150, To: 240}}}, // Sunday 02:30 to 04:00
			{Name: "office", Spans: []access.Span{{Days: 0b11111, From: 420, To: 1140}}},
		},
		Doors: []access.SiteDoor{
			{Name: "back"},
			{Name: "side", Rules: []access.Rule{{Groups: access.GroupSet{}.Add(2), Schedule: 2}, {Groups: access.GroupSet{}.Add(0).Add(1)}}},
		},
	}
	if bend != nil {
		bend(&s)
	}
	data, err := wire.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// atSide is a kiosk of headquarters at the door "side", started, where nobody vouches for the time yet.
func atSide(t *testing.T) *centre {
	c := newCentre(t)
	c.now, c.door = eve.Unix(), "side"
	c.configure("root")
	c.start()
	return c
}

// push puts a document in force, or has it refused.
func (c *centre) push(version uint64, document []byte) {
	c.t.Helper()
	c.give(0, c.admin(wire.Policy{Version: version, Document: document, Issued: 1}))
}

// newest is the newest record of an event.
func (c *centre) newest(e access.Event) (r access.Record) {
	c.t.Helper()
	records, err := tail(c.audit, tailRecords)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, other := range records {
		if other.Event == e {
			r = other
		}
	}
	return r
}

// at sets the clock to a time that is vouched for.
func (c *centre) at(when time.Time) { c.clock.set(when, frames.Now()) }

// says is why the rules in force let somebody not pass now.
func (c *centre) says(p access.PersonID) access.Reason { return c.objection(c.inForce().site, p) }

// visits are walk-ups at this kiosk.
func (c *centre) visits() *visits {
	c.t.Helper()
	v := &visits{
		running: c.running, t: c.t, rng: rand.New(rand.NewPCG(1, 1)), bundle: c.bundle, run: c.run, view: c.status, lit: c.wires.litAt,
		deadline: c.policy.Deadline,
	}
	if err := v.open("twin"); err != nil {
		c.t.Fatal(err)
	}
	return v
}

// decided is what a walk-up of somebody comes to, a busy machine's lost frames apart.
func (v *visits) decided(probe []float32) access.Reason {
	v.t.Helper()
	for range 30 {
		out, err := v.come(probe, nil)
		if err != nil {
			v.t.Fatal(err)
		}
		if out.Verdict != access.Retry {
			return out.Reason
		}
	}
	v.t.Fatal("30 tries came to nothing")
	return 0
}

// Rules decide at the door from the moment at which they are in force, without a restart and after one: nobody passes before the first, not outside
// hours, and not by hours that nobody vouches for. What is not valid changes nothing.
//
// Control: U5
func TestRulesDecideAtTheDoor(t *testing.T) {
	c := atSide(t)
	person := access.PersonID{1}
	c.give(1, c.enrolment(person, 1, 3))
	v := c.visits()
	wants := func(when string, want access.Reason) {
		t.Helper()
		if got := v.decided(direction(3)); got != want {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
		if r := c.blank(access.EventBooted); r.Policy != c.status().Policy || r.Door != "side" {
			t.Errorf("%s: records of door %q name another policy than the status", when, r.Door)
		}
	}
	if records, err := tail(c.audit, tailRecords); err != nil || !slices.ContainsFunc(records, func(r access.Record) bool {
		return r.Event == access.EventPolicyChanged && strings.HasPrefix(r.Detail, "from none to ")
	}) {
		t.Errorf("the first policy is not recorded as the first: %v", err)
	}
	wants("without rules", access.ReasonNoRule)
	c.wantCount(access.EventRulesMissing, 1)
	if !slices.ContainsFunc(c.status().Degraded, func(d string) bool { return strings.Contains(d, errNoRules.Error()) }) {
		t.Errorf("the status does not say that nobody may pass: %q", c.status().Degraded)
	}
	before := c.status().Policy

	c.push(1, document(t, nil))
	wants("by hours, and nobody vouches for the time", access.ReasonClock)
	after := c.status().Policy
	if r := c.newest(access.EventPolicyChanged); before == after || !strings.HasPrefix(r.Detail, "command 2: document of version 1, from ") {
		t.Errorf("recorded %q; hash changed: %t", r.Detail, before != after)
	}
	if r := c.newest(access.EventWalkupDenied); r.Policy != after || r.Reason != access.ReasonClock {
		t.Errorf("the denial was recorded as %+v, want policy %x", r, after)
	}
	if slices.ContainsFunc(c.status().Degraded, func(d string) bool { return strings.Contains(d, "nobody may pass") }) {
		t.Errorf("the status still says that nobody may pass: %q", c.status().Degraded)
	}
	if err := c.answer(c.greeting(), c.now); err != nil {
		t.Fatal(err)
	}
	wants("outside hours", access.ReasonOutsideSchedule)
	if c.wires.released() != 0 {
		t.Error("the relay was released")
	}

	c.push(2, []byte("rubbish"))
	if r := report[wire.Refusal](c); r.What != wire.KindPolicy || r.Why == "" {
		t.Errorf("headquarters is told %+v", r)
	}
	wants("after rubbish", access.ReasonOutsideSchedule)
	if c.status().Policy != after || c.stands().Policy != 1 {
		t.Errorf("rubbish is in force, version %d", c.stands().Policy)
	}

	always := document(t, func(s *access.Site) {
		s.Doors[1].Rules[0].Schedule = 0
		s.Doors[1].Times = access.DefaultDoorTimes()
		s.Doors[1].Times.Release = time.Second
	})
	c.push(2, always)
	briefly := func() { // as the rules say, and not for the 5 s of the kiosk's own policy
		t.Helper()
		begun := frames.Now()
		for on := true; on; time.Sleep(10 * time.Millisecond) {
			on, _ = c.wires.Level(board.Relay)
		}
		if c.wires.released() != 1 || frames.Now()-begun > 4*time.Second {
			t.Errorf("the relay was released %d times, and for %v", c.wires.released(), frames.Now()-begun)
		}
	}
	wants("always", access.ReasonAllowed)
	briefly()
	changes, hash := c.count(access.EventPolicyChanged), c.status().Policy

	c.stop()
	c.start()
	v = c.visits()
	wants("always, after a restart, and nobody vouches for the time", access.ReasonAllowed)
	briefly()
	c.wantCount(access.EventPolicyChanged, changes)
	c.wantCount(access.EventRulesMissing, 1)
	if c.status().Policy != hash || c.stands().Policy != 2 {
		t.Errorf("after a restart version %d is in force", c.stands().Policy)
	}
	if kept, err := c.store.Item(vault.Document); err != nil || !bytes.Equal(kept, always) {
		t.Errorf("kept: %d bytes, %v", len(kept), err)
	}
}

// Hours are those of the clock on the wall, over the night in which it jumps; standing comes before rules, and asking allocates nothing.
//
// Control: U5
func TestRulesGoByTheClockOnTheWall(t *testing.T) {
	c := atSide(t)
	staff, guard, none := access.PersonID{1}, access.PersonID{2}, access.PersonID{3}
	inGroup := func(p access.PersonID, axis int, groups ...string) []byte {
		o, err := wire.Open[wire.Enrolment](c.enrolment(p, 1, axis), &c.keys["enroller"].PublicKey, wire.Fleet())
		if err != nil {
			t.Fatal(err)
		}
		o.Groups, o.Extended = groups, true
		return c.sign("enroller", wire.Fleet(), o)
	}
	c.give(1, inGroup(staff, 3, "staff"), inGroup(guard, 4, "guard", "night"), inGroup(none, 5))
	c.push(1, document(t, func(s *access.Site) { s.Doors[1].Rules[0].Schedule = 1 }))
	jump := time.Date(2027, time.March, 28, 1, 0, 0, 0, time.UTC) // 02:00 there, which is 03:00
	for _, tt := range []struct {
		at   time.Duration // from the jump
		want access.Reason
	}{
		{-time.Second, access.ReasonOutsideSchedule}, {0, access.ReasonNone}, {time.Hour - time.Second, access.ReasonNone}, {time.Hour, access.ReasonOutsideSchedule},
		{7*24*time.Hour - 30*time.Minute, access.ReasonNone}, {7*24*time.Hour - 30*time.Minute - time.Second, access.ReasonOutsideSchedule}, // 02:30 of next Sunday
		{3 * 365 * 24 * time.Hour, access.ReasonClock}, // beyond what the zone knows
	} {
		c.at(jump.Add(tt.at))
		if got := c.says(staff); got != tt.want {
			t.Errorf("%v from the jump: %v, want %v", tt.at, got, tt.want)
		}
		if got := c.says(guard); got != access.ReasonNone {
			t.Errorf("%v from the jump a guard: %v", tt.at, got)
		}
		for name, p := range map[string]access.PersonID{"nobody's group": none, "nobody": {}, "a stranger": {9}} {
			if got := c.says(p); got != access.ReasonNoRule {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
	if f := c.find(4); f.Person != guard || !f.Extended {
		t.Errorf("longer times are lost: %+v", f)
	}
	if n := testing.AllocsPerRun(100, func() { c.says(staff) }); n != 0 {
		t.Errorf("%v allocations a decision", n)
	}
	c.stop()
	c.start()
	c.at(jump)
	if got := c.says(staff); got != access.ReasonNone {
		t.Errorf("after a restart: %v", got)
	}
}

// judging is a kiosk at the door "side" that runs nothing.
func judging(t testing.TB) *kiosk {
	t.Helper()
	b, err := board.Load("desk")
	if err != nil {
		t.Fatal(err)
	}
	k, err := newKiosk(b, newWiring())
	if err != nil {
		t.Fatal(err)
	}
	if k.calibration, err = model.DefaultCalibration(); err != nil {
		t.Fatal(err)
	}
	k.policy.Door = "side"
	return k
}

// Whatever a document says, what comes into force is a policy that is valid, asks for no less, and can be asked at any time; and one document has one form.
func FuzzJudge(f *testing.F) {
	k := judging(f)
	f.Add(document(f, nil))
	f.Add(document(f, func(s *access.Site) {
		s.Kinds, s.Holidays = []string{"public"}, []access.Holiday{{Day: 20000}}
		s.Doors[1].Profile, s.Doors[1].NeedRelief, s.Doors[1].FalseMatchRate, s.Doors[1].Times = access.High, true, 1e-6, access.DefaultDoorTimes()
	}))
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := k.judge(data)
		if err != nil {
			return
		}
		if again, err := wire.Marshal(r.site); err != nil || !bytes.Equal(again, data) {
			t.Errorf("another form of the same document is judged: %v", err)
		}
		if p := r.policy; p.Validate() != nil || p.FalseMatchRate > k.policy.FalseMatchRate || p.Margin < k.policy.Margin || p.SiteOffset < k.policy.SiteOffset || p.Profile < k.policy.Profile {
			t.Errorf("in force comes %+v", p)
		}
		for _, unix := range []int64{-1 << 63, 0, eve.Unix(), 1<<63 - 1} {
			r.site.Permits("side", []string{"staff", "guard"}, access.Instant{Unix: unix, Clock: access.ClockTrusted})
		}
	})
}

// A document that is no rules for this door, or asks for less than the kiosk does, comes into force nowhere.
//
// Control: U5
func TestDocumentsThatAreRefused(t *testing.T) {
	k := judging(t)
	good := document(t, nil)
	if r, err := k.judge(good); err != nil || r.site == nil || r.policy.Door != "side" || r.hash == k.hash || r.hash == sha256.Sum256(good) {
		t.Fatalf("%+v, %v", r, err)
	}
	for name, tt := range map[string]struct {
		data []byte
		bend func(*access.Site)
		want string
	}{
		"nothing":                 {data: []byte{}, want: "decode"},
		"rubbish":                 {data: []byte("rubbish"), want: "decode"},
		"bytes after it":          {data: append(slices.Clone(good), 0), want: "decode"},
		"too long":                {data: make([]byte, maxRules+1), want: "at most"},
		"another format":          {bend: func(s *access.Site) { s.Format++ }, want: "format"},
		"of another site":         {bend: func(s *access.Site) { s.Doors[1].Name = "sidedoor" }, want: `no door "side"`},
		"another door is invalid": {bend: func(s *access.Site) { s.Doors[0].Margin = 2 }, want: "margin"},
		"no time zone":            {bend: func(s *access.Site) { s.Zone.Offsets = nil }, want: "zone"},
		"a higher rate":           {bend: func(s *access.Site) { s.Doors[1].FalseMatchRate = 1e-4 }, want: "asks for less"},
		"a rate nobody measured":  {bend: func(s *access.Site) { s.Doors[1].FalseMatchRate = 1e-12 }, want: "rate"},
		"no release":              {bend: func(s *access.Site) { s.Doors[1].Times.HeldOpen = time.Minute }, want: "release"},
		"longer than the board allows": {bend: func(s *access.Site) {
			s.Doors[1].Times = access.DefaultDoorTimes()
			s.Doors[1].Times.ExtendedRelease = 2 * time.Minute
		}, want: "extended release"},
	} {
		data := tt.data
		if data == nil {
			data = document(t, tt.bend)
		}
		if _, err := k.judge(data); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	k.policy.Profile = access.Restricted
	if _, err := k.judge(document(t, func(s *access.Site) { s.Doors[1].Profile = access.Office })); err == nil {
		t.Error("a lower profile than the kiosk's is accepted")
	}
}

// Rules that cannot be read any more, or do not fit, are no reason to fall back on none: nobody passes until there are others.
//
// Control: U5
func TestDamagedRulesPermitNobody(t *testing.T) {
	c := atSide(t)
	c.give(1, c.enrolment(access.PersonID{1}, 1, 3))
	c.push(1, document(t, func(s *access.Site) { s.Doors[1].Rules[0].Schedule = 0 }))
	if got := c.says(access.PersonID{1}); got != access.ReasonNone {
		t.Fatal(got)
	}
	if err := c.store.SetItem(vault.Document, []byte("damaged")); err != nil {
		t.Fatal(err)
	}
	c.stop()
	c.start()
	if got := c.says(access.PersonID{1}); got != access.ReasonNoRule {
		t.Errorf("by damaged rules: %v", got)
	}
	if r := c.newest(access.EventRulesMissing); !strings.Contains(r.Detail, "the rules that were kept cannot be in force") {
		t.Errorf("recorded %+v", r)
	}
	c.push(2, document(t, func(s *access.Site) { s.Doors[1].Rules[0].Schedule = 0 }))
	if got := c.says(access.PersonID{1}); got != access.ReasonNone {
		t.Errorf("by new ones: %v", got)
	}
}

// Who was enrolled at the kiosk itself passes as before while there is no headquarters, and then by the rules of the group local.
func TestPeopleOfTheKioskAreLocal(t *testing.T) {
	c := newCentre(t)
	c.now, c.door = eve.Unix(), "side"
	c.start()
	person := access.PersonID{1}
	if _, err := c.gallery.Keep(person, [][]float32{direction(3)}, c.bundle, 0); err != nil {
		t.Fatal(err)
	}
	if got, groups := c.says(person), c.gallery.Groups(person); got != access.ReasonNone || !slices.Equal(groups, []string{"local"}) {
		t.Errorf("without headquarters: %v, in %q", got, groups)
	}
	c.wantCount(access.EventRulesMissing, 0)
	if d := c.policy.Door; d != "front" {
		t.Errorf("without headquarters the door is %q", d)
	}
	c.stop()
	c.configure("root")
	c.start()
	if got := c.says(person); got != access.ReasonNoRule {
		t.Errorf("without rules: %v", got)
	}
	c.push(1, document(t, nil))
	if got := c.says(person); got != access.ReasonNone {
		t.Errorf("by the rule for locals: %v", got)
	}
	c.push(2, document(t, func(s *access.Site) { s.Doors[1].Rules = s.Doors[1].Rules[:1] }))
	if got := c.says(person); got != access.ReasonNoRule {
		t.Errorf("by rules that have none for locals: %v", got)
	}
}

// Whoever writes to the disk gives the kiosk neither another door nor freedom from rules.
//
// Control: U5
func TestDiskChangesNeitherDoorNorRules(t *testing.T) {
	c := atSide(t)
	c.give(1, c.enrolment(access.PersonID{1}, 1, 3))
	c.push(1, document(t, func(s *access.Site) { s.Doors[0].Rules = []access.Rule{{Groups: access.GroupSet{}.Add(2)}} })) // at "back" staff may always pass
	c.stop()
	c.door = "back"
	c.configure("root")
	c.start()
	if c.hq != nil || c.policy.Door != "side" {
		t.Errorf("door %q, headquarters %t", c.policy.Door, c.hq != nil)
	}
	c.wantCount(access.EventHeadquartersForeign, 1)
	if got := c.says(access.PersonID{1}); got != access.ReasonClock {
		t.Errorf("at another door by name: %v", got)
	}
	c.stop()
	if err := os.Remove(filepath.Join(c.state, "root", "headquarters")); err != nil {
		t.Fatal(err)
	}
	c.start()
	if c.hq != nil || c.says(access.PersonID{1}) != access.ReasonClock {
		t.Errorf("without the file of headquarters: %v", c.says(access.PersonID{1}))
	}
}
