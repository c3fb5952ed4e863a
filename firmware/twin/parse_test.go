//go:build !kiosk

package twin

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/board"
)

const minimal = "title \"t\"\nduration 1s\n"

func TestOwnScenes(t *testing.T) {
	list, err := Scenes()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 17 {
		t.Fatalf("only %d scenes", len(list))
	}
	var total time.Duration
	names := map[string]bool{}
	for _, s := range list {
		total += s.Duration
		if names[s.Name] {
			t.Errorf("%q twice", s.Name)
		}
		names[s.Name] = true
		if s.seed == 0 {
			t.Errorf("%s: no seed", s.Name)
		}
	}
	if total > 80*time.Second { // a scene ends with its outcome, after a second or two: longer it goes on only where the kiosk asks for another try
		t.Errorf("the scenes take %v", total)
	}
	e, err := Enrolment(3)
	if err != nil || len(e.Actors) != 1 || e.Actors[0].Number != 3 || e.Actors[0].Role != Enrolled {
		t.Fatalf("enrolment: %+v, %v", e, err)
	}
	if again, _ := Enrolment(1); again.Actors[0].Number != 1 || e.Actors[0].Number != 3 {
		t.Error("two enrolments share their actors")
	}
}

func TestParseScene(t *testing.T) {
	s, err := ParseScene("x", []byte(`# all of the language
title "A # b"   # comment
seed 7
duration 2.5s
ambient 0.5
sun 3 from 0 -1 0
gain 2
passes yes
expect retry reason "too bright"
expect door "held open"
delete enrolled 2
suspend enrolled 1

print of stranger 2
enters 0.1s
leaves 2s
at 0s position 0 0 1
at 1s position 1 0.5 2
at 0.5s turn 10 -5 3
person enrolled 1
looks away
at 0s position 0 0 1
press rex at 1s for 0.5s
set tamper on at 0.25s
force at 0.3s
`))
	if err != nil {
		t.Fatal(err)
	}
	if s.Title != "A # b" || s.seed != 7 || s.Duration != 2500*time.Millisecond || s.ambient != 0.5 || s.sun != 3 || s.gain != 2 || !s.Passes {
		t.Errorf("scene %+v", s)
	}
	if s.Expect != (Expectation{Retry, "too bright", "held open"}) {
		t.Errorf("expectation %+v", s.Expect)
	}
	if want := []Order{{"delete", 2}, {"suspend", 1}}; !slices.Equal(s.Orders, want) {
		t.Errorf("orders %v, want %v", s.Orders, want)
	}
	a := s.Actors[0]
	if a.Form != Print || a.Role != Stranger || a.Number != 2 || a.enters != 100*time.Millisecond || a.leaves != 2*time.Second {
		t.Errorf("actor %+v", a)
	}
	for at, want := range map[time.Duration]vec{0: {0, 0, 1}, 500 * time.Millisecond: {0.5, 0.25, 1.5}, time.Hour: {1, 0.5, 2}} {
		if got := along(a.position, at); got != want {
			t.Errorf("at %v: %v, want %v", at, got, want)
		}
	}
	if got := along(a.turn, 0); got != (vec{10, -5, 3}) {
		t.Errorf("before the first key: %v", got)
	}
	want := []input{{250 * time.Millisecond, board.Tamper, true}, {300 * time.Millisecond, board.Contact, true},
		{time.Second, board.REX, true}, {1100 * time.Millisecond, board.Contact, false}, {1500 * time.Millisecond, board.REX, false}}
	if len(s.inputs) != len(want) {
		t.Fatalf("inputs %v", s.inputs)
	}
	for i := range want {
		if s.inputs[i] != want[i] {
			t.Errorf("input %d is %v, want %v", i, s.inputs[i], want[i])
		}
	}
}

func TestParseErrorsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                                                    "no title",
		"title \"t\"\n":                                       "no duration",
		"title \"t\"\nduration 0.05s":                         "duration",
		minimal + "dance":                                     `line 3: unknown statement "dance"`,
		minimal + "duration 2s":                               "line 3: \"duration\" stands twice",
		minimal + "seed -1":                                   "line 3",
		minimal + "seed NaN":                                  "line 3",
		minimal + "seed 1 2":                                  `"2" after the end`,
		minimal + "ambient 21":                                "number from 0 to 20",
		minimal + "gain 0":                                    "number from",
		minimal + "sun 3 from 0 0 0":                          "direction",
		minimal + "sun 3 0 1 0":                               `"from" should stand`,
		minimal + "passes maybe":                              "neither yes nor no",
		minimal + "expect glory":                              `expect "glory"`,
		minimal + "expect granted\nexpect retry":              "line 4",
		minimal + "expect granted reason x":                   "quotation marks",
		minimal + "expect granted reason \"x":                 "without an end",
		minimal + "person visitor 1":                          "neither enrolled nor stranger",
		minimal + "person enrolled 0":                         "number from 1",
		minimal + "person enrolled 1.5":                       "no person number",
		minimal + "person enrolled 1":                         "actor 1 has no position",
		minimal + "print enrolled 1":                          `"of" should stand`,
		minimal + "at 0s position 0 0 1":                      "before any actor",
		minimal + "person enrolled 1\nat 0 position 0 0 1":    "not a time",
		minimal + "person enrolled 1\nat 0s position 0 0 0.2": "nearer than",
		minimal + "person enrolled 1\nat 0s position 0 0":     "is not a number",
		minimal + "person enrolled 1\nat 0s turn 91 0 0":      "number from -90",
		minimal + "person enrolled 1\nat 0s jump 0 0 1":       "neither position nor turn",
		minimal + "person enrolled 1\nlooks up":               `"away" should stand`,
		minimal + "person enrolled 1\nat 1s position 0 0 1\nat 1s position 0 0 1":   "line 5: keys must follow",
		minimal + "person enrolled 1\nat 1s position 0 0 1\nenters 1s\nleaves 0.5s": "leaves before entering",
		minimal + "delete stranger 1":                                            `"enrolled" should stand`,
		minimal + "resume enrolled 0":                                            "number from 1",
		minimal + "resume enrolled 1\nresume enrolled 2":                         `line 4: "resume" stands twice`,
		minimal + "press relay at 1s":                                            "not an input",
		minimal + "set contact on at 1s":                                         "not an input",
		minimal + "press rex for 1s":                                             `"at" should stand`,
		minimal + "force at 61s":                                                 "not a time",
		minimal + strings.Repeat("x", 201):                                       "longer than 200",
		minimal + strings.Repeat("force at 1s\n", 17):                            "more than 32 changes",
		minimal + strings.Repeat("person enrolled 1\nat 0s position 0 0 1\n", 5): "more than 4 actors",
		minimal + "title\xff":                                                    "UTF-8",
		strings.Repeat("#\n", MaxSceneBytes):                                     "more than 65536 bytes",
	} {
		s, err := ParseScene("x", []byte(text))
		if err == nil {
			t.Errorf("%.60q: accepted as %+v", text, s)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want ...%s...", text, err, want)
		}
	}
}

// Every scene in the document parses, so that what is printed there works when it is copied.
func TestScenesInTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/SCENES.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```scene\n")
	if len(blocks) < 2 {
		t.Fatal("no scene in the document")
	}
	for i, b := range blocks[1:] {
		scene, _, _ := strings.Cut(b, "```")
		if _, err := ParseScene("SCENES.md", []byte(scene)); err != nil {
			t.Errorf("block %d: %v", i+1, err)
		}
	}
}

func FuzzParseScene(f *testing.F) {
	entries, err := sceneFiles.ReadDir("scenes")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		text, err := sceneFiles.ReadFile("scenes/" + e.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(everyone))
	f.Add([]byte(minimal + "press rex at 1s for 0.5s\nset fire off at 2s\nsun 1 from 0 1 0"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseScene("fuzz", text)
		if err != nil {
			return
		}
		if s.Duration > maxDuration || len(s.Actors) > maxActors || len(s.inputs) > maxInputs || s.Title == "" {
			t.Fatalf("accepted %+v", s)
		}
		for _, a := range s.Actors {
			for at := time.Duration(0); at < s.Duration; at += s.Duration/5 + 1 {
				if p := along(a.position, at); !(p.z >= 0.3 && p.z <= 8) {
					t.Fatalf("position %v", p)
				}
			}
		}
	})
}

func TestOutcomeFits(t *testing.T) {
	verdicts := []string{"nothing", "granted", "denied", "retry", "uncertain"}
	for o, want := range map[Outcome][]bool{
		Nothing: {true, false, false, false, false},
		Granted: {false, true, false, false, false},
		Denied:  {false, false, true, false, false},
		Retry:   {false, false, false, true, false},
		Refused: {false, false, true, true, true},
		Shut:    {true, false, true, true, true},
	} {
		for i, v := range verdicts {
			if o.Fits(v) != want[i] {
				t.Errorf("%v fits %s: %v", o, v, !want[i])
			}
		}
	}
}
