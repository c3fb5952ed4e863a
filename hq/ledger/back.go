package ledger

import (
	"bytes"
	"fmt"
	"slices"
)

// Back gives the kiosk's records that are vouched for to f, the newest first and each once, until f has seen enough. What somebody looks for is most often
// among the last: no more is read than the segments that hold them.
func (r *Reader) Back(kiosk string, f func(Event) (more bool)) error {
	dir := r.path(kiosk)
	list, err := segments(dir)
	if err == nil && len(list) == 0 {
		_, err = (&reading{dir: dir}).some() // there is nothing yet, or all of it is gone
	}
	if err != nil {
		return fmt.Errorf("read records of kiosk %s: %w", kiosk, err)
	}
	for i, first := range slices.Backward(list) {
		at := reading{dir: dir, index: first}
		var all []Entry
		for i == len(list)-1 || at.index < list[i+1] {
			some, err := at.some()
			if err != nil {
				return fmt.Errorf("read records of kiosk %s: %w", kiosk, err)
			}
			if len(some) == 0 {
				break
			}
			for _, e := range some {
				e.Record = bytes.Clone(e.Record)
				all = append(all, e)
			}
		}
		for _, e := range slices.Backward(all) {
			v := Event{Kiosk: kiosk, Entry: e, Vouched: true}
			if v.Decoded, v.Known = decode(e.Record); !f(v) {
				return nil
			}
		}
	}
	return nil
}

// Door is the kiosk's, by its newest record that is vouched for and names one; empty: nobody knows.
func (r *Reader) Door(kiosk string) (door string) {
	_ = r.Back(kiosk, func(e Event) bool { // who cannot be asked has no door
		door = e.Decoded.Door
		return door == ""
	})
	return door
}
