package ledger

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/lintel-access/lintel/access"
)

// Done is a kiosk's word that it has carried out a command of headquarters, for good: a record of access.EventCommandApplied.
type Done struct {
	Seq  uint64
	Link string // in hexadecimal
	// Told is false of a record that was made up for after a power cut: then the rest is not known.
	Told            bool
	Orders, Refused int
}

var (
	appliedForm = regexp.MustCompile(`^seq=([0-9]{1,20}) link=([0-9a-f]{64})(?: orders=([0-9]{1,5}) changed=[0-9]{1,5} refused=([0-9]{1,5}))?`)
	refusedForm = regexp.MustCompile(`^command ([0-9]{1,20}), order ([0-9]{1,5}): (.*)$`)
)

// ReadDone reads what such a record says.
func ReadDone(r access.Record) (a Done, ok bool) {
	m := appliedForm.FindStringSubmatch(r.Detail)
	if r.Event != access.EventCommandApplied || m == nil {
		return a, false
	}
	a.Seq, _ = strconv.ParseUint(m[1], 10, 64)
	if a.Link = m[2]; m[3] != "" {
		a.Told = true
		a.Orders, _ = strconv.Atoi(m[3])
		a.Refused, _ = strconv.Atoi(m[4])
	}
	return a, a.Seq > 0
}

// Refused is a kiosk's word that it has not carried out one order of a command: a record of access.EventOrderRefused.
type Refused struct {
	Seq   uint64
	Place int // among the command's orders, from 0
	Why   string
}

// ReadRefused reads what such a record says.
func ReadRefused(r access.Record) (f Refused, ok bool) {
	m := refusedForm.FindStringSubmatch(r.Detail)
	if r.Event != access.EventOrderRefused || m == nil {
		return f, false
	}
	f.Seq, _ = strconv.ParseUint(m[1], 10, 64)
	place, _ := strconv.Atoi(m[2])
	f.Place, f.Why = place-1, m[3]
	return f, f.Seq > 0 && place > 0
}

// Outcome is what became of one order of a command, by a kiosk's own vouched records.
type Outcome struct {
	Known   bool   // the kiosk has said so
	Refused string // why it was not carried out; empty: it was
	Record  uint64 // that says that the command was applied
	Whole   bool   // every order of the command was carried out: the record alone is the proof
	Other   bool   // what the kiosk applied there is another command than headquarters gave it
}

// Order looks for what became of an order, at this place of a command of so many orders. A command whose content was withheld carries out nothing.
func (r *Reader) Order(kiosk string, seq uint64, link [32]byte, place, orders int) (o Outcome, err error) {
	found := false
	err = r.Back(kiosk, func(e Event) bool {
		if a, ok := ReadDone(e.Decoded); ok {
			switch {
			case a.Seq < seq:
				return false
			case a.Seq == seq && a.Link != fmt.Sprintf("%x", link):
				o = Outcome{Other: true, Record: e.Index}
				return false
			case a.Seq == seq && a.Told && a.Orders == orders:
				found, o = true, Outcome{Known: true, Record: e.Index, Whole: a.Refused == 0}
				return !o.Whole // the orders that were refused stand before it
			}
		}
		if f, ok := ReadRefused(e.Decoded); ok && found && f.Seq == seq && f.Place == place {
			o.Refused = f.Why
			return false
		}
		return true
	})
	return o, err
}
