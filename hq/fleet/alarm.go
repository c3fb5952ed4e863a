package fleet

import (
	"context"
	"fmt"

	"github.com/lintel-access/lintel/sync/wire"
)

// Kind says what an alarm is about.
type Kind uint8

// Append only.
const (
	Fork    Kind = 1 // a kiosk stands at a command that headquarters never gave
	Flood   Kind = 2 // a kiosk sends more than anybody has to say
	Garbage Kind = 3 // a kiosk sends what is no message, or what no kiosk says
	Key     Kind = 4 // an exchange key that the kiosk's TPM does not attest
	Lost    Kind = 5 // an order for the kiosk that headquarters does not have any more
	Damage  Kind = 6 // the ledger cannot open the kiosk's records
)

// String is the word for the kind.
func (k Kind) String() string {
	switch k {
	case Fork:
		return "forked stream"
	case Flood:
		return "floods"
	case Garbage:
		return "garbage"
	case Key:
		return "key not attested"
	case Lost:
		return "order lost"
	case Damage:
		return "damaged ledger"
	}
	return fmt.Sprintf("alarm %d", uint8(k))
}

// Alarm is something about a kiosk that a person must look at. There is one of a kind, until somebody lifts it.
type Alarm struct {
	Kind Kind   `cbor:"1,keyasint"`
	At   int64  `cbor:"2,keyasint"` // Unix seconds of the first time
	Text string `cbor:"3,keyasint"`
}

func alarmKey(name string, k Kind) string { return fmt.Sprintf("alarm.%s.%d", name, k) }

// alarm raises an alarm once. It is called with the desk's lock held.
func (f *Fleet) alarm(ctx context.Context, d *desk, k Kind, text string) {
	if _, raised := d.alarms[k]; raised {
		return
	}
	a := Alarm{k, f.config.Now().Unix(), text}
	if d.alarms == nil {
		d.alarms = map[Kind]Alarm{}
	}
	d.alarms[k] = a
	f.ring(d, a, true)
	f.config.Log.Error("alarm", "kiosk", d.name, "door", d.kiosk.Door, "kind", k.String(), "text", text)
	data, err := wire.Marshal(a)
	if err == nil {
		_, err = f.store.Put(ctx, alarmKey(d.name, k), data, 0)
	}
	if err != nil {
		f.config.Log.Error("alarm not stored", "kiosk", d.name, "kind", k.String(), "error", err)
	}
}

// ring tells whoever shows alarms of one that was raised or lifted.
func (f *Fleet) ring(d *desk, a Alarm, on bool) {
	if f.config.Alarm != nil {
		f.config.Alarm(d.kiosk.ID, a, on)
	}
}

// loadAlarms reads what was raised before the start.
func (f *Fleet) loadAlarms(ctx context.Context) error {
	all, err := f.store.List(ctx, "alarm")
	if err != nil {
		return err
	}
	for _, v := range all {
		var a Alarm
		if err := wire.Unmarshal(v.Data, &a); err != nil {
			return fmt.Errorf("read %q: %w", v.Key, err)
		}
		for _, d := range f.desks {
			if v.Key == alarmKey(d.name, a.Kind) {
				if d.alarms == nil {
					d.alarms = map[Kind]Alarm{}
				}
				d.alarms[a.Kind] = a
			}
		}
	}
	return nil
}

// lift forgets a kiosk's alarms of these kinds. It is called with the desk's lock held.
func (f *Fleet) lift(ctx context.Context, d *desk, kinds ...Kind) error {
	for _, k := range kinds {
		a, raised := d.alarms[k]
		if !raised {
			continue
		}
		v, err := f.store.Get(ctx, alarmKey(d.name, k))
		if err == nil {
			err = f.store.Delete(ctx, v.Key, v.Revision)
		}
		if err != nil && !isNone(err) {
			return err
		}
		f.ring(d, a, false)
		delete(d.alarms, k)
	}
	return nil
}
