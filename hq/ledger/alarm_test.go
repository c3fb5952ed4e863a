package ledger

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/sync/wire"
)

// twin is a kiosk with the same keys and TPM, and a log of its own that begins as the first one's did.
func (d *double) twin(t testing.TB, n int) *double {
	t.Helper()
	other := &double{id: d.id, audit: d.audit, tpm: d.tpm, dir: filepath.Join(t.TempDir(), "twin"), times: map[[32]byte][]byte{}, boot: d.boot, counter: d.counter, clock: d.clock}
	other.open(t)
	list, err := d.log.Read(0, n)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if _, err := other.log.Append(auditlog.Vital, e.Record); err != nil {
			t.Fatal(err)
		}
	}
	return other
}

// started is a bench whose kiosk has sent ten records under a checkpoint.
func started(t testing.TB) *bench {
	t.Helper()
	b := newBench(t)
	b.add(t, 10)
	b.sign(t)
	b.mustSend(t, b.report(t, 0, 10), 10)
	return b
}

// again holds an alarm to its promise: told once, kept over a restart, told anew when it comes back after a day of quiet.
func (b *bench) again(t *testing.T, kind AlarmKind, do func()) {
	t.Helper()
	b.wantRings(t, kind.String())
	do()
	b.wantRings(t)
	b.reopen(t)
	do()
	b.wantRings(t)
	b.clock.pass(repeatAfter)
	do()
	b.wantRings(t, kind.String())
	r, err := Inspect(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	list, err := r.Alarms(b.name())
	if err != nil || len(list) != 1 || list[0].Kind != kind || !list[0].Open() || list[0].Text == "" {
		t.Errorf("%+v, %v", list, err)
	}
}

// Control: G5
func TestFork(t *testing.T) {
	for what, more := range map[string]int{"in what is here": 3, "in what is to come": 8} {
		t.Run(what, func(t *testing.T) {
			b := started(t)
			other := b.twin(t, 5)
			b.add(t, 5)
			b.sign(t)
			for range more {
				if _, err := other.log.Append(auditlog.Vital, other.record(access.EventDoorForcedOpen, 1)); err != nil {
					t.Fatal(err)
				}
			}
			if more == 8 { // of 13 records: below the 15 that come next
				b.Ingest(b.id, wire.Records{From: 10, Checkpoint: other.sign(t)})
				b.mustSend(t, b.report(t, 10, 10), 15)
			} else {
				b.mustRefuse(t, "another history", wire.Records{From: 10, Checkpoint: other.sign(t)}, 10)
				b.mustSend(t, b.report(t, 10, 10), 15)
			}
			b.again(t, AlarmFork, func() { b.mustRefuse(t, "another history", wire.Records{From: 15, Checkpoint: other.sign(t)}, 15) })
			b.same(t, 15)
		})
	}
}

// Two checkpoints of one size are a fork before a record of theirs has come.
//
// Control: G5
func TestForkAhead(t *testing.T) {
	b := started(t)
	other := b.twin(t, 10)
	b.add(t, 2)
	other.sessions = 1000
	other.add(t, 2)
	b.sign(t)
	b.mustSend(t, wire.Records{From: 10, Checkpoint: b.log.LastCheckpoint()}, 10)
	b.mustRefuse(t, "another history", wire.Records{From: 10, Checkpoint: other.sign(t)}, 10)
	b.wantRings(t, "fork")
}

// Control: G5
func TestRewind(t *testing.T) {
	b := started(t)
	other := b.twin(t, 5)
	b.mustSend(t, wire.Records{From: 10, Checkpoint: other.sign(t)}, 10) // nobody can tell it from an old one that came late
	b.wantRings(t)
	other.counter++
	b.mustSend(t, wire.Records{From: 10, Checkpoint: other.sign(t)}, 10)
	b.again(t, AlarmRewind, func() { b.mustSend(t, wire.Records{From: 10, Checkpoint: other.sign(t)}, 10) })

	// The counter alone went back.
	b = started(t)
	b.add(t, 1)
	b.counter--
	b.sign(t)
	b.mustSend(t, b.report(t, 10, 10), 11)
	b.wantRings(t, "rewind")

	// The TPM's clock tells an old checkpoint from one of a log that was put back.
	b = started(t)
	other = b.twin(t, 5)
	other.clock.Clock += 1000
	note := other.sign(t)
	c, err := openSigned(b.kiosk(), note, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.mustSend(t, wire.Records{From: 10, Checkpoint: note, Time: other.times[c.Time]}, 10)
	b.wantRings(t, "rewind")
}

// Control: G5
func TestClone(t *testing.T) {
	for what, set := range map[string]func(b *bench){
		"clock back":   func(b *bench) { b.double.clock.Clock = 0 },
		"reset back":   func(b *bench) { b.double.clock.ResetCount-- },
		"restart back": func(b *bench) { b.double.clock.RestartCount-- },
	} {
		t.Run(what, func(t *testing.T) {
			b := newBench(t)
			b.double.clock.ResetCount, b.double.clock.RestartCount, b.double.clock.Clock = 5, 5, 1000
			b.add(t, 10)
			b.sign(t)
			b.mustSend(t, b.report(t, 0, 10), 10)
			set(b)
			b.add(t, 1)
			b.sign(t)
			b.mustSend(t, b.report(t, 10, 10), 11) // it is the kiosk's record all the same
			b.wantRings(t, "clone")
		})
	}
}

// Two boots of one log go back and forth. A record that was taken over from the emergency log keeps its boot, and is no clone.
//
// Control: G5
func TestBootsGoBack(t *testing.T) {
	b := newBench(t)
	boots := func(list ...uint64) {
		for _, n := range list {
			r := access.Record{Version: access.RecordVersion, Event: access.EventBooted, Boot: n}
			if n == 1 {
				r.Detail = unvouched + "after a night without the TPM"
			}
			data, err := wire.Marshal(r)
			if err == nil {
				_, err = b.log.Append(auditlog.Vital, data)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		b.sign(t)
		from := b.kiosks[b.id].next()
		b.mustSend(t, b.report(t, from, 20), from+uint64(len(list)))
	}
	boots(4, 5, 1, 6)
	b.wantRings(t)
	b.reopen(t)
	boots(7)
	b.wantRings(t)
	b.reopen(t)
	boots(6)
	b.wantRings(t, "clone")
}

// Control: G5
func TestSilence(t *testing.T) {
	b := started(t)
	old := b.report(t, 0, 10)
	b.clock.pass(defaultSilence)
	b.Judge()
	b.wantRings(t)
	b.clock.pass(time.Second)
	b.mustSend(t, old, 10) // a replay is no sign of life
	b.mustSend(t, wire.Records{From: 10, Records: [][]byte{b.record(access.EventDoorOpened, 1)}}, 10)
	b.Judge()
	b.Judge()
	b.wantRings(t, "silence")
	b.sign(t) // nothing new but the TPM's clock
	m := b.report(t, 10, 1)
	for _, time := range [][]byte{nil, old.Time, {1}} {
		m.Time = time
		b.mustSend(t, m, 10)
		b.wantRings(t) // whoever takes the attestation away, or another's place, gains nothing
	}
	b.mustSend(t, b.report(t, 10, 1), 10)
	b.wantRings(t, "silence over")
}

// A kiosk that never said anything is missed, too.
func TestSilenceFromTheFirst(t *testing.T) {
	b := newBench(t)
	b.clock.pass(2 * defaultSilence)
	b.Judge()
	b.wantRings(t, "silence")
	b.reopen(t)
	b.clock.pass(2 * defaultSilence)
	b.Judge()
	b.wantRings(t)
}

// Control: G5
func TestGap(t *testing.T) {
	for what, m := range map[string]func(b *bench) wire.Records{
		"records that follow others": func(b *bench) wire.Records { m := b.report(t, 15, 5); m.Checkpoint = nil; return m },
		"records that are signed for": func(b *bench) wire.Records {
			m := b.report(t, 10, 5)
			m.Records, m.Proof = nil, nil
			return m
		},
	} {
		t.Run(what, func(t *testing.T) {
			b := started(t)
			b.add(t, 10)
			b.sign(t)
			b.mustSend(t, m(b), 10)
			b.clock.pass(defaultGap)
			b.Judge()
			b.wantRings(t)
			b.clock.pass(time.Second)
			b.Judge()
			b.Judge()
			b.wantRings(t, "gap")
			b.mustSend(t, b.report(t, 10, 10), 20)
			b.wantRings(t, "gap over")
		})
	}
}

// What a kiosk had signed for is missed by the next ledger, too.
func TestGapOverARestart(t *testing.T) {
	b := started(t)
	b.add(t, 10)
	b.mustSend(t, wire.Records{From: 10, Checkpoint: b.sign(t)}, 10)
	b.reopen(t)
	b.clock.pass(defaultGap + time.Second)
	b.Judge()
	b.wantRings(t, "gap")
	b.mustSend(t, b.report(t, 10, 10), 20)
	b.wantRings(t, "gap over")
}

func TestSignatureOfTheClock(t *testing.T) {
	b := newBench(t)
	b.add(t, 1)
	b.double.tpm = newKey(t) // not the one that headquarters knows
	b.sign(t)
	b.mustRefuse(t, "another TPM's clock", b.report(t, 0, 1), 0)
	b.wantRings(t, "bad signature")
}

// A checkpoint that a key signed for another log is no word of this kiosk.
func TestCheckpointOfAnotherOrigin(t *testing.T) {
	b := newBench(t)
	note, err := proof.Checkpoint{Origin: "lintel/0", Size: 0}.Sign(b.audit)
	if err != nil {
		t.Fatal(err)
	}
	b.mustRefuse(t, "another origin", wire.Records{Checkpoint: note}, 0)
	b.wantRings(t, "bad signature")
}

// Each alarm has a word and a remedy, and docs/LEDGER.md has both.
func TestAlarmsInTheManual(t *testing.T) {
	page, err := os.ReadFile("../../docs/LEDGER.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for k := AlarmKind(1); !strings.HasPrefix(k.String(), "alarm "); k++ {
		n++
		if row := "| " + k.String() + " |"; !strings.Contains(string(page), row) || !strings.Contains(string(page), k.Remedy()) {
			t.Errorf("docs/LEDGER.md lacks %q with its remedy %q", row, k.Remedy())
		}
	}
	if unknown := AlarmKind(200); n != 16 || !strings.Contains(unknown.String(), "200") || unknown.Remedy() == "" {
		t.Errorf("%d kinds; an unknown one reads %q", n, unknown)
	}
}
