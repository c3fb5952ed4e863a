package ledger

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
)

// Line is the event for a person to read. Text that a kiosk wrote is quoted: it must not move the cursor.
func (e Event) Line(zone *time.Location) string {
	if e.Alarm != nil {
		return e.alarmLine(zone)
	}
	var b strings.Builder
	r := e.Decoded
	if e.Known && r.Clock == access.ClockTrusted {
		b.WriteString(stamp(time.Unix(r.Wall, 0), zone))
	} else {
		b.WriteString(stamp(e.Arrived, zone))
	}
	if !e.Known {
		fmt.Fprintf(&b, "  alert    record of %d bytes in a layout that this program does not know: %s", len(e.Record), hex.EncodeToString(e.Record))
	} else {
		fmt.Fprintf(&b, "  %-7s  %q  %v", r.Event.Severity(), r.Door, r.Event)
		if r.Reason != 0 {
			fmt.Fprintf(&b, "  reason: %v", r.Reason)
		}
		if r.Session != (access.SessionID{}) {
			fmt.Fprintf(&b, "  session %v", r.Session)
		}
		if r.Subject != [16]byte{} {
			fmt.Fprintf(&b, "  subject %x", r.Subject)
		}
		if r.Detail != "" {
			fmt.Fprintf(&b, "  %q", r.Detail)
		}
		if r.Clock != access.ClockTrusted {
			b.WriteString("  [clock untrusted: time of arrival]")
		}
	}
	fmt.Fprintf(&b, "  %s #%d", e.Kiosk[:8], e.Index)
	if !e.Vouched {
		b.WriteString("  [not vouched for yet]")
	}
	if e.Replaces {
		b.WriteString("  [what was shown before under this number was not the kiosk's]")
	}
	return b.String()
}

func (e Event) alarmLine(zone *time.Location) string {
	a, door := e.Alarm, ""
	if e.Door != "" {
		door = fmt.Sprintf("%q  ", e.Door)
	}
	if !a.Open() {
		return fmt.Sprintf("%s  notice   %sALARM OVER: %v, since %s  %s", stamp(time.UnixMilli(a.Ended), zone), door, a.Kind, stamp(time.UnixMilli(a.Since), zone), e.Kiosk[:8])
	}
	return fmt.Sprintf("%s  alert    %sALARM: %v: %q; %s  %s", stamp(time.UnixMilli(a.Since), zone), door, a.Kind, a.Text, a.Kind.Remedy(), e.Kiosk[:8])
}

func stamp(t time.Time, zone *time.Location) string { return t.In(zone).Format(time.RFC3339) }

// jsonEvent is a line of hq events -json. Fields are added, never changed.
type jsonEvent struct {
	Kiosk    string     `json:"kiosk"`
	Index    uint64     `json:"index"`
	Arrived  string     `json:"arrived,omitempty"` // RFC 3339, headquarters' clock
	Vouched  bool       `json:"vouched"`
	Replaces bool       `json:"replaces,omitempty"`
	Event    uint16     `json:"event,omitempty"`
	Name     string     `json:"name,omitempty"`
	Severity string     `json:"severity"`
	Door     string     `json:"door,omitempty"`
	Boot     uint64     `json:"boot,omitempty"`
	Wall     int64      `json:"wall,omitempty"` // Unix seconds by the kiosk's clock
	Trusted  bool       `json:"clock_trusted,omitempty"`
	Session  string     `json:"session,omitempty"`
	Verdict  string     `json:"verdict,omitempty"` // of events that have a session
	Reason   string     `json:"reason,omitempty"`
	Subject  string     `json:"subject,omitempty"` // pseudonym, hexadecimal
	Detail   string     `json:"detail,omitempty"`
	Record   string     `json:"record,omitempty"` // hexadecimal: the very bytes that the kiosk hashed
	Alarm    *jsonAlarm `json:"alarm,omitempty"`
}

type jsonAlarm struct {
	Kind   string `json:"kind"`
	Since  string `json:"since"`
	Ended  string `json:"ended,omitempty"`
	Text   string `json:"text"`
	Remedy string `json:"remedy"`
	Count  uint64 `json:"count"`
}

// JSON is the event as one line for a program, without its end.
func (e Event) JSON() ([]byte, error) {
	j := jsonEvent{Kiosk: e.Kiosk, Door: e.Door, Severity: access.Alert.String()}
	if a := e.Alarm; a != nil {
		j.Alarm = &jsonAlarm{Kind: a.Kind.String(), Since: stamp(time.UnixMilli(a.Since), time.UTC), Text: a.Text, Remedy: a.Kind.Remedy(), Count: a.Count}
		if !a.Open() {
			j.Severity, j.Alarm.Ended = access.Notice.String(), stamp(time.UnixMilli(a.Ended), time.UTC)
		}
		return json.Marshal(j)
	}
	j.Index, j.Arrived, j.Vouched, j.Replaces = e.Index, e.Arrived.UTC().Format(time.RFC3339Nano), e.Vouched, e.Replaces
	j.Record = hex.EncodeToString(e.Record)
	if r := e.Decoded; e.Known {
		j.Event, j.Name, j.Severity, j.Door = uint16(r.Event), r.Event.String(), r.Event.Severity().String(), r.Door
		j.Boot, j.Wall, j.Trusted, j.Detail = r.Boot, r.Wall, r.Clock == access.ClockTrusted, r.Detail
		if r.Session != (access.SessionID{}) {
			j.Session = r.Session.String()
			if r.Event.Concludes() && r.Event != access.EventEnrolled {
				j.Verdict = r.Verdict.String()
			}
		}
		if r.Reason != 0 {
			j.Reason = r.Reason.String()
		}
		if r.Subject != [16]byte{} {
			j.Subject = hex.EncodeToString(r.Subject[:])
		}
	}
	return json.Marshal(j)
}
