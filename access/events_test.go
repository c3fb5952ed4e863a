package access_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/access"
)

// goldenEvents are the numbers as they were first written. Lines are added, never changed: a number stands in audit logs that
// nobody can rewrite.
var goldenEvents = []struct {
	number   uint16
	name     string
	severity string
}{
	{0, "nothing happened", "info"},
	{100, "booted", "notice"},
	{101, "shut down", "notice"},
	{102, "degraded mode entered", "warning"},
	{103, "degraded mode left", "notice"},
	{104, "eye lost", "warning"},
	{105, "eye came back", "notice"},
	{106, "link lost", "warning"},
	{107, "link came back", "notice"},
	{108, "indicator failed", "warning"},
	{109, "stranger refused", "warning"},
	{110, "self-test passed", "notice"},
	{111, "self-test failed", "alert"},
	{112, "powered on", "notice"},
	{113, "door hung", "alert"},
	{200, "walk-up granted", "info"},
	{201, "walk-up denied", "notice"},
	{202, "walk-up ended for a retry", "info"},
	{203, "walk-up left uncertain", "notice"},
	{204, "presentation refused", "warning"},
	{205, "lamp answered wrongly", "warning"},
	{206, "unresolved grant found", "warning"},
	{207, "duress signalled", "alert"},
	{208, "failures limited", "warning"},
	{209, "walk-up abandoned", "info"},
	{210, "uncertain walk-up settled", "notice"},
	{220, "abuse bundle made", "notice"},
	{221, "abuse bundle expired", "notice"},
	{222, "abuse bundle dropped", "warning"},
	{223, "abuse bundle not made", "warning"},
	{230, "recurrence flagged", "warning"},
	{231, "recurrence reviewed", "notice"},
	{232, "following begun", "notice"},
	{300, "door released", "info"},
	{301, "door opened", "info"},
	{302, "door closed", "info"},
	{303, "door relocked", "info"},
	{304, "release expired unused", "notice"},
	{305, "held-open pre-alarm sounded", "notice"},
	{306, "door held open", "warning"},
	{307, "door forced open", "alert"},
	{308, "exit requested", "info"},
	{309, "lockdown set", "warning"},
	{310, "lockdown lifted", "notice"},
	{311, "fire release started", "alert"},
	{312, "fire release ended", "warning"},
	{313, "enclosure opened", "alert"},
	{314, "enclosure closed", "notice"},
	{315, "release refused", "notice"},
	{316, "relay secured by its guard", "warning"},
	{317, "door found open", "warning"},
	{318, "portal started", "notice"},
	{319, "portal stopped", "notice"},
	{320, "wiring test started", "warning"},
	{321, "line tested", "notice"},
	{322, "wiring test ended", "notice"},
	{400, "person enrolled", "notice"},
	{401, "enrolment refused", "notice"},
	{402, "person revoked", "notice"},
	{403, "person suspended", "notice"},
	{404, "person resumed", "notice"},
	{405, "person deleted", "notice"},
	{406, "look-alike reported", "notice"},
	{407, "person locked out", "warning"},
	{408, "person lockout ended", "notice"},
	{500, "storage ran low", "warning"},
	{501, "audit write failed", "alert"},
	{502, "events lost", "warning"},
	{503, "audit log repaired", "warning"},
	{504, "audit log cut off", "alert"},
	{505, "records expired", "notice"},
	{506, "emergency log taken over", "warning"},
	{507, "checkpoint failed", "warning"},
	{508, "records reviewed", "notice"},
	{600, "policy changed", "notice"},
	{601, "policy refused", "warning"},
	{602, "clock became trusted", "notice"},
	{603, "clock became untrusted", "warning"},
	{604, "configuration changed", "notice"},
	{605, "command refused", "warning"},
	{700, "model bundle changed", "notice"},
	{701, "execution provider dropped", "warning"},
	{702, "camera changed", "alert"},
	{703, "camera stalled", "warning"},
	{800, "vault refused", "alert"},
	{801, "templates re-keyed", "notice"},
	{802, "retention removed data", "notice"},
	{803, "door limit lifted", "notice"},
	{900, "TPM silent", "alert"},
	{901, "TPM answers again", "notice"},
	{902, "measurements differ", "alert"},
	{903, "kiosk provisioned", "notice"},
	{1000, "update offered", "notice"},
	{1001, "update fetched", "info"},
	{1002, "update verified", "notice"},
	{1003, "update written", "notice"},
	{1004, "update trial begun", "notice"},
	{1005, "update confirmed", "notice"},
	{1006, "update reverted", "warning"},
	{1007, "update refused", "warning"},
	{1100, "headquarters reached", "notice"},
	{1101, "headquarters lost", "warning"},
	{1102, "command applied", "notice"},
	{1103, "message of headquarters refused", "warning"},
	{1104, "headquarters' stream forked", "alert"},
	{1105, "command missing", "info"},
	{1106, "order refused", "warning"},
	{1107, "trust changed", "warning"},
	{1108, "exchange key made", "notice"},
	{1109, "certificate changed", "notice"},
	{1110, "remote release asked for", "info"},
	{1111, "remote release granted", "notice"},
	{1112, "remote release refused", "warning"},
	{1113, "headquarters stale", "warning"},
	{1114, "headquarters no longer stale", "notice"},
	{1115, "recognition disabled", "warning"},
	{1116, "recognition enabled", "notice"},
	{1117, "kiosk decommissioned", "alert"},
	{1118, "records acknowledged wrongly", "alert"},
	{1119, "headquarters adopted", "warning"},
	{1120, "headquarters foreign", "alert"},
	{1121, "supervised enrolment begun", "notice"},
	{1122, "headquarters' time leapt", "alert"},
	{1135, "rules missing", "warning"},
}

// TestEventsNeverRenumbered compares every number that an Event can hold with the golden list: a changed number, a number used
// twice, a new event that the list does not know, a lost one.
func TestEventsNeverRenumbered(t *testing.T) {
	want := map[uint16]string{}
	names := map[string]uint16{}
	last := -1
	for _, g := range goldenEvents {
		if int(g.number) <= last {
			t.Errorf("golden event %d does not follow %d", g.number, last)
		}
		last = int(g.number)
		if other, taken := names[g.name]; taken {
			t.Errorf("events %d and %d are both called %q", other, g.number, g.name)
		}
		names[g.name] = g.number
		want[g.number] = g.name + ", " + g.severity
	}
	for n := range 1 << 16 {
		e := access.Event(n)
		switch g, golden := want[uint16(n)]; {
		case golden != e.Known():
			t.Errorf("event %d: in the code %v, in the golden list %v", n, e.Known(), golden)
		case golden && e.String()+", "+e.Severity().String() != g:
			t.Errorf("event %d is %q, %v; it was %q", n, e, e.Severity(), g)
		case !golden && (e.String() != fmt.Sprintf("event %d", n) || e.Severity() != access.Alert):
			t.Errorf("unknown event %d reads %q, %v", n, e, e.Severity())
		}
	}
	if access.Severity(9).String() != "alert (severity 9)" {
		t.Errorf("unknown severity reads %q", access.Severity(9))
	}
}

// TestEventsDocument compares docs/EVENTS.md with the code, row by row.
func TestEventsDocument(t *testing.T) {
	page, err := os.ReadFile("../docs/EVENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	rows, last := map[string]string{}, 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 {
			continue
		}
		number := strings.TrimSpace(cells[1])
		if number == "number" || strings.HasPrefix(number, "-") {
			continue
		}
		if _, twice := rows[number]; twice {
			t.Errorf("docs/EVENTS.md lists %s twice", number)
		}
		if n, err := strconv.Atoi(number); err == nil && n < last {
			t.Errorf("docs/EVENTS.md lists %d after %d", n, last)
		} else if err == nil {
			last = n
		}
		rows[number] = strings.TrimSpace(cells[2]) + ", " + strings.TrimSpace(cells[3])
		if strings.TrimSpace(cells[4]) == "" || strings.TrimSpace(cells[5]) == "" {
			t.Errorf("docs/EVENTS.md does not say what %s means and what to do", number)
		}
	}
	for _, g := range goldenEvents {
		number := fmt.Sprint(g.number)
		if g.number == 0 {
			continue
		}
		if want := g.name + ", " + g.severity; rows[number] != want {
			t.Errorf("docs/EVENTS.md has %q for %s, the code %q", rows[number], number, want)
		}
		delete(rows, number)
	}
	for number, row := range rows {
		t.Errorf("docs/EVENTS.md has %q for %s, the code has no such event", row, number)
	}
}
