package board

import (
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Bounds of the fields.
const (
	minPulse      = 2_000   // ms: nobody gets through a door in less
	maxPulse      = 130_000 // ms: the longest release that a policy may ask for is two minutes
	maxDebounce   = 200     // ms: REX must act before a person wonders
	maxSettle     = 15      // ms: half a frame at 30 a second; a slower lamp cannot answer a code
	maxPin        = 1023
	maxThreads    = 16
	maxProviders  = 8
	maxReferences = 200_000 // 400 MiB of float32
	minBudget     = 64      // MiB: a busy day's audit log and its reserve
	maxBudget     = 1 << 20 // MiB
	maxUID        = 1<<31 - 2
	maxWord       = 64        // bytes
	maxOhms       = 1_000_000 // and 20 %: the bounds of drivers/gpio.Ladder, which also refuses states that cannot be told apart
	maxGain       = 1<<16 - 1
	mostAmplified = 64         // times, 36 dB: evidence says how much light was taken in up to 255 times the normal one, and is refused beyond
	maxOn         = 60_000     // ms: what is lit for longer is lit for good
	minHz         = 100_000    // slower, a TPM's answer outlasts its deadline
	maxHz         = 43_000_000 // the fastest part of its kind, an SLB 9670
	minWatchdog   = 5          // s: the dead-man takes as long to notice a hung door
	maxWatchdog   = 60         // s: a minute without a door is long; the Raspberry Pi's counts to 15 alone

	twinChip = "twin" // the chip of simulated lines
)

// validate names the first field that is out of bounds or contradicts another.
func (b *Board) validate() error {
	checks := []func() error{
		b.checkNames, b.checkDoor, b.checkLines, b.checkContact, b.checkCamera, b.checkLamps, b.checkTPM, b.checkRest,
		b.checkInference, b.checkLab,
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// inside refuses a number outside its bounds.
func inside(path string, n, low, high int) error {
	if n < low || n > high {
		return at(path, fmt.Sprintf("%d is outside %d to %d", n, low, high))
	}
	return nil
}

// oneOf refuses a word that is not in the list.
func oneOf[T ~string](path string, word T, allowed ...T) error {
	if !slices.Contains(allowed, word) {
		return at(path, fmt.Sprintf("%q is none of %q", word, allowed))
	}
	return nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *Board) checkNames() error {
	word := regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	if !word.MatchString(b.Name) {
		return at("name", fmt.Sprintf("%q is not 1 to 32 of a-z, 0-9 and -", b.Name))
	}
	if !word.MatchString(b.Revision) {
		return at("revision", fmt.Sprintf("%q is not 1 to 32 of a-z, 0-9 and -", b.Revision))
	}
	if len(b.Arch) == 0 {
		return at("arch", "empty")
	}
	for i, arch := range b.Arch {
		if err := oneOf(fmt.Sprintf("arch[%d]", i), arch, "amd64", "arm64"); err != nil {
			return err
		}
	}
	return nil
}

func (b *Board) checkDoor() error {
	return first(
		oneOf("door.fail_mode", b.Door.FailMode, FailSecure, FailSafe),
		inside("door.max_pulse_ms", int(b.Door.MaxPulse), minPulse, maxPulse),
	)
}

func (b *Board) checkLines() error {
	type place struct {
		chip string
		pin  int
	}
	taken := map[place]Line{}
	for _, line := range slices.Sorted(maps.Keys(b.Lines)) {
		wire, path := b.Lines[line], join("lines", string(line))
		output, known := line.output()
		if !known {
			return at(path, "no such line")
		}
		here := place{wire.Chip, wire.Pin}
		if other, twice := taken[here]; twice {
			return at(path, fmt.Sprintf("chip %q pin %d is already %q", wire.Chip, wire.Pin, other))
		}
		taken[here] = line
		if wire.Chip == "" || len(wire.Chip) > maxWord {
			return at(path+".chip", fmt.Sprintf("want 1 to %d bytes", maxWord))
		}
		err := first(
			inside(path+".pin", wire.Pin, 0, maxPin),
			oneOf(path+".active", wire.Active, High, Low),
			oneOf(path+".pull", wire.Pull, PullNone, PullUp, PullDown),
			inside(path+".debounce_ms", int(wire.Debounce), 0, maxDebounce),
		)
		if err != nil {
			return err
		}
		if output && wire.Debounce != 0 {
			return at(path+".debounce_ms", "an output does not bounce")
		}
		if output && wire.Pull != PullNone {
			return at(path+".pull", "an output is pulled by a resistor of the board: the controller's own ends with the program")
		}
		if err := checkCut(line, wire); err != nil {
			return err
		}
	}
	for _, line := range []Line{Relay, Lamp, REX} {
		if !b.Has(line) {
			return at(join("lines", string(line)), "missing: no door works without it")
		}
	}
	return nil
}

// checkCut refuses a pull that gives a cut wire the wrong meaning: it must not hide an opened door, enclosure or fire circuit, and must not ask to leave.
func checkCut(line Line, wire Wire) error {
	on := wire.Pull == PullUp && wire.Active == High || wire.Pull == PullDown && wire.Active == Low
	path := join("lines", string(line)) + ".pull"
	switch {
	case wire.Pull == PullNone:
	case line == REX && on:
		return at(path, "a cut wire would release the door for good")
	case line != REX && !on:
		return at(path, "a cut wire would read as all is well")
	}
	return nil
}

func (b *Board) checkContact() error {
	c := b.Contact
	if err := oneOf("contact.kind", c.Kind, PlainContact, SupervisedContact); err != nil {
		return err
	}
	line := join("lines", string(Contact))
	if c.Kind == PlainContact {
		switch {
		case !b.Has(Contact):
			return at(line, "missing: no door works without it")
		case c != (Circuit{Kind: PlainContact}):
			return at("contact", "a plain contact has neither ADC nor resistors")
		case b.Has(REX) && b.Lines[REX].Debounce > b.Lines[Contact].Debounce:
			return at("lines.rex.debounce_ms", "longer than the contact's: an exit by the handle would be taken for a forced door")
		}
		return nil
	}
	switch {
	case b.Has(Contact):
		return at(line, "a supervised contact is read by its ADC, not by a line")
	case !filepath.IsAbs(c.ADC) || len(c.ADC) > maxWord:
		return at("contact.adc", fmt.Sprintf("%q is not the device of the ADC that a supervised contact needs", c.ADC))
	case b.TPM.Transport == TPMSPI && strings.HasPrefix(c.ADC, fmt.Sprintf("/dev/spidev%d.", b.TPM.SPI.Bus)):
		return at("contact.adc", "the TPM must be alone on its bus")
	}
	return first(
		inside("contact.channel", c.Channel, 0, 15),
		inside("contact.pull_up_ohm", c.PullUp, 1, maxOhms),
		inside("contact.series_ohm", c.Series, 1, maxOhms),
		inside("contact.across_ohm", c.Across, 1, maxOhms),
		inside("contact.tolerance_percent", c.Percent, 1, 20),
	)
}

func (b *Board) checkCamera() error {
	c := b.Camera
	if len(c.Device) > maxWord || len(c.Bus) > maxWord {
		return at("camera", fmt.Sprintf("device and bus have at most %d bytes", maxWord))
	}
	if c.Device != "" && !filepath.IsAbs(c.Device) {
		return at("camera.device", fmt.Sprintf("%q is not absolute", c.Device))
	}
	if c.Kind == CameraV4L2 && c.Device == "" && c.Bus == "" {
		return at("camera.bus", "neither bus nor device says which camera")
	}
	return first(
		oneOf("camera.kind", c.Kind, CameraTwin, CameraV4L2),
		oneOf("camera.format", c.Format, "GREY", "Y10", "Y12", "Y16"),
		inside("camera.width", c.Width, 160, 1920),
		inside("camera.height", c.Height, 120, 1200),
		inside("camera.fps", c.FPS, 5, 120),
		inside("camera.exposure_us", c.Exposure, 0, second/max(c.FPS, 1)), // longer than the interval is no frame at that rate
		inside("camera.gain", c.Gain, 0, maxGain),
		gains(c),
	)
}

func gains(c Camera) error {
	if c.GainMost == 0 {
		return nil
	}
	if c.Gain == 0 {
		return at("camera.gain", "0 cannot be multiplied: camera.gain_most must be 0, too")
	}
	return inside("camera.gain_most", c.GainMost, c.Gain, min(mostAmplified*c.Gain, maxGain))
}

// second in the unit of an exposure.
const second = 1_000_000

func (b *Board) checkLamps() error {
	l := b.Lamp
	err := first(
		inside("lamp.count", l.Count, 1, 2),
		inside("lamp.settle_ms", int(l.Settle), 0, maxSettle),
		inside("lamp.max_duty_percent", l.MaxDuty, 1, 100),
		inside("lamp.max_on_ms", int(l.MaxOn), 1, maxOn),
	)
	switch frames := b.Camera.FPS; {
	case err != nil:
		return err
	case l.Count == 2 && !b.Has(Lamp2):
		return at("lines.lamp-2", "missing: there are two lamps")
	case l.Count == 1 && b.Has(Lamp2):
		return at("lines.lamp-2", "there is one lamp")
	case 2*int(l.Settle)*frames > 1000:
		return at("lamp.settle_ms", "longer than half a frame: the lamp cannot answer a code")
	case int(l.MaxOn)*frames < 1000:
		return at("lamp.max_on_ms", "shorter than a frame")
	}
	return nil
}

func (b *Board) checkTPM() error {
	if err := first(
		oneOf("tpm.transport", b.TPM.Transport, TPMRM0, TPMSPI, SWTPM),
		oneOf("tpm.cpu_secret", b.TPM.CPUSecret, NoCPUSecret, RPiOTP),
	); err != nil {
		return err
	}
	spi := b.TPM.SPI
	if b.TPM.Transport != TPMSPI {
		if spi != (SPI{}) {
			return at("tpm.spi", fmt.Sprintf("not all zero, although the transport is %q", b.TPM.Transport))
		}
		return nil
	}
	return first(
		inside("tpm.spi.bus", spi.Bus, 0, 31),
		inside("tpm.spi.chip_select", spi.ChipSelect, 0, 7),
		inside("tpm.spi.hz", spi.Hz, minHz, maxHz),
	)
}

func (b *Board) checkRest() error {
	if d := b.Programs.RunDir; d != "" && (!filepath.IsAbs(d) || filepath.Clean(d) != d || len(d) > maxWord) {
		// A socket's path has 108 bytes at most (unix(7)); half of them are for the directory.
		return at("programs.run_dir", fmt.Sprintf("%q is not a clean absolute path of at most %d bytes", d, maxWord))
	}
	if r := b.Clock.RTC; r == "" || len(r) > maxWord {
		return at("clock.rtc", fmt.Sprintf("want the name of a clock, or %q", NoRTC))
	}
	switch w := b.Watchdog; {
	case w.Device == "" && w.Timeout != 0:
		return at("watchdog.timeout_s", "of no watchdog")
	case w.Device != "" && (!filepath.IsAbs(w.Device) || len(w.Device) > maxWord):
		return at("watchdog.device", fmt.Sprintf("%q is not an absolute path of at most %d bytes", w.Device, maxWord))
	case w.Device != "" && (w.Timeout < minWatchdog || w.Timeout > maxWatchdog):
		return inside("watchdog.timeout_s", w.Timeout, minWatchdog, maxWatchdog)
	}
	u := b.Programs.Users
	return first(
		inside("gallery.references", b.Gallery.References, 1, maxReferences),
		inside("storage.budget_mib", b.Storage.Budget, minBudget, maxBudget),
		inside("programs.users.eye", u.Eye, 0, maxUID),
		inside("programs.users.door", u.Door, 0, maxUID),
		inside("programs.users.link", u.Link, 0, maxUID),
	)
}

func (b *Board) checkInference() error {
	if err := inside("inference.threads", b.Inference.Threads, 1, maxThreads); err != nil {
		return err
	}
	if n := len(b.Inference.Providers); n > maxProviders {
		return at("inference.providers", fmt.Sprintf("%d, more than %d", n, maxProviders))
	}
	for i, p := range b.Inference.Providers {
		path := fmt.Sprintf("inference.providers[%d]", i)
		sum, err := hex.DecodeString(p.SHA256)
		switch {
		case p.Name == "" || len(p.Name) > maxWord:
			return at(path+".name", fmt.Sprintf("want 1 to %d bytes", maxWord))
		case p.Library != "" && !filepath.IsAbs(p.Library):
			return at(path+".library", fmt.Sprintf("%q is not absolute", p.Library))
		case p.Library == "" && p.SHA256 != "":
			return at(path+".sha256", "a hash of no library")
		case p.Library != "" && (err != nil || len(sum) != 32 || hex.EncodeToString(sum) != p.SHA256):
			return at(path+".sha256", "a library is loaded only by its hash: want 64 lower-case hexadecimal digits")
		}
	}
	return nil
}

// checkLab refuses on a product board what only a lab may do.
func (b *Board) checkLab() error {
	if b.Lab {
		return nil
	}
	u := b.Programs.Users
	switch {
	case b.Camera.Kind == CameraTwin:
		return at("camera.kind", "only a lab board may have a twin")
	case b.Camera.Bus == "":
		return at("camera.bus", "empty: only a lab board may take the camera of any port")
	case b.Camera.Loopback:
		return at("camera.loopback_allowed", "only a lab board may accept a loopback camera")
	case !b.Camera.Infrared:
		return at("camera.infrared_required", "only a lab board may do without infrared")
	case b.TPM.Transport == SWTPM:
		return at("tpm.transport", fmt.Sprintf("only a lab board may have %q", b.TPM.Transport))
	case b.Watchdog.Device == "":
		return at("watchdog.device", "empty: only a lab board may do without")
	case !b.Has(Tamper):
		return at("lines.tamper", "missing: only a lab board may do without")
	case u.Eye == 0 || u.Door == 0 || u.Link == 0:
		return at("programs.users", "only a lab board may run programs as its supervisor")
	case u.Eye == u.Door || u.Door == u.Link || u.Eye == u.Link:
		return at("programs.users", "two programs share a uid")
	}
	for _, line := range slices.Sorted(maps.Keys(b.Lines)) {
		wire, path := b.Lines[line], join("lines", string(line))
		output, _ := line.output()
		if wire.Chip == twinChip {
			return at(path+".chip", "only a lab board may have a twin")
		}
		if wire.Active == Low && (line == Relay || line == Lamp || line == Lamp2) {
			// At power-on, and while no program holds it, a pin is low or floats; a resistor to ground then says off.
			return at(path+".active", "low: only a lab board may have what is on at a low level that nobody drives")
		}
		if !output && wire.Debounce == 0 {
			return at(path+".debounce_ms", "real contacts bounce")
		}
	}
	return nil
}

// output reports whether the firmware drives l, and whether there is such a line.
func (l Line) output() (output, known bool) {
	switch l {
	case Relay, Lamp, Lamp2, LEDRed, LEDGreen, LEDBlue, Buzzer:
		return true, true
	case Contact, REX, Tamper, Fire:
		return false, true
	}
	return false, false
}
