//go:build !kiosk

package page

import (
	"context"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	desk "github.com/lintel-access/lintel/firmware/cmd/desk/page"
)

var (
	shots  = flag.String("shots", "", "folder that keeps the screenshots")
	update = flag.Bool("update", false, "write docs/desk.png")
)

// tab is one page in a browser of its own.
type tab struct {
	*testing.T
	script *script
	cut    func() // breaks all connections to the desk
	ctx    context.Context

	mu         sync.Mutex
	complaints []string // errors and warnings of the console, exceptions, policy violations
}

// open starts the browser and shows the page of a scripted desk.
func open(t *testing.T) *tab {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is missing: run make deps")
	}
	s := newScript()
	server := httptest.NewServer(desk.New(s))
	t.Cleanup(server.Close)
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(chromium), chromedp.Headless, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 800),
	}
	for _, name := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-extensions", "disable-dev-shm-usage"} {
		options = append(options, chromedp.Flag(name, true))
	}
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // chromium refuses its sandbox to root
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)

	b := &tab{T: t, script: s, cut: server.CloseClientConnections, ctx: ctx}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	b.size(1280, 800)
	b.do(chromedp.Navigate(server.URL))
	b.until(`document.body.dataset.live === "true" && document.getElementById("dark").hidden`)
	return b
}

// hear collects what a developer would see in red or yellow.
func (b *tab) hear(event any) {
	var text string
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text = fmt.Sprintf("exception: %s %v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" || e.Type == "assert" {
			text = fmt.Sprintf("console.%s", e.Type)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			text = fmt.Sprintf("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	}
	if text != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.complaints = append(b.complaints, text)
	}
}

// heard is what hear has collected since the last call.
func (b *tab) heard() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.complaints
	b.complaints = nil
	return all
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

func (b *tab) size(width, height int64) {
	b.Helper()
	b.do(chromedp.EmulateViewport(width, height))
}

// media sets one media feature, as in prefers-color-scheme: dark.
func (b *tab) media(name, value string) {
	b.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: name, Value: value}},
	})
	if err != nil {
		b.Fatal(err)
	}
}

// eval is the value of a JavaScript expression.
func eval[T any](b *tab, expression string) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return v
}

// patience is how long anything may take in the browser. It is no promise, only an end to waiting.
const patience = 30 * time.Second

// until waits for a JavaScript expression to become true.
func (b *tab) until(expression string) {
	b.Helper()
	for end := time.Now().Add(patience); !eval[bool](b, expression); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("waited %v for %s", patience, expression)
		}
	}
}

// press types keys wherever the focus is.
func (b *tab) press(keys string) {
	b.Helper()
	b.do(chromedp.KeyEvent(keys))
}

// asked waits until the page has asked the desk for exactly one thing.
func (b *tab) asked(name, arg string) {
	b.Helper()
	var acts []desk.Action
	for end := time.Now().Add(patience); len(acts) == 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		acts = b.script.done()
	}
	if want := []desk.Action{{Name: name, Arg: arg}}; !slices.Equal(acts, want) {
		b.Fatalf("the page asked for %v, want %v", acts, want)
	}
}

// shot takes a picture of the window, or of the whole page when it is longer, and keeps it if asked to.
func (b *tab) shot(name string, whole bool) []byte {
	b.Helper()
	take := chromedp.CaptureScreenshot()
	if whole {
		take = chromedp.FullScreenshot(100)
	}
	picture, err := chromedp.Run(b.ctx, take)
	if err != nil {
		b.Fatal(err)
	}
	if *shots != "" {
		if err := os.WriteFile(filepath.Join(*shots, name+".png"), picture, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return picture
}
