package roster

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/lintel-access/lintel/sync/wire"
)

var (
	person   = [16]byte{9}
	proofing = [32]byte{8}
)

func enrolment() wire.Enrolment {
	return wire.Enrolment{
		Person: person, Generation: 1, Bundle: [32]byte{1}, References: [][]byte{make([]byte, wire.ReferenceBytes)}, Until: today + 9, Consent: "C", Proofing: proofing, Issued: 1,
	}
}

// chained is a command of these orders behind another one. seal puts them where only the kiosk's exchange key opens them; the tests' one opens
// everything.
func chained(t testing.TB, before []byte, seal bool, orders ...[]byte) []byte {
	t.Helper()
	c := wire.Command{Seq: 1, Content: wire.ContentOf(orders), Orders: orders}
	if before != nil {
		p, err := wire.Open[wire.Command](before, &key(t, "server").PublicKey, self)
		if err != nil {
			t.Fatal(err)
		}
		c.Seq, c.Previous = p.Seq+1, p.Link(self)
	}
	if seal {
		plain, err := wire.Orders(orders)
		if err != nil {
			t.Fatal(err)
		}
		c.Orders, c.Sealed, c.Exchange = nil, plain, 1
	}
	return sign(t, "server", self, c)
}

func unsealed(_ uint32, _ uint64, sealed []byte) ([]byte, error) { return bytes.Clone(sealed), nil }

func linkOf(t testing.TB, command []byte) [32]byte {
	t.Helper()
	c, err := wire.Open[wire.Command](command, &key(t, "server").PublicKey, self)
	if err != nil {
		t.Fatal(err)
	}
	return c.Link(self)
}

// commands are the first n of a stream: each sets or lifts the lockdown.
func commands(t testing.TB, n int) (list [][]byte) {
	t.Helper()
	var before []byte
	for i := range n {
		before = chained(t, before, false, sign(t, "administrator", wire.Fleet(), wire.Lockdown{Version: uint64(i + 1), On: i%2 == 0, Issued: 1}))
		list = append(list, before)
	}
	return list
}

// Each kind, forged, of the wrong role, for the wrong audience, repeated, older, expired, oversized. Oversized ones Sign makes none of.
//
// Control: A22
// Control: S2
func TestEveryOrder(t *testing.T) {
	all := Means{Now: today, Open: unsealed, Policy: func([]byte) error { return nil }}
	for name, c := range map[string]struct {
		body     wire.Body
		by       string
		fleet    Reason // when it is for the fleet; 0: it has an effect
		again    Reason // when it comes a second time
		timeless Reason
	}{
		"enrolment":    {enrolment(), "enroller", 0, 0, 0},
		"deletion":     {wire.Deletion{Person: person, Generation: 1, Issued: 1}, "enroller", 0, 0, 0},
		"deletion (2)": {wire.Deletion{Person: person, Generation: 1, Issued: 1}, "administrator", 0, 0, 0},
		"standing":     {wire.Standing{Person: person, Generation: 1, Serial: 1, State: 2, Issued: 1}, "administrator", 0, 0, 0},
		"lockdown":     {wire.Lockdown{Version: 1, On: true, Issued: 1}, "administrator", 0, Older, 0},
		"disable":      {wire.Disable{Version: 1, On: true, Issued: 1}, "administrator", 0, Older, 0},
		"policy":       {wire.Policy{Version: 1, Document: []byte("p"), Issued: 1}, "administrator", 0, Older, 0},
		"decommission": {wire.Decommission{Issued: 1}, "administrator", Forged, 0, 0},
		"trust":        {trust(t, 2), "root", 0, 0, 0},
	} {
		at := self
		if name == "trust" {
			at = wire.Fleet()
		}
		try := func(what string, r Roster, m Means, order []byte, want Reason) Roster {
			t.Helper()
			before := r.State()
			command := wire.Command{Seq: before.Seq + 1, Previous: before.Head(), Content: wire.ContentOf([][]byte{order}), Exchange: 1}
			command.Sealed, _ = wire.Orders([][]byte{order})
			s, err := r.Command(sign(t, "server", self, command), m)
			if err != nil {
				t.Errorf("%s, %s: %v", name, what, err)
				return r
			}
			var got Reason
			if len(s.Refusals) > 0 {
				got = s.Refusals[0].Why
			}
			if got != want || (got != 0) == (len(s.Effects) > 0) && !(name == "trust" && what == "again") {
				t.Errorf("%s, %s: %q with %d effects, want %q", name, what, got, len(s.Effects), want)
			}
			if !reflect.DeepEqual(before, r.State()) {
				t.Errorf("%s, %s: the roster that was asked has changed", name, what)
			}
			// Whatever the order comes to, the stream goes on.
			if after := s.Next.State(); after.Seq != before.Seq+1 || after.Head() != command.Link(self) {
				t.Errorf("%s, %s: the stream stands at %d", name, what, after.Seq)
			}
			return s.Next
		}
		good := sign(t, c.by, at, c.body)
		next := try("good", begun(t), all, good, 0)
		try("again", next, all, good, c.again)
		timeless := all
		timeless.Now = 0
		try("without time", begun(t), timeless, good, c.timeless)
		if name != "trust" {
			try("for the fleet", begun(t), all, sign(t, c.by, wire.Fleet(), c.body), c.fleet)
			try("for another kiosk", begun(t), all, sign(t, c.by, other, c.body), Forged)
			late := all
			late.Now = today + 1001
			if s, err := begun(t).Command(chained(t, nil, true, good), late); err == nil {
				t.Errorf("%s: the server's grant has ended, and its command is taken: %+v", name, s)
			}
			for _, role := range []string{"server", "enroller", "administrator", "releaser", "stranger", "root"} {
				if role != c.by && !(c.body.Kind() == wire.KindDeletion && (role == "enroller" || role == "administrator")) {
					try("by "+role, begun(t), all, sign(t, role, self, c.body), NotGranted)
				}
			}
		}
		forged := bytes.Clone(good)
		forged[len(forged)-1]++
		try("forged", begun(t), all, forged, Forged)
		bent := bytes.Clone(good)
		bent[0]++
		try("bent", begun(t), all, bent, Unreadable)
		try("short", begun(t), all, good[:len(good)-1], Unreadable)
	}
}

func TestOrdersThatNeverStandInACommand(t *testing.T) {
	list := [][]byte{
		sign(t, "releaser", self, wire.Release{Challenge: [32]byte{1}, Door: "front", Action: wire.ActionRelease}),
		sign(t, "server", self, wire.Time{Nonce: [16]byte{1}, Now: 1, Trust: 1}),
		sign(t, "server", self, wire.Ask{Request: [16]byte{1}, For: wire.KindChallenge}),
		sign(t, "server", self, wire.Command{Seq: 1, Content: [32]byte{1}}),
		sign(t, "enroller", self, enrolment()), // not sealed
		{0xff},
	}
	s, err := begun(t).Command(chained(t, nil, false, list...), Means{Now: today})
	if err != nil {
		t.Fatal(err)
	}
	var got []Reason
	for _, r := range s.Refusals {
		got = append(got, r.Why)
	}
	if want := []Reason{NoOrder, NoOrder, NoOrder, NoOrder, Exposed, Unreadable}; !slices.Equal(got, want) || len(s.Effects) != 0 {
		t.Errorf("refused as %v with %d effects, want %v", got, len(s.Effects), want)
	}
}

// One order that is refused keeps no other from its effect, and a later version wins within a command, too.
func TestOneRefusalHoldsUpNothing(t *testing.T) {
	s, err := begun(t).Command(chained(t, nil, false,
		sign(t, "administrator", self, wire.Lockdown{Version: 5, On: true, Issued: 1}),
		sign(t, "administrator", self, wire.Lockdown{Version: 4, Issued: 1}),
		sign(t, "administrator", self, wire.Policy{Version: 1, Document: []byte("p"), Issued: 1}),
		sign(t, "administrator", self, wire.Approval{Order: [32]byte{1}, Issued: 1}),
		sign(t, "administrator", self, wire.Disable{Version: 1, On: true, Issued: 1}),
	), Means{Now: today})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Effects) != 2 || s.Effects[0].Place != 0 || s.Effects[1].Place != 4 || len(s.Refusals) != 2 || s.Refusals[0].Why != Older || s.Refusals[1].Why != Invalid {
		t.Errorf("%d effects, refusals %+v", len(s.Effects), s.Refusals)
	}
	if st := s.Next.State(); st.Lockdown != 5 || st.Disable != 1 || st.Policy != 0 {
		t.Errorf("versions %+v", st)
	}
}

// A trust document counts for the orders behind it in the same command.
func TestTrustCountsAtOnce(t *testing.T) {
	less := trust(t, 2)
	less.Grants = less.Grants[:1]
	s, err := begun(t).Command(chained(t, nil, false,
		sign(t, "root", wire.Fleet(), less), sign(t, "administrator", self, wire.Lockdown{Version: 1, On: true, Issued: 1}),
	), Means{Now: today})
	if err != nil || len(s.Effects) != 1 || len(s.Refusals) != 1 || s.Refusals[0].Why != NotGranted {
		t.Fatalf("%+v, %v", s.Refusals, err)
	}
	if r, err := Open(self, &key(t, "root").PublicKey, s.Next.State()); err != nil || r.Trust().Version != 2 {
		t.Errorf("what is to be kept opens with %v", err)
	}
}

func TestCommandsThatAreNoneOfTheStream(t *testing.T) {
	list := commands(t, 4)
	r := begun(t)
	for _, c := range list[:2] {
		s, err := r.Command(c, Means{Now: today})
		if err != nil {
			t.Fatal(err)
		}
		r = s.Next
	}
	body, err := wire.Open[wire.Command](list[2], &key(t, "server").PublicKey, self)
	if err != nil {
		t.Fatal(err)
	}
	second, err := wire.Open[wire.Command](list[1], &key(t, "server").PublicKey, self)
	if err != nil {
		t.Fatal(err)
	}
	change := func(c wire.Command, f func(*wire.Command)) wire.Command { f(&c); return c }
	empty := func(c *wire.Command) { c.Orders = nil }
	for name, c := range map[string]struct {
		data []byte
		want error
		seq  uint64 // of the step; 0: nothing
	}{
		"next":                        {list[2], nil, 3},
		"next, its content destroyed": {sign(t, "server", self, change(body, empty)), nil, 3},
		"the last one again":          {list[1], nil, 0},
		"the first one again":         {list[0], nil, 0},
		"the last one, destroyed":     {sign(t, "server", self, change(second, empty)), nil, 0},
		"another one in its place":    {sign(t, "server", self, change(second, func(c *wire.Command) { c.Orders, c.Content = nil, [32]byte{1} })), ErrFork, 0},
		"one too far":                 {list[3], ErrGap, 0},
		"next, of another stream":     {sign(t, "server", self, change(body, func(c *wire.Command) { c.Previous[0]++ })), ErrFork, 0},
		"for another kiosk":           {sign(t, "server", other, body), wire.ErrForged, 0},
		"for the fleet":               {sign(t, "server", wire.Fleet(), body), wire.ErrForged, 0},
		"by an administrator":         {sign(t, "administrator", self, body), errAny, 0},
		"sealed to nobody":            {sign(t, "server", self, change(body, func(c *wire.Command) { c.Orders, c.Sealed, c.Exchange = nil, []byte{1}, 1 })), errAny, 0},
		"no envelope":                 {[]byte("hello"), errAny, 0},
		"nothing":                     {nil, errAny, 0},
	} {
		s, err := r.Command(c.data, Means{Now: today})
		if c.want == errAny && err == nil || c.want != errAny && !errors.Is(err, c.want) || s.Seq != c.seq {
			t.Errorf("%s: step %d, %v; want %d, %v", name, s.Seq, err, c.seq, c.want)
		}
	}
}

func TestSealedOrdersAreTheContentThatIsNamed(t *testing.T) {
	order := sign(t, "administrator", self, wire.Lockdown{Version: 1, On: true, Issued: 1})
	sealed, err := wire.Orders([][]byte{order})
	if err != nil {
		t.Fatal(err)
	}
	var plain []byte
	open := func(exchange uint32, seq uint64, data []byte) ([]byte, error) {
		if exchange != 7 || seq != 1 {
			return nil, fmt.Errorf("opened as %d, %d", exchange, seq)
		}
		plain = bytes.Clone(data)
		return plain, nil
	}
	c := wire.Command{Seq: 1, Content: wire.ContentOf([][]byte{order}), Exchange: 7, Sealed: sealed}
	if s, err := begun(t).Command(sign(t, "server", self, c), Means{Now: today, Open: open}); err != nil || len(s.Effects) != 1 {
		t.Errorf("%v, %d effects", err, len(s.Effects))
	}
	if !bytes.Equal(plain, make([]byte, len(plain))) {
		t.Error("what was opened is not cleared")
	}
	c.Content[0]++
	if _, err := begun(t).Command(sign(t, "server", self, c), Means{Now: today, Open: open}); err == nil {
		t.Error("other orders than the command names")
	}
	others := [][]byte{bytes.Clone(order)}
	if got, err := named(others, c.Content); err == nil || got != nil || !bytes.Equal(others[0], make([]byte, len(order))) {
		t.Errorf("of other orders %d are returned, or left: %v", len(got), err)
	}
}

func TestStepWipes(t *testing.T) {
	e := enrolment()
	e.References[0][5] = 7
	s, err := begun(t).Command(chained(t, nil, true, sign(t, "enroller", wire.Fleet(), e)), Means{Now: today, Open: unsealed})
	if err != nil || len(s.Effects) != 1 {
		t.Fatal(err)
	}
	kept := s.Effects[0].Order.(wire.Enrolment).References[0]
	if kept[5] != 7 {
		t.Fatal("reference did not come through")
	}
	s.Wipe()
	if kept[5] != 0 {
		t.Error("reference is left")
	}
}

// Whatever a broker does, withholds, repeats or reorders, and whoever starts anew in between, a kiosk's stream is a beginning of headquarters'.
//
// Control: A22
// Control: S3
func TestBrokersGetABeginningOfTheStream(t *testing.T) {
	const length, deliveries = 40, 400
	list := commands(t, length)
	second := append([][]byte(nil), list...) // another stream of the same server, from command 20 on
	for i := 20; i < length; i++ {
		second[i] = chained(t, second[i-1], false, sign(t, "administrator", wire.Fleet(), wire.Lockdown{Version: uint64(1000 + i), Issued: 1}))
	}
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		r, applied, forked := begun(t), [][]byte(nil), false
		for range deliveries {
			from := list
			if seed%2 == 1 && rnd.IntN(4) == 0 {
				from = second
			}
			at := len(applied) + rnd.IntN(5) - 2 // near what is next: else little would come through
			at = max(0, min(at, length-1))
			s, err := r.Command(from[at], Means{Now: today})
			switch {
			case errors.Is(err, ErrFork):
				forked = true
			case errors.Is(err, ErrGap):
			case err != nil:
				t.Fatal(err)
			case s.Seq != 0:
				applied, r = append(applied, from[at]), s.Next
			}
			if rnd.IntN(20) == 0 {
				if r, err = Open(self, &key(t, "root").PublicKey, r.State()); err != nil {
					t.Fatal(err)
				}
			}
		}
		first := len(applied) <= length && reflect.DeepEqual(applied, list[:len(applied)])
		other := len(applied) <= length && reflect.DeepEqual(applied, second[:len(applied)])
		if !first && !other || len(applied) < 25 || seed%2 == 0 && (forked || !first) || seed%2 == 1 && !forked {
			t.Errorf("seed %d: %d applied, forked %t, a beginning of the stream %t", seed, len(applied), forked, first)
		}
		if want := linkOf(t, applied[len(applied)-1]); r.State().Head() != want || r.State().Seq != uint64(len(applied)) {
			t.Errorf("seed %d: head of %d", seed, r.State().Seq)
		}
	}
}

func FuzzCommand(f *testing.F) {
	r := begun(f)
	for _, c := range commands(f, 2) {
		f.Add(c)
	}
	f.Add(chained(f, nil, true, sign(f, "enroller", self, enrolment())))
	f.Add(sign(f, "administrator", self, wire.Disable{Version: 1, Issued: 1}))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := r.Command(data, Means{Now: today, Open: unsealed})
		if err == nil && (s.Seq != 1 || s.Next.State().Seq != 1) {
			t.Errorf("step %d from the beginning", s.Seq)
		}
		for _, sealed := range []bool{false, true} { // the same as an order of a command that headquarters' server did sign
			if e, why := r.order(data, sealed, Means{Now: today}); e.Order != nil && why != 0 {
				t.Errorf("refused as %v, with an effect", why)
			}
		}
	})
}

// What takes away stands when the grant of whoever signed it has ended since; what gives does not, and nothing of a key that is not trusted at all.
func TestWhatTakesAwayOutlivesTheGrant(t *testing.T) {
	doc := trust(t, 2)
	for i := range doc.Grants[1:] {
		doc.Grants[i+1].From, doc.Grants[i+1].Until = today-100, today-10
	}
	r, err := begun(t).Renew(sign(t, "root", wire.Fleet(), doc), today)
	if err != nil {
		t.Fatal(err)
	}
	in, after := int64(today-50), int64(today-5)
	late := enrolment()
	late.Issued = in
	for name, c := range map[string]struct {
		by   string
		body wire.Body
		want Reason
	}{
		"deletion":            {"enroller", wire.Deletion{Person: person, Generation: 1, Issued: in}, 0},
		"suspension":          {"administrator", wire.Standing{Person: person, Generation: 1, Serial: 1, State: 0, Issued: in}, 0},
		"revocation":          {"administrator", wire.Standing{Person: person, Generation: 1, Serial: 1, State: 2, Issued: in}, 0},
		"lockdown":            {"administrator", wire.Lockdown{Version: 1, On: true, Issued: in}, 0},
		"disabling":           {"administrator", wire.Disable{Version: 1, On: true, Issued: in}, 0},
		"resumption":          {"administrator", wire.Standing{Person: person, Generation: 1, Serial: 1, State: 1, Issued: in}, NotGranted},
		"end of a lockdown":   {"administrator", wire.Lockdown{Version: 1, Issued: in}, NotGranted},
		"end of a disabling":  {"administrator", wire.Disable{Version: 1, Issued: in}, NotGranted},
		"policy":              {"administrator", wire.Policy{Version: 1, Document: []byte("p"), Issued: in}, NotGranted},
		"decommission":        {"administrator", wire.Decommission{Issued: in}, NotGranted},
		"enrolment":           {"enroller", late, NotGranted},
		"deletion afterwards": {"enroller", wire.Deletion{Person: person, Generation: 1, Issued: after}, NotGranted},
		"lockdown before":     {"administrator", wire.Lockdown{Version: 1, On: true, Issued: 1}, NotGranted},
		"by no administrator": {"enroller", wire.Lockdown{Version: 1, On: true, Issued: in}, NotGranted},
		"by a stranger":       {"stranger", wire.Deletion{Person: person, Generation: 1, Issued: in}, NotGranted},
	} {
		all := Means{Now: today, Open: unsealed, Policy: func([]byte) error { return nil }}
		if _, why := r.order(sign(t, c.by, self, c.body), true, all); why != c.want {
			t.Errorf("%s: %v, want %v", name, why, c.want)
		}
	}
	if e, g, err := Granted[wire.Enrolment](r, sign(t, "enroller", self, late), today); err == nil || len(e.References) > 0 || g.Role != 0 {
		t.Errorf("%d references were opened that nobody wipes, by a %v: %v", len(e.References), g.Role, err)
	}
}

// A kiosk that trusts no time knows all the same that it is not earlier than what was vouched for once: grants that had ended by then have ended.
func TestGrantsEndByTheFloor(t *testing.T) {
	doc := trust(t, 2)
	doc.Grants[0].Until, doc.Grants[1].Until = today-10, today-10
	r, err := begun(t).Renew(sign(t, "root", wire.Fleet(), doc), 0)
	if err != nil {
		t.Fatal(err)
	}
	order := sign(t, "enroller", self, enrolment())
	for floor, want := range map[int64]Reason{0: 0, today - 11: 0, today - 10: NotGranted, today: NotGranted} {
		if _, why := r.Since(floor, 0).order(order, true, Means{Open: unsealed}); why != want {
			t.Errorf("not before %d: %v, want %v", floor-today, why, want)
		}
	}
	// What a kiosk counted beyond that may be too much, and ends nothing of the server: who else would tell it the time?
	counted := r.Since(today-20, 15)
	if s, err := counted.Command(chained(t, nil, true, order), Means{Open: unsealed}); err != nil || len(s.Refusals) != 1 || s.Refusals[0].Why != NotGranted {
		t.Errorf("the server's command by the kiosk's own count: %+v, %v", s.Refusals, err)
	}
	if _, err := r.Since(today-10, 0).Command(chained(t, nil, true, order), Means{Open: unsealed}); err == nil {
		t.Error("the server's command is taken when its grant is known to have ended")
	}
}
