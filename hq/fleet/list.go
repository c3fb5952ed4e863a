package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Overview is what a person sees of a kiosk.
type Overview struct {
	Kiosk
	Head   uint64    // newest command of its stream
	Online time.Time // since when; zero: it is not
	Seen   time.Time // last greeting; zero: never. Of one that has not greeted since the start: up to an hour before the last one
	Since  bool      // it has greeted since the start
	Alarms []Alarm
}

// List returns all kiosks, by door and name.
func (f *Fleet) List(ctx context.Context) ([]Overview, error) {
	var list []Overview
	for _, d := range f.all() {
		d.mu.Lock()
		head, err := f.newest(ctx, d)
		o := Overview{Kiosk: d.kiosk, Head: head.Seq}
		if d.isOnline(f.config.Now()) {
			o.Online = d.online
		}
		o.Since = !d.greeted.IsZero()
		if o.Seen = d.greeted; o.Seen.IsZero() && d.kiosk.Known.Seen > 0 {
			o.Seen = time.Unix(d.kiosk.Known.Seen, 0)
		}
		for _, a := range d.alarms {
			o.Alarms = append(o.Alarms, a)
		}
		d.mu.Unlock()
		if err != nil {
			return nil, err
		}
		slices.SortFunc(o.Alarms, func(a, b Alarm) int { return int(a.Kind) - int(b.Kind) })
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b Overview) int {
		return strings.Compare(a.Door+"\x00"+a.Name(), b.Door+"\x00"+b.Name())
	})
	return list, nil
}

// Find is the name of the one kiosk that is called so: its name, the beginning of it, or the name of its door.
func (f *Fleet) Find(called string) (string, error) {
	var found []string
	for _, d := range f.all() {
		d.mu.Lock()
		if here := d.kiosk.State == Active || d.kiosk.State == Quarantined; d.name == called || d.kiosk.Door == called && here || len(called) >= 4 && strings.HasPrefix(d.name, called) {
			found = append(found, d.name)
		}
		d.mu.Unlock()
	}
	if len(found) == 1 {
		return found[0], nil
	}
	if len(found) > 1 {
		return "", fmt.Errorf("%q may be any of %d kiosks: say its name", called, len(found))
	}
	return "", fmt.Errorf("%w: %q", ErrUnknown, called)
}

// Door is the door of the kiosk of that name, as headquarters lists it.
func (f *Fleet) Door(name string) (string, error) {
	d, err := f.at(name)
	if err != nil {
		return "", err
	}
	defer d.mu.Unlock()
	return d.kiosk.Door, nil
}

// ID is the whole id of the kiosk of that name.
func (f *Fleet) ID(name string) ([32]byte, error) {
	d, err := f.at(name)
	if err != nil {
		return [32]byte{}, err
	}
	defer d.mu.Unlock()
	return d.kiosk.ID, nil
}
