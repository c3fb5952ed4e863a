// Package walkup drives the whole kiosk the way its user does: the real programs under the desk, moved through the desk's page, and
// broken on purpose.
package walkup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
)

// programs is where TestMain built them; cache is what make deps fetched.
var programs, cache string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if cache, err = filepath.Abs("../../.lintel"); err == nil {
			_, err = os.Stat(filepath.Join(cache, "bundle"))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "the models are missing: run make deps:", err)
			return 1
		}
		if programs, err = os.MkdirTemp("", "lintel-programs-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(programs)
		build := exec.Command("go", "build", "-o", programs+"/", "./firmware/cmd/...", "./hq/cmd/hq")
		build.Dir = "../.."
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the programs: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// program is the path of one of them. Asking for it makes go's test cache know what the programs are built of: it sees the files that
// a test looks at, not those that a compiler started by TestMain reads, and would show yesterday's result for today's programs.
func program(name string) string {
	if err := lookAtSources(); err != nil {
		panic(err) // the tree that was just built is gone
	}
	return filepath.Join(programs, name)
}

var lookAtSources = sync.OnceValue(func() error {
	for _, room := range []string{"access", "board", "drivers", "firmware", "hq", "inference", "sync", "go.mod", "go.sum"} {
		err := filepath.WalkDir(filepath.Join("../..", room), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && !strings.HasSuffix(path, "_test.go") {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("look at the sources: %w", err)
		}
	}
	return nil
})

// state is the part of the page's state that the tests look at.
type state struct {
	Door struct {
		State    string
		Walkup   string
		Text     string
		Ajar     bool
		Released bool
		Lockdown bool
	}
	Decisions []struct {
		Number          uint64
		Verdict, Reason string
		Person          string
		Latency         int64
	}
	Programs []struct {
		Name, Phase, LastExit string
		PID                   int
		Restarts              uint64
	}
	Notices  []struct{ Kind, Text string }
	Scene    string
	People   []struct{ Name string }
	Enrolled int
	Records  uint64
	Backlog  uint64
	Afar     struct {
		Known, Network, Connected, Timed, Enrolled bool
		Applied, Newest                            uint64
		Visitor                                    string
	}
}

func (s state) phase(program string) string {
	for _, p := range s.Programs {
		if p.Name == program {
			return p.Phase
		}
	}
	return "absent"
}

func (s state) pid(program string) int {
	for _, p := range s.Programs {
		if p.Name == program {
			return p.PID
		}
	}
	return 0
}

func (s state) says(text string) bool {
	for _, n := range s.Notices {
		if strings.Contains(strings.ToLower(n.Text), strings.ToLower(text)) {
			return true
		}
	}
	return false
}

// desk is a running desk.
type desk struct {
	t    *testing.T
	addr string
	cmd  *exec.Cmd
	out  *tail
	dir  string
}

// tail keeps what a program printed.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.Write(p)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// freePort asks the kernel for a port of the loopback.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// launchDesk starts a desk without a headquarters on a state folder and waits for nothing.
func launchDesk(t *testing.T, dir string) *desk {
	t.Helper()
	return launch(t, dir, "-no-headquarters")
}

func launch(t *testing.T, dir string, flags ...string) *desk {
	t.Helper()
	d := &desk{t: t, addr: freePort(t), out: new(tail), dir: dir}
	d.cmd = exec.Command(program("desk"), append(flags, "-addr", d.addr, "-cache", cache, "-state", dir)...)
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.stop)
	return d
}

// startDesk starts a desk on a state folder and waits until its people are enrolled.
func startDesk(t *testing.T, dir string) *desk {
	t.Helper()
	d := launchDesk(t, dir)
	d.untilWell(90 * time.Second)
	return d
}

// untilWell waits until everybody is enrolled and can be recognised.
func (d *desk) untilWell(within time.Duration) state {
	d.t.Helper()
	return d.until(within, "everybody is enrolled and recognised", func(s state) bool {
		return s.Enrolled >= 3 && s.phase("eye") == "running" && s.phase("link") == "running" && !s.says("Enrolling") && !s.says("nobody is recognised")
	})
}

func (d *desk) stop() {
	if d.cmd.ProcessState != nil {
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan error, 1)
	go func() { done <- d.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		_ = d.cmd.Process.Kill()
		d.t.Errorf("the desk did not end within 10 s\n%s", d.out)
	}
	if d.t.Failed() {
		d.t.Logf("the desk printed:\n%s", d.out)
	}
}

func (d *desk) state() (state, error) {
	var s state
	r, err := http.Get("http://" + d.addr + "/state")
	if err != nil {
		return s, err
	}
	defer r.Body.Close()
	return s, json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&s)
}

// until waits for a state, and fails with what the desk printed.
func (d *desk) until(within time.Duration, what string, ok func(state) bool) state {
	d.t.Helper()
	var s state
	var err error
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if s, err = d.state(); err == nil && ok(s) {
			return s
		}
		if d.cmd.ProcessState != nil {
			break
		}
	}
	d.t.Fatalf("not within %v: %s (last error %v, state %+v)\n%s", within, what, err, s, d.out)
	return s
}

func (d *desk) act(name, arg string) {
	d.t.Helper()
	if said := d.refused(name, arg); said != "" {
		d.t.Fatalf("act %s %q: %s", name, arg, said)
	}
}

// refused presses a button and returns why nothing came of it; empty when something did.
func (d *desk) refused(name, arg string) string {
	d.t.Helper()
	body, err := json.Marshal(map[string]string{"name": name, "arg": arg})
	if err != nil {
		d.t.Fatal(err)
	}
	req, err := http.NewRequest("POST", "http://"+d.addr+"/act", bytes.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", "http://"+d.addr)
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusNoContent {
		text, _ := io.ReadAll(io.LimitReader(r.Body, 4096))
		return fmt.Sprintf("%s: %s", r.Status, text)
	}
	return ""
}

// busy are the reasons of a retry that lie in a machine with too little time, as the demo knows them.
var busy = []string{
	access.ReasonFewFrames.String(), access.ReasonTrackLost.String(), access.ReasonUneven.String(), access.ReasonReliefDoubt.String(),
	access.ReasonRestless.String(), access.ReasonEyeLost.String(), access.ReasonDeadline.String(), access.ReasonCameraStalled.String(),
}

// walkUp plays a scene once the door is at rest and returns the outcome that ended it.
func (d *desk) walkUp(scene, want string) {
	d.t.Helper()
	before := d.until(20*time.Second, "the door is at rest", func(s state) bool {
		return s.Door.State == "secured" && s.Door.Walkup == "idle" && s.Scene == ""
	})
	var last uint64
	if len(before.Decisions) > 0 {
		last = before.Decisions[0].Number
	}
	for try := 1; ; try++ {
		d.act("scene", scene)
		lost := false
		after := d.until(15*time.Second, scene+" ends "+want, func(s state) bool {
			lost = false
			ended, excused := false, false
			for _, o := range s.Decisions {
				if o.Number <= last {
					continue
				}
				if o.Verdict == "granted" && want != "granted" {
					d.t.Fatalf("%s is granted, want %s: %+v", scene, want, o)
				}
				ended = ended || o.Verdict == want
				excused = excused || o.Verdict == "retry" && slices.Contains(busy, o.Reason)
			}
			// On a busy machine frames are lost or come late, or eye is late with its sign of life, and the kiosk asks for another try; whoever walks up
			// gives it one.
			lost = !ended && excused && try < 4 && s.phase("eye") == "running" && s.Scene == "" && s.Door.Walkup == "idle"
			return ended || lost
		})
		if !lost {
			return
		}
		last = after.Decisions[0].Number // or the next try would be taken for lost before its scene begins
	}
}
