//go:build !kiosk

package page

import (
	"net"
	"net/http"
	"strconv"
	"strings"
)

// features that the page does without; a browser that does not know one ignores it.
const features = "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), clipboard-write=(), display-capture=(), " +
	"encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), magnetometer=(), microphone=(), " +
	"midi=(), payment=(), picture-in-picture=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), " +
	"xr-spatial-tracking=()"

// setHeaders puts the same strict headers on every answer, refusals included.
//
// There is no Strict-Transport-Security on purpose: the page is served on loopback without TLS, which browsers treat as a
// secure context already (W3C Secure Contexts, 3.1). Over plain HTTP the header is ignored, and if it were not it would push
// every other program on http://localhost to TLS.
func setHeaders(h http.Header, policy string) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Integrity-Policy", "blocked-destinations=(script)")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Embedder-Policy", "require-corp")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Origin-Agent-Cluster", "?1")
	h.Set("Permissions-Policy", features)
	h.Set("Cache-Control", "no-store")
}

// guard lets through what a browser on this machine sends for this page, and nothing else.
func guard(policy string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setHeaders(w.Header(), policy)
		// A page elsewhere can point a name of its own at 127.0.0.1 (DNS rebinding); its requests still carry that name.
		if !ours(r) {
			refuse(w, http.StatusMisdirectedRequest, "this page answers to its loopback address only")
			return
		}
		if !sameSite(r) {
			refuse(w, http.StatusForbidden, "requests of other pages are refused")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ours reports whether the Host header names loopback and the port on which the request came in.
func ours(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || !local.IP.IsLoopback() {
		return false
	}
	port := ":" + strconv.Itoa(local.Port)
	name, found := strings.CutSuffix(r.Host, port)
	if !found && local.Port != 80 {
		return false
	}
	return name == "127.0.0.1" || name == "localhost" || name == "[::1]"
}

// sameSite reports whether the request comes from our own page. Following a link to the page is allowed from anywhere. What
// changes something needs an Origin, which browsers put on every POST and scripts of other pages cannot forge.
func sameSite(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return r.Header.Get("Origin") == "http://"+r.Host && (site == "" || site == "same-origin")
	}
	switch site {
	case "", "none", "same-origin":
		return true
	}
	return r.URL.Path == "/" && r.Header.Get("Sec-Fetch-Mode") == "navigate"
}
