//go:build lab

package main

import (
	"strings"
	"testing"

	"github.com/lintel-access/lintel/tests/lab/vm"
)

// table is what became of cuts, by what they came into the midst of.
type table struct{ Rows []*row }

type row struct {
	Doing        string
	Cuts         int // after which all was well, once it started; the others end the suite
	Starting     int // cuts that came before the next start was over, in addition
	Acknowledged int // records in the life that the cut ended
	Found        int // what was not acknowledged and was there
	Mended       int // logs that ended in half a record
	Refused      int // older vaults that were put back
	Secured      int // relays that were on when the power went
}

func (t *table) row(doing string) *row {
	for _, r := range t.Rows {
		if r.Doing == doing {
			return r
		}
	}
	r := &row{Doing: doing}
	t.Rows = append(t.Rows, r)
	return r
}

// doing says what was under way when the power went.
func doing(h *history, released bool) string {
	if released {
		return "door released"
	}
	for _, what := range h.begun {
		kind, _, _ := strings.Cut(what, " ")
		switch kind {
		case "put":
			return "enrolment"
		case "revoke", "erase", "suspend", "lockdown", "lockout", "policy", "rekey":
			return "restriction"
		case "checkpoint", "anchor":
			return "checkpoint"
		case "open", "boot":
			return "opening"
		case "record":
		default:
			return "other change"
		}
	}
	if len(h.begun) > 0 {
		return "record"
	}
	return "between"
}

func (t *table) print(test *testing.T) {
	const format = "%-14s %5v %9v %12v %8v %7v %8v %8v"
	vm.Measured(test, format, "cut in", "cuts", "+starting", "acknowledged", "found", "mended", "refused", "relay on")
	var sum row
	for _, r := range t.Rows {
		vm.Measured(test, format, r.Doing, r.Cuts, r.Starting, r.Acknowledged, r.Found, r.Mended, r.Refused, r.Secured)
		sum.Cuts, sum.Starting, sum.Acknowledged, sum.Found = sum.Cuts+r.Cuts, sum.Starting+r.Starting, sum.Acknowledged+r.Acknowledged, sum.Found+r.Found
		sum.Mended, sum.Refused, sum.Secured = sum.Mended+r.Mended, sum.Refused+r.Refused, sum.Secured+r.Secured
	}
	vm.Measured(test, format, "all", sum.Cuts, sum.Starting, sum.Acknowledged, sum.Found, sum.Mended, sum.Refused, sum.Secured)
}
