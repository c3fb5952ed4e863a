package main

import (
	"context"
	"errors"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/camera"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// tellBlind tells door why there is no camera: it cannot see that by itself, and people at the door are to know what to mend.
func tellBlind(ctx context.Context, o options, b board.Board, err error) error {
	conn, e := dial(ctx, o, b)
	if e != nil {
		return e
	}
	return errors.Join(conn.Send(ipc.KindHello, 0, ipc.Hello{Blind: blindness(err)}), conn.Close())
}

// blindness is what an error of the camera comes to. Where every device of the machine has something against it, what tells most comes first.
func blindness(err error) ipc.Blindness {
	for _, known := range []struct {
		err error
		is  ipc.Blindness
	}{
		{camera.ErrAmbiguous, ipc.TwoCameras}, {camera.ErrFormat, ipc.OtherCamera}, {camera.ErrColour, ipc.ColourCamera},
		{camera.ErrVirtual, ipc.OtherCamera}, {camera.ErrClock, ipc.OtherCamera}, {camera.ErrBusy, ipc.BusyCamera},
		{camera.ErrStalled, ipc.FrozenCamera},
	} {
		if errors.Is(err, known.err) {
			return known.is
		}
	}
	return ipc.NoCamera
}
