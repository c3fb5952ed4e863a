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

// TestProductBoardFits proves that the schema has room for a real board: the wiring proposal of docs/BOARDS.md.
func TestProductBoardFits(t *testing.T) {
	b, err := Parse(read(t, "testdata/rpi5.json"))
	if err != nil {
		t.Fatal(err)
	}
	if b.Lab || b.Lines[Contact] != (Wire{Chip: "pinctrl-rp1", Pin: 22, Active: High, Debounce: 30}) || b.Has(LEDBlue) {
		t.Errorf("the proposal reads %+v", b)
	}
	page := read(t, "../docs/BOARDS.md")
	if !bytes.Contains(page, read(t, "testdata/rpi5.json")) {
		t.Error("docs/BOARDS.md does not show testdata/rpi5.json as it is")
	}
}

// TestParseRefuses bends a good file in one place at a time; every error must name that place.
func TestParseRefuses(t *testing.T) {
	cases := []struct{ name, old, new, want string }{
		{"unknown field", `"lab": false,`, `"lab": false, "hotel": 1,`, `"hotel": no such field`},
		{"unknown field deep", `"pin": 17,`, `"pin": 17, "pull": "up",`, `"lines.relay.pull": no such field`},
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
		{"no REX", `"rex":       {"chip": "pinctrl-rp1", "pin": 23, "active": "low", "debounce_ms": 10},`, ``, `"lines.rex": missing`},
		{"no tamper", `"tamper":    {"chip": "pinctrl-rp1", "pin": 24, "active": "high", "debounce_ms": 50},`, ``, `"lines.tamper": missing`},
		{"negative pin", `"pin": 17`, `"pin": -1`, `"lines.relay.pin": -1 is outside`},
		{"no chip", `"chip": "pinctrl-rp1", "pin": 17`, `"chip": "", "pin": 17`, `"lines.relay.chip": want 1`},
		{"twin line", `"chip": "pinctrl-rp1", "pin": 17`, `"chip": "twin", "pin": 17`, `"lines.relay.chip": only a lab`},
		{"output debounced", `"pin": 17, "active": "high", "debounce_ms": 0`, `"pin": 17, "active": "high", "debounce_ms": 5`, `an output does not bounce`},
		{"input not debounced", `"debounce_ms": 30`, `"debounce_ms": 0`, `"lines.contact.debounce_ms": real contacts bounce`},
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
		{"camera path", `"device": ""`, `"device": "video0"`, `"camera.device": "video0" is not absolute`},
		{"compressed", `"GREY"`, `"MJPG"`, `"camera.format": "MJPG" is none of`},
		{"width", `"width": 640`, `"width": 64000`, `"camera.width": 64000 is outside`},
		{"height", `"height": 480`, `"height": 0`, `"camera.height": 0 is outside`},
		{"fps", `"fps": 30`, `"fps": 0`, `"camera.fps": 0 is outside`},
		{"visible light", `"infrared_required": true`, `"infrared_required": false`, `"camera.infrared_required": only a lab`},
		{"loopback", `"loopback_allowed": false`, `"loopback_allowed": true`, `"camera.loopback_allowed": only a lab`},
		{"slow lamp", `"settle_ms": 1`, `"settle_ms": 100`, `"lamp.settle_ms": 100 is outside`},
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
		{"software TPM", `"spi"`, `"swtpm"`, `"tpm.transport": only a lab`},
		{"run dir", `"/run/lintel"`, `"run"`, `"programs.run_dir": "run" is not`},
		{"run dir climbs", `"/run/lintel"`, `"/run/../etc"`, `"programs.run_dir": "/run/../etc" is not`},
		{"root", `"eye": 101`, `"eye": 0`, `"programs.users": only a lab`},
		{"shared uid", `"eye": 101`, `"eye": 102`, `"programs.users": two programs`},
	}
	good := string(read(t, "testdata/rpi5.json"))
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

// TestSchemaShapes: every field has a JSON name, and a type that the strict decoder knows.
func TestSchemaShapes(t *testing.T) {
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Struct:
			for i := range typ.NumField() {
				if f := typ.Field(i); f.Tag.Get("json") == "" {
					t.Errorf("%v.%s has no name in the file", typ, f.Name)
				} else {
					walk(f.Type)
				}
			}
		case reflect.Map, reflect.Slice:
			walk(typ.Elem())
		case reflect.String, reflect.Bool, reflect.Int:
		default:
			t.Errorf("the decoder does not check %v", typ)
		}
	}
	walk(reflect.TypeFor[Board]())
}

func FuzzParse(f *testing.F) {
	f.Add(read(f, "desk.json"))
	f.Add(read(f, "testdata/rpi5.json"))
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
