package fleet

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/store"
	"github.com/lintel-access/lintel/sync/wire"
)

// document is a site whose front door lets these groups in, and the text that it names.
func document(t *testing.T, groups ...string) (compiled, text []byte) {
	t.Helper()
	text = []byte("front: " + strings.Join(groups, " "))
	s := access.Site{Format: access.SiteFormat, Text: sha256.Sum256(text), Name: "Test", Groups: []string{"cleaning", "staff"},
		Zone: access.Zone{Name: "UTC", Offsets: []access.Offset{{From: 1e9}}, Until: 3e9}}
	r := access.Rule{}
	for _, g := range groups {
		r.Groups = r.Groups.Add(slices.Index(s.Groups, g))
	}
	s.Doors = []access.SiteDoor{{Name: "front", Rules: []access.Rule{r}}}
	if len(groups) == 0 {
		s.Doors[0].Rules = nil
	}
	compiled, err := wire.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return compiled, text
}

// push puts a policy in force, and returns its order.
func (h *house) push(version uint64, groups ...string) [32]byte {
	h.t.Helper()
	compiled, text := document(h.t, groups...)
	if err := h.fleet.KeepText(h.t.Context(), text); err != nil {
		h.t.Fatal(err)
	}
	envelope := h.sign(wire.Fleet(), wire.Policy{Version: version, Document: compiled, Issued: 1})
	if err := h.fleet.Submit(h.t.Context(), "", envelope); err != nil {
		h.t.Fatal(err)
	}
	return sha256.Sum256(envelope)
}

// enqueue hands in somebody's enrolment, of one group.
func (h *house) enqueue(n byte, group string) [32]byte {
	ref := h.enrolment(n)
	h.shelf.mu.Lock()
	h.shelf.queue, h.shelf.groups[ref] = append(h.shelf.queue, ref), group
	h.shelf.mu.Unlock()
	h.fleet.Nudge()
	return ref
}

// handed is for which groups a kiosk has been given everybody.
func (h *house) handed(k *double) string {
	d, err := h.fleet.at(k.name)
	if err != nil {
		h.t.Error(err)
		return ""
	}
	defer d.mu.Unlock()
	if d.handed == nil {
		return ""
	}
	return fmt.Sprint(d.handed.Groups)
}

// A kiosk is given whom its door's rules let in: nobody without a policy, and with another one those whom it lacks, each once.
func TestKioskIsGivenWhomItsDoorLetsIn(t *testing.T) {
	h := newHouse(t, false)
	front, side := known(t, h, "front"), known(t, h, "side")
	var staff, cleaners [][32]byte
	for n := range byte(4) {
		staff, cleaners = append(staff, h.enqueue(n, "staff")), append(cleaners, h.enqueue(100+n, "cleaning"))
	}
	deletion := h.shelf.put(h.sign(wire.Fleet(), wire.Deletion{Person: [16]byte{9}, Generation: 1, Issued: 1}))
	h.shelf.mu.Lock()
	h.shelf.queue = append(h.shelf.queue, deletion)
	h.shelf.mu.Unlock()
	h.fleet.Nudge()
	for _, k := range []*double{front, side} {
		k.until("the deletion", func() bool { return k.orders[deletion] == 1 })
		if len(k.orders) != 1 {
			t.Errorf("without a policy it is given %d orders", len(k.orders))
		}
	}

	first := h.push(1, "staff")
	front.until("the staff", func() bool { return len(front.orders) == 2+len(staff) })
	if front.order[1] != first || !slices.Equal(front.order[2:], staff) {
		t.Error("the policy does not come before those whom it lets in, or they came in another order")
	}
	front.until("that to be kept", func() bool { return h.handed(front) == "[staff]" }) // a restart before it would give them once more
	h.restart()
	front.greet()
	side.greet()
	second := h.push(2, "cleaning", "staff")
	front.until("the cleaners", func() bool { return len(front.orders) == 3+len(staff)+len(cleaners) })
	late := h.enqueue(50, "cleaning")
	front.until("somebody new", func() bool { return front.orders[late] == 1 })
	h.push(3, "cleaning")
	none := h.push(4)
	nobody := h.enqueue(51, "staff")
	back := h.push(5, "staff")
	front.until("the staff again", func() bool { return front.orders[staff[3]] == 2 && front.orders[nobody] > 0 })
	for ref, n := range front.orders {
		switch {
		case slices.Contains(staff, ref) && n != 2, !slices.Contains(staff, ref) && n != 1:
			t.Errorf("order %x came %d times", ref[:4], n)
		}
	}
	if i := slices.Index(front.order, back); i < 0 || slices.Contains(front.order[:i], nobody) {
		t.Error("somebody came before the policy that lets them in")
	}
	side.until("all policies", func() bool { return side.orders[second] == 1 && side.orders[back] == 1 })
	if len(side.orders) != 6 {
		t.Errorf("a door of which no policy says a word is given %d orders", len(side.orders))
	}
	// A kiosk lets go of people with each policy in its stream, also when another one follows before headquarters has looked again.
	appendAll(t, h, front, none)
	h.fleet.Nudge()
	front.until("the staff once more", func() bool { return front.orders[staff[3]] == 3 })
	if p, order, text, err := h.fleet.InForce(t.Context()); err != nil || order != back || p.Version != 5 || p.By != "Ada" || string(text) != "front: staff" {
		t.Errorf("in force is %d by %q, %q, %v", p.Version, p.By, text, err)
	}
}

// A kiosk that takes another's place, and one whose command came empty, is given people as things are now, and never again what stood in a stream.
func TestNobodyIsGivenPastThePolicyThatExcludesThem(t *testing.T) {
	h := newHouse(t, false)
	away := h.introduce("front")
	h.push(1, "staff")
	gone, excluded := h.enrolment(1), h.enrolment(2)
	h.shelf.mu.Lock()
	h.shelf.queue = [][32]byte{gone, excluded}
	h.shelf.groups[gone], h.shelf.groups[excluded] = "staff", "staff"
	h.shelf.mu.Unlock()
	h.fleet.Nudge()
	for range 500 {
		if overview(t, h, away.name).Queue == 2 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	h.push(2, "cleaning")
	h.shelf.destroy(gone)
	away.listen()
	away.greet()
	away.until("the commands, one of them empty", func() bool { return away.seq >= 3 && away.empty == 1 })
	cleaner := h.enqueue(3, "cleaning")
	away.until("the cleaner", func() bool { return away.orders[cleaner] > 0 })

	next := known(t, h, "spare")
	if err := h.fleet.Replace(t.Context(), away.name, next.name); err != nil {
		t.Fatal(err)
	}
	next.until("the cleaner", func() bool { return next.orders[cleaner] == 1 })
	for _, k := range []*double{away, next} {
		if k.orders[excluded]+k.orders[gone] != 0 {
			t.Errorf("the kiosk at command %d was given somebody whom its door does not let in", k.seq)
		}
	}
}

// A policy that is handed in once more is the one of before: what kiosks have answered to it since stays an answer.
func TestPolicyIsTakenOnce(t *testing.T) {
	h := newHouse(t, false)
	compiled, text := document(t, "staff")
	if err := h.fleet.KeepText(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	envelope := h.sign(wire.Fleet(), wire.Policy{Version: 5, Document: compiled, Issued: 1})
	var taken []int64
	for range 2 {
		ref := submit(t, h, "", envelope)
		p, order, _, err := h.fleet.InForce(t.Context())
		if taken = append(taken, p.Taken); err != nil || order != ref {
			t.Fatalf("order %x, %v", order, err)
		}
		h.skip(time.Minute)
	}
	if taken[0] != taken[1] {
		t.Errorf("taken at %d, and again %d s later", taken[0], taken[1]-taken[0])
	}
}

// watched sees what is read of policies.
type watched struct {
	Store
	got    atomic.Int64
	listed func()
}

func (w *watched) Get(ctx context.Context, key string) (store.Value, error) {
	if strings.HasPrefix(key, "policy.") {
		w.got.Add(1)
	}
	return w.Store.Get(ctx, key)
}

func (w *watched) List(ctx context.Context, below string) ([]store.Value, error) {
	if below == "policy" {
		w.listed()
	}
	return w.Store.List(ctx, below)
}

// A page of a kiosk's stream reads the policies once, and the kiosk is served meanwhile.
func TestCommandsAreTracedBesideTheKiosk(t *testing.T) {
	h := newHouse(t, false)
	k := h.introduce("front")
	first := h.push(1, "staff")
	h.push(2, "cleaning")
	d, err := h.fleet.at(k.name)
	if err != nil {
		t.Fatal(err)
	}
	d.mu.Unlock()
	seen := 0
	w := &watched{Store: h.fleet.store, listed: func() {
		seen++
		for try := 0; !d.mu.TryLock(); try++ { // others have it for a moment
			if try == 500 {
				t.Fatal("the kiosk waits for it")
			}
			time.Sleep(2 * time.Millisecond)
		}
		d.mu.Unlock()
	}}
	h.fleet.store = w
	all, err := h.fleet.Commands(t.Context(), k.name, 0)
	if err != nil || len(all) != 2 || !all[0].Policy || all[0].Orders[0] != first || fmt.Sprint(all[0].Admits, all[1].Admits) != "[staff] [cleaning]" {
		t.Errorf("%+v, %v", all, err)
	}
	if seen != 1 || w.got.Load() != 0 {
		t.Errorf("%d lists, and %d policies read besides", seen, w.got.Load())
	}
}

// crossing does something else right behind the write of what stands.
type crossing struct {
	Store
	done atomic.Bool
	do   func()
}

func (c *crossing) Put(ctx context.Context, key string, data []byte, revision uint64) (uint64, error) {
	n, err := c.Store.Put(ctx, key, data, revision)
	if key == "standing."+wire.KindPolicy.String() && !c.done.Swap(true) {
		c.do()
	}
	return n, err
}

// Two policies are handed in at once: the higher version rules, in memory as in the store.
func TestPoliciesThatCross(t *testing.T) {
	h := newHouse(t, false)
	compiled, text := document(t, "staff")
	if err := h.fleet.KeepText(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	later := h.sign(wire.Fleet(), wire.Policy{Version: 6, Document: compiled, Issued: 1})
	taken := make(chan error, 1)
	h.fleet.store = &crossing{Store: h.fleet.store, do: func() {
		go func() { taken <- h.fleet.Submit(t.Context(), "", later) }()
		select {
		case err := <-taken:
			taken <- err
		case <-time.After(200 * time.Millisecond): // it waits its turn
		}
	}}
	submit(t, h, "", h.sign(wire.Fleet(), wire.Policy{Version: 5, Document: compiled, Issued: 1}))
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
	if p, _, _, err := h.fleet.InForce(t.Context()); err != nil || p.Version != 6 {
		t.Errorf("version %d rules, %v", p.Version, err)
	}
}

func TestPolicyThatIsNotTaken(t *testing.T) {
	h := newHouse(t, false)
	k := known(t, h, "front")
	if p, _, _, err := h.fleet.InForce(t.Context()); err != nil || p.Version != 0 {
		t.Errorf("before any policy %+v, %v", p, err)
	}
	ref := h.push(5, "staff")
	k.until("the policy", func() bool { return k.orders[ref] == 1 })
	good, _ := document(t, "staff")
	other, _ := document(t, "cleaning")
	for name, tt := range map[string]struct {
		to       string
		policy   wire.Policy
		audience [32]byte
		says     string
	}{
		"of no form":         {policy: wire.Policy{Version: 6, Document: []byte("staff"), Issued: 1}, says: "put policy in force"},
		"with a byte behind": {policy: wire.Policy{Version: 6, Document: append(slices.Clone(good), 0), Issued: 1}, says: "put policy in force"},
		"older":              {policy: wire.Policy{Version: 4, Document: good, Issued: 1}, says: "5 is in force"},
		"of that version":    {policy: wire.Policy{Version: 5, Document: other, Issued: 1}, says: "5 is in force"},
		"without its text":   {policy: wire.Policy{Version: 6, Document: other, Issued: 1}, says: "text"},
		"for one kiosk":      {to: k.name, policy: wire.Policy{Version: 6, Document: good, Issued: 1}, audience: k.id, says: "every kiosk"},
	} {
		if err := h.fleet.Submit(t.Context(), tt.to, h.sign(tt.audience, tt.policy)); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want it to say %q", name, err, tt.says)
		}
	}
	if o := overview(t, h, k.name); o.Head != 1 {
		t.Errorf("the stream has %d commands", o.Head)
	}
	for _, text := range [][]byte{nil, make([]byte, wire.MaxDocument+1)} {
		if err := h.fleet.KeepText(t.Context(), text); err == nil {
			t.Errorf("a text of %d bytes is kept", len(text))
		}
	}
}
