package deadman

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/portal"
)

// TestMain lets the test binary play a door: `test door`, with the line at descriptor 3.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "door" {
		if err := door(); err != nil {
			fmt.Println("door:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// door is a portal that feeds. SIGUSR1 has its relay's driver hang, and with it the portal's loop; all else of the process lives on.
func door() error {
	f, err := Inherit(3)
	if err != nil {
		return err
	}
	w := &wires{edges: make(chan board.Edge)}
	p, err := portal.New(portal.Config{
		Board: board.Board{Name: "test", Door: board.Door{MaxPulse: 20_000}}, Lines: w, Recorder: w, Times: access.DefaultPolicy().Times, Now: frames.Now,
	})
	if err != nil {
		return err
	}
	hang := make(chan os.Signal, 1)
	signal.Notify(hang, syscall.SIGUSR1)
	go p.Run(context.Background())
	go func() {
		<-hang
		w.stuck.Store(true)
		w.edges <- board.Edge{Line: board.REX, On: true} // has the loop release the relay
	}()
	f.Ready()
	fmt.Println("ready")
	return f.Run(context.Background(), p.Ping, func() error { fmt.Println("last words"); return nil })
}

// started is a door as a process.
type started struct {
	*exec.Cmd
	line *Line
	out  *bufio.Scanner
}

func startDoor(t *testing.T) *started {
	t.Helper()
	line, err := NewLine()
	if err != nil {
		t.Fatal(err)
	}
	d := &started{Cmd: exec.Command(os.Args[0], "door"), line: line}
	d.ExtraFiles = []*os.File{line.Far()}
	d.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := d.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.out = bufio.NewScanner(out)
	if err := d.Start(); err != nil {
		line.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Process.Kill(); _ = d.Wait() })
	if !d.out.Scan() || d.out.Text() != "ready" {
		t.Fatalf("door says %q, %v", d.out.Text(), d.out.Err())
	}
	return d
}

// A real process whose portal hangs in a driver is condemned in time, though its other goroutines live: they write the last record.
// Afterwards whoever watches kills it.
func TestDoorWhoseDriverHangs(t *testing.T) {
	d := startDoor(t)
	limits := Limits{Silence: 3 * time.Second, Grace: 20 * time.Second, Words: 2 * time.Second}
	condemned := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		condemned <- Watch(ctx, d.line, d.Process.Pid, Config{Limits: limits, Now: frames.Now, Log: t.Logf})
	}()
	select {
	case err := <-condemned:
		t.Fatalf("a living door was condemned: %v", err)
	case <-time.After(limits.Silence + 2*time.Second):
	}
	if err := d.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	hung := time.Now()
	select {
	case err := <-condemned:
		if !errors.Is(err, ErrSilent) {
			t.Errorf("Watch: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("not condemned within 20 s")
	}
	if took := time.Since(hung); took < limits.Silence-2*period || took > limits.Silence+limits.Words+2*time.Second {
		t.Errorf("condemned after %v, with a limit of %v", took, limits.Silence)
	}
	if !d.out.Scan() || d.out.Text() != "last words" {
		t.Errorf("door says %q, %v", d.out.Text(), d.out.Err())
	}
}

// A door that something else than its parent gave a line refuses it.
func TestDoorRefusesAForeignLine(t *testing.T) {
	line := newLine(t)
	// The shell stands between: it is not the process that made the line.
	cmd := exec.Command("sh", "-c", `"$0" door; exit $?`, os.Args[0])
	cmd.ExtraFiles = []*os.File{line.Far()}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "not by our parent") {
		t.Errorf("%v\n%s", err, out)
	}
}
