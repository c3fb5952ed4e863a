//go:build !kiosk

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/drivers/tpm/swtpm"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/firmware/twin"
	"github.com/lintel-access/lintel/inference/model"
)

// process is the real program on the simulated board's wires. Its vault lies ready before it starts.
type process struct {
	t          *testing.T
	programs   string
	run, state string
	twin       *twin.Board
	cmd        *exec.Cmd
	ended      chan error
	said       *lines

	bundle  [32]byte
	people  []visitor
	probe   []float32           // of the first of them, when they come
	guest   []float32           // of somebody who is to be enrolled
	turned  [][]float32         // probe, guest and references as the vault turns them
	rows    [dim][]float32      // of the transform
	keys    map[string][32]byte // of the vault
	content map[string][32]byte // of its people
}

const dim = access.ProbeSize

// newProcess builds the program and serves the board's wires. There is no TPM yet, and it is not started.
func newProcess(t *testing.T) *process {
	t.Helper()
	p := &process{t: t, programs: tempFolder(t), run: tempFolder(t), state: tempFolder(t), said: &lines{}}
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(p.programs, "door"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build door: %v\n%s", err, out)
	}
	for _, name := range root.Programs() {
		if name != "door" { // the others are measured, and not started here
			putFile(t, filepath.Join(p.programs, name), []byte(name))
		}
	}
	var err error
	if p.twin, err = twin.New(twin.Config{FramesPath: filepath.Join(p.run, "frames.sock"), LinesPath: filepath.Join(p.run, "lines.sock")}); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() { served <- p.twin.Run(ctx) }()
	t.Cleanup(func() { stop(); <-served })
	return p
}

// tempFolder is a private one with a short name: sockets lie in some.
func tempFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "door-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// seal gives the program a TPM, an approval and a vault with people.
func (p *process) seal() {
	p.t.Helper()
	chip, err := swtpm.StartAt(filepath.Join(p.t.TempDir(), "tpm"), filepath.Join(p.run, "tpm.sock"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { chip.Stop() })
	calibration, err := model.DefaultCalibration()
	if err != nil {
		p.t.Fatal(err)
	}
	p.bundle = calibration.Bundle
	if err := p.provision(chip.Socket()); err != nil {
		p.t.Fatal(err)
	}
}

// provision takes the TPM, has the program approved, and fills the vault.
func (p *process) provision(socket string) error {
	b, err := board.Load("desk")
	if err != nil {
		return err
	}
	release, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		return err
	}
	id, err := root.Provision(root.Path(socket), p.state, tpm.NewSecrets(), &release.PublicKey, tpm.Options{}, true)
	if err != nil {
		return err
	}
	image, err := root.MeasureImage(p.programs, b)
	if err != nil {
		return err
	}
	approval, err := root.Approve(release, id, image, id.Floor)
	if err == nil {
		err = root.WriteApprovals(p.state, approval)
	}
	if err != nil {
		return err
	}
	r, err := root.Open(root.Path(socket), p.state, tpm.Options{})
	if err != nil {
		return err
	}
	if _, err = r.Extend(image); err == nil {
		err = p.fill(r)
	}
	return errors.Join(err, r.Close())
}

func (p *process) fill(r *root.Root) error {
	store, err := openVault(r, p.state)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for range 12 {
		v := visitor{reference: drawVector(rng)}
		cryptorand.Read(v.id[:])
		template, err := vault.NewTemplate(v.reference)
		if err == nil {
			err = store.Put(vault.Person{ID: v.id, State: vault.Active, Generation: 1, References: []vault.Reference{{Template: template, Bundle: p.bundle, Quality: 1}}})
		}
		if err != nil {
			return errors.Join(err, store.Close())
		}
		p.people = append(p.people, v)
	}
	p.probe, p.guest = (&visits{rng: rng}).near(p.people[0].reference, 0.3), drawVector(rng)
	for _, plain := range p.vectors() {
		turned, err := p.turn(store, plain)
		if err != nil {
			return errors.Join(err, store.Close())
		}
		p.turned = append(p.turned, turned)
	}
	for i := range p.rows {
		p.rows[i] = make([]float32, dim)
	}
	for j := range dim { // what the j-th axis is turned to is the j-th column
		column, err := p.turn(store, direction(j))
		if err != nil {
			return errors.Join(err, store.Close())
		}
		for i, x := range column {
			p.rows[i][j] = x
		}
	}
	if err := store.Close(); err != nil {
		return err
	}
	key, err := r.Unseal()
	if err == nil {
		p.keys, err = vaultKeys(key, r.Identity().Device)
	}
	if err == nil {
		p.content, err = contentKeys(filepath.Join(p.state, vaultFile), p.keys["wrap key"], r.Identity().Device)
	}
	return err
}

// vectors are all that the test knows, plain.
func (p *process) vectors() [][]float32 {
	list := [][]float32{p.probe, p.guest}
	for _, v := range p.people {
		list = append(list, v.reference)
	}
	return list
}

func (p *process) turn(store *vault.Vault, v []float32) ([]float32, error) {
	t := append([]float32(nil), v...)
	return t, store.Transform(t)
}

// start runs the program, as a user, until it says that it is ready.
func (p *process) start(uid uint32) {
	p.t.Helper()
	p.cmd = exec.Command(filepath.Join(p.programs, "door"), "-board", "desk", "-run", p.run, "-state", p.state)
	p.cmd.Env = []string{}
	p.cmd.Stderr = p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, NoSetGroups: true}}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.ended = make(chan error, 1)
	go func() { p.ended <- p.cmd.Wait() }()
	p.t.Cleanup(func() { p.stop() })
	for end := time.Now().Add(20 * time.Second); !bytes.Contains(p.said.all(), []byte("ready: ")); time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-p.ended:
			p.ended <- err
			p.t.Fatalf("door ended at once: %v\n%s", err, p.said.all())
		default:
		}
		if time.Now().After(end) {
			p.t.Fatalf("door is not ready after 20 s:\n%s", p.said.all())
		}
	}
}

// stop ends the program in order.
func (p *process) stop() error {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.ended:
		p.ended <- err
		return err
	case <-time.After(10 * time.Second):
		p.cmd.Process.Kill()
		return errors.New("door did not end within 10 s")
	}
}

// visits are clients of the program.
func (p *process) visits() *visits {
	p.t.Helper()
	v := &visits{
		t: p.t, rng: rand.New(rand.NewPCG(uint64(p.cmd.Process.Pid), 2)), bundle: p.bundle, run: p.run, deadline: access.DefaultPolicy().Deadline,
		lit: func(at time.Duration) (on bool) {
			for _, e := range p.twin.History(0) {
				if e.Line == board.Lamp && e.Stamp <= at {
					on = e.On
				}
			}
			return on
		},
	}
	v.view = func() (s ipc.Status) {
		v.mu.Lock()
		defer v.mu.Unlock()
		for i := len(v.heard[ipc.Desk]) - 1; i >= 0; i-- {
			if m := v.heard[ipc.Desk][i]; m.Kind == ipc.KindStatus && ipc.Decode(m, &s) == nil {
				break
			}
		}
		return s
	}
	if err := v.open("twin"); err != nil {
		p.t.Fatal(err)
	}
	return v
}

// Write takes what the program says.
func (l *lines) Write(b []byte) (int, error) {
	l.add("%s", strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

// An area is a mapping of another process.
type area struct {
	from, to uint64
	name     string
	undumped bool // the kernel leaves it out of a core image
}

// areas are all that a process can read of itself. The kernel's own pages for the clock are left out.
func areas(pid int) (list []area, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		return nil, err
	}
	var a area
	var mode string
	for line := range strings.Lines(string(text)) {
		var offset, device, inode string
		flags, last := strings.CutPrefix(line, "VmFlags:")
		switch {
		case !last:
			head := area{}
			if n, _ := fmt.Sscanf(line, "%x-%x %s %s %s %s %s", &head.from, &head.to, &mode, &offset, &device, &inode, &head.name); n >= 6 {
				a = head
			}
		case mode[0] == 'r' && !strings.HasPrefix(a.name, "[v"):
			a.undumped = strings.Contains(flags, " dd")
			list = append(list, a)
		}
	}
	return list, nil
}

// remember searches the memory of a process: what a core image would hold, and what the kernel leaves out of it.
func remember(pid int, d *dictionary) (dumped, undumped haul, size uint64, err error) {
	list, err := areas(pid)
	if err != nil {
		return dumped, undumped, 0, err
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return dumped, undumped, 0, err
	}
	defer mem.Close()
	for _, a := range list {
		data := make([]byte, a.to-a.from)
		if _, err := mem.ReadAt(data, int64(a.from)); err != nil && !errors.Is(err, io.EOF) {
			return dumped, undumped, 0, fmt.Errorf("read %x-%x %q: %w", a.from, a.to, a.name, err)
		}
		h := &dumped
		if a.undumped {
			h = &undumped
		} else {
			size += uint64(len(data))
		}
		h.where = "memory"
		d.look(data, h)
	}
	return dumped, undumped, size, nil
}
