package main

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/lintel-access/lintel/drivers/camera"
	"github.com/lintel-access/lintel/firmware/ipc"
)

func TestBlindness(t *testing.T) {
	gray := camera.Found{
		Path: "/dev/video0", Capture: true, Infrared: true,
		Modes: []camera.Mode{{Format: "GREY", Sizes: []camera.Size{{Width: 640, Height: 480, MaxWidth: 640, MaxHeight: 480}}}},
	}
	with := func(change func(*camera.Found)) camera.Found {
		f := gray
		change(&f)
		return f
	}
	second := with(func(f *camera.Found) { f.Path = "/dev/video2" })
	small := with(func(f *camera.Found) { f.Modes = []camera.Mode{{Format: "GREY"}} })
	colour := with(func(f *camera.Found) { f.Infrared = false })
	fed := with(func(f *camera.Found) { f.Virtual = true })
	codec := with(func(f *camera.Found) { f.Capture = false })
	for _, c := range []struct {
		name string
		list []camera.Found
		want ipc.Blindness
	}{
		{"no device", nil, ipc.NoCamera},
		{"a codec alone", []camera.Found{codec}, ipc.NoCamera},
		{"two", []camera.Found{gray, second}, ipc.TwoCameras},
		{"another size", []camera.Found{codec, small}, ipc.OtherCamera},
		{"colour", []camera.Found{codec, colour}, ipc.ColourCamera},
		{"colour, and infrared of another size", []camera.Found{colour, small}, ipc.OtherCamera},
		{"fed by a program", []camera.Found{fed}, ipc.OtherCamera},
	} {
		_, err := camera.Match(c.list, "", camera.Settings{Format: "GREY", Width: 640, Height: 480, Rate: 30})
		if got := blindness(err); got != c.want {
			t.Errorf("%s: %v (%v), want %v", c.name, got, err, c.want)
		}
	}
	for err, want := range map[error]ipc.Blindness{
		fmt.Errorf("open camera: %w", camera.ErrBusy): ipc.BusyCamera, camera.ErrStalled: ipc.FrozenCamera,
		fs.ErrNotExist: ipc.NoCamera, errors.New("read USB"): ipc.NoCamera,
	} {
		if got := blindness(err); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}
