package ledger

import (
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
)

// A carrier that lets each checkpoint through a little later than the one before, always within the silence, is found by the TPM's clock.
//
// Control: G5
func TestSlowCarrier(t *testing.T) {
	b := started(t)
	b.wantRings(t)
	type held struct {
		note, time []byte
	}
	var line []held // what the kiosk has signed and the carrier still holds
	minute, next := 0, 0
	hidden := time.Duration(0)
	for second := range 3600 {
		b.clock.pass(time.Second)
		b.Judge()
		if second%60 == 59 {
			note := b.sign(t)
			c, err := openSigned(b.kiosk(), note, nil)
			if err != nil {
				t.Fatal(err)
			}
			line = append(line, held{note, b.times[c.Time]})
			minute++
		}
		if second%89 == 88 && next < len(line) {
			m := b.report(t, 10, 1)
			m.Checkpoint, m.Time = line[next].note, line[next].time
			next++
			b.mustSend(t, m, 10)
			hidden = time.Duration(second-(60*next-1)) * time.Second
		}
		if len(b.rings) > 0 {
			break
		}
	}
	b.wantRings(t, "delay")
	if hidden > 3*time.Minute {
		t.Errorf("%v were hidden before it was seen", hidden)
	}
	b.mustSend(t, b.report(t, 10, 1), 10) // the newest one: the carrier has given up
	b.wantRings(t, "delay over")
}

// What a slow oscillator, a power cut and a night without a network do is no delay.
func TestNoDelay(t *testing.T) {
	b := started(t)
	for range 24 * 6 { // a day on a TPM that loses half a percent
		b.clock.pass(10 * time.Minute)
		b.double.clock.Clock -= 3000
		b.sign(t)
		b.mustSend(t, b.report(t, 10, 1), 10)
	}
	b.wantRings(t)
	b.reopen(t)
	b.clock.pass(10 * time.Hour)
	b.double.clock.Clock -= uint64((9 * time.Hour).Milliseconds()) // it had no power
	b.double.clock.ResetCount++
	b.sign(t)
	b.mustSend(t, b.report(t, 10, 1), 10)
	b.wantRings(t)
}

// Whoever takes the attestations away hides neither a clone nor a rewind by it, and is seen.
//
// Control: G5
func TestClockWithheld(t *testing.T) {
	b := started(t)
	b.double.clock.ResetCount = 3
	b.sign(t)
	b.mustSend(t, b.report(t, 10, 1), 10)
	for range 2 { // a minute later without, and once more
		b.clock.pass(time.Minute)
		b.Judge()
		b.wantRings(t)
		if _, err := b.log.Append(auditlog.Vital, b.record(access.EventDoorOpened, 1)); err != nil {
			t.Fatal(err)
		}
		b.sign(t)
		m := b.report(t, b.kiosks[b.id].next(), 5)
		m.Time = nil
		if _, err := b.send(m); err != nil {
			t.Fatal(err)
		}
	}
	b.clock.pass(defaultSilence - time.Minute + time.Second)
	b.Judge()
	b.wantRings(t, "clock withheld")
	b.double.clock.ResetCount = 2 // and the TPM is another one, behind the carrier's back
	b.add(t, 1)
	b.sign(t)
	b.mustSend(t, b.report(t, 12, 5), 13)
	b.wantRings(t, "clone")
	b.double.clock.ResetCount = 4
	b.add(t, 1)
	b.sign(t)
	b.mustSend(t, b.report(t, 13, 5), 14)
	b.wantRings(t, "clock withheld over")
}
