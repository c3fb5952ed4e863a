//go:build !kiosk

package board

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestLoad(t *testing.T) {
	if !slices.Contains(Names(), "desk") {
		t.Fatalf("Names() = %q without the desk", Names())
	}
	for _, name := range Names() {
		b, err := Load(name)
		if err != nil {
			t.Errorf("%v", err)
		}
		if b.Name != name {
			t.Errorf("Load(%q) is called %q", name, b.Name)
		}
	}
	desk, _ := Load("desk")
	if !desk.Lab || desk.Camera.Kind != CameraTwin || desk.Door.MaxPulse.Duration() != 20*time.Second || !desk.Has(LEDBlue) {
		t.Errorf("the desk reads %+v", desk)
	}
	for _, name := range []string{"", "rpi9", "../board/desk", "desk.json"} {
		if _, err := Load(name); err == nil || !strings.Contains(err.Error(), "desk") {
			t.Errorf("Load(%q): error %v does not say what there is", name, err)
		}
	}
}

// TestProducts: what a kiosk image carries is for a real door, and its programs find lines, TPM and watchdog in it.
func TestProducts(t *testing.T) {
	for name, chip := range map[string]string{"rpi4": "pinctrl-bcm2711", "rpi5": "pinctrl-rp1"} {
		b, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if b.Lab || b.TPM.Device() != "/dev/spidev0.1" || b.Has(Lamp2) {
			t.Errorf("%s reads %+v", name, b)
		}
		if got, want := b.Lines[Contact], (Wire{Chip: chip, Pin: 22, Active: High, Pull: PullUp, Debounce: 30}); got != want {
			t.Errorf("%s: contact is %+v, want %+v", name, got, want)
		}
	}
	kiosk, err := os.ReadFile("files_kiosk.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Names() {
		b, _ := Load(name)
		if embedded := bytes.Contains(kiosk, []byte(" "+name+".json")); embedded == b.Lab {
			t.Errorf("board %s: lab %v, in kiosk images %v", name, b.Lab, embedded)
		}
	}
}

func TestTPMDevice(t *testing.T) {
	for want, tpm := range map[string]TPM{
		"": {Transport: SWTPM}, "/dev/tpmrm0": {Transport: TPMRM0}, "/dev/spidev2.1": {Transport: TPMSPI, SPI: SPI{Bus: 2, ChipSelect: 1, Hz: minHz}},
	} {
		if got := tpm.Device(); got != want {
			t.Errorf("%+v is at %q, want %q", tpm, got, want)
		}
	}
}

// TestParseRefuses bends a good file in one place at a time; every error must name that place.
func TestParseRefuses(t *testing.T) {
	cases := []struct{ name, old, new, want string }{
		{"unknown field", `"lab": false,`, `"lab": false, "hotel": 1,`, `"hotel": no such field`},
		{"unknown field deep", `"pin": 17,`, `"pin": 17, "drive": "strong",`, `"lines.relay.drive": no such field`},
		{"wrong case", `"lab"`, `"Lab"`, `"Lab": no such field`},
		{"twice", `"lab": false,`, `"lab": false, "lab": false,`, `"lab": stands here twice`},
		{"line twice", `"rex":  `, `"relay":  `, `"lines.relay": stands here twice`},
		{"missing", `"lab": false,`, ``, `"lab": missing`},
		{"relay without polarity", `"pin": 17, "active": "high",`, `"pin": 17,`, `"lines.relay.active": missing`},
		{"empty polarity", `"pin": 17, "active": "high"`, `"pin": 17, "active": ""`, `"lines.relay.active": "" is none of`},
		{"trailing", "}\n}\n", "}\n}\n{}", `something follows`},
		{"cut off", "}\n}\n", "}\n", `EOF`},
		{"text for number", `"pin": 17`, `"pin": "17"`, `"lines.relay.pin": want a number`},
		{"fraction", `"pin": 17`, `"pin": 1.5`, `"lines.relay.pin": want a whole number`},
		{"overflow", `"pin": 17`, `"pin": 99999999999`, `"lines.relay.pin": want a whole number`},
		{"null", `"pin": 17`, `"pin": null`, `"lines.relay.pin": want a number`},
		{"number for text", `"chip": "pinctrl-rp1", "pin": 17`, `"chip": 5, "pin": 17`, `"lines.relay.chip": want a string`},
		{"text for bool", `"lab": false`, `"lab": "no"`, `"lab": want true or false`},
		{"list for object", `"storage": {"budget_mib": 512}`, `"storage": []`, `"storage": want an object`},
		{"object for list", `["arm64"]`, `{}`, `"arch": want a list`},
		{"two lines on one pin", `"pin": 18`, `"pin": 17`, `"lines.relay": chip "pinctrl-rp1" pin 17 is already "lamp"`},
		{"unknown line", `"buzzer":`, `"siren":`, `"lines.siren": no such line`},
		{"no relay", `"relay":  `, `"led-blue":`, `"lines.relay": missing`},
		{"no REX", `"rex":       {"chip": "pinctrl-rp1", "pin": 23, "active": "low", "pull": "up", "debounce_ms": 10},`, ``, `"lines.rex": missing`},
		{"no tamper", `"tamper":    {"chip": "pinctrl-rp1", "pin": 27, "active": "high", "pull": "up", "debounce_ms": 50},`, ``, `"lines.tamper": missing`},
		{"no pull", `"pin": 23, "active": "low", "pull": "up"`, `"pin": 23, "active": "low"`, `"lines.rex.pull": missing`},
		{"unknown pull", `"low", "pull": "up"`, `"low", "pull": "float"`, `"lines.rex.pull": "float" is none of`},
		{"output pulled", `"pin": 17, "active": "high", "pull": "none"`, `"pin": 17, "active": "high", "pull": "down"`, `"lines.relay.pull": an output`},
		{"a cut wire leaves", `"low", "pull": "up"`, `"low", "pull": "down"`, `"lines.rex.pull": a cut wire would release`},
		{"a cut wire is a closed door", `"pin": 22, "active": "high"`, `"pin": 22, "active": "low"`, `"lines.contact.pull": a cut wire would read`},
		{"a cut wire is no fire", `"pin": 16, "active": "high", "pull": "up"`, `"pin": 16, "active": "high", "pull": "down"`, `"lines.fire.pull": a cut wire would read`},
		{"active-low relay", `"pin": 17, "active": "high"`, `"pin": 17, "active": "low"`, `"lines.relay.active": low: only a lab`},
		{"active-low lamp", `"pin": 18, "active": "high"`, `"pin": 18, "active": "low"`, `"lines.lamp.active": low: only a lab`},
		{"contact without a line", `"contact":   {"chip": "pinctrl-rp1", "pin": 22, "active": "high", "pull": "up", "debounce_ms": 30},`, ``, `"lines.contact": missing`},
		{"circuit kind", `"kind": "plain"`, `"kind": "loop"`, `"contact.kind": "loop" is none of`},
		{"plain with ADC", `"kind": "plain", "adc": ""`, `"kind": "plain", "adc": "/dev/i2c-1"`, `"contact": a plain contact has neither`},
		{"plain with resistors", `"series_ohm": 0`, `"series_ohm": 10`, `"contact": a plain contact has neither`},
		{"supervised with a line", `"kind": "plain"`, `"kind": "supervised"`, `"lines.contact": a supervised contact`},
		{"negative pin", `"pin": 17`, `"pin": -1`, `"lines.relay.pin": -1 is outside`},
		{"no chip", `"chip": "pinctrl-rp1", "pin": 17`, `"chip": "", "pin": 17`, `"lines.relay.chip": want 1`},
		{"twin line", `"chip": "pinctrl-rp1", "pin": 17`, `"chip": "twin", "pin": 17`, `"lines.relay.chip": only a lab`},
		{"output debounced", `"pin": 17, "active": "high", "pull": "none", "debounce_ms": 0`, `"pin": 17, "active": "high", "pull": "none", "debounce_ms": 5`, `an output does not bounce`},
		{"input not debounced", `"debounce_ms": 50`, `"debounce_ms": 0`, `"lines.tamper.debounce_ms": real contacts bounce`},
		{"REX slower than the contact", `"debounce_ms": 10`, `"debounce_ms": 31`, `"lines.rex.debounce_ms": longer than the contact's`},
		{"slow REX", `"debounce_ms": 10`, `"debounce_ms": 900`, `"lines.rex.debounce_ms": 900 is outside`},
		{"fail mode", `"fail-secure"`, `"fail-open"`, `"door.fail_mode": "fail-open" is none of`},
		{"endless pulse", `"max_pulse_ms": 20000`, `"max_pulse_ms": 0`, `"door.max_pulse_ms": 0 is outside`},
		{"arch", `"arm64"`, `"mips"`, `"arch[0]": "mips" is none of`},
		{"no arch", `["arm64"]`, `[]`, `"arch": empty`},
		{"name", `"name": "rpi5"`, `"name": "../rpi5"`, `"name": "../rpi5" is not`},
		{"revision", `"revision": "a"`, `"revision": ""`, `"revision": "" is not`},
		{"camera kind", `"v4l2"`, `"webcam"`, `"camera.kind": "webcam" is none of`},
		{"twin camera", `"v4l2"`, `"twin"`, `"camera.kind": only a lab`},
		{"any camera", `"usb-xhci-hcd.0-1"`, `""`, `"camera.bus": neither`},
		{"camera of any port", `"device": "", "bus": "usb-xhci-hcd.0-1"`, `"device": "/dev/video0", "bus": ""`, `"camera.bus": empty: only a lab`},
		{"exposure beyond the interval", `"exposure_us": 0`, `"exposure_us": 33334`, `"camera.exposure_us": 33334 is outside 0 to 33333`},
		{"negative gain", `"gain": 0`, `"gain": -1`, `"camera.gain": -1 is outside`},
		{"most gain below gain", `"gain": 0, "gain_most": 0`, `"gain": 16, "gain_most": 8`, `"camera.gain_most": 8 is outside`},
		{"most gain beyond evidence", `"gain": 0, "gain_most": 0`, `"gain": 2, "gain_most": 129`, `"camera.gain_most": 129 is outside 2 to 128`},
		{"gain of nothing", `"gain_most": 0`, `"gain_most": 8`, `"camera.gain": 0 cannot be multiplied`},
		{"camera path", `"device": ""`, `"device": "video0"`, `"camera.device": "video0" is not absolute`},
		{"compressed", `"GREY"`, `"MJPG"`, `"camera.format": "MJPG" is none of`},
		{"width", `"width": 640`, `"width": 64000`, `"camera.width": 64000 is outside`},
		{"height", `"height": 480`, `"height": 0`, `"camera.height": 0 is outside`},
		{"fps", `"fps": 30`, `"fps": 0`, `"camera.fps": 0 is outside`},
		{"visible light", `"infrared_required": true`, `"infrared_required": false`, `"camera.infrared_required": only a lab`},
		{"loopback", `"loopback_allowed": false`, `"loopback_allowed": true`, `"camera.loopback_allowed": only a lab`},
		{"slow lamp", `"settle_ms": 1`, `"settle_ms": 100`, `"lamp.settle_ms": 100 is outside`},
		{"lamp slower than the frames", `"fps": 30,
    "exposure_us": 0, "gain": 0, "gain_most": 0, "infrared_required": true, "loopback_allowed": false
  },
  "lamp": {"count": 1, "settle_ms": 1,`, `"fps": 60, "exposure_us": 0, "gain": 0, "gain_most": 0, "infrared_required": true, "loopback_allowed": false},
  "lamp": {"count": 1, "settle_ms": 9,`, `"lamp.settle_ms": longer than half a frame`},
		{"no lamp", `"count": 1`, `"count": 0`, `"lamp.count": 0 is outside 1 to 2`},
		{"two lamps on one line", `"count": 1`, `"count": 2`, `"lines.lamp-2": missing: there are two`},
		{"one lamp on two lines", `"led-red":  `, `"lamp-2":   `, `"lines.lamp-2": there is one`},
		{"endless light", `"max_on_ms": 5000`, `"max_on_ms": 60001`, `"lamp.max_on_ms": 60001 is outside`},
		{"light of no frame", `"max_on_ms": 5000`, `"max_on_ms": 33`, `"lamp.max_on_ms": shorter than a frame`},
		{"duty", `"max_duty_percent": 60`, `"max_duty_percent": 101`, `"lamp.max_duty_percent": 101 is outside`},
		{"threads", `"threads": 1`, `"threads": 0`, `"inference.threads": 0 is outside`},
		{"nameless provider", `"XnnpackExecutionProvider"`, `""`, `"inference.providers[0].name": want 1`},
		{"library without hash", `"library": ""`, `"library": "/lib/x.so"`, `"inference.providers[0].sha256": a library`},
		{"relative library", `"library": ""`, `"library": "x.so"`, `"inference.providers[0].library": "x.so" is not absolute`},
		{"hash of nothing", `"sha256": ""`, `"sha256": "00"`, `"inference.providers[0].sha256": a hash of no library`},
		{"gallery", `"references": 50000`, `"references": 0`, `"gallery.references": 0 is outside`},
		{"budget", `"budget_mib": 512`, `"budget_mib": 1`, `"storage.budget_mib": 1 is outside`},
		{"no TPM", `"transport": "spi"`, `"transport": "none"`, `"tpm.transport"`},
		{"unknown secret", `"rpi-otp"`, `"fuse"`, `"tpm.cpu_secret"`},
		{"software TPM", `"spi", "spi": {"bus": 0, "chip_select": 1, "hz": 10000000}`, `"swtpm", "spi": {"bus": 0, "chip_select": 0, "hz": 0}`, `"tpm.transport": only a lab`},
		{"no SPI bus", `"spi": {"bus": 0, "chip_select": 1, "hz": 10000000}, `, ``, `"tpm.spi": missing`},
		{"SPI without a clock", `"hz": 10000000`, `"hz": 0`, `"tpm.spi.hz": 0 is outside`},
		{"SPI too fast", `"hz": 10000000`, `"hz": 100000000`, `"tpm.spi.hz": 100000000 is outside`},
		{"SPI bus", `"spi": {"bus": 0`, `"spi": {"bus": -1`, `"tpm.spi.bus": -1 is outside`},
		{"chip select", `"chip_select": 1`, `"chip_select": 8`, `"tpm.spi.chip_select": 8 is outside`},
		{"SPI of the kernel's driver", `"transport": "spi"`, `"transport": "tpmrm0"`, `"tpm.spi": not all zero`},
		{"nameless clock", `"rtc": "rpi-rtc"`, `"rtc": ""`, `"clock.rtc": want the name`},
		{"no watchdog", `"device": "/dev/watchdog0", "timeout_s": 15`, `"device": "", "timeout_s": 0`, `"watchdog.device": empty: only a lab`},
		{"time-out of no watchdog", `"device": "/dev/watchdog0"`, `"device": ""`, `"watchdog.timeout_s": of no watchdog`},
		{"watchdog path", `"/dev/watchdog0"`, `"watchdog0"`, `"watchdog.device": "watchdog0" is not an absolute`},
		{"watchdog too fast", `"timeout_s": 15`, `"timeout_s": 1`, `"watchdog.timeout_s": 1 is outside`},
		{"run dir", `"/run/lintel"`, `"run"`, `"programs.run_dir": "run" is not`},
		{"run dir climbs", `"/run/lintel"`, `"/run/../etc"`, `"programs.run_dir": "/run/../etc" is not`},
		{"root", `"eye": 101`, `"eye": 0`, `"programs.users": only a lab`},
		{"shared uid", `"eye": 101`, `"eye": 102`, `"programs.users": two programs`},
	}
	good := string(read(t, "rpi5.json"))
	for _, c := range cases {
		bent := strings.Replace(good, c.old, c.new, 1)
		if bent == good {
			t.Errorf("%s: %q is not in the file", c.name, c.old)
			continue
		}
		b, err := Parse([]byte(bent))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
		if !reflect.DeepEqual(b, Board{}) {
			t.Errorf("%s: a refused board has content", c.name)
		}
	}
	if _, err := Parse(bytes.Repeat([]byte(" "), maxFile+1)); err == nil {
		t.Error("an oversized file is parsed")
	}
}

// TestSupervisedContact: a ladder needs its ADC and its resistors, and an ADC must not share the TPM's bus.
func TestSupervisedContact(t *testing.T) {
	good := string(read(t, "rpi5.json"))
	for _, bend := range [][2]string{
		{`    "contact":   {"chip": "pinctrl-rp1", "pin": 22, "active": "high", "pull": "up", "debounce_ms": 30},` + "\n", ""},
		{`"kind": "plain", "adc": ""`, `"kind": "supervised", "adc": "/dev/i2c-1"`},
		{`"pull_up_ohm": 0, "series_ohm": 0, "across_ohm": 0, "tolerance_percent": 0`, `"pull_up_ohm": 2200, "series_ohm": 1000, "across_ohm": 4700, "tolerance_percent": 5`},
	} {
		if !strings.Contains(good, bend[0]) {
			t.Fatalf("%q is not in the file", bend[0])
		}
		good = strings.Replace(good, bend[0], bend[1], 1)
	}
	if _, err := Parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][3]string{
		{`"/dev/i2c-1"`, `""`, `"contact.adc": "" is not the device`},
		{`"/dev/i2c-1"`, `"/dev/spidev0.0"`, `"contact.adc": the TPM must be alone`},
		{`"channel": 0`, `"channel": 99`, `"contact.channel": 99 is outside`},
		{`"pull_up_ohm": 2200`, `"pull_up_ohm": 0`, `"contact.pull_up_ohm": 0 is outside`},
		{`"series_ohm": 1000`, `"series_ohm": 0`, `"contact.series_ohm": 0 is outside`},
		{`"across_ohm": 4700`, `"across_ohm": -1`, `"contact.across_ohm": -1 is outside`},
		{`"tolerance_percent": 5`, `"tolerance_percent": 50`, `"contact.tolerance_percent": 50 is outside`},
	} {
		if _, err := Parse([]byte(strings.Replace(good, c[0], c[1], 1))); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s: error %v, want %q", c[1], err, c[2])
		}
	}
}

// TestSchemaShapes: every field has a JSON name, and a type that the strict decoder knows.
func TestSchemaShapes(t *testing.T) {
	if names := schema(); slices.Contains(names, "") || !slices.Contains(names, "chip_select") {
		t.Errorf("the fields are %q: one has no name in the file, or a type that the decoder does not check", names)
	}
}

// schema is the names of all fields; an empty one stands for a fault.
func schema() []string {
	var names []string
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Struct:
			for i := range typ.NumField() {
				names = append(names, typ.Field(i).Tag.Get("json"))
				walk(typ.Field(i).Type)
			}
		case reflect.Map, reflect.Slice:
			walk(typ.Elem())
		case reflect.String, reflect.Bool, reflect.Int:
		default:
			names = append(names, "")
		}
	}
	walk(reflect.TypeFor[Board]())
	return names
}

func FuzzParse(f *testing.F) {
	f.Add(read(f, "desk.json"))
	f.Add(read(f, "qemu-virt.json"))
	f.Add(read(f, "rpi5.json"))
	f.Add([]byte(`{"name":[[[[`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Parse(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := Parse(again); err != nil || !reflect.DeepEqual(b, c) {
			t.Fatalf("a board that was accepted is not when written again: %v", err)
		}
	})
}
