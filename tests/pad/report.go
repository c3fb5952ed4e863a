package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
)

// maxBPCER is the target for living people, in per cent.
const maxBPCER = 3

// speed is the target for the median time from the first face to the decision, at 30 frames a second and one lamp; with two, or at 60, an office has less.
func (o options) speed() time.Duration {
	switch {
	case o.profile == "high":
		return time.Second
	case o.profile == "restricted":
		return 700 * time.Millisecond
	case o.fps >= 60, o.lamps == 2:
		return 300 * time.Millisecond
	}
	return 500 * time.Millisecond
}

type report struct {
	options  options
	species  []species
	outcomes []outcome
	people   int
}

// print prints everything and returns an error when a target was missed.
func (r report) print(out io.Writer) error {
	fmt.Fprintf(out, "seed set %s, profile %s, %d frames a second, lamps %d, %d people in the cast; in simulation\n",
		r.options.set, r.options.profile, r.options.fps, r.options.lamps, r.people)
	fmt.Fprint(out, "Intervals are exact (Clopper-Pearson, 95 %) and take presentations for independent of each other; they share so few faces that they are not quite.\n\n")
	fmt.Fprintf(out, "%-36s %6s %8s  %-5s %-23s %6s  %s\n", "species", "shown", "accepted", "", "rate", "again", "why not accepted")
	var missed []error
	var shown, accepted, bona, rejected, unknown int
	for _, k := range r.species {
		t := tallyOf(k, r.outcomes)
		rate, count := "APCER", t.accepted
		if k.bona {
			rate, count = "BPCER", t.shown-t.accepted
			bona, rejected = bona+t.shown, rejected+count
			if 100*count > maxBPCER*t.shown {
				missed = append(missed, fmt.Errorf("%d of %d living people rejected, at most %d %% wanted", count, t.shown, maxBPCER))
			}
		} else {
			shown, accepted = shown+t.shown, accepted+t.accepted
			held := t.accepted
			if k.sheet {
				held, unknown = held-t.unknown, unknown+t.unknown
			}
			// Few presentations are allowed two at least: chance does not come in fractions.
			if allowed := max(k.allowed*t.shown/300, min(k.allowed, 2)); held > allowed {
				missed = append(missed, fmt.Errorf("%s: %d accepted, %d allowed", k.name, held, allowed))
			}
		}
		fmt.Fprintf(out, "%-36s %6d %8d  %s %-23s %6d  %s\n", k.name, t.shown, t.accepted, rate, share(count, t.shown), t.again, t.reasons())
	}
	r.checks(out)
	if r.options.breakdown {
		r.conditions(out)
	}
	for _, k := range r.species {
		if k.why != "" {
			fmt.Fprintf(out, "%s: up to %d of 300 are allowed: %s\n", k.name, k.allowed, k.why)
		}
	}
	if unknown > 0 {
		fmt.Fprintf(out, "%d of the accepted prints: relief could not be known, for there was no light besides that of one lamp; two lamps know it, and a policy with NeedRelief refuses (docs/PAD.md). They are counted, and not held against the targets.\n", unknown)
	}
	took := r.took()
	if len(took) > 0 {
		fmt.Fprintf(out, "living people, first face to decision: p50 %d ms, p95 %d ms (target p50 %d ms)\n",
			at(took, .5).Milliseconds(), at(took, .95).Milliseconds(), r.options.speed().Milliseconds())
		if p50 := at(took, .5); p50 > r.options.speed() {
			missed = append(missed, fmt.Errorf("first face to decision takes %d ms", p50.Milliseconds()))
		}
	}
	fmt.Fprintf(out, "pad: %d species, %d presentations, %d accepted, %d bona fide, %d rejected\n", len(r.species), shown+bona, accepted, bona, rejected)
	return errors.Join(missed...)
}

// tally is what became of one species.
type tally struct {
	shown, accepted, again int
	unknown                int // of the accepted: outcome.Unknown
	why                    map[string]int
}

func tallyOf(k species, all []outcome) tally {
	t := tally{why: map[string]int{}}
	for _, o := range all {
		if o.Species != k.name {
			continue
		}
		t.shown++
		switch {
		case o.Accepted:
			t.accepted++
			if o.Unknown {
				t.unknown++
			}
		case o.Sessions == 0:
			t.again++
			t.why["no session: "+cmp.Or(o.Hint.String(), "no face")]++
		default:
			if o.Reason.Again() {
				t.again++
			}
			t.why[o.Reason.String()]++
		}
	}
	return t
}

// reasons lists the commonest first.
func (t tally) reasons() string {
	names := slices.SortedFunc(maps.Keys(t.why), func(a, b string) int { return cmp.Or(t.why[b]-t.why[a], strings.Compare(a, b)) })
	for i, n := range names {
		names[i] = fmt.Sprintf("%s %d", n, t.why[n])
	}
	return strings.Join(names, ", ")
}

// checks prints what each check alone would have let pass, of the first sessions in which it was asked.
func (r report) checks(out io.Writer) {
	fmt.Fprintln(out, "\neach check alone, first sessions: passed of asked")
	fmt.Fprintf(out, "%-36s", "")
	for c := range access.Criterion(access.Criteria) {
		fmt.Fprintf(out, " %10s", c)
	}
	fmt.Fprintln(out)
	for _, k := range r.species {
		var asked, passed [access.Criteria]int
		for _, o := range r.outcomes {
			if o.Species != k.name {
				continue
			}
			for c, f := range o.First {
				if f.Asked {
					asked[c]++
				}
				if f.Asked && f.Reason == access.ReasonNone {
					passed[c]++
				}
			}
		}
		fmt.Fprintf(out, "%-36s", k.name)
		for c := range asked {
			fmt.Fprintf(out, " %10s", fmt.Sprintf("%d/%d", passed[c], asked[c]))
		}
		fmt.Fprintln(out)
		if r.options.single {
			for c := range access.Criterion(access.Criteria) {
				if n := passed[c]; k.bona {
					fmt.Fprintf(out, "    %-12s refuses alone %s\n", c, share(asked[c]-n, asked[c]))
				} else {
					fmt.Fprintf(out, "    %-12s lets pass alone %s\n", c, share(n, asked[c]))
				}
			}
		}
	}
	fmt.Fprintln(out)
}

// conditions prints the rates of living people by what the scenes were like.
func (r report) conditions(out io.Writer) {
	shown, rejected := map[string]int{}, map[string]int{}
	for _, k := range r.species {
		for _, o := range r.outcomes {
			if k.bona && o.Species == k.name {
				for _, note := range o.Notes {
					shown[note]++
					if !o.Accepted {
						rejected[note]++
					}
				}
			}
		}
	}
	for _, note := range slices.Sorted(maps.Keys(shown)) {
		fmt.Fprintf(out, "living people, %-28s %5d shown  BPCER %s\n", note, shown[note], share(rejected[note], shown[note]))
	}
}

// took are the sorted times of the living people who were accepted.
func (r report) took() (list []time.Duration) {
	for _, k := range r.species {
		for _, o := range r.outcomes {
			if k.bona && o.Species == k.name && o.Accepted {
				list = append(list, o.Took)
			}
		}
	}
	slices.Sort(list)
	return list
}

func at(sorted []time.Duration, part float64) time.Duration {
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}
