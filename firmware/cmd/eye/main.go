// Command eye looks at camera frames and tells door what it measured: where a face is, how it answers the lamp, its probe. It
// reports evidence and never a verdict, and knows no template, policy or key.
//
// Once it has opened its models, the camera and door's socket it gives up the network, files and the right to start programs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/confine"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/watch"
	"github.com/lintel-access/lintel/inference"
	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/inference/ort"
)

// What eye ends with, besides 0.
const (
	exitFailed = 1
	exitUsage  = 2
	// exitConfig is EX_CONFIG: the installation is wrong, and starting again at once cannot help.
	exitConfig = 78
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "eye:", err)
		os.Exit(exitOf(err))
	}
}

func command(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "cameras" {
		return camerasCommand(args[1:], os.Stdout)
	}
	return run(ctx, args)
}

var errUsage = errors.New("see eye -h")

// configError is an error that only a change of the installation can mend.
type configError struct{ error }

func (e *configError) Unwrap() error { return e.error }

// exitOf is what the program ends with after an error.
func exitOf(err error) int {
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	if _, ok := errors.AsType[*configError](err); ok {
		return exitConfig
	}
	return exitFailed
}

type options struct {
	board, run, bundle, library string
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("eye", flag.ContinueOnError)
	fs.StringVar(&o.board, "board", "desk", "name of the board that this program runs on")
	fs.StringVar(&o.run, "run", "", "folder of the sockets (required)")
	fs.StringVar(&o.bundle, "bundle", ".lintel/bundle", "folder of the prepared models; their hashes are checked")
	fs.StringVar(&o.library, "library", ".lintel/ort/libonnxruntime.so.1", "the ONNX Runtime library; its hash is checked")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "eye looks at camera frames and tells door what it measured. The desk and the device's supervisor start it.\n"+
			"eye cameras lists the video devices of this machine.")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return o, fmt.Errorf("%w; %w", err, errUsage)
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; %w", fs.Arg(0), errUsage)
	}
	if o.run == "" {
		return o, fmt.Errorf("say where the sockets are: -run folder; %w", errUsage)
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	b, err := board.Load(o.board)
	if err != nil {
		return &configError{err}
	}
	manifest, err := model.Default()
	if err != nil {
		return &configError{err}
	}
	providers, err := providers(b)
	if err != nil {
		return &configError{err}
	}
	if err := present(b); err != nil { // before the models are loaded: that takes seconds, and a camera may be away for days
		return errors.Join(err, tellBlind(ctx, o, b, err))
	}
	began := time.Now()
	engine, err := inference.Open(inference.Config{
		Library: o.library, Bundle: o.bundle, Manifest: manifest, Providers: providers, Threads: b.Inference.Threads,
		Limits: face.DefaultLimits(),
	})
	if err != nil {
		return &configError{err}
	}
	defer engine.Close()
	source, loose, err := open(ctx, b, o.run)
	if err != nil {
		return errors.Join(err, tellBlind(ctx, o, b, err))
	}
	defer source.Close()
	conn, err := dial(ctx, o, b)
	if err != nil {
		return err
	}
	defer conn.Close()

	report, err := confine.Apply(confine.Eye())
	if err != nil {
		return err
	}
	hello := ipc.Hello{Camera: source.Camera(), Bundle: manifest.Hash(), Name: manifest.Name, Provider: engine.Report.Provider, Held: loose == ""}
	for _, d := range engine.Report.Dropped {
		hello.Degraded = append(hello.Degraded, clip("execution provider "+d.Provider+" dropped: "+d.Reason))
	}
	if loose != "" {
		fmt.Fprintln(os.Stderr, "degraded:", loose)
	}
	for _, d := range report.Degraded {
		hello.Degraded = append(hello.Degraded, clip("eye: "+d))
	}
	hello.Degraded = hello.Degraded[:min(len(hello.Degraded), maxDegraded)]
	fmt.Fprintf(os.Stderr, "ready after %d ms: bundle %s on %s, camera %q, %d threads confined\n",
		time.Since(began).Milliseconds(), manifest.Name, engine.Report.Provider, source.Camera().Card, report.Threads)
	return serve(ctx, source, engine, conn, hello)
}

// dial connects to door.
func dial(ctx context.Context, o options, b board.Board) (*ipc.Conn, error) {
	return ipc.DialWithin(ctx, 5*time.Second, filepath.Join(o.run, ipc.Eye.Socket()), ipc.Eye, user(b.Programs.Users.Door))
}

// A Hello carries so many degraded modes, and so many bytes of each (firmware/ipc).
const (
	maxDegraded = 8
	maxSentence = 200
)

// clip bounds a degraded mode to what a message may carry. It cuts through no letter: half of one would make eye's first packet, and
// with it eye, refuse to start.
func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxSentence)], "") }

// serve runs until one of its parts ends: without door or camera there is nothing to do, and the supervisor starts eye again.
func serve(ctx context.Context, source frames.Source, engine *inference.Engine, conn *ipc.Conn, hello ipc.Hello) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &watch.Watcher{Source: source, Engine: engine, Bundle: hello.Bundle, Now: frames.Now, Lost: func(err error) {
		fmt.Fprintln(os.Stderr, "frames that door asked for are lost:", err)
	}}
	client := ipc.NewClient(conn, func(m ipc.Message) {
		if err := w.Order(m); err != nil {
			cancel(err)
		}
	})
	w.Door = client
	if err := client.Send(ipc.KindHello, hello); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cancel(fmt.Errorf("connection to door: %w", client.Run(ctx)))
	}()
	err := w.Run(ctx)
	cancel(err)
	<-ended
	if cause := context.Cause(ctx); errors.Is(err, context.Canceled) && cause != nil {
		return cause
	}
	return err
}

// open opens the camera that the board names. loose says why its exposure and gain cannot be held, if so.
func open(ctx context.Context, b board.Board, run string) (source frames.Source, loose string, err error) {
	switch b.Camera.Kind {
	case board.CameraTwin:
		source, err = frames.Dial(filepath.Join(run, "frames.sock"))
		return source, "", err
	case board.CameraV4L2:
		l, loose, err := openLens(ctx, b)
		if err != nil {
			return nil, "", err
		}
		return l, loose, nil
	}
	return nil, "", &configError{fmt.Errorf("board %q: no driver for a camera of kind %q in this program", b.Name, b.Camera.Kind)}
}

// providers takes the board's execution providers in their order.
func providers(b board.Board) ([]ort.Provider, error) {
	var list []ort.Provider
	for _, p := range b.Inference.Providers {
		q := ort.Provider{Name: p.Name, Options: p.Options, Library: p.Library}
		if p.SHA256 != "" {
			if err := q.SHA256.UnmarshalText([]byte(p.SHA256)); err != nil {
				return nil, fmt.Errorf("board %q: provider %q: %w", b.Name, p.Name, err)
			}
		}
		list = append(list, q)
	}
	return list, nil
}

// user is the uid of a program; 0 in a board file means that of the supervisor, which is ours.
func user(uid int) int {
	if uid == 0 {
		return os.Geteuid()
	}
	return uid
}
