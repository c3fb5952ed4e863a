//go:build !kiosk

package page

import (
	"bytes"
	"fmt"
	"image/png"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/lintel-access/lintel/access"
	desk "github.com/lintel-access/lintel/firmware/cmd/desk/page"
)

// Control: B13
func TestPageShowsTheDesk(t *testing.T) {
	b := open(t)
	if !eval[bool](b, "isSecureContext && crossOriginIsolated") {
		t.Error("the page is no isolated secure context")
	}
	for id, want := range map[string]string{
		"text": "Step closer, look at the lens", "f-state": "secured", "f-walkup": "idle", "f-led": "white, breathing", "f-relay": "locked",
		"f-contact": "closed", "enrolled": "1", "records": "1,284", "sighting": "one face in view: too far", "hint": "too far",
		"notices": "All programs run and nothing is degraded.",
	} {
		if got := eval[string](b, fmt.Sprintf("document.getElementById(%q).textContent", id)); got != want {
			t.Errorf("%s shows %q, want %q", id, got, want)
		}
	}
	if n := eval[int](b, `document.querySelectorAll("#scene-list button").length`); n != len(b.script.state.Scenes) {
		t.Errorf("%d buttons of scenes, want %d", n, len(b.script.state.Scenes))
	}
	level := eval[int](b, `document.getElementById("picture").getContext("2d").getImageData(320, 200, 1, 1).data[0]`)
	if want := int(silhouette().GrayAt(320, 200).Y); level < want-6 || level > want+6 {
		t.Errorf("the middle of the picture is %d, want about %d", level, want)
	}

	b.script.set(func(s *desk.State) {
		s.Door = desk.Door{State: access.Open, Walkup: access.Showing, Ajar: true, Released: true,
			Indication: access.Indication{LED: access.Green, Pattern: access.Steady, Buzzer: access.Chirp, Text: "Welcome"}}
		s.Decisions = append([]desk.Decision{{Number: 41, At: time.Now(), Verdict: access.Granted, Reason: access.ReasonAllowed,
			Person: "Chidi", Latency: 640 * time.Millisecond}}, s.Decisions...)
		s.Sighting = desk.Sighting{}
	})
	b.until(`document.getElementById("text").textContent === "Welcome"`)
	b.until(`document.getElementById("said").textContent === "granted, Chidi, allowed, 640 milliseconds"`)
	if row := eval[string](b, `document.querySelector("#decisions tr").innerText`); !strings.Contains(row, "Chidi") || !strings.Contains(row, "640") {
		t.Errorf("the newest row is %q", row)
	}
	if eval[bool](b, `document.querySelector("#mark").getAttribute("visibility") !== "hidden"`) {
		t.Error("a box is drawn around nobody")
	}
	if got := eval[string](b, `getComputedStyle(document.querySelector(".led")).fill`); got != "rgb(54, 224, 127)" {
		t.Errorf("the LED is %s, want green", got)
	}

	b.script.set(func(s *desk.State) {
		s.Programs[0] = desk.Program{Name: "eye", Phase: desk.Restarting, Since: time.Now(), Restarts: 2, LastExit: "signal: killed"}
	})
	b.until(`document.getElementById("notices").textContent === "eye is down: nobody can be recognised; REX and alarms keep working; it comes back by itself."`)
	if got := eval[string](b, `document.querySelector("[data-program=eye]").innerText`); !strings.Contains(got, "restarting") || !strings.Contains(got, "no process") {
		t.Errorf("the row of eye says %q", got)
	}

	b.script.set(func(s *desk.State) {
		s.Programs[0].Phase, s.Closed, s.Degraded = desk.Starting, true, []string{"nobody is recognised: the TPM is silent"}
	})
	b.until(`document.querySelector(".notice[data-kind=down]").textContent === "Nobody is recognised: the TPM is silent. REX and alarms keep working."`)
	if n := eval[int](b, `document.querySelectorAll(".notice").length`); n != 1 {
		t.Errorf("%d notices of one trouble", n)
	}
	b.shot("closed", false)
	if all := b.heard(); len(all) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(all, "\n"))
	}
}

// Control: B11
func TestBrowserEnforcesThePolicy(t *testing.T) {
	b := open(t)
	for name, attempt := range map[string]string{
		"inline script":    `const s = document.createElement("script"); s.textContent = "window.broken = 1"; document.head.append(s)`,
		"markup from text": `document.body.innerHTML = "<b>x</b>"`,
		"inline style":     `const s = document.createElement("style"); s.textContent = "main { display: none }"; document.head.append(s)`,
		"foreign sheet":    `const l = document.createElement("link"); l.rel = "stylesheet"; l.href = "http://127.0.0.1:9/x.css"; document.head.append(l)`,
		"foreign picture":  `new Image().src = "http://127.0.0.1:9/x.png"`,
		"foreign address":  `fetch("http://127.0.0.1:9/").catch(() => {})`,
	} {
		eval[bool](b, `(() => { try { `+attempt+` } catch {} return true })()`)
		var all []string
		for end := time.Now().Add(patience); len(all) == 0 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			all = b.heard()
		}
		if !strings.Contains(strings.Join(all, "\n"), "Policy") && !strings.Contains(strings.Join(all, "\n"), "Trusted") {
			t.Errorf("%s: the browser says %q, want a violation", name, all)
		}
	}
	if eval[bool](b, `window.broken === 1 || getComputedStyle(document.querySelector("main")).display === "none"`) {
		t.Error("an injected script or style took effect")
	}
}

func TestKeyboardAlone(t *testing.T) {
	b := open(t)
	b.press("1")
	b.asked("scene", "ada")
	b.press("9")
	b.asked("scene", "sun")

	// The whole page by Tab: every control is reached once, in the order of reading, with a visible focus.
	var reached []string
	for range 60 {
		b.press(kb.Tab)
		at := eval[string](b, `(() => { const e = document.activeElement;
			if (e === document.body) return "";
			if (getComputedStyle(e).outlineStyle === "none") return "invisible focus on " + e.outerHTML;
			return e.dataset.act ?? e.dataset.scene ?? e.dataset.person ?? e.getAttribute("aria-label") ?? e.id + e.className })()`)
		if at == "" || slices.Contains(reached, at) {
			break
		}
		if strings.HasPrefix(at, "invisible") {
			t.Error(at)
		}
		reached = append(reached, at)
	}
	for _, want := range []string{"ada", "forced", "keys", "Kill eye", "Kill link", "rex", "fire", "tamper", "lockdown", "Ada", "Chidi", "rekey"} {
		if !slices.Contains(reached, want) {
			t.Errorf("Tab does not reach %q; it reaches %q", want, reached)
		}
	}

	focus := func(selector string) { b.do(chromedp.Focus(selector)) }
	focus(`[data-act=rex]`)
	b.press(kb.Enter)
	b.asked("rex", "")
	focus(`[data-act=fire]`)
	b.press(" ")
	b.asked("fire", "on")
	b.script.set(func(s *desk.State) { s.Door.Fire = true })
	b.until(`document.querySelector("[data-act=fire]").ariaChecked === "true"`)
	b.press(" ")
	b.asked("fire", "off")
	focus(`[aria-label="Kill eye"]`)
	b.press(kb.Enter)
	b.asked("kill", "eye")

	b.script.set(func(s *desk.State) { s.Waiting = []string{"Ada", "Béla"} })
	b.until(`document.getElementById("waiting").checkVisibility()`)
	focus(`[data-alike="Béla"]`)
	b.press(kb.Enter)
	b.asked("confirm", "Béla")
	b.shot("waiting", false)
	b.script.set(func(s *desk.State) { s.Waiting = nil })
	b.until(`!document.getElementById("waiting").checkVisibility()`)
	focus(`[data-act=rekey]`)
	b.press(kb.Enter)
	b.asked("rekey", "")

	// The keys can be turned off (WCAG 2.1.4), and a refusal of the desk is said.
	focus("#keys")
	b.press(" ")
	b.press("1")
	focus(`[data-scene=forced]`)
	b.press(kb.Enter)
	b.until(`!document.getElementById("error").hidden && document.getElementById("error").textContent === "Not done: a scene plays already."`)
	if acts := b.script.done(); len(acts) > 0 {
		t.Errorf("with the keys off the page asked for %v", acts)
	}
	if all := slices.DeleteFunc(b.heard(), func(s string) bool { return strings.Contains(s, "409") }); len(all) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(all, "\n"))
	}
}

// What can become of a person is asked in a dialog that offers what fits, and what cannot be taken back is pressed twice; all by keyboard.
func TestPeople(t *testing.T) {
	b := open(t)
	about := func(person string) {
		b.do(chromedp.Focus(fmt.Sprintf("[data-person=%q]", person)))
		b.press(kb.Enter)
		b.until(fmt.Sprintf(`document.getElementById("person").open && document.getElementById("p-name").textContent === %q`, person))
	}
	const closed = `!document.getElementById("person").open`
	// Escape, and Enter on the preselected button, leave everything as it is.
	for _, refusal := range []string{kb.Escape, kb.Enter} {
		about("Ada")
		b.press("2") // no scene behind the question
		b.press(refusal)
		b.until(closed)
	}
	if acts := b.script.done(); len(acts) > 0 {
		t.Fatalf("without consent the page asked for %v", acts)
	}
	for person, want := range map[string][]string{
		"Ada": {"Suspend", "Revoke", "Delete", "Leave as it is"}, "Béla": {"Resume", "Revoke", "Delete", "Leave as it is"}, "Chidi": {"Delete", "Leave as it is"},
	} {
		about(person)
		offered := eval[[]string](b, `[...document.querySelectorAll("dialog button")].filter((e) => e.checkVisibility()).map((e) => e.textContent)`)
		if !slices.Equal(offered, want) {
			t.Errorf("%s is offered %q, want %q", person, offered, want)
		}
		b.press(kb.Escape)
		b.until(closed)
	}

	order := func(person, verb string) {
		about(person)
		b.do(chromedp.Focus(fmt.Sprintf("dialog [value=%s]", verb)))
		b.press(kb.Enter)
	}
	order("Ada", "suspend")
	b.asked("suspend", "Ada")
	b.script.set(func(s *desk.State) {
		s.People = slices.Clone(s.People)
		s.People[0].Standing = access.Suspended
	})
	b.until(`document.querySelector("[data-person=Ada]").dataset.standing === "suspended"`)
	if at := eval[string](b, `document.activeElement.dataset.person ?? ""`); at != "Ada" {
		t.Errorf("after the order the focus is on %q, want Ada", at)
	}
	order("Ada", "resume")
	b.asked("resume", "Ada")

	// Once is a question; another button, or leaving, forgets it.
	order("Ada", "revoke")
	b.until(`document.querySelector("dialog [value=revoke]").textContent === "Yes, revoke"`)
	b.do(chromedp.Focus("dialog [value=delete]"))
	b.press(kb.Enter)
	b.until(`document.querySelector("dialog [value=revoke]").textContent === "Revoke"`)
	b.press(kb.Escape)
	b.until(closed)
	order("Ada", "delete")
	b.until(`document.querySelector("dialog [value=delete]").textContent === "Yes, delete"`)
	if acts := b.script.done(); len(acts) > 0 {
		t.Fatalf("without consent the page asked for %v", acts)
	}
	b.press(kb.Enter)
	b.asked("delete", "Ada")
	b.script.set(func(s *desk.State) { s.People = s.People[1:] })
	b.until(`document.querySelector("[data-person=Ada]") === null && document.activeElement.dataset.act === "rekey"`)

	// The dialog fits the smallest screen, and its texts can be read in both schemes.
	for _, scheme := range []string{"light", "dark"} {
		b.size(320, 600)
		b.media("prefers-color-scheme", scheme)
		about("Béla")
		b.press(kb.Tab)
		if over := eval[int](b, `Math.max(document.documentElement.scrollWidth - innerWidth, (({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.getElementById("person")))`); over > 0 {
			t.Errorf("the dialog is %d px too wide", over)
		}
		if bad := eval[[]string](b, contrasts); len(bad) > 0 {
			t.Errorf("%s dialog: contrast below 4.5:1\n%s", scheme, strings.Join(bad, "\n"))
		}
		b.shot("person-320-"+scheme, false)
		b.size(1280, 800)
		b.shot("person-1280-"+scheme, false)
		b.press(kb.Escape)
		b.until(closed)
	}
	if all := b.heard(); len(all) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(all, "\n"))
	}
}

func TestPageComesBackByItself(t *testing.T) {
	b := open(t)
	b.cut()
	b.until(`document.body.dataset.live === "false"`)
	b.script.set(func(s *desk.State) { s.Door.Indication.Text = "Here again" })
	b.until(`document.body.dataset.live === "true" && document.getElementById("text").textContent === "Here again"`)
	for end := time.Now().Add(patience); ; { // a busy machine shows fewer for a while, never more
		began, frames := time.Now(), b.script.shown()
		time.Sleep(time.Second)
		n, took := float64(b.script.shown()-frames), time.Since(began).Seconds()
		if n > 17*took+2 { // two that a stall has put off
			t.Fatalf("%v frames in %.2f s, want 10 to 16 a second", n, took)
		}
		if n >= 8*took {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%v frames in %.2f s, and no second with more: want 10 to 16 a second", n, took)
		}
	}
}

// contrasts lists the visible texts whose contrast against the ground behind them is below 4.5:1 (WCAG 1.4.3 AA).
const contrasts = `(() => {
	const parse = (c) => { const p = document.createElement("canvas").getContext("2d", { willReadFrequently: true }); p.fillStyle = c; p.fillRect(0, 0, 1, 1); return [...p.getImageData(0, 0, 1, 1).data]; };
	const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
	const bad = [];
	for (const e of document.querySelectorAll("body *")) {
		if (e.closest("svg, .unseen, .skip, [hidden], dialog:not([open]), noscript") || ![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
		let ground = e, under;
		while (ground && (under = parse(getComputedStyle(ground).backgroundColor))[3] < 255) ground = ground.parentElement;
		const [a, b] = [light(parse(getComputedStyle(e).color)), light(under)].sort((x, y) => y - x);
		const ratio = (a + .05) / (b + .05);
		if (ratio < 4.5) bad.push(ratio.toFixed(2) + " " + e.tagName + " " + e.textContent.trim().slice(0, 40));
	}
	return bad;
})()`

func TestLooks(t *testing.T) {
	b := open(t)
	for _, look := range []struct {
		name          string
		width, height int64
		feature       [2]string
	}{
		{"1280-light", 1280, 800, [2]string{"prefers-color-scheme", "light"}},
		{"1280-dark", 1280, 800, [2]string{"prefers-color-scheme", "dark"}},
		{"900-light", 900, 800, [2]string{"prefers-color-scheme", "light"}},
		{"360-light", 360, 800, [2]string{"prefers-color-scheme", "light"}},
		{"320-dark", 320, 800, [2]string{"prefers-color-scheme", "dark"}},
	} {
		for _, trouble := range []bool{false, true} {
			name := look.name
			b.script.set(func(s *desk.State) { version := s.Version; *s = newScript().state; s.Version = version })
			if trouble {
				name += "-trouble"
				b.script.set(inTrouble)
			}
			b.size(look.width, look.height)
			b.media(look.feature[0], look.feature[1])
			b.until(fmt.Sprintf(`document.querySelectorAll(".notice[data-kind=down]").length === %d`, map[bool]int{true: 1}[trouble]))
			b.until(`document.fonts.status === "loaded"`)
			time.Sleep(600 * time.Millisecond) // the door swings for 450 ms

			if over := eval[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
				t.Errorf("%s: %d px too wide: %q", name, over, eval[[]string](b, `[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth).map((e) => e.outerHTML.slice(0, 60))`))
			}
			if look.width == 1280 && !trouble {
				if over := eval[int](b, "document.documentElement.scrollHeight - innerHeight"); over > 0 {
					t.Errorf("%s: %d px too high", name, over)
				}
			}
			if bad := eval[[]string](b, contrasts); len(bad) > 0 {
				t.Errorf("%s: contrast below 4.5:1\n%s", name, strings.Join(bad, "\n"))
			}
			b.shot(name, look.width < 1280)
		}
	}
	b.media("prefers-reduced-motion", "reduce")
	b.until(`document.getAnimations().length === 0`)
}

// withHeadquarters is a kiosk that is connected, or was.
func withHeadquarters(on bool) func(*desk.State) {
	return func(s *desk.State) {
		s.Afar = desk.Afar{
			Known: true, Network: on, Connected: on, Since: time.Now().Add(-3 * time.Minute), Timed: true, Applied: 12, Newest: 12, Governed: on, Visitor: "Dora", Enrolled: on,
		}
		if !on {
			s.Afar.Newest, s.Afar.Alarms = 14, []string{"silence since 12:04: nothing was heard of the kiosk"}
		}
	}
}

// The panel of headquarters is there when a headquarters is, says how the kiosk stands with it, and asks for what fits.
func TestHeadquartersPanel(t *testing.T) {
	b := open(t)
	b.until(`document.getElementById("afar").hidden`)
	for _, scheme := range []string{"light", "dark"} {
		b.media("prefers-color-scheme", scheme)
		for _, width := range []int64{1280, 900, 320} {
			b.size(width, 800)
			for _, on := range []bool{true, false} {
				b.script.set(withHeadquarters(on))
				b.until(fmt.Sprintf(`document.querySelector("[data-act=network]").getAttribute("aria-checked") === "%v"`, on))
				if over := eval[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
					t.Errorf("%s, %d px: %d px too wide", scheme, width, over)
				}
				if bad := eval[[]string](b, contrasts); len(bad) > 0 {
					t.Errorf("%s, %d px: contrast below 4.5:1\n%s", scheme, width, strings.Join(bad, "\n"))
				}
				b.shot(fmt.Sprintf("headquarters-%d-%s-%v", width, scheme, on), true)
			}
		}
	}
	b.until(`document.getElementById("a-state").textContent === "network cut for 3 min" && document.getElementById("a-commands").textContent === "12 of 14"`)
	b.until(`document.getElementById("a-alarms").textContent.startsWith("silence since") && document.querySelector("[data-act=afar-delete]").hidden`)
	for _, press := range [][2]string{{"network", "on"}, {"afar-enrol", ""}, {"afar-lockdown", "on"}, {"afar-release", ""}} {
		eval[bool](b, fmt.Sprintf(`document.querySelector("[data-act=%s]").click() === undefined`, press[0]))
		b.asked(press[0], press[1])
	}
	b.script.set(withHeadquarters(true))
	b.until(`document.getElementById("a-state").textContent === "connected for 3 min" && document.querySelector("[data-act=afar-enrol]").hidden`)
	eval[bool](b, `document.querySelector("[data-act=afar-delete]").click() === undefined`)
	b.asked("afar-delete", "")
	if all := b.heard(); len(all) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(all, "\n"))
	}
}

// inTrouble is everything at once: a dead program, degraded modes, a forced door, all inputs on.
func inTrouble(s *desk.State) {
	s.Door = desk.Door{State: access.ForcedOpen, Ajar: true, Fire: true, Tamper: true, Lockdown: true, Released: true,
		Indication: access.Indication{LED: access.Red, Pattern: access.Flash, Buzzer: access.Alarm, Text: "Please close the door"}}
	s.Sighting = desk.Sighting{Box: access.Box{X0: 500, Y0: 300, X1: 640, Y1: 480}, Faces: 2, Hint: access.HintSeveral}
	s.Programs = slices.Clone(s.Programs)
	s.Programs[0] = desk.Program{Name: "eye", Phase: desk.Refused, Since: time.Now(), Restarts: 12,
		LastExit: `load model "detector.onnx": SHA-256 is 5e1f…, the manifest says 9ab0…`}
	s.Degraded = []string{"The execution provider \"Npu\" was dropped: its answers differ; the CPU is used."}
	s.Task = "Enrolling Ada (1 of 3)"
	s.Waiting = []string{"Ada", "Béla"}
	s.Told = []string{"Ada looks like Béla: the door may ask one of them for assistance.", "Chidi is deleted; the receipt is proved, counter 42, kept in .lintel/desk/offline/deleted-20261122T185857Z-9ad003a4."}
	s.Scene = "two"
}

// TestReadmePicture keeps docs/desk.png honest: it is this page with silhouettes for people, and small.
func TestReadmePicture(t *testing.T) {
	const (
		path          = "../../docs/desk.png"
		width, height = 1280, 962
		limit         = 250 << 10 // bytes; what a README may weigh
	)
	if *update {
		b := open(t)
		b.script.set(func(s *desk.State) {
			s.Door = desk.Door{State: access.Released, Walkup: access.Showing, Released: true, Lamp: true,
				Indication: access.Indication{LED: access.Green, Pattern: access.Steady, Buzzer: access.Chirp, Text: "Welcome"}}
			s.Sighting.Hint = access.HintNone
			s.Scene, s.Backlog = "ada", 2
			s.Programs = append(s.Programs, desk.Program{Name: "hq", Phase: desk.Running, PID: 4714, Since: s.Programs[1].Since})
			withHeadquarters(true)(s)
		})
		b.size(width, height)
		b.until(`document.getElementById("text").textContent === "Welcome"`)
		time.Sleep(600 * time.Millisecond)
		if err := os.WriteFile(path, b.shot("readme", false), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	picture, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: write it with go test ./tests/page -run ReadmePicture -update", err)
	}
	config, err := png.DecodeConfig(bytes.NewReader(picture))
	if err != nil || config.Width != width || config.Height != height || len(picture) > limit {
		t.Errorf("picture: %dx%d, %d bytes, %v; want %dx%d in at most %d bytes", config.Width, config.Height, len(picture), err, width, height, limit)
	}
}
