package main

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/twin"
)

func defaults(t *testing.T, args ...string) options {
	t.Helper()
	o, err := parse(append([]string{"-cache", "../../.lintel"}, args...), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func named(t *testing.T, name string) species {
	t.Helper()
	for _, k := range catalogue {
		if k.name == name {
			return k
		}
	}
	t.Fatalf("no species %q", name)
	return species{}
}

func TestEverySceneIsOneOfTheLanguage(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range catalogue {
		for _, set := range []string{"A", "B"} {
			for i := range 40 {
				s, _ := k.script(set, i, 6)
				if _, err := twin.ParseScene(k.name, []byte(s.String())); err != nil {
					t.Fatalf("%v in\n%s", err, s.String())
				}
				if seen[s.String()] {
					t.Fatalf("%s: two presentations are one:\n%s", k.name, s.String())
				}
				seen[s.String()] = true
				again, _ := k.script(set, i, 6)
				if again.String() != s.String() || !reflect.DeepEqual(again.notes, s.notes) {
					t.Fatalf("%s: the same seed gives another scene", k.name)
				}
			}
		}
		if (k.allowed > 0) != (k.why != "") {
			t.Errorf("%s: an allowance without its reason, or a reason without one", k.name)
		}
	}
}

// The lamp's share of an exposure is that of the chips, and full outside of them.
func TestLampOfChips(t *testing.T) {
	ms := time.Millisecond
	chips := []access.Chip{{From: 100 * ms, To: 133 * ms, Lit: false}, {From: 133 * ms, To: 166 * ms, Lit: true}}
	p := &walkUp{booth: &booth{}, chips: chips, taken: twin.Most}
	for at, want := range map[time.Duration]float64{90 * ms: 1, 104 * ms: 0.5, 120 * ms: 0, 135 * ms: 0.25, 150 * ms: 1, 200 * ms: 1} {
		if got := p.light(at).Lamp; math.Abs(got-want) > 1e-9 {
			t.Errorf("at %v: %v, want %v", at, got, want)
		}
	}
}

// The whole laboratory on real models: what a few plain presentations come to, and that they come to it again.
func TestPresentations(t *testing.T) {
	o := defaults(t)
	b, err := openBooth(o)
	if err != nil {
		t.Fatalf("%v (run make deps)", err)
	}
	defer b.Close()
	run := func(name string, index int) outcome {
		t.Helper()
		got, err := b.one(o, named(t, name), index)
		if err != nil {
			t.Fatal(err)
		}
		got.Cost = 0
		return got
	}
	const tries = 3
	for name, want := range map[string][]access.Reason{
		"screen, emits infrared":   {access.ReasonNoAnswer, access.ReasonFlat},
		"injected: one frame late": {access.ReasonLateAnswer},
		"injected: inverted":       {access.ReasonInverted},
	} {
		hit := 0
		for i := range tries {
			got := run(name, i)
			if got.Accepted {
				t.Errorf("%s/%d was accepted", name, i)
			}
			for _, r := range want {
				if got.Reason == r {
					hit++
				}
			}
		}
		if hit == 0 {
			t.Errorf("%s: in none of %d presentations the reason is one of %v", name, tries, want)
		}
	}
	if got := run("screen, dark in infrared", 0); got.Accepted || got.Sessions != 0 {
		t.Errorf("a dark screen opened a session: %+v", got)
	}
	accepted := 0
	for i := range 5 {
		got := run("bona fide", i)
		if got.Accepted {
			accepted++
			if got.Took < 400*time.Millisecond || got.Took > 4*time.Second {
				t.Errorf("bona fide/%d was decided after %v", i, got.Took)
			}
		}
		if again := run("bona fide", i); !sameOutcome(got, again) {
			t.Errorf("bona fide/%d: the same presentation ends otherwise: %+v, %+v", i, got, again)
		}
	}
	if accepted == 0 {
		t.Error("none of five living people was accepted")
	}
}

// sameOutcome compares findings whose value is no number, too.
func sameOutcome(a, b outcome) bool {
	for c := range a.First {
		x, y := a.First[c], b.First[c]
		if x.Asked != y.Asked || x.Reason != y.Reason || x.Value != y.Value && (x.Value == x.Value || y.Value == y.Value) {
			return false
		}
	}
	return a.Accepted == b.Accepted && a.Reason == b.Reason && a.Sessions == b.Sessions && a.Took == b.Took
}

func TestReport(t *testing.T) {
	attack, living := species{name: "attack"}, species{name: "living", bona: true}
	relay := species{name: "relay", allowed: 300, why: "because"}
	list := func(k species, accepted, all int) (l []outcome) {
		for i := range all {
			l = append(l, outcome{Species: k.name, Accepted: i < accepted, Sessions: 1, Reason: access.ReasonFlat, Took: 450 * time.Millisecond})
		}
		return l
	}
	for name, c := range map[string]struct {
		attacks, living, relayed int
		missed                   string
	}{
		"all is well":     {0, 97, 100, ""},
		"one attack":      {1, 97, 0, "attack: 1 accepted, 0 allowed"},
		"four rejections": {0, 96, 0, "4 of 100 living people rejected"},
	} {
		var out bytes.Buffer
		all := slices.Concat(list(attack, c.attacks, 60), list(living, c.living, 100), list(relay, c.relayed, 100))
		err := report{options: options{profile: "office", fps: 30}, species: []species{attack, living, relay}, outcomes: all}.print(&out)
		if (err == nil) != (c.missed == "") || err != nil && !strings.Contains(err.Error(), c.missed) {
			t.Errorf("%s: %v", name, err)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if c.missed == "" && lines[len(lines)-1] != "pad: 3 species, 260 presentations, 100 accepted, 100 bona fide, 3 rejected" {
			t.Errorf("%s: closing line %q", name, lines[len(lines)-1])
		}
	}
	// Unknown relief excuses what relief stops, and that alone.
	for _, sheet := range []bool{true, false} {
		k := species{name: "attack", sheet: sheet}
		err := report{species: []species{k}, outcomes: []outcome{{Species: k.name, Accepted: true, Unknown: true}}}.print(io.Discard)
		if (err == nil) != sheet {
			t.Errorf("sheet %v, accepted with unknown relief: %v", sheet, err)
		}
	}
	for _, k := range catalogue {
		if strings.HasPrefix(k.name, "print") != k.sheet {
			t.Errorf("%s: sheet %v", k.name, k.sheet)
		}
	}
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{{"extra"}, {"-n", "0"}, {"-fps", "5"}, {"-lamps", "3"}, {"-seed-set", "C"}, {"-no-such-flag"}, {"-species", "unicorn"}, {"-print", "mask"}, {"-scene", "/nonexistent"}} {
		if err := run(args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v: accepted", args)
		}
	}
	var usage bytes.Buffer
	if err := run([]string{"-h"}, io.Discard, &usage); err == nil || !strings.Contains(usage.String(), "print, glossy") {
		t.Errorf("-h: %v, %s", err, usage.String())
	}
	var scene bytes.Buffer
	if err := run([]string{"-print", "mask/1"}, &scene, io.Discard); err != nil || !strings.Contains(scene.String(), "mask of enrolled") {
		t.Errorf("-print: %v, %s", err, scene.String())
	}
	file := filepath.Join(t.TempDir(), "x.scene")
	if err := os.WriteFile(file, scene.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if chosen, err := choose(options{scene: file}); err != nil || len(chosen) != 1 || chosen[0].bona {
		t.Errorf("-scene: %v", err)
	}
	if err := os.WriteFile(file, append(scene.Bytes(), "\nexpect granted\ndance"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := choose(options{scene: file}); err == nil || !strings.Contains(err.Error(), "dance") {
		t.Errorf("-scene with a broken file: %v", err)
	}
	if _, err := choose(options{species: "mask, bona"}); err != nil {
		t.Error(err)
	}
}

// With two lamps each is lit by its own bits, and an adaptive guesser narrows the codes of the book down to those that began as the shown one.
func TestTwoLamps(t *testing.T) {
	book, err := access.Office.PairBook()
	if err != nil {
		t.Fatal(err)
	}
	code, err := book.Code(123)
	if err != nil {
		t.Fatal(err)
	}
	p := &walkUp{booth: &booth{two: true, book: book, interval: time.Second / 30}, taken: twin.Most}
	for k := range int(code.Length) {
		from := epoch + time.Duration(k)*p.interval
		p.chips = append(p.chips, chip(code, k, from, from+p.interval))
	}
	for k := range int(code.Length) {
		left, right := code.Lamps(k)
		if got := p.light(epoch + time.Duration(k)*p.interval + 20*time.Millisecond); got.Lamp != 0 || got.Pair != [2]float64{on(left), on(right)} {
			t.Errorf("chip %d: light %+v, want %v and %v", k, got, left, right)
		}
	}
	left := 0
	for i := range book.Size() {
		c, _ := book.Code(i)
		same := true
		for k := range p.chips[:6] {
			same = same && begins(c, k, p.chips[k])
		}
		if same {
			left++
		}
	}
	if left != 1 { // the balance leaves one level for the last chip, and one lamp
		t.Errorf("%d codes begin with six chips of one, want 1", left)
	}
}
