// Package health turns what was found of a kiosk's parts into what the kiosk can do: a table gives each part and state a degraded mode, each mode
// has its policy as data, and the capability profile is what all of them together still allow. docs/OPERATIONS.md lists the modes; a test compares
// it with this package.
//
// Nothing here reads a clock or a device: who looked says what it saw. What was not looked at counts as missing.
package health

import (
	"fmt"

	"github.com/lintel-access/lintel/board"
)

// Part is something of a kiosk that can work or not.
type Part uint8

// Append only. The zero Part is none: it never works.
const (
	Camera       Part = 1
	Infrared     Part = 2 // evidence that the camera sees the lamp's light and not the room's
	Exposure     Part = 3 // exposure and gain can be held
	Lamp         Part = 4 // the camera sees it
	LampDelay    Part = 5 // from the switched line to the frame, and its spread
	Relay        Part = 6
	Contact      Part = 7
	REX          Part = 8
	Tamper       Part = 9
	Fire         Part = 10
	Indicator    Part = 11 // LEDs and buzzer
	TPM          Part = 12
	Measurements Part = 13 // of firmware, models, board
	Vault        Part = 14
	AuditLog     Part = 15
	Signing      Part = 16 // of the audit log's checkpoints
	History      Part = 17 // what the audit log kept of before
	Memory       Part = 18 // of the gallery
	Storage      Part = 19
	Clock        Part = 20
	Models       Part = 21
	Eye          Part = 22
	Link         Part = 23
	Watchdog     Part = 24
	Confinement  Part = 25
	Guessing     Part = 26 // at the TPM's authorisations: works while nobody does

	LearnedCheck Part = 27 // against attacks: impaired when it is off

	partEnd = 28
)

// State of a part. The zero State is unknown, and unknown is not capable.
type State uint8

// Append only.
const (
	Unknown  State = 0 // nobody has looked yet
	Works    State = 1
	Impaired State = 2 // does some of what it is for
	Missing  State = 3 // is not there, or does nothing of what it is for
)

// String is the lower-case word; an unknown value prints its number.
func (s State) String() string {
	names := [...]string{"unknown", "works", "impaired", "missing"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// describe is the table: the part's name and the mode that the kiosk is in when the part is impaired or missing. Where both have the same mode, the
// part does all of what it is for or is of no use.
func (p Part) describe() (name string, impaired, missing Mode) {
	switch p {
	case Camera:
		return "camera", CameraStalls, NoCamera
	case Infrared:
		return "infrared", NoInfrared, NoInfrared
	case Exposure:
		return "exposure", ExposureLoose, ExposureLoose
	case Lamp:
		return "lamp", LampWeak, LampUnseen
	case LampDelay:
		return "lamp delay", LampUnsteady, LampUntimed
	case Relay:
		return "relay", RelayStuck, RelayDead
	case Contact:
		return "contact", ContactImplausible, ContactDead
	case REX:
		return "exit button", ExitDead, ExitDead
	case Tamper:
		return "tamper switch", TamperDead, TamperDead
	case Fire:
		return "fire input", FireDead, FireDead
	case Indicator:
		return "indicators", IndicatorDead, IndicatorDead
	case TPM:
		return "TPM", TPMSilent, TPMAbsent
	case Measurements:
		return "measurements", ImageRefused, ImageRefused
	case Vault:
		return "vault", VaultImpaired, VaultRefused
	case AuditLog:
		return "audit log", EmergencyOnly, NothingRecorded
	case Signing:
		return "signing", Unsigned, Unsigned
	case History:
		return "history", HistoryDamaged, HistoryDamaged
	case Memory:
		return "memory", MemoryUnlocked, NoMemory
	case Storage:
		return "storage", StorageLow, StorageFull
	case Clock:
		return "clock", ClockUnvouched, ClockWrong
	case Models:
		return "models", ModelsSlow, NoModels
	case Eye:
		return "eye", EyeAway, EyeAway
	case Link:
		return "link", LinkAway, LinkAway
	case Watchdog:
		return "watchdog", NoWatchdog, NoWatchdog
	case Confinement:
		return "confinement", LooselyConfined, LooselyConfined
	case Guessing:
		return "guard against guessing", TPMLockout, TPMLockout
	case LearnedCheck:
		return "learned check", LearnedOff, LearnedMissing
	}
	return "", SelfTest, SelfTest
}

// String is the name used in records and sentences; an unknown value prints its number.
func (p Part) String() string {
	if name, _, _ := p.describe(); name != "" {
		return name
	}
	return fmt.Sprintf("part %d", uint8(p))
}

// mode is the one that a part in this state puts the kiosk in.
func (p Part) mode(s State) Mode {
	_, impaired, missing := p.describe()
	switch s {
	case Works:
		return Whole
	case Impaired:
		return impaired
	case Missing:
		return missing
	}
	return SelfTest
}

// allows is what a part in this state leaves the kiosk able to do. What is unknown allows as little as what is missing.
func (p Part) allows(s State) Profile {
	name, _, missing := p.describe()
	switch {
	case name == "":
		return Profile{}
	case s == Works, s == Impaired:
		return p.mode(s).Policy().Allows
	}
	return missing.Policy().Allows
}

// behind are the parts through which alone p can be looked at.
func (p Part) behind() []Part {
	switch p {
	case Measurements, Vault, Signing, Guessing:
		return []Part{TPM}
	case Camera, Models:
		return []Part{Eye}
	case Infrared, Exposure, Lamp, LampDelay:
		return []Part{Eye, Camera}
	}
	return nil
}

// spared are the parts that a board does not have and does not need: no finding about them is waited for.
func spared(b board.Board) (list []Part) {
	for part, has := range map[Part]bool{
		Infrared: b.Camera.Infrared, Watchdog: b.Watchdog.Device != "", Tamper: b.Has(board.Tamper), Fire: b.Has(board.Fire),
		Indicator: b.Has(board.LEDRed) || b.Has(board.LEDGreen) || b.Has(board.LEDBlue) || b.Has(board.Buzzer),
	} {
		if !has {
			list = append(list, part)
		}
	}
	return list
}
