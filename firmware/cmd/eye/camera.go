package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"io"
	"os"
	"strings"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/camera"
	"github.com/lintel-access/lintel/firmware/frames"
)

// lens is a V4L2 camera as a source of frames.
type lens struct {
	camera *camera.Camera
	about  frames.Camera
	image  *image.Gray
	iris   iris
	stalls int // since the last frame
}

// mostStalls in a row, each a second or longer, make a camera broken: a new stream is worth a try then.
const mostStalls = 5

// match finds the one camera that fits the board.
func match(c board.Camera) (camera.Found, camera.Settings, error) {
	want := camera.Settings{
		Path: c.Device, Format: camera.Format(c.Format), Width: c.Width, Height: c.Height, Rate: c.FPS,
		AllowVirtual: c.Loopback, AllowColour: !c.Infrared,
	}
	found, err := camera.Match(camera.List(), c.Bus, want)
	want.Path = found.Path
	return found, want, err
}

// present says whether the board's camera is there, as far as that can be said without a stream.
func present(b board.Board) error {
	if b.Camera.Kind != board.CameraV4L2 {
		return nil
	}
	_, _, err := match(b.Camera)
	return err
}

// openLens opens the one camera that fits the board, and locks its exposure if it can be locked. degraded says if not. A camera that delivers nothing
// is none.
func openLens(ctx context.Context, b board.Board) (l *lens, degraded string, err error) {
	c := b.Camera
	found, want, err := match(c)
	if err != nil {
		return nil, "", err
	}
	opened, err := camera.Open(want)
	if err != nil {
		return nil, "", err
	}
	interval := opened.Interval()
	l = &lens{camera: opened, image: image.NewGray(image.Rect(0, 0, c.Width, c.Height))}
	if l.iris, err = openIris(opened, c, interval); errors.Is(err, camera.ErrUnlockable) {
		degraded = "camera cannot hold its exposure and gain still: " + err.Error()
	} else if err != nil {
		return nil, "", errors.Join(err, opened.Close())
	}
	l.about = frames.Camera{
		Driver: found.Driver, Card: found.Card, Bus: found.Bus, Format: fmt.Sprintf("%s %dx%d", c.Format, c.Width, c.Height),
		Interval: interval, Virtual: found.Virtual,
		Port: cut(found.Port), Release: cut(found.Release), Serial: cut(found.Serial),
	}
	if found.Port != "" {
		l.about.Device = cut(found.Vendor + ":" + found.Product)
	}
	for err = frames.ErrStalled; errors.Is(err, frames.ErrStalled); {
		_, err = l.Next(ctx) // it ends after mostStalls
	}
	if err != nil {
		return nil, "", errors.Join(err, opened.Close())
	}
	return l, degraded, nil
}

// Next waits for a newer frame. A camera that is gone or broken ends eye: the confined process could not open it again, and the supervisor starts a
// new one, each time later.
func (l *lens) Next(ctx context.Context) (frames.Frame, error) {
	f, err := l.camera.Next(ctx, l.image.Pix)
	if l.stalls++; err == nil {
		l.stalls = 0
	}
	switch {
	case errors.Is(err, camera.ErrStalled) && l.stalls < mostStalls:
		return frames.Frame{}, frames.ErrStalled
	case errors.Is(err, camera.ErrStalled), errors.Is(err, camera.ErrGone), errors.Is(err, camera.ErrBroken), errors.Is(err, os.ErrClosed):
		return frames.Frame{}, fmt.Errorf("%w: %w", io.EOF, err)
	case err != nil:
		return frames.Frame{}, err
	}
	stamp, light := f.Stamp, l.iris.next()
	if f.AtStart {
		stamp += light.Exposure
	}
	return frames.Frame{Image: l.image, Seq: f.Seq, Stamp: stamp, Exposure: light.Exposure, Gain: light.Gain}, nil
}

// maxText is what a Hello carries of each of a camera's texts (firmware/ipc).
const maxText = 64

func cut(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxText)], "") }

// Reread is what the kernel says of the camera now.
func (l *lens) Reread() (frames.Camera, error) {
	now := l.about
	again, err := l.camera.Again()
	now.Driver, now.Card, now.Bus = again.Driver, again.Card, again.Bus
	return now, err
}

// Camera is what the kernel says of it.
func (l *lens) Camera() frames.Camera { return l.about }

// Light is what the camera can be told to take in.
func (l *lens) Light() (least, most frames.Light) { return l.iris.least, l.iris.most }

// Expose tells it.
func (l *lens) Expose(want frames.Light) (frames.Light, error) { return l.iris.set(l.camera, want) }

// Close ends the stream.
func (l *lens) Close() error { return l.camera.Close() }

// camerasCommand lists every video device of this machine, and what speaks for or against it.
func camerasCommand(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("eye cameras", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "eye cameras lists every video device of this machine: its driver and place, whether it counts as infrared and on what evidence,\n"+
			"whether light falls on it at all, and its gray formats. The bus is what a board file names to pin the camera.")
	}
	if err := fs.Parse(args); err != nil {
		return fmt.Errorf("%w; %w", err, errUsage)
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; %w", fs.Arg(0), errUsage)
	}
	list := camera.List()
	for _, f := range list {
		fmt.Fprint(out, f)
	}
	if len(list) == 0 {
		fmt.Fprintln(out, "this machine has no video device: plug the camera in, and see that the kernel has its driver (uvcvideo for USB)")
	}
	return nil
}
