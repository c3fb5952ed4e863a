//go:build !kiosk

// Command desk runs the whole kiosk on a desk: eye, door and link as real processes, the simulated board in place of camera, lamp and
// door wiring, and a page on this machine. It is a demonstration and a bench; no product image contains it.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/tpm/swtpm"
	"github.com/lintel-access/lintel/firmware/cmd/desk/page"
	"github.com/lintel-access/lintel/firmware/cmd/desk/runner"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/twin"
	"github.com/lintel-access/lintel/inference"
	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/model"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "desk:", err)
		if errors.Is(err, errUsage) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

var errUsage = errors.New("see desk -h")

type options struct {
	addr, cache, state, people, scene, board string
	demo, alone                              bool
	ownPeople                                bool // people is not the folder of the product's photographs
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("desk", flag.ContinueOnError)
	fs.StringVar(&o.addr, "addr", "127.0.0.1:8460", "loopback address of the page")
	fs.StringVar(&o.cache, "cache", ".lintel", "folder of what make deps fetched")
	fs.StringVar(&o.state, "state", "", "folder of vault, audit log and names (default CACHE/BOARD, another for each -people; with -demo a temporary one)")
	fs.StringVar(&o.board, "board", "desk", "the simulated board: desk, or desk-2 with two lamps")
	fs.StringVar(&o.people, "people", "", "folder of photographs, JPEG or PNG (default CACHE/photos)")
	fs.StringVar(&o.scene, "scene", "", "play this scene file beside the product's own; with -demo instead of them (docs/SCENES.md)")
	fs.BoolVar(&o.demo, "demo", false, "no page: play all scenes, a line each, and fail if one ends otherwise than it should")
	fs.BoolVar(&o.alone, "no-headquarters", false, "set up no headquarters, and start none")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "desk runs the whole kiosk on this machine with a simulated camera, lamp and door. make run and make demo start it.")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return o, fmt.Errorf("%w; %w", err, errUsage)
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; %w", fs.Arg(0), errUsage)
	}
	if o.state == "" && !o.demo {
		o.state = filepath.Join(o.cache, o.board)
		if o.people != "" {
			// Other people, another door: the strangers of one folder may be enrolled from the other.
			dir, err := filepath.Abs(o.people)
			if err != nil {
				return o, err
			}
			sum := sha256.Sum256([]byte(dir))
			o.state += fmt.Sprintf("-%x", sum[:4])
		}
	}
	if o.ownPeople = o.people != ""; !o.ownPeople {
		o.people = filepath.Join(o.cache, "photos")
	}
	return o, nil
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	// A program that is not to be had is said before anything is started.
	if err := swtpm.Installed(); err != nil {
		return err
	}
	programs, err := programFolder()
	if err != nil {
		return err
	}
	b, err := board.Load(o.board)
	if err != nil {
		return err
	}
	if b.Camera.Kind != board.CameraTwin {
		return fmt.Errorf("board %q is not a simulated one", o.board)
	}
	at := onDesk(b, programs)
	at.centre = !o.alone
	return o.open(ctx, at, out, progress)
}

// site is where the kiosk stands: its board, its programs, and what simulates the world around it.
type site struct {
	board, programs string
	// startTPM makes the board's TPM answer at path. chip is the folder of its state, run that of the sockets.
	startTPM func(chip, run string) (path string, stop func() error, err error)
	// build makes the world around the board.
	build func(run string, cast twin.Cast) (*twin.Board, error)
	// centre says that a headquarters is to be beside the kiosk.
	centre bool
	// operate, when not nil, takes the place of the demo.
	operate func(context.Context, *bench) error
}

// onDesk is a board that is simulated down to its sockets.
func onDesk(b board.Board, programs string) site {
	return site{
		board: b.Name, programs: programs,
		startTPM: func(chip, run string) (string, func() error, error) {
			p, err := swtpm.StartAt(chip, filepath.Join(run, tpmSocket))
			if err != nil {
				return "", nil, err
			}
			return p.Socket(), p.Stop, nil
		},
		build: func(run string, cast twin.Cast) (*twin.Board, error) {
			return twin.New(twin.Config{
				FramesPath: filepath.Join(run, "frames.sock"), LinesPath: filepath.Join(run, "lines.sock"), Cast: cast, Seed: 1, TwoLamps: b.Lamp.Count == 2,
			})
		},
	}
}

// open starts the kiosk of a site and serves it until ctx or the demo ends.
func (o options) open(ctx context.Context, at site, out, progress io.Writer) (err error) {
	syscall.Umask(0o077)
	scenes, err := loadScenes(o)
	if err != nil {
		return err
	}
	// A port or a lock that is not to be had is said before anything is started.
	var listener net.Listener
	if !o.demo {
		if listener, err = page.Listen(o.addr); err != nil {
			return err
		}
		defer listener.Close()
	} else if o.state == "" {
		if o.state, err = os.MkdirTemp("", "lintel-demo-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.state)
	}
	if err := makePrivate(o.state); err != nil {
		return err
	}
	lock, err := runner.Lock(filepath.Join(o.state, "lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := o.makePlaces(); err != nil {
		return err
	}
	register, err := openRegister(filepath.Join(o.state, "people.json"))
	if err != nil {
		return err
	}
	people, err := findPeople(o, progress)
	if err != nil {
		return err
	}
	// Sockets have short names in a short folder: a path of more than 107 bytes cannot be one.
	dir, err := os.MkdirTemp("", "lintel-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	simulated, err := at.build(dir, people.Cast)
	if err != nil {
		return err
	}
	path, stopTPM, err := at.startTPM(o.chip(), dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopTPM()) }() // after door, which holds it
	if err := o.provision(ctx, at, path, progress); err != nil {
		return err
	}
	var far *centre
	if at.centre {
		var end func()
		// Without a headquarters a door works.
		if far, end, err = o.openCentre(ctx, at, path, progress); err != nil {
			fmt.Fprintln(progress, "no headquarters:", err)
		} else {
			defer end()
		}
	}
	supervisor, err := runner.New(progress, children(o, at, dir)...)
	if err != nil {
		return err
	}
	b := newBench(o, simulated, supervisor, people.Cast, register, scenes, progress)
	b.centre, b.portraits, b.options.alone = far, people.portraits, !at.centre
	b.admitVisitor()

	// Whatever ends first ends the rest; the board outlives the programs, so that they see their lines to the end.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	boardCtx, stopBoard := context.WithCancel(context.WithoutCancel(ctx))
	boardEnded := make(chan error, 1)
	go func() {
		err := simulated.Run(boardCtx)
		cancel(fmt.Errorf("simulated board: %w", err))
		boardEnded <- err
	}()
	childrenEnded := make(chan struct{})
	go func() { defer close(childrenEnded); supervisor.Run(ctx) }()
	go b.connect(ctx, filepath.Join(dir, ipc.Desk.Socket()), os.Geteuid())
	go b.watch(ctx)
	switch {
	case at.operate != nil:
		cancel(at.operate(ctx, b))
	case o.demo:
		cancel(b.perform(ctx, out))
	default:
		cancel(b.serve(ctx, listener, out))
	}
	<-childrenEnded
	stopBoard()
	<-boardEnded
	if cause := context.Cause(ctx); !errors.Is(cause, errDone) {
		return cause
	}
	return nil
}

// tpmSocket is where door looks for the software TPM in the folder of the sockets.
const tpmSocket = "tpm.sock"

// errDone ends the desk in good order.
var errDone = errors.New("done")

// perform enrols the cast and plays the demo.
func (b *bench) perform(ctx context.Context, out io.Writer) error {
	if err := b.enrol(ctx); err != nil {
		return err
	}
	if err := b.govern(ctx); err != nil {
		fmt.Fprintln(b.progress, err)
	}
	if err := b.demo(ctx, out); err != nil {
		return err
	}
	return errDone
}

// serve shows the page while the cast is enrolled and afterwards.
func (b *bench) serve(ctx context.Context, l net.Listener, out io.Writer) error {
	go b.inquire(ctx)
	go func() {
		if err := b.govern(ctx); err != nil && ctx.Err() == nil {
			b.tell(err.Error())
		}
	}()
	go func() {
		err := b.enrol(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		fmt.Fprintln(b.progress, err)
		if !errors.Is(err, errClosed) { // which the page says by itself
			b.touch(func() { b.task = "Not everybody could be enrolled: " + err.Error() })
		}
	}()
	fmt.Fprintf(out, "\n  The door is on http://%s\n\n", l.Addr())
	return page.Serve(ctx, l, page.New(b))
}

// loadScenes are the product's own and the one that the visitor gave.
func loadScenes(o options) ([]*twin.Scene, error) {
	scenes, err := twin.Scenes()
	if err != nil || o.scene == "" {
		return scenes, err
	}
	text, err := readBounded(o.scene, twin.MaxSceneBytes)
	if err != nil {
		return nil, fmt.Errorf("read scene: %w", err)
	}
	own, err := twin.ParseScene(filepath.Base(o.scene), text)
	if err != nil {
		return nil, err
	}
	if o.demo {
		return []*twin.Scene{own}, nil
	}
	return append([]*twin.Scene{own}, scenes...), nil
}

func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%q is longer than %d bytes", path, most)
	}
	return data, err
}

// findPeople looks for faces with the product's own models and gives them back at once: the desk needs them no more.
func findPeople(o options, progress io.Writer) (troupe, error) {
	manifest, err := model.Default()
	if err != nil {
		return troupe{}, err
	}
	engine, err := inference.Open(inference.Config{
		Library: filepath.Join(o.cache, "ort", "libonnxruntime.so.1"), Bundle: filepath.Join(o.cache, "bundle"),
		Manifest: manifest, Threads: 1, Limits: face.DefaultLimits(),
	})
	if err != nil {
		return troupe{}, fmt.Errorf("%w (make deps puts the models in place)", err)
	}
	people, skipped, err := cast(o.people, engine, progress)
	for _, s := range skipped {
		fmt.Fprintln(progress, "left out", s)
	}
	return people, errors.Join(err, engine.Close())
}

// absolute is a path that stays the same in another folder.
func absolute(path string) string {
	if a, err := filepath.Abs(path); err == nil {
		return a
	}
	return path
}

// children are the programs of the kiosk.
func children(o options, at site, dir string) []runner.Program {
	// Nothing of the desk's environment reaches them but what the C library needs to find its libraries.
	env := []string{"PATH=/usr/bin:/bin"}
	program := func(name string, args ...string) runner.Program {
		return runner.Program{
			Name: name, Path: filepath.Join(at.programs, name), Env: env, Args: append([]string{"-board", at.board, "-run", dir}, args...),
		}
	}
	door := program("door", "-state", absolute(o.disk()))
	door.Watched = true
	return []runner.Program{
		door,
		program("eye", "-bundle", absolute(filepath.Join(o.cache, "bundle")), "-library", absolute(filepath.Join(o.cache, "ort", "libonnxruntime.so.1"))),
		program("link"),
	}
}
