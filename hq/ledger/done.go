package ledger

import (
	"errors"
	"fmt"
	"maps"
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
	// Before is how many commands right before it changed nothing, refused nothing, and have no record of their own.
	Before uint64
}

var (
	appliedForm = regexp.MustCompile(`^seq=([0-9]{1,20}) link=([0-9a-f]{64})(?: orders=([0-9]{1,5}) changed=[0-9]{1,5} refused=([0-9]{1,5})(?: before=([0-9]{1,9}))?(?: unsaid=[0-9]{1,9})?)?`)
	refusedForm = regexp.MustCompile(`^command ([0-9]{1,20})((?:, order [0-9]{1,5}: [^,]+)+)`)
	refusedOne  = regexp.MustCompile(`, order ([0-9]{1,5}): ([^,]+)`)
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
		a.Before, _ = strconv.ParseUint("0"+m[5], 10, 64)
		a.Before = min(a.Before, a.Seq-1)
	}
	return a, a.Seq > 0
}

// Refused is a kiosk's word that it has not carried out some orders of a command: a record of access.EventOrderRefused. It need not name all.
type Refused struct {
	Seq uint64
	Why map[int]string // by place among the command's orders, from 0
}

// ReadRefused reads what such a record says.
func ReadRefused(r access.Record) (f Refused, ok bool) {
	m := refusedForm.FindStringSubmatch(r.Detail)
	if r.Event != access.EventOrderRefused || m == nil {
		return f, false
	}
	f.Seq, _ = strconv.ParseUint(m[1], 10, 64)
	f.Why = map[int]string{}
	for _, one := range refusedOne.FindAllStringSubmatch(m[2], -1) {
		if place, _ := strconv.Atoi(one[1]); place > 0 {
			f.Why[place-1] = one[2]
		}
	}
	return f, f.Seq > 0 && len(f.Why) > 0
}

// Outcome is what became of one order of a command, by a kiosk's own vouched records. The zero Outcome is that it has not said.
type Outcome struct {
	Known   bool   // the kiosk has said so
	Refused string // why it was not carried out; empty: it was
	Record  uint64 // that says that the command was applied
	Whole   bool   // every order of the command was carried out: the record alone is the proof
	Other   bool   // what the kiosk applied there is another command than headquarters gave it
}

// behind is how many commands later a kiosk may still say of one that it is done, when the record of a refusal has long been written.
const behind = 64

// Order looks for what became of an order, at this place of a command of so many orders. A command whose content was withheld carries out nothing; one of which
// orders were refused says nothing of those that its records do not tell from the refused ones. given is the link of a later command that headquarters gave
// the kiosk, zero if it gave none: a record stands for the commands before it only where all of them are headquarters'.
func (r *Reader) Order(kiosk string, seq uint64, link [32]byte, place, orders int, given func(seq uint64) (link [32]byte, err error)) (o Outcome, err error) {
	refused := map[int]string{}
	var done *Done
	var failed error
	err = r.Back(kiosk, func(e Event) bool {
		if f, ok := ReadRefused(e.Decoded); ok && f.Seq == seq {
			maps.Copy(refused, f.Why)
		}
		d, ok := ReadDone(e.Decoded)
		if ok && d.Seq == seq && d.Link != fmt.Sprintf("%x", link) {
			o = Outcome{Other: true, Record: e.Index}
			return false
		}
		if ok && d.Seq == seq && d.Told && d.Orders == orders {
			done, o.Record = &d, e.Index
		}
		if ok && d.Seq > seq && d.Seq-d.Before <= seq {
			var later [32]byte
			later, failed = given(d.Seq)
			same := later != [32]byte{} && d.Link == fmt.Sprintf("%x", later)
			o = Outcome{Known: same, Other: !same, Record: e.Index}
			return false
		}
		return !(done != nil && len(refused) >= done.Refused) && !(ok && d.Seq+behind < seq)
	})
	switch {
	case err != nil || failed != nil:
		return Outcome{}, errors.Join(err, failed)
	case o.Other || done == nil:
		return o, nil
	case refused[place] != "":
		o.Known, o.Refused = true, refused[place]
	default:
		o.Known, o.Whole = len(refused) >= done.Refused, done.Refused == 0
	}
	return o, nil
}
