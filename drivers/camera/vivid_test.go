//go:build lab

package camera

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/tests/lab/vm"
)

// These tests run in the laboratory's machine (tests/lab), on vivid, which makes patterns and faults; those of loopback_test.go on v4l2loopback, which shows
// what it is fed.

// Sixty frames a second, so that nothing takes long. At the laboratory's 100 ticks a second vivid itself skips a third of them.
func vividSettings(t *testing.T) Settings {
	return Settings{
		Path: vm.VideoDevice(t, vm.Vivid), Format: Grey, Width: 320, Height: 180, Rate: 60, Stall: time.Second,
		AllowVirtual: true, AllowColour: true,
	}
}

func opened(t *testing.T, s Settings) *Camera {
	t.Helper()
	c, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func read(t *testing.T, c *Camera, pix []byte) Frame {
	t.Helper()
	f, err := c.Next(t.Context(), pix)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func pixels(c *Camera) []byte { return make([]byte, c.want.Width*c.want.Height) }

func TestVividDelivers(t *testing.T) {
	s := vividSettings(t)
	s.Width, s.Height, s.Rate = 640, 480, 25 // the most that it lists at this size
	c := opened(t, s)
	pix := pixels(c)
	first := read(t, c, pix)
	if first.AtStart {
		t.Error("stamped at the start of exposure")
	}
	began, last, frames := time.Now(), first, 0
	if n := testing.AllocsPerRun(75, func() {
		f, err := c.Next(t.Context(), pix)
		if err != nil {
			t.Fatal(err)
		}
		if f.Seq <= last.Seq || f.Stamp <= last.Stamp {
			t.Fatalf("%+v after %+v", f, last)
		}
		last = f
		frames++
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
	rate := float64(frames) / time.Since(began).Seconds()
	stamped := float64(last.Seq-first.Seq) / (last.Stamp - first.Stamp).Seconds()
	vm.Measured(t, "%d frames, %.1f a second of the %d asked, %.1f by their stamps; %+v", frames, rate, c.want.Rate, stamped, c.Counts())
	if stamped < 0.97*float64(c.want.Rate) || stamped > 1.03*float64(c.want.Rate) {
		t.Errorf("stamps say %.1f frames a second", stamped)
	}
	if pix[0] == pix[c.want.Width/2] && pix[0] == pix[c.want.Width-1] {
		t.Error("the test pattern is flat")
	}
}

// The same pattern looks the same in every format.
func TestVividFormatsAgree(t *testing.T) {
	s := vividSettings(t)
	vm.SetControl(t, s.Path, "OSD Text Mode", 2) // none: text would tell the time
	defer vm.SetControl(t, s.Path, "OSD Text Mode", 0)
	var want []byte
	for _, s.Format = range []Format{Grey, Y10, Y12, Y16} {
		c := opened(t, s)
		pix := pixels(c)
		read(t, c, pix)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = pix
		}
		for i := range pix {
			if d := int(pix[i]) - int(want[i]); d < -1 || d > 1 {
				t.Fatalf("%s: pixel %d is %d, in GREY %d", s.Format, i, pix[i], want[i])
			}
		}
	}
}

func TestVividGivesSomethingElse(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*Settings)
		want   error
	}{
		"size":     {func(s *Settings) { s.Width, s.Height = 333, 222 }, ErrFormat},
		"interval": {func(s *Settings) { s.Rate = 59 }, ErrFormat},
		"format":   {func(s *Settings) { s.Format = Y10Bpack }, ErrFormat},
		"virtual":  {func(s *Settings) { s.AllowVirtual = false }, ErrVirtual},
		"colour":   {func(s *Settings) { s.AllowColour = false }, ErrColour},
	} {
		s := vividSettings(t)
		row.change(&s)
		if _, err := Open(s); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

func TestVividFaultsOfFrames(t *testing.T) {
	s := vividSettings(t)
	c := opened(t, s)
	pix := pixels(c)
	read(t, c, pix)
	flawed := c.Counts().Flawed
	vm.SetControl(t, s.Path, "Inject V4L2_BUF_FLAG_ERROR", 1)
	for range 20 {
		read(t, c, pix)
	}
	if n := c.Counts().Flawed - flawed; n != 1 {
		t.Errorf("%d flawed frames of one", n)
	}
	vm.SetControl(t, s.Path, "Percentage of Dropped Buffers", 30)
	before, last := c.Counts(), c.order.seq
	from := read(t, c, pix)
	to := from
	for range 60 {
		to = read(t, c, pix)
	}
	vm.SetControl(t, s.Path, "Percentage of Dropped Buffers", 0)
	n := c.Counts()
	lost := n.Lost - before.Lost
	vm.Measured(t, "30 %% dropped: %d lost in %d frames", lost, to.Seq-from.Seq+1)
	if seen := n.Frames - before.Frames + n.Skipped - before.Skipped; lost < 5 || to.Seq-last != seen+lost {
		t.Errorf("%d lost and %d seen between %d and %d", lost, seen, from.Seq, to.Seq)
	}
}

func TestVividSequenceWraps(t *testing.T) {
	s := vividSettings(t)
	vm.SetControl(t, s.Path, "Wrap Sequence Number", 1)
	defer vm.SetControl(t, s.Path, "Wrap Sequence Number", 0)
	c := opened(t, s)
	pix := pixels(c)
	last, wrapped := read(t, c, pix), false
	for range 170 {
		raw := c.order.raw
		f := read(t, c, pix)
		if f.Seq <= last.Seq || f.Seq > last.Seq+20 {
			t.Fatalf("frame %d after %d", f.Seq, last.Seq)
		}
		wrapped = wrapped || c.order.raw < raw
		last = f
	}
	if !wrapped {
		t.Error("the driver's count did not wrap")
	}
	if n := c.Counts(); n.Disordered != 0 {
		t.Errorf("%+v", n)
	}
}

func TestVividStampsAtTheStart(t *testing.T) {
	s := vividSettings(t)
	vm.SetControl(t, s.Path, "Timestamp Source", 1)
	defer vm.SetControl(t, s.Path, "Timestamp Source", 0)
	c := opened(t, s)
	if f := read(t, c, pixels(c)); !f.AtStart {
		t.Error("not stamped at the start of exposure")
	}
}

// A driver that stamps by a clock of its own is told apart at its first frame.
func TestVividStampsByAnotherClock(t *testing.T) {
	s := vividSettings(t)
	vm.SetControl(t, s.Path, "Wrap Timestamp", 2)
	defer vm.SetControl(t, s.Path, "Wrap Timestamp", 0)
	c := opened(t, s)
	if _, err := c.Next(t.Context(), pixels(c)); !errors.Is(err, ErrClock) {
		t.Errorf("%v, want %v", err, ErrClock)
	}
}

// Unplugged or broken while Next waits: the right word, the kernel's errno, a clean end, and the next Open works.
func TestVividStreamEnds(t *testing.T) {
	for _, row := range []struct {
		control string
		want    error
		errno   unix.Errno
	}{
		{"Disconnect", ErrGone, unix.ENODEV},
		{"Inject Fatal Streaming Error", ErrBroken, unix.EIO},
	} {
		for range 3 {
			s := vividSettings(t)
			c, err := Open(s)
			if err != nil {
				t.Fatal(err)
			}
			pix := pixels(c)
			read(t, c, pix)
			// vivid comes back when nobody has it open any more, whoever broke it included.
			broken := make(chan struct{})
			time.AfterFunc(50*time.Millisecond, func() {
				defer close(broken)
				vm.SetControl(t, s.Path, row.control, 1)
			})
			for began := time.Now(); err == nil; {
				if _, err = c.Next(t.Context(), pix); time.Since(began) > 5*time.Second {
					t.Fatalf("%s: nothing happened", row.control)
				}
			}
			<-broken
			if !errors.Is(err, row.want) || !errors.Is(err, row.errno) {
				t.Errorf("%s: %v, want %v and %v", row.control, err, row.want, row.errno)
			}
			if err := c.Close(); err != nil {
				t.Errorf("%s: close: %v", row.control, err)
			}
		}
		c := opened(t, vividSettings(t))
		read(t, c, pixels(c))
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestVividDoesNotStart(t *testing.T) {
	s := vividSettings(t)
	fds, maps := descriptors(t), mappings(t, s.Path)
	for _, control := range []string{"Inject VIDIOC_REQBUFS Error", "Inject VIDIOC_QBUF Error", "Inject VIDIOC_STREAMON Error"} {
		vm.SetControl(t, s.Path, control, 1)
		c, err := Open(s)
		if err == nil {
			c.Close()
			t.Errorf("%s: opened", control)
		} else if !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v", control, err)
		}
		if c, err = Open(s); err != nil {
			t.Errorf("after %s: %v", control, err)
		} else if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if f, m := descriptors(t), mappings(t, s.Path); f != fds || m != maps {
		t.Errorf("left behind: %d descriptors, %d mappings", f-fds, m-maps)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func mappings(t *testing.T, path string) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), path)
}

func TestVividHundredCycles(t *testing.T) {
	s := vividSettings(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var fds int
	began := time.Now()
	for i := range 100 {
		c, err := Open(s)
		if err != nil {
			t.Fatalf("cycle %d: %v", i, err)
		}
		if _, err := c.Next(ctx, pixels(c)); err != nil {
			t.Fatalf("cycle %d: %v", i, err)
		}
		if n := mappings(t, s.Path); n != len(c.maps) {
			t.Fatalf("cycle %d: %d mappings of %d", i, n, len(c.maps))
		}
		if err := c.Close(); err != nil {
			t.Fatalf("cycle %d: %v", i, err)
		}
		if n := descriptors(t); i == 0 {
			fds = n
		} else if n != fds {
			t.Fatalf("cycle %d: %d descriptors, %d after the first", i, n, fds)
		}
	}
	if n := mappings(t, s.Path); n != 0 {
		t.Errorf("%d mappings are left", n)
	}
	vm.Measured(t, "open, first frame, close: %v", time.Since(began)/100)
}

func TestVividIsInUse(t *testing.T) {
	s := vividSettings(t)
	opened(t, s)
	if _, err := Open(s); !errors.Is(err, ErrBusy) {
		t.Errorf("%v, want %v", err, ErrBusy)
	}
}

// However slow the caller is, what he gets is new.
func TestVividAgeForASlowCaller(t *testing.T) {
	s := vividSettings(t)
	vm.SetControl(t, s.Path, "Timestamp Source", 1) // an end of frame would be reckoned, and lie in the future
	defer vm.SetControl(t, s.Path, "Timestamp Source", 0)
	c := opened(t, s)
	pix := pixels(c)
	var ages []time.Duration
	for range 10 {
		time.Sleep(300 * time.Millisecond) // 18 frames, for 4 buffers
		f := read(t, c, pix)
		ages = append(ages, c.node.now()-f.Stamp)
	}
	slices.Sort(ages)
	median, oldest := ages[len(ages)/2], ages[len(ages)-1]
	vm.Measured(t, "frames are %v old, the oldest %v, at an interval of %v; %+v", median, oldest, c.Interval(), c.Counts())
	if median > 3*c.Interval() { // one may be read late where the machine has one processor; an old buffer would be there each time
		t.Errorf("frames are %v old", median)
	}
}

func TestVividCancel(t *testing.T) {
	s := vividSettings(t)
	s.Rate, s.Width, s.Height, s.Stall = 1, 320, 180, time.Minute
	c := opened(t, s)
	pix := pixels(c)
	var worst time.Duration
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan time.Time, 1)
		time.AfterFunc(20*time.Millisecond, func() { ended <- time.Now(); cancel() })
		for {
			if _, err := c.Next(ctx, pix); errors.Is(err, context.Canceled) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		worst = max(worst, time.Since(<-ended))
	}
	vm.Measured(t, "Next ends at most %v after its context", worst)
	if worst > 500*time.Millisecond {
		t.Errorf("Next ended %v after its context", worst)
	}
}

// vivid has gain and no exposure.
func TestVividLocks(t *testing.T) {
	c := opened(t, vividSettings(t))
	got, err := c.Lock(Light{Exposure: time.Millisecond, Gain: 42})
	if !errors.Is(err, ErrUnlockable) || !errors.Is(err, errNoControl) || got != (Light{Gain: 42}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := c.Lock(Light{Gain: 100000}); !errors.Is(err, ErrUnlockable) {
		t.Error(err)
	}
}

// Proves C07 and A03: what the kernel says, not what a camera is called.
func TestListSaysWhatIsVirtual(t *testing.T) {
	feed := feed(t, "GREY")
	feed.show(t, 1)
	loop, vivid := vm.VideoDevice(t, vm.Loopback), vm.VideoDevice(t, vm.Vivid)
	seen := 0
	for _, f := range List() {
		t.Log(f)
		switch f.Path {
		case vivid:
			seen++
			if f.Err != nil || !f.Capture || !f.Virtual || f.Infrared || !strings.Contains(f.VirtualWhy, "which no firmware describes") {
				t.Errorf("vivid: %v", f)
			}
			if _, err := Match([]Found{f}, "", Settings{Format: Grey, Width: 320, Height: 180, Rate: 60, AllowColour: true}); !errors.Is(err, ErrVirtual) {
				t.Errorf("match: %v", err)
			}
			if _, err := Match([]Found{f}, f.Bus, Settings{Format: Y16, Width: 320, Height: 180, Rate: 60, AllowColour: true, AllowVirtual: true}); err != nil {
				t.Errorf("match: %v", err)
			}
		case loop:
			seen++
			if f.Err != nil || !f.Capture || !f.Virtual || !f.Infrared || f.VirtualWhy != "no device is behind it" {
				t.Errorf("loopback: %v", f)
			}
		}
	}
	if seen != 2 {
		t.Errorf("%d of the two cameras are listed", seen)
	}
}
