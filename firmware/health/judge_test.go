package health

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/frames"
)

func TestJudgeRelay(t *testing.T) {
	broken := errors.New("read line \"relay\": no such device")
	for _, c := range []struct {
		want, have bool
		err        error
		state      State
	}{
		{false, false, nil, Works}, {true, true, nil, Works}, {true, false, nil, Missing}, {false, true, nil, Impaired}, {true, true, broken, Missing},
	} {
		if s, why := JudgeRelay(c.want, c.have, c.err); s != c.state || (why == "") != (s == Works) {
			t.Errorf("set %v, reads %v, %v: %v, %q", c.want, c.have, c.err, s, why)
		}
	}
}

func TestJudgeCamera(t *testing.T) {
	want := board.Camera{Kind: board.CameraV4L2, Bus: "usb-1", Format: "GREY", Width: 640, Height: 480, FPS: 30}
	have := frames.Camera{Driver: "uvcvideo", Card: "IR", Bus: "usb-1", Format: "GREY 640x480", Interval: time.Second / 30}
	for name, c := range map[string]struct {
		change func(*frames.Camera, *board.Camera)
		state  State
		says   string
	}{
		"right":           {func(*frames.Camera, *board.Camera) {}, Works, ""},
		"none":            {func(h *frames.Camera, _ *board.Camera) { *h = frames.Camera{} }, Missing, "no camera"},
		"virtual":         {func(h *frames.Camera, _ *board.Camera) { h.Virtual = true }, Missing, "virtual"},
		"virtual allowed": {func(h *frames.Camera, w *board.Camera) { h.Virtual, w.Loopback = true, true }, Works, ""},
		"twin":            {func(h *frames.Camera, _ *board.Camera) { h.Driver = "twin" }, Missing, `"twin"`},
		"no twin":         {func(_ *frames.Camera, w *board.Camera) { w.Kind = board.CameraTwin }, Missing, `"uvcvideo"`},
		"other port":      {func(h *frames.Camera, _ *board.Camera) { h.Bus = "usb-2" }, Missing, `"usb-2"`},
		"any port":        {func(h *frames.Camera, w *board.Camera) { h.Bus, w.Bus = "usb-2", "" }, Works, ""},
		"other size":      {func(h *frames.Camera, _ *board.Camera) { h.Format = "GREY 320x240" }, Missing, `"GREY 320x240"`},
		"slower":          {func(h *frames.Camera, _ *board.Camera) { h.Interval = time.Second / 15 }, Impaired, "67ms"},
		"faster":          {func(h *frames.Camera, _ *board.Camera) { h.Interval = time.Second / 60 }, Impaired, "17ms"},
		"no rate":         {func(h *frames.Camera, _ *board.Camera) { h.Interval = 0 }, Impaired, "0s"},
	} {
		h, w := have, want
		c.change(&h, &w)
		if s, why := JudgeCamera(h, w); s != c.state || !strings.Contains(why, c.says) || (why == "") != (s == Works) {
			t.Errorf("%s: %v, %q", name, s, why)
		}
	}
	if s, _ := JudgeCamera(have, board.Camera{}); s != Missing {
		t.Errorf("a board without a camera: %v", s)
	}
}

func TestJudgeLamp(t *testing.T) {
	good := access.Response{Depth: 6, Delay: 40 * ms, Exposure: 8 * ms, Spread: 2 * ms, Frames: 24}
	for name, c := range map[string]struct {
		change      func(*access.Response)
		lamp, delay State
	}{
		"right":        {func(*access.Response) {}, Works, Works},
		"not a number": {func(r *access.Response) { r.Depth = float32(math.NaN()) }, Impaired, Works},
		"weak":         {func(r *access.Response) { r.Depth = 1 }, Impaired, Works},
		"steady":       {func(r *access.Response) { r.Spread = 12 * ms }, Works, Works},
		"unsteady":     {func(r *access.Response) { r.Spread = 13 * ms }, Works, Impaired},
		"long":         {func(r *access.Response) { r.Exposure = 30 * ms }, Works, Impaired},
		"untimed":      {func(r *access.Response) { r.Spread = 50 * ms }, Works, Missing},
		"weak and bad": {func(r *access.Response) { r.Depth, r.Spread = 1, 13*ms }, Impaired, Impaired},
	} {
		r := good
		c.change(&r)
		if lamp, delay, why := JudgeLamp(r, true, 33*ms); lamp != c.lamp || delay != c.delay || (why == "") != (lamp == Works && delay == Works) {
			t.Errorf("%s: lamp %v, delay %v, %q", name, lamp, delay, why)
		}
	}
	if lamp, delay, why := JudgeLamp(access.Response{}, false, 33*ms); lamp != Missing || delay != Missing || why == "" {
		t.Errorf("unseen: lamp %v, delay %v, %q", lamp, delay, why)
	}
}

func TestJudgeStorage(t *testing.T) {
	for _, c := range []struct {
		space Space
		state State
	}{
		{Space{}, Missing}, {Space{Free: leastFree - 1, Reserve: 2, Want: 2}, Impaired}, {Space{Free: leastFree - 1, Want: 2}, Missing}, {Space{Free: leastFree, Reserve: 2, Want: 2}, Works},
		{Space{Free: 1 << 30, Reserve: 1, Want: 2}, Impaired}, {Space{Free: 1 << 30, Reserve: 2, Want: 2, Turned: true}, Impaired},
	} {
		if s, why := JudgeStorage(c.space); s != c.state || (why == "") != (s == Works) {
			t.Errorf("%+v: %v, %q", c.space, s, why)
		}
	}
}

func TestContactWatch(t *testing.T) {
	var c ContactWatch
	at := time.Hour
	want := func(state State) {
		t.Helper()
		if s, why := c.Judge(at); s != state || (why == "") != (s == Works) {
			t.Fatalf("%v, %q, want %v", s, why, state)
		}
	}
	happen := func(after time.Duration, list ...access.Event) {
		for _, e := range list {
			at += after
			c = c.Next(e, at)
		}
	}
	want(Works)
	for range unusedMost - 1 {
		happen(time.Minute, access.EventDoorReleased, access.EventReleaseUnused, access.EventDoorRelocked)
	}
	want(Works)
	happen(time.Minute, access.EventReleaseUnused)
	want(Missing)
	happen(time.Minute, access.EventDoorOpened)
	want(Works)

	at += openMost - time.Second
	want(Works)
	at += time.Second
	want(Impaired)
	happen(time.Second, access.EventDoorClosed)
	want(Works)
	happen(time.Second, access.EventDoorFoundOpen)
	at += openMost
	want(Impaired)
	happen(time.Minute, access.EventDoorClosed)

	for range movesMost / 2 { // a busy door
		happen(1500*ms, access.EventDoorOpened, access.EventDoorClosed)
	}
	want(Works)
	for range movesMost {
		happen(100*ms, access.EventDoorForcedOpen, access.EventDoorClosed)
	}
	want(Impaired)
	at += time.Minute
	want(Impaired)
	at += 2 * time.Minute
	want(Works)
	happen(time.Second, access.EventDoorOpened)
	want(Works)
}

func TestClockWatch(t *testing.T) {
	built := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	begin := Reading{Wall: built.Add(time.Hour), Stamp: time.Minute}
	later := func(wall, stamp time.Duration) Reading { return Reading{begin.Wall.Add(wall), begin.Stamp + stamp} }
	for name, c := range map[string]struct {
		readings []Reading
		vouched  bool
		state    State
		says     string
	}{
		"vouched":               {[]Reading{begin, later(time.Minute, time.Minute)}, true, Works, ""},
		"nobody vouches":        {[]Reading{begin, later(time.Minute, time.Minute)}, false, Impaired, ""},
		"1970":                  {[]Reading{{Wall: time.Unix(12, 0)}}, false, Missing, "1970-01-01"},
		"1970, vouched":         {[]Reading{{Wall: time.Unix(12, 0)}}, true, Missing, "1970-01-01"},
		"corrected":             {[]Reading{begin, later(56*time.Second, time.Minute)}, false, Impaired, ""},
		"back":                  {[]Reading{begin, later(-time.Hour+time.Second, time.Minute)}, false, Missing, "back by 1h0m59s"},
		"back, and right again": {[]Reading{begin, later(-time.Minute, time.Minute), later(2*time.Minute, 2*time.Minute)}, false, Missing, "back"},
		"back, then vouched":    {[]Reading{begin, later(-time.Minute, time.Minute)}, true, Works, ""},
		"ahead":                 {[]Reading{begin, later(time.Hour, time.Minute)}, false, Missing, "ahead by 59m0s"},
	} {
		var w ClockWatch
		for _, r := range c.readings {
			w = w.Next(r, built, c.vouched)
		}
		if s, why := w.Judge(c.vouched); s != c.state || !strings.Contains(why, c.says) {
			t.Errorf("%s: %v, %q", name, s, why)
		}
	}
	if s, _ := (ClockWatch{}).Judge(false); s != Impaired {
		t.Errorf("a clock that nobody read: %v", s)
	}
}
