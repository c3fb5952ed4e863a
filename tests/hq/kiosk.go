//go:build !kiosk

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/tpm/swtpm"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/firmware/twin"
)

// pace of the simulated boards: nobody looks at their pictures, and lines are served as they come.
const pace = 100 * time.Millisecond

// kiosk is one kiosk: its chip, its board, its programs, and the network that it hangs on.
type kiosk struct {
	site       *site
	door, name string // name on the wire
	dir        string
	chip       *swtpm.Process
	twin       *twin.Board
	net        *network
	core, link *keeper // door and link; nil until started

	work sync.WaitGroup
	stop context.CancelFunc

	mu   sync.Mutex
	seen ipc.Status
}

func (k *kiosk) state() string { return filepath.Join(k.dir, "state") }
func (k *kiosk) run() string   { return filepath.Join(k.dir, "run") }

// build makes a kiosk for a door: a chip, a board, provisioned and approved, with nobody to report to. folder is its own.
func (s *site) build(door, folder string) (k *kiosk, err error) {
	k = &kiosk{site: s, door: door, dir: s.file(folder)}
	for _, dir := range []string{k.dir, k.state(), k.run()} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	k.stop = stop
	if k.net, err = newNetwork(s.way.ends...); err != nil {
		return nil, err
	}
	if k.chip, err = swtpm.StartAt(filepath.Join(k.dir, "tpm"), filepath.Join(k.run(), "tpm.sock")); err != nil {
		return nil, err
	}
	if k.twin, err = twin.New(twin.Config{FramesPath: filepath.Join(k.run(), "frames.sock"), LinesPath: filepath.Join(k.run(), "lines.sock"), Interval: pace}); err != nil {
		return nil, err
	}
	k.work.Go(func() { _ = k.twin.Run(ctx) })
	k.work.Go(func() { k.watch(ctx) })
	return k, k.provision()
}

// provision is what a bench does: a release key, door provision, an approval of these very programs.
func (k *kiosk) provision() error {
	release, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&release.PublicKey)
	if err != nil {
		return err
	}
	pub := filepath.Join(k.dir, "release.pub")
	if err := os.WriteFile(pub, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600); err != nil {
		return err
	}
	if _, err := k.doorCommand("provision", "-tpm", k.chip.Socket(), "-state", k.state(), "-release", pub, "-secrets", filepath.Join(k.dir, "owner")); err != nil {
		return err
	}
	id, err := root.Load(k.state())
	if err != nil {
		return err
	}
	b, err := board.Load("desk")
	if err != nil {
		return err
	}
	image, err := root.MeasureImage(k.site.programs, b)
	if err != nil {
		return err
	}
	approval, err := root.Approve(release, id, image, id.Floor)
	if err != nil {
		return err
	}
	return root.WriteApprovals(k.state(), approval)
}

func (k *kiosk) doorCommand(args ...string) (string, error) {
	cmd := exec.CommandContext(k.site.ctx, filepath.Join(k.site.programs, "door"), args...)
	cmd.Env = []string{}
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("door %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return string(out), err
}

// join makes the kiosk and headquarters known to each other, as docs/HQ.md says.
func (k *kiosk) join(more ...string) error {
	if err := k.introduce(); err != nil {
		return err
	}
	return k.enter("told", more...)
}

// introduction is what headquarters is shown of the kiosk.
func (k *kiosk) introduction() string { return filepath.Join(k.dir, "introduction") }

func (k *kiosk) introduce() error {
	_, err := k.doorCommand("identity", "-state", k.state(), "-tpm", k.chip.Socket(), "-out", k.introduction())
	return err
}

// enter has headquarters know a kiosk that was introduced, and the kiosk headquarters. What it is told lies in a new folder.
func (k *kiosk) enter(folder string, more ...string) error {
	told := filepath.Join(k.dir, folder)
	out, err := k.site.at(append([]string{"kiosk", "add", k.introduction(), "-door", k.door, "-broker", k.net.addr, "-out", told}, more...)...)
	if err != nil {
		return err
	}
	if _, err := fmt.Sscanf(out, "kiosk %s is known", &k.name); err != nil {
		return fmt.Errorf("hq kiosk add said %q: %w", out, err)
	}
	return k.obey(out, told)
}

// obey runs the very line that hq kiosk add says is to be run at the kiosk.
func (k *kiosk) obey(said, told string) error {
	_, line, found := strings.Cut(said, "door headquarters ")
	if !found {
		return fmt.Errorf("hq kiosk add said %q, want a line for the kiosk", said)
	}
	args := strings.Fields(line)
	for i, a := range args {
		switch a = strings.Trim(a, "'\""); a {
		case "STATE":
			a = k.state()
		case "root.pub", "trust.cose", "certificate.pem":
			a = filepath.Join(told, a)
		}
		args[i] = a
	}
	_, err := k.doorCommand(append([]string{"headquarters"}, args...)...)
	return err
}

// start runs door and link, and waits until door serves. It may be called while they run.
func (k *kiosk) start() error {
	if k.core != nil {
		return nil // it is kept running
	}
	program := func(name string, args ...string) *keeper {
		return keep(func() *exec.Cmd {
			cmd := exec.Command(filepath.Join(k.site.programs, name), append([]string{"-board", "desk", "-run", k.run()}, args...)...)
			cmd.Env = []string{}
			return cmd
		})
	}
	k.core = program("door", "-state", k.state())
	k.link = program("link")
	return k.ready()
}

// ready waits until door says that it serves.
func (k *kiosk) ready() error {
	return k.site.await(30*time.Second, k.door+" starts", func() error {
		if !k.core.said.has("ready: ") {
			return errors.New(k.core.said.last(3))
		}
		return nil
	})
}

// lead has the kiosk's network end at another broker, or at any of several. link is started anew, so that nobody waits for the end of its pause between two tries.
func (k *kiosk) lead(to ...string) {
	k.net.lead(to...)
	if k.link != nil {
		k.link.kill()
	}
}

// rest ends door and link; the chip and the board stay.
func (k *kiosk) rest() {
	k.link.stop()
	k.core.stop()
	k.core, k.link = nil, nil
}

func (k *kiosk) close() (err error) {
	k.rest()
	k.stop()
	k.work.Wait()
	if k.net != nil {
		k.net.close()
	}
	if k.chip != nil {
		err = k.chip.Stop()
	}
	return err
}

// watch keeps what door says of itself, for as long as it is heard.
func (k *kiosk) watch(ctx context.Context) {
	for ctx.Err() == nil {
		conn, err := ipc.DialWithin(ctx, time.Second, filepath.Join(k.run(), ipc.Desk.Socket()), ipc.Desk, os.Geteuid())
		if err == nil {
			client := ipc.NewClient(conn, func(m ipc.Message) {
				var s ipc.Status
				if m.Kind == ipc.KindStatus && ipc.Decode(m, &s) == nil {
					k.mu.Lock()
					k.seen = s
					k.mu.Unlock()
				}
			})
			_ = client.Run(ctx) // until door is gone
		}
		k.mu.Lock()
		k.seen = ipc.Status{}
		k.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// status is the newest of door, zero while it is not there.
func (k *kiosk) status() ipc.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.seen
}

// releases counts how often the relay was switched on.
func (k *kiosk) releases() (n int) {
	for _, e := range k.twin.History(0) {
		if e.Line == board.Relay && e.On {
			n++
		}
	}
	return n
}

// reachable says whether somebody listens at an address.
func reachable(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		c.Close()
	}
	return err == nil
}
