package portal

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
)

// TestGuardEndsAReleaseOfAWedgedPortal stops the portal's loop in the middle of a release.
func TestGuardEndsAReleaseOfAWedgedPortal(t *testing.T) {
	atDoor(t, nil, func(t *testing.T, d *door) {
		d.press(board.REX, true)
		unwedge := make(chan struct{})
		d.calls <- func() { <-unwedge }
		d.after(times.Release + guardSlack - time.Millisecond)
		if !d.relayOn() {
			t.Fatal("the guard acted too early: the wedge is no wedge")
		}
		d.after(time.Millisecond)
		if d.relayOn() {
			t.Fatal("the relay is still released: nothing bounds the pulse")
		}
		if !d.book.has(access.EventReleaseGuarded) {
			t.Error("the guard's act is not recorded")
		}
		close(unwedge)
		d.after(time.Second)
		d.want(t, access.Secured, false)
		d.press(board.REX, true)
		d.want(t, access.Released, true)
	})
}

// TestGuardActsAlthoughTheDriverHangs lets the portal's own call, which would secure the relay, never return.
func TestGuardActsAlthoughTheDriverHangs(t *testing.T) {
	atDoor(t, nil, func(t *testing.T, d *door) {
		d.press(board.REX, true)
		var hung atomic.Bool
		back := make(chan struct{})
		d.bench.breaks(func(line board.Line, on bool) error {
			if line == board.Relay && !on && hung.CompareAndSwap(false, true) {
				<-back
			}
			return nil
		})
		d.after(times.Release + guardSlack + (guardPatience+2)*guardRetry)
		if d.relayOn() {
			t.Fatal("the guard waits for a driver that hangs")
		}
		close(back)
		d.after(time.Second)
		d.want(t, access.Secured, false)
	})
}

// TestGuardOutlastsALateRelease lets the call that releases the relay hang past the guard's time and take effect afterwards.
func TestGuardOutlastsALateRelease(t *testing.T) {
	atDoor(t, nil, func(t *testing.T, d *door) {
		back := make(chan struct{})
		d.bench.breaks(func(line board.Line, on bool) error {
			if line == board.Relay && on {
				<-back
			}
			return nil
		})
		d.bench.input(board.REX, true)
		d.after(time.Minute)
		if d.relayOn() {
			t.Fatal("the relay is released before the driver did it")
		}
		close(back)
		d.after(guardRetry)
		if d.relayOn() {
			t.Fatal("a release that came a minute late stands")
		}
	})
}

// TestGuardTriesAgain gives the guard a line that refuses for a while.
func TestGuardTriesAgain(t *testing.T) {
	atDoor(t, nil, func(t *testing.T, d *door) {
		d.press(board.REX, true)
		unwedge := make(chan struct{})
		d.calls <- func() { <-unwedge }
		var refused atomic.Int32
		d.bench.breaks(func(line board.Line, on bool) error {
			if line == board.Relay && refused.Add(1) <= 10 {
				return ErrLinesGone
			}
			return nil
		})
		d.after(times.Release + guardSlack + 11*guardRetry)
		if d.relayOn() {
			t.Errorf("the guard gave up after %d tries", refused.Load())
		}
		close(unwedge)
	})
}

func TestFireIsNotGuarded(t *testing.T) {
	atDoor(t, nil, func(t *testing.T, d *door) {
		d.press(board.REX, true)
		d.press(board.Fire, true)
		unwedge := make(chan struct{})
		d.calls <- func() { <-unwedge }
		d.after(time.Hour)
		if !d.relayOn() {
			t.Error("the guard locked the door in a fire")
		}
		close(unwedge)
	})
}

// TestFireOvertakesTheGuard lets a fire start while the driver hangs and the guard is writing past it.
func TestFireOvertakesTheGuard(t *testing.T) {
	atDoor(t, nil, func(t *testing.T, d *door) {
		d.press(board.REX, true)
		var secured atomic.Int32
		portal, guard := make(chan struct{}), make(chan struct{})
		d.bench.breaks(func(line board.Line, on bool) error {
			if line == board.Relay && !on {
				switch secured.Add(1) {
				case 1:
					<-portal // the loop's own call hangs
				case 2:
					<-guard // and so does the guard's, until the fire has been served
				}
			}
			return nil
		})
		d.after(times.Release + guardSlack + (guardPatience+2)*guardRetry)
		d.bench.input(board.Fire, true)
		close(portal)
		synctest.Wait()
		d.want(t, access.FireReleased, true)
		close(guard)
		d.after(guardRetry)
		d.want(t, access.FireReleased, true)
		if secured.Load() < 2 {
			t.Error("the guard never wrote past the hanging call: the test shows nothing")
		}
	})
}
