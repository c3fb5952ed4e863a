package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
)

// followEvery is how often new records are looked for: five times a second, for a reader that must see them within one.
const followEvery = 200 * time.Millisecond

// Event is a record, or an alarm, for somebody to read.
type Event struct {
	Kiosk string // its name
	Entry
	Vouched  bool          // a checkpoint of the kiosk covers it
	Replaces bool          // one that was shown before it, not vouched for, was not the kiosk's
	Decoded  access.Record // zero when Known is not set
	Known    bool          // the record is of a layout that this program reads
	Alarm    *Alarm        // then it is no record
	Door     string        // of an alarm: the kiosk's, by its newest record that is vouched for; empty: nobody knows

	doors []string // of an alarm: all that the kiosk has named to whoever follows; see maxDoors
}

// Filter says which events are wanted; the zero one wants all.
type Filter struct {
	Kiosk    string    // its name begins so
	Door     string    // of this door; of alarms, those of each kiosk that has named it, and of kiosks whose door nobody knows
	Kind     string    // the event's number, its hundred (such as 3xx), or words of its name or an alarm's; "alarm": alarms alone. See Able
	Since    time.Time // arrived since; an alarm that stands open is wanted however old it is
	Severity access.Severity
	Vouched  bool // leave out what no checkpoint covers yet: then each index comes once and never changes
}

const kindAlarm = "alarm"

func (f Filter) wants(e Event) bool {
	if e.Alarm != nil {
		recent := e.Alarm.Open() || !time.UnixMilli(e.Alarm.Ended).Before(f.Since)
		return f.at(e) && f.rings(e.Alarm.Kind) && recent
	}
	if e.Arrived.Before(f.Since) || f.Vouched && !e.Vouched || f.Kind == kindAlarm {
		return false
	}
	if !e.Known { // somebody must see it: what it is about nobody here can tell
		return f.Door == "" && f.Kind == ""
	}
	return (f.Door == "" || e.Decoded.Door == f.Door) && e.Decoded.Event.Severity() >= f.Severity && f.kind(e.Decoded.Event)
}

// at reports whether an alarm is of the door. A kiosk in wrong hands signs another door's name: that hides nothing from who followed it before.
func (f Filter) at(e Event) bool {
	return f.Door == "" || e.Door == "" || e.Door == f.Door || len(e.doors) >= maxDoors || slices.Contains(e.doors, f.Door)
}

func (f Filter) kind(e access.Event) bool {
	number := strconv.Itoa(int(e))
	hundred, area := strings.CutSuffix(f.Kind, "xx")
	return f.Kind == "" || number == f.Kind || area && strconv.Itoa(int(e)/100) == hundred || strings.Contains(e.String(), f.Kind)
}

func (f Filter) rings(k AlarmKind) bool {
	return f.Kind == "" || f.Kind == kindAlarm || strings.Contains(k.String(), f.Kind)
}

// Able reports whether there is an event or an alarm of the filter's Kind, as far as this program knows them.
func (f Filter) Able() bool {
	for k := range AlarmKind(math.MaxUint8) {
		if k.known() && f.rings(k) {
			return true
		}
	}
	for e := range access.Event(math.MaxUint16) {
		if e.Known() && f.kind(e) {
			return true
		}
	}
	return false
}

// Follow gives each event that the filter wants to f, those of a kiosk in order, and goes on with new ones until ctx ends if stay is set; or until f
// returns an error. Who is slow holds up nobody else: this reads what is on disk. A kiosk whose folder cannot be read is an alarm, and the others go on; unless
// stay is set, it is an error at the end, too.
func (r *Reader) Follow(ctx context.Context, filter Filter, stay bool, f func(Event) error) error {
	followers := map[string]*follower{}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		var damage error
		names, err := r.Kiosks()
		if err != nil {
			return err
		}
		for _, name := range names {
			if !strings.HasPrefix(name, filter.Kiosk) {
				continue
			}
			if followers[name] == nil {
				followers[name] = &follower{name: name, from: r, shown: map[uint64][32]byte{}}
				followers[name].skip(filter.Since)
			}
			hurt, err := followers[name].poll(ctx, filter, f)
			if err != nil {
				return fmt.Errorf("follow kiosk %s: %w", name, err)
			}
			if hurt != nil {
				damage = errors.Join(damage, fmt.Errorf("read records of kiosk %s: %w", name, hurt))
			}
		}
		if !stay {
			return damage
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// follower is how far somebody has read one kiosk's records.
type follower struct {
	name  string
	from  *Reader
	at    reading
	shown map[uint64][32]byte // hashes of what was shown before anybody vouched for it
	seen  []Alarm
	door  string   // by the newest record that is vouched for
	doors []string // by all of them so far, each once
	hurt  *Alarm   // its folder cannot be read, or, when it is over, could not; nil: it always could
}

// maxDoors is how many doors of one kiosk are remembered. No kiosk moves as often: the alarms of one that names more are everybody's.
const maxDoors = 8

// names notes the door that a record names.
func (f *follower) names(door string) {
	f.door = door
	if len(f.doors) < maxDoors && !slices.Contains(f.doors, door) {
		f.doors = append(f.doors, door)
	}
}

// skip leaves out segments all of whose records came before a time.
func (f *follower) skip(since time.Time) {
	f.at.dir = f.from.path(f.name)
	list, err := segments(f.at.dir)
	if err != nil || since.IsZero() {
		return
	}
	for _, first := range slices.Backward(list) {
		f.at.index = first
		entries, err := (&reading{dir: f.at.dir, index: first}).some()
		if err == nil && len(entries) > 0 && entries[0].Arrived.Before(since) {
			return
		}
	}
	f.at.index = 0
}

// poll gives what is new to f. It returns what cannot be read, and the error of f.
func (f *follower) poll(ctx context.Context, filter Filter, to func(Event) error) (damage, failed error) {
	give := func(e Event) error {
		if failed == nil && filter.wants(e) {
			failed = to(e)
		}
		return failed
	}
	damage = f.records(ctx, filter.Vouched, give)
	if failed == nil {
		damage = f.alarms(damage, give)
	}
	return damage, failed
}

// records gives what is new. Its error is that of give, or that something cannot be read.
func (f *follower) records(ctx context.Context, vouchedAlone bool, give func(Event) error) error {
	for ctx.Err() == nil {
		list, err := f.at.some()
		if err != nil {
			return err
		}
		if len(list) == 0 {
			break
		}
		for _, e := range list {
			if err := f.show(e, true, give); err != nil {
				return err
			}
		}
	}
	if vouchedAlone {
		return nil
	}
	list, err := readPending(f.at.dir, f.at.index)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := f.show(e, false, give); err != nil {
			return err
		}
	}
	return nil
}

// alarms gives what has changed about them. What cannot be read, whoever writes the ledger may not have met yet: then it is an alarm of this reader's own,
// until it can be read, or whoever writes has an alarm of it. It returns the first that cannot be read.
func (f *follower) alarms(damage error, give func(Event) error) error {
	list, err := f.from.Alarms(f.name)
	if damage == nil {
		damage = err
	}
	known := slices.ContainsFunc(list, func(a Alarm) bool { return a.Kind == AlarmDamage && a.Open() })
	hurt, now := damage != nil && !known, time.Now().UnixMilli()
	switch was := f.hurt != nil && f.hurt.Open(); {
	case hurt && !was:
		f.hurt = &Alarm{Kind: AlarmDamage, Since: now, Last: now, Text: damage.Error(), Count: 1}
	case was && !hurt:
		f.hurt.Ended = now
	}
	if f.hurt != nil {
		list = append([]Alarm{*f.hurt}, list...) // before that of whoever writes, which may be of the same kind
	}
	for _, a := range list {
		if slices.ContainsFunc(f.seen, func(b Alarm) bool { return a.Kind == b.Kind && a.Since == b.Since && a.Ended == b.Ended }) {
			continue
		}
		if give(Event{Kiosk: f.name, Door: f.where(), Alarm: &a, doors: f.doors}) != nil {
			break
		}
	}
	f.seen = list
	return damage
}

// where is the kiosk's door; empty while none of its records says.
func (f *follower) where() string {
	if f.door == "" { // its newest records were left out, or it has none
		f.door = f.from.Door(f.name)
	}
	return f.door
}

// show gives a record unless the very same was shown before anybody vouched for it.
func (f *follower) show(e Entry, vouched bool, give func(Event) error) error {
	hash := sha256.Sum256(e.Record)
	before, was := f.shown[e.Index]
	if vouched {
		delete(f.shown, e.Index)
	} else {
		f.shown[e.Index] = hash
	}
	if was && before == hash {
		return nil
	}
	e.Record = bytes.Clone(e.Record)
	event := Event{Kiosk: f.name, Entry: e, Vouched: vouched, Replaces: was}
	event.Decoded, event.Known = decode(e.Record)
	if vouched && event.Decoded.Door != "" {
		f.names(event.Decoded.Door)
	}
	return give(event)
}
