//go:build !kiosk

package page

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// listen reads events of s into a channel of "event data" lines.
func listen(t *testing.T, url string) <-chan string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	if got := answer.Header.Get("Content-Type"); answer.StatusCode != 200 || got != "text/event-stream" {
		t.Fatalf("events: %s, %q", answer.Status, got)
	}
	events := make(chan string, 64)
	go func() {
		defer close(events)
		var event string
		for in := bufio.NewScanner(answer.Body); in.Scan(); {
			if name, ok := strings.CutPrefix(in.Text(), "event: "); ok {
				event = name
			}
			if data, ok := strings.CutPrefix(in.Text(), "data: "); ok {
				events <- event + " " + data
			}
		}
	}()
	return events
}

func next(t *testing.T, events <-chan string) string {
	t.Helper()
	select {
	case e, ok := <-events:
		if !ok {
			t.Fatal("the stream has ended")
		}
		return e
	case <-time.After(beat + 2*time.Second):
		t.Fatal("nothing came")
	}
	return ""
}

func TestEventsFollowTheState(t *testing.T) {
	b := newBench()
	events := listen(t, serve(t, b).URL)
	if e := next(t, events); !strings.HasPrefix(e, `state {"version":1,`) {
		t.Fatalf("first event %q", e)
	}
	b.change(func(s *State) { s.Programs = []Program{{Name: "eye", Phase: Restarting}} })
	if e := next(t, events); !strings.Contains(e, "eye is down: nobody can be recognised; REX and alarms keep working; it comes back by itself.") {
		t.Errorf("the death of eye is not said: %q", e)
	}
	// The server's read time-out must not end a quiet stream, and a beat tells the page that the desk lives.
	if e := next(t, events); e != "beat " {
		t.Errorf("in silence came %q, want a beat", e)
	}
}

func TestStreamOutlivesTimeouts(t *testing.T) {
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench()
	s := server(t.Context(), New(b))
	s.ReadTimeout, s.WriteTimeout = time.Second, time.Second // the first event must come within them
	go s.Serve(l)
	defer s.Close()
	events := listen(t, "http://"+l.Addr().String())
	next(t, events)
	time.Sleep(2500 * time.Millisecond) // no beat comes before
	b.change(func(s *State) { s.Enrolled = 3 })
	if e := next(t, events); !strings.Contains(e, `"enrolled":3`) {
		t.Errorf("after the time-outs came %q", e)
	}
}

func TestListenersAreBounded(t *testing.T) {
	s := serve(t, newBench())
	for range maxListeners {
		next(t, listen(t, s.URL))
	}
	if answer, _ := ask(t, "GET", s.URL+"/events", ""); answer.StatusCode != 503 {
		t.Errorf("listener %d: %d, want 503", maxListeners+1, answer.StatusCode)
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, New(newBench())) }()
	events := listen(t, "http://"+l.Addr().String())
	next(t, events)
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(3 * time.Second):
		t.Fatal("an open stream keeps the server alive")
	}
}
