package access

import (
	"errors"
	"fmt"
	"sort"
	"time"
)

// Instant is a moment, and who vouches for it. The zero Instant is one that nobody vouches for.
type Instant struct {
	Unix  int64 // seconds
	Clock ClockState
}

// Date is a day as a wall calendar at the site shows it: days since 1 January 1970. The zero Date stands for no date.
type Date int32

// MakeDate is the day of that name; a month or day beyond its range counts on, as in time.Date.
func MakeDate(year int, month time.Month, day int) Date {
	return Date(floor(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix(), secondsADay))
}

// String is the form 2026-12-24.
func (d Date) String() string { return time.Unix(int64(d)*secondsADay, 0).UTC().Format(time.DateOnly) }

// Weekday counts from Monday, 0, to Sunday, 6.
func (d Date) Weekday() int {
	const thursday = 3 // 1 January 1970
	return int(((int64(d)+thursday)%7 + 7) % 7)
}

const (
	minutesADay = 24 * 60
	secondsADay = 24 * 60 * 60
	// maxEast is beyond what any place has: 14 h east and 12 h west of Greenwich today.
	maxEast = 18 * 60 * 60
	// MaxOffsets is a century of clocks that change twice a year.
	MaxOffsets = 256
)

// Offset is how far local time is ahead of UTC from an instant on.
type Offset struct {
	From int64 `cbor:"1,keyasint"` // Unix seconds
	East int32 `cbor:"2,keyasint"` // seconds
}

// Zone is the local time of a site, change by change. Headquarters writes it from its tz database: when a country gives up changing its clocks, a
// kiosk needs a new policy for it and no new firmware. The zero Zone knows no time.
type Zone struct {
	Name    string   `cbor:"1,keyasint"` // in the tz database, as Europe/Berlin
	Offsets []Offset `cbor:"2,keyasint"` // ascending
	Until   int64    `cbor:"3,keyasint"` // Unix seconds from which on nothing is known
}

// Local is the date and the minute of the day, 0 to 1439, that a clock on the wall shows; false of an instant that the zone knows nothing about.
func (z Zone) Local(unix int64) (Date, int, bool) {
	n := sort.Search(len(z.Offsets), func(i int) bool { return z.Offsets[i].From > unix })
	if n == 0 || unix >= z.Until {
		return 0, 0, false
	}
	local := unix + int64(z.Offsets[n-1].East)
	day := floor(local, secondsADay)
	return Date(day), int(local-day*secondsADay) / 60, true
}

// Validate refuses a zone that would give one instant two local times, or a date that cannot be.
func (z Zone) Validate() error {
	if len(z.Name) == 0 || len(z.Name) > maxWord {
		return fmt.Errorf("time zone name of %d bytes, want 1 to %d", len(z.Name), maxWord)
	}
	if len(z.Offsets) == 0 || len(z.Offsets) > MaxOffsets {
		return fmt.Errorf("time zone %q with %d offsets, want 1 to %d", z.Name, len(z.Offsets), MaxOffsets)
	}
	last := int64(0)
	for _, o := range z.Offsets {
		if o.From <= last || o.East < -maxEast || o.East > maxEast {
			return fmt.Errorf("time zone %q: offsets out of order or out of range", z.Name)
		}
		last = o.From
	}
	const end = int64(1) << 36 // the year 4147: a Date holds it
	if z.Until <= last || z.Until > end {
		return errors.New("time zone ends before its last offset, or never")
	}
	return nil
}

// floor divides towards the earlier: an instant before 1970 belongs to the day that it is on.
func floor(n, by int64) int64 {
	q := n / by
	if n%by < 0 {
		q--
	}
	return q
}
