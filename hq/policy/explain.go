package policy

import (
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strings"

	"github.com/lintel-access/lintel/access"
)

// Explain says in sentences what the doors of a compiled document do. people may be nil.
func (d *Document) Explain(out io.Writer, s access.Site, people []Person) {
	fmt.Fprintf(out, "%s, time zone %s, %s.\n", s.Name, s.Zone.Name, count(len(s.Doors), "door", "doors"))
	for _, door := range s.Doors {
		fmt.Fprintf(out, "\n%s\n", d.doorSentence(door))
		if len(door.Rules) == 0 {
			fmt.Fprint(out, "  Nobody may pass.\n")
		}
		for _, r := range door.Rules {
			fmt.Fprintf(out, "  %s\n", d.ruleSentence(s, r, people))
		}
		if asks := demands(door); asks != "" {
			fmt.Fprintf(out, "  %s\n", asks)
		}
	}
	if len(s.Holidays) > 0 {
		fmt.Fprint(out, "\nHolidays:\n")
	}
	for _, h := range d.Holidays {
		first, last := date(&h.From), date(h.Until)
		days := first.String()
		if last > first {
			days += " to " + last.String()
		}
		fmt.Fprintf(out, "  %s: %s (%s)\n", days, h.Name, h.Kind)
	}
}

func (d *Document) doorSentence(door access.SiteDoor) string {
	w := d.Doors[door.Name]
	from, to := w.sides(door.Name)
	exit := map[string]string{
		exitREX:    "Anybody can leave by it at any time.",
		exitReader: "It is left by being recognised, under the same rules.",
		exitNone:   "It is no way out.",
	}[w.Exit]
	return fmt.Sprintf("%s, from %s to %s. %s", titled(w.Title, door.Name), from, to, exit)
}

func (d *Document) ruleSentence(s access.Site, r access.Rule, people []Person) string {
	var who []string
	members := map[int]bool{}
	for g, name := range s.Groups {
		if !r.Groups.Has(g) {
			continue
		}
		who = append(who, titled(d.Groups[name].Title, name))
		for i, p := range people {
			if slices.Contains(p.Groups, name) {
				members[i] = true
			}
		}
	}
	text := strings.Join(who, ", ")
	if people != nil {
		text += " (" + count(len(members), "person", "people") + ")"
	}
	text += " may pass "
	if r.Schedule == 0 {
		text += "at all times"
		if r.Untimed() {
			text += ", even when the kiosk does not know the time"
		}
	} else {
		text += hours(s, s.Schedules[r.Schedule-1])
	}
	if r.From != 0 {
		text += fmt.Sprintf("; from %s %v on", weekdayNames[r.From.Weekday()], r.From)
	}
	if r.Until != 0 {
		text += fmt.Sprintf("; until %s %v, that day included", weekdayNames[r.Until.Weekday()], r.Until)
	}
	return text + "."
}

// hours are a schedule's, in words.
func hours(s access.Site, schedule access.Schedule) string {
	var parts []string
	for _, t := range byHours(schedule.Spans, func(p access.Span) (access.Days, string) { return p.Days & allWeek, spanText(p) }) {
		parts = append(parts, fmt.Sprintf("%s %s", dayNames(t.days), t.hours))
	}
	if len(parts) == 0 {
		parts = []string{"on no weekday"}
	}
	text := strings.Join(parts, ", ")
	for n, kind := range s.Kinds {
		switch own := holidayHours(schedule, access.HolidayKind(n)); {
		case schedule.Usual&access.HolidayKind(n) != 0:
			text += fmt.Sprintf("; on holidays of kind %s as on the weekday", kind)
		case own == "":
			text += fmt.Sprintf("; on holidays of kind %s not at all", kind)
		default:
			text += fmt.Sprintf("; on holidays of kind %s %s", kind, own)
		}
	}
	return text
}

func holidayHours(schedule access.Schedule, kind access.Days) string {
	var out []string
	for _, p := range schedule.Spans {
		if p.Days&kind != 0 {
			out = append(out, spanText(p))
		}
	}
	return strings.Join(out, " and ")
}

func spanText(p access.Span) string {
	switch {
	case p.From == 0 && p.To == minutesADay:
		return "all day"
	case p.To > minutesADay:
		return fmt.Sprintf("%s–%s of the next day", clock(int(p.From)), clock(int(p.To)-minutesADay))
	}
	return stretch{int(p.From), int(p.To)}.String()
}

type dayHours struct {
	days  access.Days
	hours string
}

// byHours puts days together that have the same hours, in the order of the week.
func byHours[T any](all []T, of func(T) (access.Days, string)) (out []dayHours) {
	var each [7][]string
	for _, a := range all {
		days, text := of(a)
		for d := range each {
			if days&access.Weekday(d) != 0 && !slices.Contains(each[d], text) {
				each[d] = append(each[d], text)
			}
		}
	}
	for d, texts := range each {
		text := strings.Join(texts, " and ")
		if text == "" {
			continue
		}
		if n := slices.IndexFunc(out, func(h dayHours) bool { return h.hours == text }); n >= 0 {
			out[n].days |= access.Weekday(d)
			continue
		}
		out = append(out, dayHours{access.Weekday(d), text})
	}
	return out
}

// dayNames is "Monday to Friday", "Monday, Wednesday" or "every day".
func dayNames(days access.Days) string {
	if days == allWeek {
		return "every day"
	}
	var out []string
	for d := 0; d < 7; d++ {
		if days&access.Weekday(d) == 0 {
			continue
		}
		run := bits.TrailingZeros16(uint16(^(days >> d)))
		if run >= 3 {
			out = append(out, weekdayNames[d]+" to "+weekdayNames[d+run-1])
			d += run
			continue
		}
		out = append(out, weekdayNames[d])
	}
	return strings.Join(out, ", ")
}

// stale is when a kiosk counts as that.
const stale = "without a word of headquarters for a day, or with orders kept from it for ten minutes"

// demands are what a door asks for beyond what its kiosk does by itself.
func demands(d access.SiteDoor) string {
	var out []string
	say := func(when bool, format string, args ...any) {
		if when {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	say(d.Profile != 0, "profile %v", d.Profile)
	say(d.NeedRelief, "relief needed")
	say(d.FalseMatchRate != 0, "false-match rate %.3g", d.FalseMatchRate)
	say(d.SiteOffset != 0, "site offset %.3g", d.SiteOffset)
	say(d.Margin != 0, "margin %.3g", d.Margin)
	say(d.LearnedBudget != 0, "learned check for %.3g of living people", d.LearnedBudget)
	say(d.Stale == access.EffectConfirm, "lets nobody pass without an operator's word while it is stale, and asks for the next higher profile: "+stale+"; nobody can say that word from afar while headquarters is out of reach")
	say(d.Stale == access.EffectDeny, "lets nobody pass while it is stale: "+stale)
	if t := d.Times; t.Release != 0 {
		relock := "locked again when their time is over"
		if t.RelockOnOpen {
			relock = "locked again once opened"
		}
		out = append(out, fmt.Sprintf("released for %v (%v for who needs longer), %s, held open after %v (%v), reminder %v before",
			t.Release, t.ExtendedRelease, relock, t.HeldOpen, t.ExtendedHeldOpen, t.PreAlarm))
	}
	if out == nil {
		return ""
	}
	return "Its kiosk: " + strings.Join(out, ", ") + "."
}

func titled(title, name string) string {
	if title == "" {
		return name
	}
	return title + " (" + name + ")"
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
