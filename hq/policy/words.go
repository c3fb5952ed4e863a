package policy

import (
	"fmt"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/lintel-access/lintel/access"
)

var weekdays = [...]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

const allWeek access.Days = 1<<7 - 1

// parseDays reads days as "mon", "mon-fri" or "mon,wed,fri"; "sat-mon" runs over the week's end.
func parseDays(s string) (set access.Days, err error) {
	for _, part := range strings.Split(s, ",") {
		first, last, ranged := strings.Cut(part, "-")
		a, b := weekday(first), weekday(last)
		if !ranged {
			b = a
		}
		if a < 0 || b < 0 {
			return 0, fmt.Errorf("%q is no day: want mon, tue, wed, thu, fri, sat, sun, as in mon-fri or mon,wed", part)
		}
		for d := a; ; d = (d + 1) % len(weekdays) {
			if set&access.Weekday(d) != 0 {
				return 0, fmt.Errorf("%q names %s twice", s, weekdays[d])
			}
			set |= access.Weekday(d)
			if d == b {
				break
			}
		}
	}
	return set, nil
}

func weekday(s string) int {
	for i, d := range weekdays {
		if d == s {
			return i
		}
	}
	return -1
}

// parseHours reads "07:00-19:00". An end that is not after the beginning is on the next day; 24:00 is the midnight that ends the day.
func parseHours(s string) (from, to uint16, err error) {
	a, b, ok := strings.Cut(s, "-")
	if !ok {
		return 0, 0, fmt.Errorf("%q: want hours as 07:00-19:00", s)
	}
	if from, err = parseMinute(a); err != nil {
		return 0, 0, err
	}
	if to, err = parseMinute(b); err != nil {
		return 0, 0, err
	}
	switch {
	case from == minutesADay:
		return 0, 0, fmt.Errorf("%q: nothing begins at 24:00; want 00:00 of the next day", s)
	case from == to:
		return 0, 0, fmt.Errorf("%q begins when it ends; want 00:00-24:00 for a whole day", s)
	case to < from:
		to += minutesADay
	}
	return from, to, nil
}

const minutesADay = 24 * 60

func parseMinute(s string) (uint16, error) {
	if s == "24:00" {
		return minutesADay, nil
	}
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != len("15:04") {
		return 0, fmt.Errorf("%q is no time of the day: want two digits for hours and minutes, as 07:00", s)
	}
	return uint16(t.Hour()*60 + t.Minute()), nil
}

// date is the day that somebody wrote; nil is no date.
func date(d *toml.LocalDate) access.Date {
	if d == nil {
		return 0
	}
	return access.MakeDate(d.Year, time.Month(d.Month), d.Day)
}

// Years that a policy may speak of: before them nobody kept a door with it, and after them its time zone ends.
const (
	firstYear = 2020
	lastYear  = 2099
)

func checkDate(d *toml.LocalDate) error {
	if d != nil && (d.Year < firstYear || d.Year > lastYear) {
		return fmt.Errorf("%v: want a year from %d to %d", d, firstYear, lastYear)
	}
	return nil
}
