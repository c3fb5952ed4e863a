package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/hatch"
	"github.com/lintel-access/lintel/hq/ledger"
	"github.com/lintel-access/lintel/hq/people"
	"github.com/lintel-access/lintel/sync/wire"
)

const aboutRoster = `diff KIOSK compares whom a kiosk holds with whom it should hold: those of whose groups a rule of its door names one. What it holds is what it has signed
for: the newest command that it has applied, by a record under its own checkpoint, and the orders that it has refused. Who was enrolled at the kiosk itself is not compared. -mend gives it again what it lacks.

Example:
  hq roster diff front -dir hq`

// walked is a kiosk as its own vouched records have it.
type walked struct {
	applied ledger.Done
	record  uint64               // that says so
	refused map[[2]uint64]string // by command and place in it
	told    map[uint64]bool      // commands whose own record says that they came with their orders: where one was deleted they come without
	stood   [][2]uint64          // first and last of commands that changed nothing, and have no record but a later one's
	unknown [][2]uint64          // first and last of commands that headquarters does not have; holds finds them
	untold  map[uint64]int       // how many more orders of a command were refused than the records name
}

func rosterCommand(ctx context.Context, args []string, out, progress io.Writer) error {
	var o office
	flags := o.flags("roster", "diff KIOSK [-mend] -dir DIR", aboutRoster, progress)
	mend := flags.Bool("mend", false, "give the kiosk again what it lacks")
	words, err := o.parse(flags, args, 2, 2)
	if err != nil {
		return err
	}
	if words[0] != "diff" {
		return fmt.Errorf("say diff and one kiosk: %w", errUsage)
	}
	at := &page{dir: o.dir}
	kiosks, err := allKiosks(ctx, at)
	if err != nil {
		return err
	}
	called, err := ask[named](ctx, at, verbFind, kioskRequest{words[1]})
	if err != nil {
		return err
	}
	k := kiosks[slices.IndexFunc(kiosks, func(k shown) bool { return k.Kiosk == called.Kiosk })]
	p, err := o.open()
	if err != nil {
		return err
	}
	r, err := ledger.Inspect(filepath.Join(o.dir, ledger.Folder))
	if err != nil {
		return err
	}
	w, err := walk(r, k.Kiosk)
	if err != nil {
		return err
	}
	have, strange, err := holds(ctx, at, p, k, &w)
	if err != nil {
		return err
	}
	now, err := ask[inForce](ctx, at, verbPolicy, hatch.Nothing{})
	if err != nil {
		return err
	}
	var need people.Kiosk // without an id: whom headquarters has enrolled at a kiosk it cannot give again
	if now.Version != 0 {
		s, err := now.site()
		if err != nil {
			return err
		}
		need.Groups = s.Admits(k.Door)
	}
	want, err := p.Roster(need)
	if err != nil {
		return err
	}
	drifts := people.Diff(want, have)
	fmt.Fprintf(out, "kiosk %s, door %q: command %d of %d applied (record %d), %d people held, %d should be\n", k.Kiosk, k.Door, w.applied.Seq, k.Head, w.record, len(have), len(want))
	if w.applied.Seq < k.Head {
		fmt.Fprintf(out, "%d commands are on their way: what they bring is not counted as held\n", k.Head-w.applied.Seq)
	}
	for _, u := range w.unknown {
		fmt.Fprintf(out, "commands %d to %d are not known here: headquarters was restored from a backup. Whom they brought or took away is not counted, but for what was given again since\n", u[0], u[1])
	}
	if strange > 0 {
		fmt.Fprintf(out, "%d orders of its stream are of nobody whom this vault knows: it may hold people whom headquarters cannot name\n", strange)
	}
	for seq, n := range w.untold {
		if n > 0 {
			fmt.Fprintf(out, "command %d: %d orders were refused of which the records do not say which: they are counted as held\n", seq, n)
		}
	}
	lacking, err := sayDrifts(out, p, drifts, flags.where())
	if err != nil {
		return err
	}
	if !*mend || len(lacking) == 0 {
		return nil
	}
	for part := range slices.Chunk(lacking, ordersAtOnce) {
		if _, err := ask[hatch.Nothing](ctx, at, verbAppend, appendRequest{k.Kiosk, part}); err != nil {
			return err
		}
	}
	return say(out, nil, "%d orders are given to it again\n", len(lacking))
}

// sayDrifts says who differs, and returns the orders that would mend it; where leads the commands that it names to this headquarters. Whom a kiosk holds and nobody here knows, their deletion was lost: it must be signed anew.
func sayDrifts(out io.Writer, p *people.People, drifts []people.Drift, where string) (lacking [][32]byte, err error) {
	for _, d := range drifts {
		fmt.Fprintf(out, "%v  %s\n", d.Person, drifted(d))
		if d.Want.Generation == 0 {
			gone, err := p.Deletion(d.Person)
			if err == nil && gone.Generation >= d.Have.Generation {
				lacking = append(lacking, gone.Order)
				continue
			}
			if err != nil && !errors.Is(err, people.ErrUnknown) {
				return nil, err
			}
			if _, err := p.Find(d.Person.String()); errors.Is(err, people.ErrUnknown) {
				fmt.Fprintf(out, "    nobody here knows them, and there is no order to delete them that -mend could give: hq delete %v -key KEY%s\n", d.Person, where)
			} else if err != nil {
				return nil, err
			}
			continue
		}
		for _, order := range slices.Backward(d.Want.Orders) { // what was taken, before what was given
			lacking = append(lacking, order)
		}
	}
	return lacking, say(out, nil, "%d people differ\n", len(drifts))
}

func drifted(d people.Drift) string {
	are := func(h people.Holding) string {
		if h.Generation == 0 {
			return "not held"
		}
		return fmt.Sprintf("generation %d, %v", h.Generation, h.State)
	}
	return fmt.Sprintf("is %s; should be %s", are(d.Have), are(d.Want))
}

// walk reads how far a kiosk has come, and what it has refused on the way.
func walk(r *ledger.Reader, kiosk string) (w walked, err error) {
	w.refused, w.told, w.untold = map[[2]uint64]string{}, map[uint64]bool{}, map[uint64]int{}
	err = r.Back(kiosk, func(e ledger.Event) bool {
		if a, ok := ledger.ReadDone(e.Decoded); ok {
			w.untold[a.Seq], w.told[a.Seq] = a.Refused, w.told[a.Seq] || a.Orders > 0
			if a.Before > 0 {
				w.stood = append(w.stood, [2]uint64{a.Seq - a.Before, a.Seq - 1})
			}
			if a.Seq > w.applied.Seq {
				w.applied, w.record = a, e.Index
			}
		}
		if f, ok := ledger.ReadRefused(e.Decoded); ok {
			for place, why := range f.Why {
				w.refused[[2]uint64{f.Seq, uint64(place)}] = why
			}
		}
		return true
	})
	for at := range w.refused {
		w.untold[at[0]]--
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // it has recorded nothing yet
	}
	return w, err
}

// carried reports whether a kiosk has said that it carried the orders of a command out, but for those that it refused.
func (w walked) carried(seq uint64) bool {
	return w.told[seq] || slices.ContainsFunc(w.stood, func(s [2]uint64) bool { return s[0] <= seq && seq <= s[1] })
}

// holds is whom a kiosk holds that has applied headquarters' stream as far as it says, and how many orders it has carried out of which neither the vault of
// people nor headquarters itself knows anything, as after an older vault was put back. What commands
// headquarters does not have it puts into w.
func holds(ctx context.Context, at *page, p *people.People, k shown, w *walked) (have []people.Holding, strange int, err error) {
	queue, err := p.Entries()
	if err != nil {
		return nil, 0, err
	}
	known := map[[32]byte]people.Entry{}
	for _, e := range queue {
		known[e.Order] = e
	}
	everybody, _, err := p.List()
	if err != nil {
		return nil, 0, err
	}
	groups := map[access.PersonID][]string{}
	for _, l := range everybody {
		if !l.Pending {
			groups[l.ID] = l.Groups
		}
	}
	var applied []people.Entry
	for after := uint64(0); after < w.applied.Seq; {
		page, err := ask[commandPage](ctx, at, verbCommands, commandsRequest{k.Kiosk, after})
		if err != nil {
			return nil, 0, err
		}
		if len(page.Commands) == 0 {
			return nil, 0, fmt.Errorf("kiosk %s has applied command %d, which headquarters never gave it: somebody else has commanded it, or headquarters was restored", k.Kiosk, w.applied.Seq)
		}
		for _, c := range page.Commands {
			if after = c.Seq; c.Seq > w.applied.Seq {
				break
			}
			if c.Unknown > 0 {
				w.unknown = append(w.unknown, [2]uint64{c.Seq - c.Unknown + 1, c.Seq})
			}
			if c.Seq == w.applied.Seq && w.applied.Link != fmt.Sprintf("%x", c.Link) {
				return nil, 0, fmt.Errorf("kiosk %s has applied another command %d than headquarters gave it: somebody else has commanded it", k.Kiosk, c.Seq)
			}
			if c.Policy { // it has let go of whom that is not about
				applied = slices.DeleteFunc(applied, func(e people.Entry) bool {
					return e.Kind == wire.KindEnrolment && !slices.ContainsFunc(groups[e.Person], func(g string) bool { return slices.Contains(c.Admits, g) })
				})
			}
			if !w.carried(c.Seq) {
				continue
			}
			for place, order := range c.Orders {
				if w.refused[[2]uint64{c.Seq, uint64(place)}] != "" {
					continue
				}
				if e, ok := known[order]; ok && e.Kind != wire.KindSupervised {
					applied = append(applied, e)
				} else if !ok && !slices.Contains(c.Clear, uint8(place)) {
					strange++
				}
			}
		}
	}
	return people.Applied(applied), strange, nil
}

type commandsRequest struct {
	Kiosk string `cbor:"1,keyasint"`
	After uint64 `cbor:"2,keyasint"`
}

type commandPage struct {
	Commands []commandAt `cbor:"1,keyasint"`
}

const ordersAtOnce = 2000 // of 34 bytes, in one request

type appendRequest struct {
	Kiosk  string     `cbor:"1,keyasint"`
	Orders [][32]byte `cbor:"2,keyasint"`
}

func (s *served) commands(ctx context.Context, q commandsRequest) (any, error) {
	list, err := s.fleet.Load().Commands(ctx, q.Kiosk, q.After)
	var page commandPage
	for _, c := range list {
		page.Commands = append(page.Commands, told(c))
	}
	return page, err
}

func (s *served) append(ctx context.Context, q appendRequest) (any, error) {
	return nil, s.fleet.Load().Append(ctx, q.Kiosk, q.Orders)
}
