package health

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/lintel-access/lintel/access"
)

func TestModesAreEnteredAndLeftOnce(t *testing.T) {
	f := works()
	told := func(p Part, s State, detail string, want ...string) {
		t.Helper()
		var got []string
		for _, x := range f.Set(p, s, detail) {
			got = append(got, fmt.Sprintf("%d %v", x.Event(), x))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v %v: %q, want %q", p, s, got, want)
		}
	}
	told(TPM, Impaired, "time-out", "900 TPM silent: TPM: time-out")
	told(TPM, Impaired, "time-out again")
	told(Relay, Missing, "reads secured", "111 relay dead: relay: reads secured")
	told(Relay, Impaired, "reads released", "103 relay dead: relay: reads released", "111 relay stuck: relay: reads released")
	told(TPM, Works, "", "901 TPM silent: TPM")
	told(Infrared, Impaired, "color", "111 no infrared: infrared: color")
	told(Infrared, Missing, "no answer") // the same mode
	told(Infrared, Unknown, "", "103 no infrared: infrared")
	told(Infrared, Missing, "again", "111 no infrared: infrared: again")
	told(Infrared, Works, "", "103 no infrared: infrared")
	told(Relay, Works, "", "103 relay stuck: relay")
	if !f.Passed() || f.Modes() != nil || f.Sentences() != nil {
		t.Errorf("at the end: %v", f.Modes())
	}
}

func TestSentences(t *testing.T) {
	f := works()
	f.Set(Link, Missing, "")
	f.Set(Exposure, Missing, "auto exposure cannot be turned off")
	f.Set(Camera, Missing, strings.Repeat("ö", 200))
	f.Set(History, Impaired, "records 7 to 9 are damaged")
	f.Set(Vault, Unknown, "")
	got := f.Sentences()
	want := []string{
		"no camera: nobody is recognised; check the camera, its cable and its port (ö",
		"exposure not held: the camera cannot hold exposure and gain: office doors only; fit another camera for more (auto exposure cannot be turned off)",
		"self-test: some parts have not been looked at yet and count as missing; wait a minute (vault)",
		"history damaged: records of before are lost or were not taken over; check the disk, and if it is well treat it as an attack (records 7 to 9 are damaged)",
		"link away: records wait in the log, no orders come; look at the network",
	}
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i, s := range got {
		if !strings.HasPrefix(s, want[i]) || len(s) > MaxSentence || !utf8.ValidString(s) {
			t.Errorf("sentence %d is %q, want %q", i, s, want[i])
		}
	}
	if s := (Transition{NoCamera, true, Camera, strings.Repeat("ö", 200)}).String(); len(s) > access.MaxDetail || !utf8.ValidString(s) {
		t.Errorf("a record of %d bytes", len(s))
	}
}

// A mode that has a cause outside of the kiosk's own parts is no failure of the self-test.
func TestPassed(t *testing.T) {
	for _, c := range []struct {
		part   Part
		state  State
		passed bool
	}{
		{Link, Missing, true}, {Clock, Impaired, true}, {Storage, Impaired, true}, {Contact, Missing, false}, {Camera, Missing, false},
		{Relay, Impaired, false}, {Lamp, Missing, false}, {Lamp, Unknown, false},
	} {
		f := works()
		f.Set(c.part, c.state, "")
		if f.Passed() != c.passed {
			t.Errorf("%v %v: passed %v", c.part, c.state, f.Passed())
		}
	}
}

// What cannot be looked at because something before it is missing is not waited for, and counts as missing.
func TestBehindAMissingPart(t *testing.T) {
	f := &Findings{}
	for _, r := range rows {
		if r.part.behind() == nil {
			f.Set(r.part, Works, "")
		}
	}
	f.Set(TPM, Missing, "absent")
	f.Set(Eye, Missing, "")
	if got := fmt.Sprint(f.Modes()); got != "[no TPM eye away]" || len(f.Unknown()) != 0 {
		t.Errorf("modes %v, unknown %v", got, f.Unknown())
	}
	if f.Set(TPM, Works, ""); f.Profile().Recognises() || len(f.Unknown()) != 4 {
		t.Errorf("recognises %v, unknown %v", f.Profile().Recognises(), f.Unknown())
	}
}

func TestFindingsFromManySides(t *testing.T) {
	f := works()
	var all sync.WaitGroup
	for _, r := range rows {
		all.Go(func() {
			for range 100 {
				f.Set(r.part, Missing, "gone")
				_, _, _ = f.Profile(), f.Sentences(), f.Passed()
				f.Set(r.part, Works, "")
			}
		})
	}
	all.Wait()
	if f.Profile() != full() {
		t.Errorf("at the end %+v", f.Profile())
	}
}
