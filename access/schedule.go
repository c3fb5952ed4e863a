package access

import (
	"errors"
	"fmt"
)

// Days is a set of kinds of day: bit 0 is Monday, bit 6 Sunday, bit 7 the first kind of holiday.
type Days uint16

// Bounds of schedules.
const (
	firstHoliday = 7
	// MaxHolidayKinds is what Days has room for.
	MaxHolidayKinds = 8
	MaxSpans        = 64 // of one schedule
)

// Weekday is the set of one weekday, counted from Monday, 0.
func Weekday(n int) Days { return 1 << n }

// HolidayKind is the set of one kind of holiday, counted from 0.
func HolidayKind(n int) Days { return 1 << (firstHoliday + n) }

// Span is a stretch of local time that begins on certain days. It belongs to the day on which it begins: what runs over midnight goes on into a
// holiday, and a holiday's own hours into the day after.
//
// It is measured by the clock on the wall. Where clocks jump forward, the minutes that they leave out are in no span; where they are put back, the minutes
// that come twice are in it twice.
type Span struct {
	Days Days   `cbor:"1,keyasint"`
	From uint16 `cbor:"2,keyasint"` // minutes after midnight, 0 to 1439
	To   uint16 `cbor:"3,keyasint"` // first minute that is not in it; after 1440 it is on the next day. At most 1440 after From
}

// Schedule is when something may be done, week by week. The zero Schedule never runs.
type Schedule struct {
	Name  string `cbor:"1,keyasint"`
	Usual Days   `cbor:"2,keyasint"` // kinds of holiday on which the weekday's own hours hold
	Spans []Span `cbor:"3,keyasint"`
}

// On is what the schedule takes a day for, as Site.Kind has it: its weekday, or the kind of holiday that it is.
func (s *Schedule) On(day Days) Days {
	const weekdays = 1<<firstHoliday - 1
	if holiday := day &^ weekdays; holiday != 0 && s.Usual&holiday == 0 {
		return holiday
	}
	return day & weekdays
}

// runs tells whether the minute, counted from midnight of a day, lies in a span that begins on that day.
func (s *Schedule) runs(day Days, minute int) bool {
	day = s.On(day)
	for _, p := range s.Spans {
		if p.Days&day != 0 && int(p.From) <= minute && minute < int(p.To) {
			return true
		}
	}
	return false
}

// validate refuses spans that cannot be, and days that the site does not have.
func (s *Schedule) validate(kinds int) error {
	if err := checkWord(s.Name); err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	if len(s.Spans) > MaxSpans {
		return fmt.Errorf("schedule %q: %d spans, at most %d", s.Name, len(s.Spans), MaxSpans)
	}
	known := Days(1)<<(firstHoliday+kinds) - 1
	if s.Usual&^known != 0 || s.Usual&(1<<firstHoliday-1) != 0 {
		return fmt.Errorf("schedule %q: usual on days that are no holidays", s.Name)
	}
	for _, p := range s.Spans {
		switch {
		case p.Days == 0 || p.Days&^known != 0:
			return fmt.Errorf("schedule %q: a span on days that there are not", s.Name)
		case p.Days&s.Usual != 0:
			return fmt.Errorf("schedule %q: hours of a holiday that is as usual", s.Name)
		case p.From >= minutesADay || p.To <= p.From || p.To-p.From > minutesADay:
			return fmt.Errorf("schedule %q: a span from minute %d to %d", s.Name, p.From, p.To)
		}
	}
	return nil
}

// Holiday is one day that schedules may treat in another way than its weekday.
type Holiday struct {
	Day  Date  `cbor:"1,keyasint"`
	Kind uint8 `cbor:"2,keyasint"` // place in the site's kinds
}

// maxWord bounds a name of a policy, in bytes; a person's groups have the same bound on the wire.
const maxWord = 64

// CheckDoor refuses what can be no name of a door in a Site.
func CheckDoor(name string) error { return checkWord(name) }

// CheckGroup refuses what can be no name of a group in a Site.
func CheckGroup(name string) error { return checkWord(name) }

// checkWord lets through small letters, digits and single words joined by hyphens: names that look alike are the same name.
func checkWord(w string) error {
	if w == "" || len(w) > maxWord || w[0] == '-' || w[len(w)-1] == '-' {
		return fmt.Errorf("name %q: want 1 to %d small letters, digits and hyphens between them", w, maxWord)
	}
	for _, c := range []byte(w) {
		if c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return fmt.Errorf("name %q: only small letters, digits and hyphens", w)
		}
	}
	return nil
}

// checkRising refuses names that are no words, that stand twice or out of order.
func checkRising(names []string) error {
	for i, n := range names {
		if err := checkWord(n); err != nil {
			return err
		}
		if i > 0 && names[i-1] >= n {
			return errors.New("names are not sorted, or one stands twice")
		}
	}
	return nil
}
