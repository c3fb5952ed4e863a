//go:build !kiosk

package page

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
)

// bench is a small Desk that remembers what it was told.
type bench struct {
	mu      sync.Mutex
	state   State
	changed chan struct{}
	acts    []Action
	refusal error // what Act answers
	frame   uint64
	frames  int // how often Frame was called
}

func newBench() *bench {
	return &bench{changed: make(chan struct{}), frame: 7, state: State{
		Version:  1,
		Scenes:   []Scene{{"ada", "Ada walks up"}},
		People:   []Person{{"Ada", access.Permitted}, {"Béla", access.Suspended}, {"Chidi", access.Revoked}},
		Waiting:  []string{"Béla"},
		Reviews:  []Review{{ID: "0a1b", Count: 3, Materials: "sheet"}},
		Programs: []Program{{Name: "eye", Phase: Running, PID: 42}},
	}}
}

func (b *bench) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

func (b *bench) Wait(ctx context.Context, after uint64) (State, error) {
	for {
		b.mu.Lock()
		s, changed := b.state, b.changed
		b.mu.Unlock()
		if s.Version > after {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return State{}, ctx.Err()
		case <-changed:
		}
	}
}

func (b *bench) change(f func(*State)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.state)
	b.state.Version++
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *bench) Frame(dst []byte) ([]byte, uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.frames++
	if b.frame == 0 {
		return dst, 0, errors.New("no frame yet")
	}
	return append(dst, "jpeg"...), b.frame, nil
}

func (b *bench) Act(_ context.Context, a Action) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acts = append(b.acts, a)
	return b.refusal
}

func serve(t *testing.T, b *bench) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(New(b))
	t.Cleanup(s.Close)
	return s
}

// ask sends one request; header is a list of name, value pairs, where Host sets the host.
func ask(t *testing.T, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for pair := range slices.Chunk(header, 2) {
		r.Header.Set(pair[0], pair[1])
		if pair[0] == "Host" {
			r.Host = pair[1]
		}
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}

// What headquarters is asked for needs one, and a visitor who is as the order supposes.
func TestActionsAfar(t *testing.T) {
	alone := State{}
	there := State{Afar: Afar{Known: true, Visitor: "Zoë"}}
	enrolled := State{Afar: Afar{Known: true, Visitor: "Zoë", Enrolled: true}}
	for _, c := range []struct {
		action                 Action
		alone, there, enrolled bool
	}{
		{Action{"network", "off"}, false, true, true},
		{Action{"network", "cut"}, false, false, false},
		{Action{"afar-lockdown", "on"}, false, true, true},
		{Action{"afar-lockdown", ""}, false, false, false},
		{Action{"afar-release", ""}, false, true, true},
		{Action{"afar-release", "front"}, false, false, false},
		{Action{"afar-enrol", ""}, false, true, false},
		{Action{"afar-enrol", "Zoë"}, false, false, false},
		{Action{"afar-delete", ""}, false, false, true},
	} {
		for _, in := range []struct {
			state State
			fits  bool
		}{{alone, c.alone}, {there, c.there}, {enrolled, c.enrolled}, {State{Afar: Afar{Known: true}}, c.there && c.enrolled}} {
			if err := allowed(c.action, in.state); (err == nil) != in.fits {
				t.Errorf("%+v with %+v: %v, want it to fit: %v", c.action, in.state.Afar, err, in.fits)
			}
		}
	}
}

func TestActionTableIsClosed(t *testing.T) {
	b := newBench()
	s := serve(t, b)
	post := func(body, kind string) int {
		answer, _ := ask(t, "POST", s.URL+"/act", body, "Origin", s.URL, "Content-Type", kind)
		return answer.StatusCode
	}
	for body, status := range map[string]int{
		`{"name":"scene","arg":"ada"}`:                      204,
		`{"name":"scene","arg":"../ada"}`:                   400,
		`{"name":"rex"}`:                                    204,
		`{"name":"rex","arg":"on"}`:                         400,
		`{"name":"fire","arg":"on"}`:                        204,
		`{"name":"fire","arg":"maybe"}`:                     400,
		`{"name":"tamper","arg":"off"}`:                     204,
		`{"name":"lockdown","arg":"on"}`:                    204,
		`{"name":"lockdown"}`:                               400,
		`{"name":"revoke","arg":"Ada"}`:                     204,
		`{"name":"revoke","arg":"Béla"}`:                    204,
		`{"name":"revoke","arg":"Chidi"}`:                   400,
		`{"name":"revoke","arg":"Mallory"}`:                 400,
		`{"name":"suspend","arg":"Ada"}`:                    204,
		`{"name":"suspend","arg":"Béla"}`:                   400,
		`{"name":"suspend","arg":"Chidi"}`:                  400,
		`{"name":"suspend"}`:                                400,
		`{"name":"resume","arg":"Ada"}`:                     400,
		`{"name":"resume","arg":"Béla"}`:                    204,
		`{"name":"resume","arg":"Chidi"}`:                   400,
		`{"name":"delete","arg":"Ada"}`:                     204,
		`{"name":"delete","arg":"Béla"}`:                    204,
		`{"name":"delete","arg":"Chidi"}`:                   204,
		`{"name":"delete","arg":"Mallory"}`:                 400,
		`{"name":"confirm","arg":"Béla"}`:                   204,
		`{"name":"confirm","arg":"Ada"}`:                    400,
		`{"name":"confirm"}`:                                400,
		`{"name":"review","arg":"0a1b"}`:                    204,
		`{"name":"review","arg":"0a1c"}`:                    400,
		`{"name":"review"}`:                                 400,
		`{"name":"rekey"}`:                                  204,
		`{"name":"rekey","arg":"Ada"}`:                      400,
		`{"name":"kill","arg":"eye"}`:                       204,
		`{"name":"kill","arg":"init"}`:                      400,
		`{"name":"open"}`:                                   404,
		`{}`:                                                404,
		``:                                                  400,
		`null`:                                              404,
		`[]`:                                                400,
		`{"name":"rex"}{"name":"rex"}`:                      400,
		`{"name":"rex","now":true}`:                         400,
		`{"name":"` + strings.Repeat("x", maxAction) + `"}`: 413,
	} {
		if got := post(body, "application/json"); got != status {
			t.Errorf("%.60s: %d, want %d", body, got, status)
		}
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json-patch+json"} {
		if got := post(`{"name":"rex"}`, kind); got != 415 {
			t.Errorf("content type %q: %d, want 415", kind, got)
		}
	}
	if len(b.acts) != 16 {
		t.Errorf("%d actions reached the desk, want 16: %v", len(b.acts), b.acts)
	}

	b.refusal = errors.New("a scene plays already")
	answer, body := ask(t, "POST", s.URL+"/act", `{"name":"rex"}`, "Origin", s.URL, "Content-Type", "application/json")
	if answer.StatusCode != 409 || body != `{"error":"a scene plays already"}`+"\n" {
		t.Errorf("refusal of the desk: %d %s", answer.StatusCode, body)
	}
}

func FuzzAction(f *testing.F) {
	for _, seed := range []string{`{"name":"rex"}`, `{"name":"fire","arg":"on"}`, `{"name":"kill","arg":"eye"}`, `{"name":1}`, `{"Name":"rex"}`, "\xff"} {
		f.Add([]byte(seed))
	}
	b := newBench()
	p := &page{desk: b}
	f.Fuzz(func(t *testing.T, body []byte) {
		b.acts = nil
		r := httptest.NewRequest("POST", "/act", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		p.act(w, r)
		if done := w.Code == http.StatusNoContent; done != (len(b.acts) == 1) {
			t.Fatalf("status %d with %d actions", w.Code, len(b.acts))
		}
		for _, a := range b.acts {
			if err := allowed(a, b.state); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestFrameIsEncodedOnceForAll(t *testing.T) {
	b := newBench()
	s := serve(t, b)
	began := time.Now()
	for range 8 {
		answer, body := ask(t, "GET", s.URL+"/frame", "")
		if answer.Header.Get("Content-Type") != "image/jpeg" || answer.Header.Get("Lintel-Frame") != "7" || body != "jpeg" {
			t.Fatalf("frame: %v %q", answer.Header, body)
		}
	}
	if most := 1 + int(time.Since(began)/freshness); b.frames > most {
		t.Errorf("%d encodings for 8 looks, want at most %d", b.frames, most)
	}
	time.Sleep(freshness)
	b.frame = 0
	if answer, _ := ask(t, "GET", s.URL+"/frame", ""); answer.StatusCode != 204 {
		t.Errorf("without a frame: %d, want 204", answer.StatusCode)
	}
}

func TestEncodeSaysEverythingAndNoMore(t *testing.T) {
	body, err := encode(State{
		Version: 9,
		Door: Door{
			State: access.HeldOpen, Walkup: access.Capturing, Ajar: true,
			Indication: access.Indication{LED: access.Amber, Pattern: access.Wink, Buzzer: access.Reminder, Text: "Please close the door"},
		},
		Sighting:  Sighting{Box: access.Box{X0: 1, Y0: 2, X1: 3, Y1: 4}, Faces: 2, Hint: access.HintTooFar},
		Decisions: slices.Concat([]Decision{{Number: 2, At: time.UnixMilli(6), Verdict: access.Retry, Reason: access.ReasonEnrolled}}, slices.Repeat([]Decision{{Number: 1, At: time.UnixMilli(5), Verdict: access.Granted, Reason: access.ReasonAllowed, Person: "Ada", Latency: 812 * time.Millisecond}}, 40)),
		Task:      "enrolling Ada (1 of 3)",
		Told:      []string{"one", "two", "three", "four"},
		Degraded:  []string{"eye runs on the CPU"},
		People:    []Person{{"Ada", access.Suspended}},
		Reviews:   []Review{{"0a1b", 3, "sheet"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"state":"held open"`, `"walkup":"capturing"`, `"led":"amber"`, `"pattern":"winking"`, `"buzzer":"reminder"`, `"text":"Please close the door"`,
		`"box":[1,2,3,4]`, `"hint":"too far"`, `{"number":1,"at":5,"verdict":"granted","reason":"allowed","person":"Ada","latency":812}`,
		`{"number":2,"at":6,"verdict":"done","reason":"enrolled","person":"","latency":0}`,
		`"programs":[]`, `"scenes":[]`, `"people":[{"name":"Ada","standing":"suspended"}]`, `"waiting":[]`,
		`"reviews":[{"id":"0a1b","text":"A face failed 3 walk-ups (sheet) and waits for a review."}]`,
		`"notices":[{"kind":"task","text":"enrolling Ada (1 of 3)"},{"kind":"told","text":"two"},{"kind":"told","text":"three"},{"kind":"told","text":"four"},{"kind":"degraded","text":"eye runs on the CPU"}]`,
	} {
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("state lacks %s:\n%s", want, body)
		}
	}
	var back struct{ Decisions []json.RawMessage }
	if err := json.Unmarshal(body, &back); err != nil || len(back.Decisions) != maxDecisions {
		t.Errorf("%d decisions, %v; want %d", len(back.Decisions), err, maxDecisions)
	}
}

func TestEveryIndicationHasAWord(t *testing.T) {
	for n := range 256 {
		for _, w := range []string{colour(access.Colour(n)), pattern(access.LEDPattern(n)), buzzer(access.BuzzerPattern(n)), standing(access.Standing(n))} {
			if w == "" {
				t.Fatalf("number %d has no word", n)
			}
		}
	}
	css := string(asset("page.css"))
	for n := access.Red; n <= access.White; n++ {
		if !strings.Contains(css, fmt.Sprintf(`[data-led=%q] .led`, colour(n))) {
			t.Errorf("page.css does not draw the colour %q", colour(n))
		}
	}
	for n := access.Breathe; n <= access.Wink; n++ {
		if !strings.Contains(css, fmt.Sprintf(`[data-pattern=%q] .led`, pattern(n))) {
			t.Errorf("page.css does not draw the pattern %q", pattern(n))
		}
	}
}

// A door that recognises nobody says so first, and why; eye, which it does not hear then, is no news.
func TestClosedDoorSaysWhy(t *testing.T) {
	eye := []Program{{Name: "eye", Phase: Starting}}
	for name, c := range map[string]struct {
		state State
		want  []notice
	}{
		"with its reason": {State{Closed: true, Programs: eye, Degraded: []string{"nobody is recognised: the TPM is silent", "storage is low"}},
			[]notice{{"down", "Nobody is recognised: the TPM is silent. REX and alarms keep working."}, {"degraded", "storage is low"}}},
		"without one": {State{Closed: true}, []notice{{"down", "Nobody is recognised. REX and alarms keep working."}}},
		"and eye down": {State{Closed: true, Programs: []Program{{Name: "eye", Phase: Stopped}}},
			[]notice{{"down", "Nobody is recognised. REX and alarms keep working."}, {"down", Program{Name: "eye", Phase: Stopped}.trouble()}}},
		"not closed": {State{Programs: eye}, []notice{{"down", eye[0].trouble()}}},
	} {
		if got := notices(c.state); !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestTroubleOfEveryProgramInEveryPhase(t *testing.T) {
	for _, name := range []string{"eye", "door", "link", "other"} {
		for phase := Restarting; phase <= Stopped+1; phase++ {
			text := Program{Name: name, Phase: phase, LastExit: "hash differs"}.trouble()
			if phase == Running {
				if text != "" {
					t.Errorf("%s runs: %q", name, text)
				}
				continue
			}
			if !strings.HasPrefix(text, name+" ") || !strings.HasSuffix(text, ".") {
				t.Errorf("%s %v: %q", name, phase, text)
			}
			if phase == Refused && !strings.Contains(text, "hash differs") {
				t.Errorf("%s refused without its reason: %q", name, text)
			}
		}
	}
}
