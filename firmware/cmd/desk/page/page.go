//go:build !kiosk

package page

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// Desk is what the page shows and moves.
type Desk interface {
	State() State
	// Wait returns a state whose Version is above after, or ctx's error.
	Wait(ctx context.Context, after uint64) (State, error)
	// Frame appends the twin's newest frame to dst as JPEG and returns the frame's number, which rises. An error means that
	// there is no frame yet.
	Frame(dst []byte) ([]byte, uint64, error)
	// Act starts something and returns; its error is shown to the visitor as it stands.
	Act(ctx context.Context, a Action) error
}

//go:embed assets
var assets embed.FS

type page struct {
	desk    Desk
	view    view
	clients chan struct{} // one place for each listener of /events
}

// New is the page over desk. It starts nothing.
func New(desk Desk) http.Handler {
	p := &page{desk: desk, view: view{source: desk}, clients: make(chan struct{}, maxListeners)}

	css, js := asset("page.css"), asset("page.js")
	html := strings.NewReplacer("{page.css}", hash(css), "{page.js}", hash(js)).Replace(string(asset("page.html")))
	policy := strings.Join([]string{
		"default-src 'none'",
		"script-src '" + hash(js) + "'", // this one script, not whatever else the origin serves
		"style-src 'self'",              // hashes are not defined for linked style sheets; integrity pins it instead
		"img-src 'self'",
		"connect-src 'self'",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; ")

	mux := http.NewServeMux()
	mux.Handle("GET /{$}", static("text/html; charset=utf-8", []byte(html)))
	mux.Handle("GET /page.css", static("text/css; charset=utf-8", css))
	mux.Handle("GET /page.js", static("text/javascript; charset=utf-8", js))
	mux.Handle("GET /icon.svg", static("image/svg+xml", asset("icon.svg")))
	mux.HandleFunc("GET /state", p.state)
	mux.HandleFunc("GET /events", p.events)
	mux.HandleFunc("GET /frame", p.view.serve)
	mux.HandleFunc("POST /act", p.act)
	return guard(policy, mux)
}

// asset is an embedded file. Its absence cannot be built.
func asset(name string) []byte {
	b, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(fmt.Sprintf("embedded asset %q is missing from the build", name))
	}
	return b
}

// hash is the form that Content-Security-Policy and the integrity attribute share.
func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func static(kind string, body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(body) // a client that is gone needs no answer
	})
}

// state answers GET /state.
func (p *page) state(w http.ResponseWriter, r *http.Request) {
	body, err := encode(p.desk.State())
	if err != nil {
		refuse(w, http.StatusInternalServerError, "the state cannot be written as JSON")
		return
	}
	static("application/json", body).ServeHTTP(w, r)
}
