package policy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"
	_ "time/tzdata" // for machines whose system has no tz database; one that it has comes first, for it may be newer
	"unicode"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// MaxText is the largest document that is read, bytes.
const MaxText = wire.MaxDocument

// MaxEncoded is the largest compiled form, bytes: a kiosk's vault keeps it with what belongs to it in 64 KiB.
const MaxEncoded = 60 << 10

// zoneYears is how long a compiled zone is good for: longer than any kiosk goes without a new policy.
const zoneYears = 20

// Built is a document with all that comes of it.
type Built struct {
	Text     []byte    // as it was given
	Document *Document // nil when it could not be read
	Site     access.Site
	Encoded  []byte // what an administrator may sign; nil when a finding is an error
	Today    access.Date
	Findings []Finding
}

// Build reads, compiles and checks a document as of an instant: the one way to bytes that may come into force. people may be nil.
func Build(text []byte, people []Person, now time.Time) (b Built) {
	b.Text = text
	if b.Document, b.Findings = Read(text); b.Document == nil {
		return b
	}
	if b.Site, b.Findings = b.Document.Compile(now); Refused(b.Findings) {
		return b
	}
	b.Today, _, _ = b.Site.Zone.Local(now.Unix())
	if b.Findings = b.Document.Check(b.Site, people, b.Today); Refused(b.Findings) {
		return b
	}
	var err error
	if b.Encoded, err = Encode(b.Site); err != nil {
		b.Findings = append(b.Findings, wrong(0, "%v", err))
	}
	return b
}

// Compile makes what kiosks decide by. on is the day on which it is compiled; nothing but the local time of the years after it rests on it. After an
// error the Site is not valid.
func (d *Document) Compile(on time.Time) (access.Site, []Finding) {
	c := compiler{Document: d}
	c.site = access.Site{Format: access.SiteFormat, Text: sha256.Sum256(d.text), Name: d.Site}
	if d.Format != access.SiteFormat {
		c.wrong(d.lines.of("format"), "format = %d: want %d", d.Format, access.SiteFormat)
	}
	var err error
	if c.site.Zone, err = zone(d.Zone, on); err != nil {
		c.wrong(d.lines.of("zone"), "%v", err)
	}
	c.site.Groups = slices.Sorted(maps.Keys(d.Groups))
	if len(c.site.Groups) > access.MaxGroups {
		c.wrong(d.lines.of("groups"), "%d groups, at most %d", len(c.site.Groups), access.MaxGroups)
		return c.site, c.found
	}
	c.printable()
	c.holidays()
	names := slices.Sorted(maps.Keys(d.Schedules))
	for _, name := range names {
		c.schedule(name, d.Schedules[name])
	}
	for _, name := range slices.Sorted(maps.Keys(d.Doors)) {
		c.door(name, d.Doors[name], names)
	}
	if c.found == nil {
		// What is left to refuse has no line of its own: too many of something.
		if _, err := Encode(c.site); err != nil {
			c.wrong(0, "%v", err)
		}
	}
	return c.site, c.found
}

// Encode is the form that is signed and that kiosks decode.
func Encode(s access.Site) ([]byte, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	data, err := wire.Marshal(s)
	if err == nil && len(data) > MaxEncoded {
		err = fmt.Errorf("%d bytes when compiled, at most %d", len(data), MaxEncoded)
	}
	return data, err
}

type compiler struct {
	*Document
	site  access.Site
	found []Finding
}

func (c *compiler) wrong(line int, format string, args ...any) {
	c.found = append(c.found, wrong(line, format, args...))
}

// printable refuses words that could write lines of their own into what check says of the document: an administrator signs by reading that.
func (c *compiler) printable() {
	look := func(line int, what, words string) {
		if strings.ContainsFunc(words, func(r rune) bool { return !unicode.IsPrint(r) }) {
			c.wrong(line, "%s %q has characters that cannot be shown", what, words)
		}
	}
	look(c.lines.of("site"), "site", c.Site)
	for name, g := range c.Groups {
		look(c.lines.of("groups.%s.title", name), fmt.Sprintf("title of group %q", name), g.Title)
	}
	for name, d := range c.Doors {
		look(c.lines.of("doors.%s.title", name), fmt.Sprintf("title of door %q", name), d.Title)
	}
	for _, h := range c.Holidays {
		look(c.lines.of("holidays"), "holiday", h.Name)
	}
}

// zone writes down what a place's clocks do, from the year before a day on.
func zone(name string, on time.Time) (access.Zone, error) {
	if name == "" || name == "Local" {
		return access.Zone{}, errors.New(`no time zone: want the name of one, as zone = "Europe/Berlin"`)
	}
	place, err := time.LoadLocation(name)
	if err != nil {
		return access.Zone{}, fmt.Errorf("time zone %q is not known: want one of the tz database, as Europe/Berlin", name)
	}
	first := time.Date(on.UTC().Year()-1, 1, 1, 0, 0, 0, 0, time.UTC)
	east := func(unix int64) int32 {
		_, seconds := time.Unix(unix, 0).In(place).Zone()
		return int32(seconds)
	}
	at := first.Unix()
	z := access.Zone{Name: name, Offsets: []access.Offset{{From: at, East: east(at)}}, Until: first.AddDate(zoneYears+1, 0, 0).Unix()}
	// Day by day, for time.Time.ZoneBounds names an end that is not after its instant on the last day of a leap year. No place changes twice in a day.
	const day = 24 * 60 * 60
	for ; at < z.Until; at += day {
		was := z.Offsets[len(z.Offsets)-1].East
		if east(at+day) == was {
			continue
		}
		second := sort.Search(day, func(n int) bool { return east(at+int64(n)) != was })
		z.Offsets = append(z.Offsets, access.Offset{From: at + int64(second), East: east(at + int64(second))})
	}
	return z, z.Validate()
}

func (c *compiler) holidays() {
	kinds := map[string]bool{}
	for _, h := range c.Holidays {
		kinds[h.Kind] = true
	}
	c.site.Kinds = slices.Sorted(maps.Keys(kinds))
	if len(c.site.Kinds) > access.MaxHolidayKinds {
		c.wrong(c.lines.of("holidays"), "%d kinds of holiday, at most %d", len(c.site.Kinds), access.MaxHolidayKinds)
		c.site.Kinds = c.site.Kinds[:access.MaxHolidayKinds]
		return
	}
	taken := map[access.Date]string{}
	for i, h := range c.Holidays {
		line := c.lines.of("holidays[%d]", i)
		if h.Kind == "" || h.Kind == usual {
			c.wrong(line, "holiday %q has no kind", h.Name)
			continue
		}
		first, last := date(&h.From), date(h.Until)
		if h.Until == nil {
			last = first
		}
		if err := errors.Join(checkDate(&h.From), checkDate(h.Until)); err != nil {
			c.wrong(line, "holiday %q: %v", h.Name, err)
			continue
		}
		if last < first || last-first > 366 {
			c.wrong(line, "holiday %q from %v until %v: want 1 to 366 days", h.Name, first, last)
			continue
		}
		for d := first; d <= last; d++ {
			if other, ok := taken[d]; ok {
				c.wrong(line, "%v is %q and %q: want one holiday a day", d, other, h.Name)
				break
			}
			taken[d] = h.Name
			c.site.Holidays = append(c.site.Holidays, access.Holiday{Day: d, Kind: uint8(slices.Index(c.site.Kinds, h.Kind))})
		}
	}
	slices.SortFunc(c.site.Holidays, func(a, b access.Holiday) int { return int(a.Day - b.Day) })
}

func (c *compiler) schedule(name string, s schedule) {
	out := access.Schedule{Name: name}
	if name == always {
		c.wrong(c.lines.of("schedules.%s", name), "%q is the schedule that always runs; want another name", name)
	}
	if len(s.Week) == 0 && len(s.Holidays) == 0 {
		c.wrong(c.lines.of("schedules.%s", name), "schedule %q has no hours", name)
	}
	for _, days := range slices.Sorted(maps.Keys(s.Week)) {
		line := c.lines.of("schedules.%s.week.%s", name, days)
		set, err := parseDays(days)
		if err != nil {
			c.wrong(line, "schedule %q: %v", name, err)
			continue
		}
		c.hours(&out, line, set, s.Week[days])
	}
	for _, kind := range slices.Sorted(maps.Keys(s.Holidays)) {
		line := c.lines.of("schedules.%s.holidays.%s", name, kind)
		n := slices.Index(c.site.Kinds, kind)
		switch hours := s.Holidays[kind]; {
		case n < 0:
			c.wrong(line, "schedule %q: no holiday is of kind %q", name, kind)
		case len(hours) == 1 && hours[0] == usual:
			out.Usual |= access.HolidayKind(n)
		default:
			c.hours(&out, line, access.HolidayKind(n), hours)
		}
	}
	slices.SortFunc(out.Spans, func(a, b access.Span) int {
		if a.From != b.From {
			return int(a.From) - int(b.From)
		}
		return int(a.Days) - int(b.Days)
	})
	c.site.Schedules = append(c.site.Schedules, out)
}

func (c *compiler) hours(out *access.Schedule, line int, days access.Days, hours []string) {
	for _, h := range hours {
		from, to, err := parseHours(h)
		if err != nil {
			c.wrong(line, "schedule %q: %v", out.Name, err)
			continue
		}
		out.Spans = append(out.Spans, access.Span{Days: days, From: from, To: to})
	}
}
