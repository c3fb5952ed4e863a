//go:build !kiosk

package page

import (
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Control: B10
func TestEveryAnswerCarriesTheHeaders(t *testing.T) {
	s := serve(t, newBench())
	want := map[string]string{
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Embedder-Policy": "require-corp",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cache-Control":                "no-store",
		"Permissions-Policy":           features,
		"Strict-Transport-Security":    "", // not over plain HTTP; setHeaders says why
		"Access-Control-Allow-Origin":  "",
		"Server":                       "",
	}
	for _, c := range []struct {
		method, path string
		status       int
		header       []string
	}{
		{"GET", "/", 200, nil},
		{"HEAD", "/", 200, nil},
		{"GET", "/page.js", 200, nil},
		{"GET", "/page.css", 200, nil},
		{"GET", "/icon.svg", 200, nil},
		{"GET", "/state", 200, nil},
		{"GET", "/frame", 200, nil},
		{"GET", "/frame?after=7", 204, nil},
		{"GET", "/frame?after=x", 400, nil},
		{"GET", "/elsewhere", 404, nil},
		{"GET", "/assets/page.js", 404, nil},
		{"GET", "/act", 405, nil},
		{"POST", "/act", 403, nil},
		{"GET", "/", 421, []string{"Host", "evil.example"}},
	} {
		answer, _ := ask(t, c.method, s.URL+c.path, "", c.header...)
		if answer.StatusCode != c.status {
			t.Errorf("%s %s: status %d, want %d", c.method, c.path, answer.StatusCode, c.status)
		}
		for name, value := range want {
			if got := answer.Header.Get(name); got != value {
				t.Errorf("%s %s: %s is %q, want %q", c.method, c.path, name, got, value)
			}
		}
		if !strings.HasPrefix(answer.Header.Get("Content-Security-Policy"), "default-src 'none'; ") {
			t.Errorf("%s %s: no strict policy", c.method, c.path)
		}
	}
}

// Control: B11
func TestPolicyIsTheStrictest(t *testing.T) {
	s := serve(t, newBench())
	answer, _ := ask(t, "GET", s.URL, "")
	_, script := ask(t, "GET", s.URL+"/page.js", "")
	policy := answer.Header.Get("Content-Security-Policy")
	want := "default-src 'none'; script-src '" + hash([]byte(script)) + "'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
	if policy != want {
		t.Errorf("policy\n%s\nwant\n%s", policy, want)
	}
	if len(answer.Header.Values("Content-Security-Policy")) != 1 {
		t.Error("more than one policy")
	}
}

// Control: B12
func TestAssetsArePinnedByIntegrity(t *testing.T) {
	s := serve(t, newBench())
	answer, html := ask(t, "GET", s.URL, "")
	if got := answer.Header.Get("Integrity-Policy"); got != "blocked-destinations=(script)" {
		t.Errorf("Integrity-Policy %q", got)
	}
	pinned := regexp.MustCompile(`(?:src|href)="(/page\.[a-z]+)" integrity="([^"]+)"`).FindAllStringSubmatch(html, -1)
	if len(pinned) != 2 {
		t.Fatalf("pinned assets %q, want the script and the style sheet", pinned)
	}
	for _, p := range pinned {
		if _, body := ask(t, "GET", s.URL+p[1], ""); hash([]byte(body)) != p[2] {
			t.Errorf("%s is not what its integrity says", p[1])
		}
	}
	for _, foreign := range []string{"//", "<style", "style=", "onclick", "javascript:"} {
		if strings.Contains(html, foreign) {
			t.Errorf("the page contains %q", foreign)
		}
	}
	if n := strings.Count(html, "<script"); n != 1 {
		t.Errorf("%d scripts", n)
	}
}

// Control: B13
func TestOnlyLoopbackIsServed(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", ":8460", "192.0.2.1:8460", "example.com:80", "8460", "localhost:0", ""} {
		if l, err := Listen(addr); err == nil {
			l.Close()
			t.Errorf("listen on %q: want a refusal", addr)
		}
	}
	open, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), open, New(newBench())); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("serve on every address: %v", err)
	}
}

func TestPortInUseIsOneClearSentence(t *testing.T) {
	first, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	addr := first.Addr().String()
	_, err = Listen(addr)
	if want := "listen on " + addr + ": the port is already in use, perhaps by another desk: stop that program first"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestHostMustBeLoopback(t *testing.T) {
	s := serve(t, newBench())
	port := s.URL[strings.LastIndexByte(s.URL, ':'):]
	for host, status := range map[string]int{
		"127.0.0.1" + port: 200, "localhost" + port: 200, "[::1]" + port: 200,
		"127.0.0.1": 421, "localhost": 421, "127.0.0.1:1": 421, "evil.example" + port: 421, "evil.example": 421,
		"localhost.evil.example" + port: 421, "127.0.0.1.nip.io" + port: 421, "localhost" + port + port: 421,
	} {
		for _, path := range []string{"/", "/frame", "/state"} {
			if answer, _ := ask(t, "GET", s.URL+path, "", "Host", host); answer.StatusCode != status {
				t.Errorf("GET %s with host %q: %d, want %d", path, host, answer.StatusCode, status)
			}
		}
	}
}

func TestOtherSitesAreRefused(t *testing.T) {
	b := newBench()
	s := serve(t, b)
	const rex = `{"name":"rex"}`
	json := []string{"Content-Type", "application/json"}
	for name, c := range map[string]struct {
		method, path string
		status       int
		header       []string
	}{
		"own page":              {"POST", "/act", 204, []string{"Origin", s.URL, "Sec-Fetch-Site", "same-origin"}},
		"browser without fetch": {"POST", "/act", 204, []string{"Origin", s.URL}},
		"no origin":             {"POST", "/act", 403, nil},
		"null origin":           {"POST", "/act", 403, []string{"Origin", "null"}},
		"foreign origin":        {"POST", "/act", 403, []string{"Origin", "http://evil.example"}},
		"other port":            {"POST", "/act", 403, []string{"Origin", "http://127.0.0.1:1"}},
		"cross site":            {"POST", "/act", 403, []string{"Origin", s.URL, "Sec-Fetch-Site", "cross-site"}},
		"same site":             {"POST", "/act", 403, []string{"Origin", s.URL, "Sec-Fetch-Site", "same-site"}},
		"frame of elsewhere":    {"GET", "/frame", 403, []string{"Sec-Fetch-Site", "cross-site"}},
		"state of elsewhere":    {"GET", "/state", 403, []string{"Sec-Fetch-Site", "same-site"}},
		"followed link":         {"GET", "/", 200, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}},
		"embedded page":         {"GET", "/", 403, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}},
	} {
		if answer, _ := ask(t, c.method, s.URL+c.path, rex, append(slices.Clone(json), c.header...)...); answer.StatusCode != c.status {
			t.Errorf("%s: %d, want %d", name, answer.StatusCode, c.status)
		}
	}
	if len(b.acts) != 2 {
		t.Errorf("%d actions reached the desk, want 2", len(b.acts))
	}
}
