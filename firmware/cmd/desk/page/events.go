//go:build !kiosk

package page

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	maxListeners = 16                    // open pages; one visitor needs one
	beat         = 5 * time.Second       // page.js reconnects after 12 s of silence
	pace         = 40 * time.Millisecond // between two states: 25 a second is more than eye reports
	patience     = 10 * time.Second      // for a client to take one event
)

// events answers GET /events: the state now and at every change, until the client or the server goes.
func (p *page) events(w http.ResponseWriter, r *http.Request) {
	select {
	case p.clients <- struct{}{}:
		defer func() { <-p.clients }()
	default:
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, "too many pages are open")
		return
	}
	out := http.NewResponseController(w)
	// The server's own read time-out would end the stream; the client sends nothing more.
	if err := out.SetReadDeadline(time.Time{}); err != nil {
		refuse(w, http.StatusInternalServerError, "this connection cannot stream")
		return
	}
	send := func(event string, data []byte) error {
		if err := out.SetWriteDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, data); err != nil {
			return err
		}
		return out.Flush()
	}

	w.Header().Set("Content-Type", "text/event-stream")
	if _, err := io.WriteString(w, "retry: 1000\n\n"); err != nil { // ms; how soon a browser comes back
		return
	}
	for s := p.desk.State(); ; {
		body, err := encode(s)
		if err != nil || send("state", body) != nil || !pause(r.Context(), pace) {
			return
		}
		for sent := s.Version; s.Version == sent; {
			ctx, cancel := context.WithTimeout(r.Context(), beat)
			newer, err := p.desk.Wait(ctx, sent)
			cancel()
			switch {
			case r.Context().Err() != nil:
				return
			case err == nil:
				s = newer
			case ctx.Err() == nil: // the desk itself has ended
				return
			case send("beat", nil) != nil:
				return
			}
		}
	}
}

// pause waits for d and reports whether ctx still stands.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
