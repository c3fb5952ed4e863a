package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/draft"
	"github.com/lintel-access/lintel/hq/hatch"
	"github.com/lintel-access/lintel/hq/people"
	"github.com/lintel-access/lintel/sync/wire"
)

// placing is the groups that an enrolment gives somebody, and the one kiosk that it is for.
type placing struct {
	groups []string
	at     [32]byte // zero: every kiosk whose door lets them in
}

// placings are those of signed orders; what is no enrolment has none.
func placings(all []draft.Signed) (list []placing) {
	for _, s := range all {
		if len(s.Envelopes) == 0 {
			continue
		}
		switch body, _, _ := draft.Inside(s.Envelopes[len(s.Envelopes)-1]); e := body.(type) { // what cannot be read is refused when it is handed in
		case wire.Enrolment:
			list = append(list, placing{groups: e.Groups})
		case wire.Supervised:
			list = append(list, placing{e.Groups, s.Audience})
		}
	}
	return list
}

// sayUnplaced says whom the policy in force lets in nowhere: they would be enrolled, handed to no kiosk, and stand before the door as strangers. It hinders
// nobody, since that policy may be the next thing that is pushed.
func (o *office) sayUnplaced(ctx context.Context, out io.Writer, list []placing) {
	if len(list) == 0 {
		return
	}
	at := &page{dir: o.dir}
	now, err := ask[inForce](ctx, at, verbPolicy, hatch.Nothing{})
	var site access.Site
	if err == nil && now.Version != 0 {
		site, err = now.site()
	}
	var kiosks []shown
	if err == nil {
		kiosks, err = allKiosks(ctx, at)
	}
	switch {
	case err != nil:
		fmt.Fprintf(out, "attention: whether a door lets them in could not be looked up: %v\n", err)
	case now.Version == 0:
		fmt.Fprintln(out, "attention: no policy is in force: no kiosk is given anybody until hq policy push puts one in force")
	default:
		fmt.Fprint(out, unplaced(site, kiosks, list))
	}
}

// sayUnnamed says which groups no rule in force names: a slip there has nobody wait for a second operator.
func (o *office) sayUnnamed(ctx context.Context, out io.Writer, groups []string) {
	now, err := ask[inForce](ctx, &page{dir: o.dir}, verbPolicy, hatch.Nothing{})
	var site access.Site // of no rules
	if err == nil && now.Version != 0 {
		site, err = now.site()
	}
	if err != nil {
		fmt.Fprintf(out, "attention: whether the rules in force name these groups could not be looked up: %v\n", err)
		return
	}
	fmt.Fprint(out, unnamed(site, groups))
}

func unnamed(site access.Site, groups []string) string {
	missing := slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return slices.Contains(site.Groups, g) })
	if len(missing) == 0 {
		return ""
	}
	return fmt.Sprintf("attention: the rules in force name no group %s\n", strings.Join(quoted(missing), " or "))
}

// unplaced has a line for each reason why somebody is let in nowhere, and says of how many.
func unplaced(site access.Site, kiosks []shown, list []placing) string {
	many := map[string]int{}
	for _, p := range list {
		doors, where := site.Doors, "the policy in force"
		if p.at != [32]byte{} {
			doors, where = nil, "its door"
			for _, k := range kiosks {
				if k.Kiosk == wire.Name(p.at) {
					doors, where = []access.SiteDoor{{Name: k.Door}}, fmt.Sprintf("door %q", k.Door)
				}
			}
		}
		if !slices.ContainsFunc(doors, func(d access.SiteDoor) bool {
			return slices.ContainsFunc(site.Admits(d.Name), func(g string) bool { return slices.Contains(p.groups, g) })
		}) {
			many[lacking(p.groups, where)]++
		}
	}
	var b strings.Builder
	for _, why := range slices.Sorted(maps.Keys(many)) {
		whom := "this person"
		if len(list) > 1 {
			whom = fmt.Sprintf("%d of these people", many[why])
		}
		fmt.Fprintf(&b, "attention: %s: no door lets %s in. Either enrol again in a group that a rule names (hq enrol -again), or name the group in a rule (hq policy push)\n", why, whom)
	}
	return b.String()
}

func lacking(groups []string, where string) string {
	if len(groups) == 0 {
		return "no -group was given"
	}
	return fmt.Sprintf("no rule of %s names %s", where, strings.Join(quoted(groups), " or "))
}

func quoted(words []string) (q []string) {
	for _, w := range words {
		q = append(q, fmt.Sprintf("%q", w))
	}
	return q
}

// atKiosk is the kiosk that is to enrol somebody. Where a key signs at once nobody reads what for, so that the operator must have said the whole name.
func (o *office) atKiosk(ctx context.Context, called string) (id [32]byte, err error) {
	at := &page{dir: o.dir}
	k, err := ask[named](ctx, at, verbFind, kioskRequest{called})
	if err != nil {
		return id, fmt.Errorf("-at: %w", err)
	}
	if o.key != "" {
		if err := meant(called, k.ID); err != nil {
			return id, err
		}
	}
	all, err := allKiosks(ctx, at)
	if err != nil {
		return id, err
	}
	if i := slices.IndexFunc(all, func(s shown) bool { return s.Kiosk == k.Kiosk }); i < 0 || all[i].State != "active" {
		return id, fmt.Errorf("-at: nobody is enrolled at kiosk %s: it is not in service; hq kiosk list says why", k.Kiosk)
	}
	return k.ID, nil
}

// sayBegin says what an enroller, whose key is in that file, is to do next for somebody who is to be enrolled at a kiosk: signed for alone, nothing happens,
// and after hours the order is void. So an error is not left unsaid.
func (o *office) sayBegin(out io.Writer, p *people.People, id access.PersonID, key string) error {
	kiosk, order, err := p.Supervised(id)
	if errors.Is(err, people.ErrPhotographs) {
		return nil
	}
	var body wire.Body
	if err == nil {
		body, _, err = draft.Inside(order)
	}
	s, ok := body.(wire.Supervised)
	if err == nil && !ok {
		err = errors.New("it is no order for an enrolment at a kiosk")
	}
	if err != nil {
		return fmt.Errorf("it is signed, but when and where to hq begin cannot be said: order of %v: %w", id, err)
	}
	return say(out, nil, "next, an enroller: before %s, when they stand at kiosk %s with somebody who knows them: hq begin %v -key %s -dir %s\n",
		time.Unix(s.NotAfter, 0).UTC().Format(time.RFC3339), wire.Name(kiosk), id, key, shellWord(o.dir))
}
