package ledger

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Alarm is something about a kiosk's records that somebody must look into.
type Alarm struct {
	Kind     AlarmKind `cbor:"1,keyasint"`
	Since    int64     `cbor:"2,keyasint"` // Unix milliseconds
	Last     int64     `cbor:"3,keyasint"` // when it was last seen again
	Ended    int64     `cbor:"4,keyasint"` // 0: it has not
	Text     string    `cbor:"5,keyasint"` // what was seen
	Evidence []byte    `cbor:"6,keyasint"` // the checkpoint that shows it, where one does
	Count    uint64    `cbor:"7,keyasint"` // times that it was seen
}

// AlarmKind says what is wrong.
type AlarmKind uint8

// Append only, never renumbered: they stand on disk.
const (
	AlarmFork         AlarmKind = 1  // the kiosk signed two histories
	AlarmRewind       AlarmKind = 2  // the kiosk signed fewer records, or a lower counter, than before
	AlarmClone        AlarmKind = 3  // the TPM's clock or the boots of the log went back
	AlarmContradicted AlarmKind = 4  // records came that the kiosk's signature contradicts
	AlarmSignature    AlarmKind = 5  // a checkpoint is not signed by this kiosk
	AlarmGap          AlarmKind = 6  // records are missing for too long
	AlarmSilence      AlarmKind = 7  // the kiosk has signed nothing new for too long
	AlarmUnreadable   AlarmKind = 8  // a record is of a layout that this program does not know
	AlarmDelay        AlarmKind = 9  // what the kiosk signs comes later and later
	AlarmClock        AlarmKind = 10 // attestations of the TPM's clock are kept back

	// What follows whoever serves the kiosks finds, and says by Raise.
	AlarmStranger AlarmKind = 11 // the kiosk stands at a command that headquarters never gave
	AlarmFlood    AlarmKind = 12 // the kiosk sends more than anybody has to say
	AlarmGarbage  AlarmKind = 13 // the kiosk sends what no kiosk says
	AlarmKey      AlarmKind = 14 // the kiosk offers an exchange key that its TPM does not attest
	AlarmLost     AlarmKind = 15 // an order for the kiosk cannot be read any more
	AlarmDamage   AlarmKind = 16 // the kiosk's ledger cannot be opened
)

// ends reports whether such an alarm ends by itself, when what was missing comes; the others a person ends.
func (k AlarmKind) ends() bool {
	return k == AlarmGap || k == AlarmSilence || k == AlarmDelay || k == AlarmClock
}

// repeatAfter is how long an alarm must have been quiet to be raised anew: what goes on is one alarm, what comes back next week another.
const repeatAfter = 24 * time.Hour

// maxText bounds what an alarm says, in bytes: some of it repeats what a carrier wrote.
const maxText = 500

// String is the word for the alarm.
func (k AlarmKind) String() string {
	switch k {
	case AlarmFork:
		return "fork"
	case AlarmRewind:
		return "rewind"
	case AlarmClone:
		return "clone"
	case AlarmContradicted:
		return "contradicted"
	case AlarmSignature:
		return "bad signature"
	case AlarmGap:
		return "gap"
	case AlarmSilence:
		return "silence"
	case AlarmUnreadable:
		return "unreadable record"
	case AlarmDelay:
		return "delay"
	case AlarmClock:
		return "clock withheld"
	case AlarmStranger:
		return "forked stream"
	case AlarmFlood:
		return "floods"
	case AlarmGarbage:
		return "garbage"
	case AlarmKey:
		return "key not attested"
	case AlarmLost:
		return "order lost"
	case AlarmDamage:
		return "damaged ledger"
	}
	return k.number()
}

func (k AlarmKind) number() string { return fmt.Sprintf("alarm %d", uint8(k)) }

// known reports whether the alarm has a word.
func (k AlarmKind) known() bool { return k.String() != k.number() }

// Remedy is what to do about it.
func (k AlarmKind) Remedy() string {
	switch k {
	case AlarmFork:
		return "its own signatures contradict each other: take the kiosk out of service, keep its disk and this ledger as evidence"
	case AlarmRewind:
		return "somebody put an older log or TPM back: quarantine the kiosk, look at who was at its enclosure, provision it anew"
	case AlarmClone:
		return "there may be a second copy of this kiosk, or its TPM was set back: quarantine it and look at the hardware"
	case AlarmContradicted:
		return "somebody between the kiosk and here invents or changes records: look at broker and network; nothing of it was believed"
	case AlarmSignature:
		return "the message is not this kiosk's, or it was provisioned anew: compare its audit key, look at broker and network"
	case AlarmGap:
		return "look whether the kiosk is catching up; if not, look at network and broker, and at the kiosk's disk (door receipt -list)"
	case AlarmSilence:
		return "look whether kiosk and network are up; if both are, look at what door says there: a kiosk whose vault or log was put back, or whose TPM fails, takes no headquarters and reports nothing; if all is well there, somebody between holds its records back"
	case AlarmUnreadable:
		return "the kiosk is newer than this program: update hq; the bytes are kept and receipts are good"
	case AlarmDelay:
		return "somebody between slows the kiosk's word down to hide what it says now: look at broker and network, and at headquarters' own clock"
	case AlarmClock:
		return "somebody between takes away what shows a second copy of the kiosk: look at broker and network; if they are in order, at the kiosk's disk"
	case AlarmStranger:
		return "if headquarters was restored from a backup, hq kiosk adopt carries on from there; if not, somebody else has commanded this kiosk: provision it anew"
	case AlarmFlood, AlarmGarbage:
		return "somebody has the kiosk, or its place at the broker: quarantine it and look at the hardware and at the broker"
	case AlarmKey:
		return "nothing is sealed to that key: quarantine the kiosk and look at the hardware and at the broker"
	case AlarmLost:
		return "bring the newest vault of people back, then hq kiosk lift hands everything on again"
	case AlarmDamage:
		return "nothing of this kiosk is taken in: put the newest copy of its folder in the place of the damaged one, and keep that; then hq kiosk lift opens it"
	}
	return "this program does not know the alarm: update hq"
}

// Open reports whether it still is so.
func (a Alarm) Open() bool { return a.Ended == 0 }

// rings reports whether an alarm of this kind stands open.
func (s *kept) rings(kind AlarmKind) bool {
	return slices.ContainsFunc(s.Alarms, func(a Alarm) bool { return a.Kind == kind && a.Open() })
}

// raise notes an alarm, and reports whether it is news.
func (s *kept) raise(kind AlarmKind, text string, evidence []byte, now time.Time) bool {
	ms := now.UnixMilli()
	text = strings.ToValidUTF8(text[:min(len(text), maxText)], "")
	for i := range s.Alarms {
		a := &s.Alarms[i]
		if a.Kind != kind {
			continue
		}
		quiet := time.Duration(ms-a.Last) * time.Millisecond
		a.Last, a.Count = ms, a.Count+1
		if a.Open() && quiet < repeatAfter {
			return false
		}
		a.Since, a.Ended, a.Text, a.Evidence = ms, 0, text, evidence
		return true
	}
	s.Alarms = append(s.Alarms, Alarm{kind, ms, ms, 0, text, evidence, 1})
	return true
}

// end notes that what was wrong is over, and reports whether that is news.
func (s *kept) end(kind AlarmKind, now time.Time) bool {
	for i := range s.Alarms {
		if a := &s.Alarms[i]; a.Kind == kind && a.Open() {
			a.Ended = now.UnixMilli()
			return true
		}
	}
	return false
}
