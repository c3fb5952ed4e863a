//go:build !kiosk

package runner

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary play the children: `test act <role> …`.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "act" {
		os.Exit(act(os.Args[2]))
	}
	os.Exit(m.Run())
}

func act(role string) int {
	switch role {
	case "stay":
		fmt.Println("here")
		time.Sleep(time.Minute)
	case "die":
		fmt.Fprintln(os.Stderr, "camera unplugged")
		return 3
	case "misconfigured":
		fmt.Fprintln(os.Stderr, "load model \"detector.onnx\": hash differs")
		return exitConfig
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("deaf")
		time.Sleep(time.Minute)
	case "polite":
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGTERM)
		fmt.Println("polite")
		<-asked
		fmt.Println("goodbye")
	case "shout":
		fmt.Println("\x1b[2J" + strings.Repeat("x", 3*maxLine))
		fmt.Println("short")
		time.Sleep(time.Minute)
	case "environ":
		fmt.Println("environ", os.Environ())
		time.Sleep(time.Minute)
	case "desk": // a parent that will be killed
		r, err := New(os.Stdout, Program{Name: "orphan", Path: os.Args[0], Args: []string{"act", "stay"}})
		if err != nil {
			return 1
		}
		go r.Run(context.Background())
		for {
			status, changed := r.Status()
			if status[0].PID != 0 {
				fmt.Println("pid", status[0].PID)
				time.Sleep(time.Minute)
			}
			<-changed
		}
	case "lock":
		if _, err := Lock(os.Args[3]); err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println("locked")
		time.Sleep(time.Minute)
	}
	return 0
}

// transcript collects what the children print.
type transcript struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.Write(b)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// start runs one child in the given role; stop ends the runner and returns when Run has.
func start(t *testing.T, role string, env ...string) (r *Runner, out *transcript, stop func()) {
	t.Helper()
	out = new(transcript)
	r, err := New(out, Program{Name: "kid", Path: os.Args[0], Args: []string{"act", role}, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return r, out, stop
}

// until waits for a status that satisfies ok.
func until(t *testing.T, r *Runner, what string, ok func(Status) bool) Status {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		status, changed := r.Status()
		if ok(status[0]) {
			return status[0]
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("waited 10 s for %s, have %+v", what, status[0])
		}
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 5 s for %s", what)
		}
	}
}

func gone(pid int) bool {
	state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(state, []byte(") Z "))
}

func running(s Status) bool { return s.Phase == Running }

func TestKilledChildIsBackFast(t *testing.T) {
	r, out, _ := start(t, "stay")
	before := until(t, r, "the first run", running)
	killed := time.Now()
	if err := r.Kill("kid"); err != nil {
		t.Fatal(err)
	}
	after := until(t, r, "the second run", func(s Status) bool { return running(s) && s.PID != before.PID })
	if took := time.Since(killed); took > slowDelay {
		t.Errorf("back after %v, want about %v", took, firstDelay)
	}
	if want := "next start in 100ms"; !strings.Contains(out.String(), want) { // the rest of the time is this machine's
		t.Errorf("output lacks %q:\n%s", want, out)
	}
	if after.Restarts != 1 || after.LastExit != "signal: killed" || after.Since.Before(killed) {
		t.Errorf("status after the restart: %+v", after)
	}
	if err := r.Kill("stranger"); err == nil {
		t.Error("killing an unknown program: want an error")
	}
}

func TestBackoffGrows(t *testing.T) {
	r, out, _ := start(t, "die")
	s := until(t, r, "three restarts", func(s Status) bool { return s.Restarts == 3 })
	if s.LastExit != "exit status 3" {
		t.Errorf("last exit %q", s.LastExit)
	}
	for _, want := range []string{"next start in 100ms", "next start in 200ms", "next start in 400ms", "kid | camera unplugged\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
}

func TestRefusedConfigurationIsNotRetriedAtOnce(t *testing.T) {
	r, out, _ := start(t, "misconfigured")
	s := until(t, r, "refusal", func(s Status) bool { return s.Phase == Refused })
	if want := `load model "detector.onnx": hash differs`; s.LastExit != want {
		t.Errorf("reason %q, want the last line of stderr %q", s.LastExit, want)
	}
	eventually(t, "the announcement", func() bool { return strings.Contains(out.String(), "next start in 5s") })
	if err := r.Kill("kid"); err == nil {
		t.Error("killing what does not run: want an error")
	}
}

func TestMissingExecutableIsRefused(t *testing.T) {
	r, err := New(io.Discard, Program{Name: "kid", Path: "/nonexistent/eye"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	s := until(t, r, "refusal", func(s Status) bool { return s.Phase == Refused })
	if !strings.Contains(s.LastExit, "/nonexistent/eye") {
		t.Errorf("reason %q does not name the file", s.LastExit)
	}
	cancel()
	<-done
	if status, _ := r.Status(); status[0].Phase != Stopped {
		t.Errorf("after Run: %+v", status[0])
	}
}

func TestShutdownAsksThenInsists(t *testing.T) {
	for _, c := range []struct {
		role        string
		least, most time.Duration
		exit        string
	}{
		{"polite", 0, grace - 100*time.Millisecond, "exit status 0"},
		{"deaf", grace, grace + time.Second, "signal: killed"},
	} {
		t.Run(c.role, func(t *testing.T) {
			t.Parallel()
			r, out, stop := start(t, c.role)
			pid := until(t, r, "the first run", running).PID
			eventually(t, "its first line", func() bool { return strings.Contains(out.String(), c.role) })
			asked := time.Now()
			stop()
			if took := time.Since(asked); took < c.least || took > c.most {
				t.Errorf("shutdown took %v, want %v to %v", took, c.least, c.most)
			}
			status, _ := r.Status()
			if s := status[0]; s.Phase != Stopped || s.PID != 0 || s.LastExit != c.exit {
				t.Errorf("after shutdown: %+v", s)
			}
			if !gone(pid) {
				t.Errorf("process %d is still there", pid)
			}
			if c.role == "polite" && !strings.Contains(out.String(), "kid | goodbye\n") {
				t.Errorf("last words are lost: %q", out)
			}
		})
	}
}

func TestChildDiesWithTheDesk(t *testing.T) {
	desk := exec.Command(os.Args[0], "act", "desk")
	stdout, err := desk.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := desk.Start(); err != nil {
		t.Fatal(err)
	}
	var seen transcript
	go io.Copy(&seen, stdout)
	var pid int
	eventually(t, "the child's number", func() bool {
		for line := range strings.Lines(seen.String()) {
			if number, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "pid "); ok {
				pid, _ = strconv.Atoi(number)
			}
		}
		return pid > 0
	})
	if gone(pid) {
		t.Fatalf("child %d does not run", pid)
	}
	desk.Process.Kill()
	desk.Wait()
	eventually(t, "the end of the orphan", func() bool { return gone(pid) })
}

func TestLinesAreBoundedAndHarmless(t *testing.T) {
	_, out, _ := start(t, "shout")
	eventually(t, "the short line", func() bool { return strings.Contains(out.String(), "kid | short\n") })
	first, _, _ := strings.Cut(out.String(), "\n")
	if len(first) > maxLine+32 || !strings.HasSuffix(first, "[…]") {
		t.Errorf("long line: %d bytes, ends %q", len(first), first[max(0, len(first)-8):])
	}
	if strings.ContainsRune(out.String(), '\x1b') {
		t.Error("an escape sequence reached the terminal")
	}
}

func TestEnvironmentIsTheListAlone(t *testing.T) {
	t.Setenv("SECRET_OF_THE_SHELL", "1")
	_, none, _ := start(t, "environ")
	eventually(t, "the empty environment", func() bool { return strings.Contains(none.String(), "environ []\n") })
	_, one, _ := start(t, "environ", "TZ=UTC")
	eventually(t, "the listed environment", func() bool { return strings.Contains(one.String(), "environ [TZ=UTC]\n") })
}

func TestNewRefusesUnclearPrograms(t *testing.T) {
	for name, programs := range map[string][]Program{
		"no name": {{Path: "/bin/true"}},
		"no path": {{Name: "eye"}},
		"twice":   {{Name: "eye", Path: "/bin/true"}, {Name: "eye", Path: "/bin/true"}},
	} {
		if _, err := New(io.Discard, programs...); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}

func TestSecondInstanceIsRefused(t *testing.T) {
	path := t.TempDir() + "/desk.lock"
	first := exec.Command(os.Args[0], "act", "lock", path)
	stdout, err := first.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 7)
	if _, err := io.ReadFull(stdout, line); err != nil || string(line) != "locked\n" {
		t.Fatalf("first instance said %q, %v", line, err)
	}
	_, err = Lock(path)
	if want := fmt.Sprintf("process %d", first.Process.Pid); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("second instance: %v, want an error with %q", err, want)
	}
	first.Process.Kill()
	first.Wait()
	held, err := Lock(path)
	if err != nil {
		t.Fatalf("the lock of a dead process is still held: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Error(err)
	}
}
