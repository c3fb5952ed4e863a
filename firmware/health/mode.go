package health

import (
	"fmt"

	"github.com/lintel-access/lintel/access"
)

// Mode is a degraded mode with a name. The zero Mode is none: everything works.
type Mode uint8

// Append only.
const (
	Whole              Mode = 0
	SelfTest           Mode = 1
	NoCamera           Mode = 2
	CameraStalls       Mode = 3
	NoInfrared         Mode = 4
	ExposureLoose      Mode = 5
	LampUnseen         Mode = 6
	LampWeak           Mode = 7
	LampUntimed        Mode = 8
	LampUnsteady       Mode = 9
	RelayDead          Mode = 10
	RelayStuck         Mode = 11
	ContactDead        Mode = 12
	ContactImplausible Mode = 13
	ExitDead           Mode = 14
	TamperDead         Mode = 15
	FireDead           Mode = 16
	IndicatorDead      Mode = 17
	TPMAbsent          Mode = 18
	TPMSilent          Mode = 19
	ImageRefused       Mode = 20
	VaultRefused       Mode = 21
	VaultImpaired      Mode = 22
	NothingRecorded    Mode = 23
	EmergencyOnly      Mode = 24
	Unsigned           Mode = 25
	HistoryDamaged     Mode = 26
	NoMemory           Mode = 27
	MemoryUnlocked     Mode = 28
	StorageFull        Mode = 29
	StorageLow         Mode = 30
	ClockWrong         Mode = 31
	ClockUnvouched     Mode = 32
	NoModels           Mode = 33
	ModelsSlow         Mode = 34
	EyeAway            Mode = 35
	LinkAway           Mode = 36
	NoWatchdog         Mode = 37
	LooselyConfined    Mode = 38
	TPMLockout         Mode = 39

	LearnedOff     Mode = 40
	LearnedMissing Mode = 41

	modeEnd = 42
)

// Policy is what a mode means.
type Policy struct {
	Name   string
	Allows Profile // what still works
	// Entered and Left are the numbers under which it is recorded. EventSelfTestFailed: a part does not do what it was asked.
	Entered, Left access.Event
	Says          string // what it comes to, and what to do
}

// Shown is what people see at the door in this mode; the zero Indication is the door's own.
func (m Mode) Shown() access.Indication {
	switch {
	case m == SelfTest:
		return access.IndicateStarting()
	case !m.Policy().Allows.Recognises():
		return access.IndicateOutOfOrder()
	}
	return access.Indication{}
}

// String is the name of docs/OPERATIONS.md; an unknown value prints its number.
func (m Mode) String() string {
	if name := m.Policy().Name; name != "" {
		return name
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// limit is one way in which a mode is less than whole.
type limit func(*Profile)

func upTo(a Assurance) limit      { return func(p *Profile) { p.Assurance = a } }
func byWire(p *Profile)           { p.Egress = ByWire }
func without(a Alarms) limit      { return func(p *Profile) { p.Alarms &^= a } }
func recording(r Recording) limit { return func(p *Profile) { p.Recording = r } }
func withoutRemote(p *Profile)    { p.Remote = false } // door takes no headquarters where its orders could not be carried out
func withoutSchedules(p *Profile) { p.Scheduled = false }

// ordinary is a mode that is recorded as one.
func ordinary(name, says string, limits ...limit) Policy {
	return special(access.EventDegradedEntered, access.EventDegradedLeft, name, says, limits...)
}

// fault is a mode that a broken part causes: an alert.
func fault(name, says string, limits ...limit) Policy {
	return special(access.EventSelfTestFailed, access.EventDegradedLeft, name, says, limits...)
}

// special is a mode that has a number of its own.
func special(entered, left access.Event, name, says string, limits ...limit) Policy {
	p := Policy{Name: name, Allows: full(), Entered: entered, Left: left, Says: says}
	for _, l := range limits {
		l(&p.Allows)
	}
	return p
}

// Policy is the table of modes. An unknown mode allows nothing.
func (m Mode) Policy() Policy {
	nobody := upTo(Nobody)
	switch m {
	case Whole:
		return Policy{Name: "whole", Allows: full()}
	case SelfTest: // what it allows is that of the missing parts; every start passes through it, so it is not recorded
		return Policy{Name: "self-test", Allows: full(), Says: "some parts have not been looked at yet and count as missing; wait a minute"}
	case NoCamera:
		return fault("no camera", "nobody is recognised; check the camera, its cable and its port", nobody)
	case CameraStalls:
		return special(access.EventCameraStalled, access.EventDegradedLeft, "camera stalls",
			"frames come late or not as the board asks, walk-ups end for a retry; check the camera's cable and port")
	case NoInfrared:
		return fault("no infrared", "nobody is recognised; the camera gives no evidence of infrared: fit the one that the board names", nobody)
	case ExposureLoose:
		return ordinary("exposure not held", "the camera cannot hold exposure and gain: office doors only; fit another camera for more", upTo(Office))
	case LampUnseen:
		return fault("lamp unseen", "nobody is recognised; the camera does not see the lamp switch: check the lamp, its cable, what covers it, what moves before it", nobody)
	case LampWeak:
		return ordinary("lamp weak", "walk-ups may end for a retry; clean the window, check the lamp's supply")
	case LampUntimed:
		return fault("lamp untimed", "nobody is recognised; the frames do not follow the lamp in time: check the camera and the load of the machine", nobody)
	case LampUnsteady:
		return ordinary("lamp unsteady", "the delay from lamp to frame varies too much for long codes: office doors only; check the camera's port", upTo(Office))
	case RelayDead:
		return fault("relay dead", "nobody is let in; the relay's line does not go on when it is asked: check its wiring and driver", nobody, byWire)
	case RelayStuck:
		return fault("relay stuck", "nobody is recognised and the door may stand released; the line does not go off: guard the door, check the wiring", nobody)
	case ContactDead:
		return fault("contact dead", "forced and held open go unnoticed: office doors only; check the contact and its cable", without(DoorAlarms), upTo(Office))
	case ContactImplausible:
		return ordinary("contact implausible", "alarms of the door may be false or missing; check the contact, its magnet and the door", without(DoorAlarms))
	case ExitDead:
		return fault("exit button dead", "the kiosk does not hear the exit button; make sure that its own wire releases the lock", byWire)
	case TamperDead:
		return fault("tamper switch dead", "an opened enclosure goes unnoticed: office doors only; check the switch", without(TamperAlarm), upTo(Office))
	case FireDead:
		return fault("fire input dead", "the kiosk does not hear the fire panel; make sure that the panel's own wire releases the lock", without(FireAlarm), byWire)
	case IndicatorDead:
		return special(access.EventIndicatorFailed, access.EventDegradedLeft, "indicators dead", "an LED or the buzzer cannot be set; check its cable")
	case TPMAbsent:
		return special(access.EventTPMSilent, access.EventTPMBack, "no TPM", "nobody is recognised; see the reason", nobody, recording(Emergency), withoutRemote)
	case TPMSilent:
		return special(access.EventTPMSilent, access.EventTPMBack, "TPM silent",
			"people are recognised from memory, nothing is revoked for good or signed; power-cycle the kiosk if it stays")
	case TPMLockout:
		return ordinary("TPM in lockout", "somebody gave the TPM wrong authorisations; the kiosk's own keys are exempt and all works: find out who reached its bus")
	case ImageRefused:
		return special(access.EventMeasurementsDiffer, access.EventDegradedLeft, "image refused", "nobody is recognised; see the reason", nobody, withoutRemote)
	case VaultRefused:
		return special(access.EventVaultRefused, access.EventDegradedLeft, "vault refused", "nobody is recognised; see the reason", nobody, withoutRemote)
	case VaultImpaired:
		return ordinary("vault impaired", "people are recognised, a change may not be final; check the disk and the TPM")
	case NothingRecorded:
		return special(access.EventAuditWriteFailed, access.EventDegradedLeft, "nothing recorded",
			"nobody is let in without a record; mend the disk or give it room, then restart", nobody, recording(Unrecorded), withoutRemote)
	case EmergencyOnly:
		return ordinary("emergency log", "nobody is recognised; see the reason", nobody, recording(Emergency), withoutRemote)
	case Unsigned:
		return special(access.EventCheckpointFailed, access.EventDegradedLeft, "records unsigned", "records are kept and wait for a signature; look at the TPM and the disk")
	case HistoryDamaged:
		return ordinary("history damaged", "records of before are lost or were not taken over; check the disk, and if it is well treat it as an attack")
	case NoMemory:
		return ordinary("no memory", "nobody is recognised; the gallery found no room in memory: restart, else replace the board", nobody, withoutRemote)
	case MemoryUnlocked:
		return ordinary("memory unlocked", "templates may be swapped to disk; raise the limit of locked memory")
	case StorageFull:
		return special(access.EventAuditWriteFailed, access.EventDegradedLeft, "storage full", "nobody is let in without a record; give the partition room",
			nobody, recording(Unrecorded))
	case StorageLow:
		return special(access.EventStorageLow, access.EventDegradedLeft, "storage low", "denied walk-ups are not recorded; give the partition room", recording(Vital))
	case ClockWrong:
		return ordinary("clock wrong", "stamps in records are wrong and no schedule is kept; connect headquarters, replace the clock's battery", withoutSchedules)
	case ClockUnvouched:
		return ordinary("clock unvouched", "nobody vouches for the time of day and no schedule is kept; connect headquarters", withoutSchedules)
	case NoModels:
		return fault("no models", "nobody is recognised; the models do not load or give wrong answers: install the bundle again", nobody)
	case LearnedOff:
		return ordinary("learned check off", "the other checks decide without it")
	case LearnedMissing:
		return fault("no learned check", "nobody is recognised; the policy asks for a check that this bundle cannot give: see the reason", nobody)
	case ModelsSlow:
		return special(access.EventProviderDropped, access.EventDegradedLeft, "models slow", "an execution provider was dropped, recognition is slower; see the reason")
	case EyeAway:
		return special(access.EventEyeLost, access.EventEyeBack, "eye away", "nobody is recognised until it is back; look at the camera if it stays away", nobody)
	case LinkAway:
		return special(access.EventLinkLost, access.EventLinkBack, "link away", "records wait in the log, no orders come; look at the network", withoutRemote)
	case NoWatchdog:
		return ordinary("no watchdog", "nobody restarts a kiosk that hangs; check the kernel's watchdog")
	case LooselyConfined:
		return ordinary("loosely confined", "the kernel cannot enforce all bounds of the programs; run a newer kernel")
	}
	return Policy{}
}
