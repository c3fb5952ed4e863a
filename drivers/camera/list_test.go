package camera

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"
)

// tree builds a sysfs: names that end in / are folders, "a -> b" links, "a = b" files.
func tree(t *testing.T, lines ...string) sysfs {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		path, target, link := strings.Cut(line, " -> ")
		path, content, file := strings.Cut(path, " = ")
		full := filepath.Join(root, path)
		err := os.MkdirAll(filepath.Dir(full), 0o700)
		switch {
		case err != nil:
		case link:
			err = os.Symlink(filepath.Join(root, target), full)
		case file:
			err = os.WriteFile(full, []byte(content+"\n"), 0o600)
		default:
			err = os.MkdirAll(full, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return sysfs{root}
}

// below puts an USB camera on port 1-1.2 of a controller.
func below(controller string) []string {
	dev := "devices/" + controller + "/usb1/1-1/1-1.2"
	node := dev + "/1-1.2:1.0/video4linux/video2"
	return []string{
		"dev/char/81:2 -> " + node, node + "/device -> " + dev + "/1-1.2:1.0",
		node + "/subsystem -> class/video4linux", dev + "/1-1.2:1.0/subsystem -> bus/usb",
		dev + "/subsystem -> bus/usb", dev + "/idVendor = 04f2", dev + "/idProduct = b67c", dev + "/serial = 0001\x1b[31m\xff", dev + "/bcdDevice = 0213",
		"devices/" + controller + "/usb1/1-1/subsystem -> bus/usb", "devices/" + controller + "/usb1/1-1/idVendor = 1d6b",
		"devices/" + controller + "/usb1/subsystem -> bus/usb", "devices/" + controller + "/usb1/idVendor = 1d6b",
		"bus/usb", "bus/pci", "bus/platform", "class/video4linux",
	}
}

// Control: A03
func TestPlaceTellsHardwareFromInvention(t *testing.T) {
	usb := func(virtual bool, why string) Found {
		return Found{Virtual: virtual, VirtualWhy: why, Port: "1-1.2", Vendor: "04f2", Product: "b67c", Serial: "0001\x1b[31m?", Release: "0213"}
	}
	direct := func(path string) []string {
		node := path + "/video4linux/video2"
		return []string{"dev/char/81:2 -> " + node, node + "/device -> " + path, path + "/subsystem -> bus/platform", "bus/platform"}
	}
	for name, row := range map[string]struct {
		tree   []string
		driver string
		want   Found
	}{
		"usb on pci": {append(below("pci0000:00/0000:00:14.0"), "devices/pci0000:00/0000:00:14.0/subsystem -> bus/pci"), "uvcvideo",
			usb(false, "hangs from the PCI function 0000:00:14.0")},
		"usb on a chip": {append(below("platform/axi/fe9c0000.xhci"), "devices/platform/axi/fe9c0000.xhci/subsystem -> bus/platform",
			"devices/platform/axi/fe9c0000.xhci/of_node -> firmware"), "uvcvideo",
			usb(false, "hangs from the platform device fe9c0000.xhci, which the firmware describes")},
		"usb over the network": {append(below("platform/vhci_hcd.0"), "devices/platform/vhci_hcd.0/subsystem -> bus/platform"), "uvcvideo",
			usb(true, "hangs from the platform device vhci_hcd.0, which no firmware describes")},
		"usb in the air": {below("nothing"), "uvcvideo", usb(true, "hangs from no hardware")},
		"camera port": {append(direct("devices/platform/soc/fe801000.csi"), "devices/platform/soc/fe801000.csi/of_node/"), "unicam",
			Found{VirtualWhy: "hangs from the platform device fe801000.csi, which the firmware describes"}},
		"vivid": {direct("devices/platform/vivid.0"), "vivid",
			Found{Virtual: true, VirtualWhy: "hangs from the platform device vivid.0, which no firmware describes"}},
		"vivid under another name": {direct("devices/platform/vivid.0"), "uvcvideo",
			Found{Virtual: true, VirtualWhy: "hangs from the platform device vivid.0, which no firmware describes"}},
		"known name in a real place": {append(direct("devices/platform/soc"), "devices/platform/soc/of_node/"), "v4l2 loopback",
			Found{Virtual: true, VirtualWhy: `its driver is "v4l2 loopback"`}},
		"loopback": {[]string{"dev/char/81:2 -> devices/virtual/video4linux/video2", "devices/virtual/video4linux/video2/"}, "uvcvideo",
			Found{Virtual: true, VirtualWhy: "no device is behind it"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Found{Driver: row.driver, VirtualWhy: "not known"}
			if err := got.place(tree(t, row.tree...), "81:2"); err != nil {
				t.Fatal(err)
			}
			row.want.Driver = row.driver
			if got.String() != row.want.String() || got.Virtual != row.want.Virtual || got.Serial != row.want.Serial {
				t.Errorf("got  %vwant %v", got, row.want)
			}
			if strings.ContainsRune(got.String(), 0x1b) {
				t.Error("a serial number reaches the terminal unquoted")
			}
		})
	}
	var f Found
	if err := f.place(tree(t), "81:2"); !errors.Is(err, os.ErrNotExist) || !f.Virtual {
		t.Errorf("a device without a place: %v, virtual %v", err, f.Virtual)
	}
}

// Proves C07.
func TestInfraredIsJudgedByFormatsAlone(t *testing.T) {
	modes := func(names ...string) (list []Mode) {
		for _, n := range names {
			list = append(list, Mode{Format: n})
		}
		return list
	}
	for _, row := range []struct {
		modes []Mode
		want  bool
		why   string
	}{
		{modes("GREY"), true, `offers gray alone: ["GREY"]`},
		{modes("Y16", "Y10B", "Y12"), true, `offers gray alone: ["Y16" "Y10B" "Y12"]`},
		{modes("GREY", "YUYV"), false, `offers colour: ["YUYV"]`},
		{modes("MJPG"), false, `offers colour: ["MJPG"]`},
		{modes("IR\x1b "), false, `offers colour: ["IR\x1b "]`},
		{modes("a", "b", "c", "d", "e", "f", "g", "h", "i"), false, `offers colour: ["a" "b" "c" "d" "e" "f" "g" "h"] and 1 more`},
		{nil, false, "has no format"},
	} {
		if got, why := infrared(row.modes); got != row.want || why != row.why {
			t.Errorf("%v: %v, %s; want %v, %s", row.modes, got, why, row.want, row.why)
		}
	}
}

// enumerating is a fake that answers the questions of List.
func enumerating(caps uint32, formats ...string) *fake {
	k := newFake()
	k.answer[queryCapability] = func(p unsafe.Pointer) error {
		q := (*capability)(p)
		copy(q.driver[:], "uvcvideo")
		copy(q.card[:], "Infrared Camera\xff, 32 bytes and no end")
		copy(q.bus[:], "usb-0000:00:14.0-1.2")
		q.physical, q.of = v4l2.CapDeviceCapabilities|v4l2.CapVideoCapture|v4l2.CapStreaming, caps
		return nil
	}
	k.answer[enumFormat] = func(p unsafe.Pointer) error {
		d := (*formatDescription)(p)
		if int(d.index) >= len(formats) {
			return unix.EINVAL
		}
		d.fourcc = code(formats[d.index])
		return nil
	}
	k.answer[enumSizes] = func(p unsafe.Pointer) error {
		e := (*frameSizes)(p)
		switch {
		case name(e.fourcc) == "Y16":
			e.kind = v4l2.FrameSizeTypeStepwise
			e.FrameSize = v4l2.FrameSize{MinWidth: 48, MaxWidth: 800, StepWidth: 16, MinHeight: 32, MaxHeight: 600, StepHeight: 1}
		case e.index > 1:
			return unix.EINVAL
		default:
			e.kind = v4l2.FrameSizeTypeDiscrete
			e.MinWidth, e.MaxWidth = 640>>e.index, 360>>e.index // width and height
		}
		return nil
	}
	k.answer[enumIntervals] = func(p unsafe.Pointer) error {
		e := (*frameIntervals)(p)
		switch {
		case name(e.fourcc) == "Y16":
			e.kind = v4l2.FrameIntervalTypeContinuous
			e.Min, e.Max = v4l2.Fract{Numerator: 1, Denominator: 60}, v4l2.Fract{Numerator: 1, Denominator: 5}
		case e.index > 1 || e.height == 180:
			return unix.EINVAL
		default:
			e.kind = v4l2.FrameIntervalTypeDiscrete
			e.Min = v4l2.Fract{Numerator: 1, Denominator: 30 >> e.index}
		}
		return nil
	}
	return k
}

func TestIdentifyAndMeasure(t *testing.T) {
	const captures = v4l2.CapVideoCapture | v4l2.CapStreaming
	var f Found
	k := enumerating(captures, "GREY", "Y16")
	if err := errors.Join(f.identify(k), f.measure(k)); err != nil {
		t.Fatal(err)
	}
	const want = ": \"Infrared Camera?, 32 bytes and n\" by driver \"uvcvideo\" on \"usb-0000:00:14.0-1.2\"\n" +
		"  captures: true\n  infrared: true, offers gray alone: [\"GREY\" \"Y16\"]\n  virtual:  false, \n" +
		"  \"GREY\": 640×360@30,15 320×180\n  \"Y16\": 48×32…800×600@60…5\n"
	if f.String() != want {
		t.Errorf("got\n%swant\n%s", f, want)
	}
	f = Found{}
	// What UVC's node for metadata says: the device captures, this node does not.
	if err := f.identify(enumerating(v4l2.CapStreaming, "GREY")); err != nil || f.Capture || f.Infrared {
		t.Errorf("a node without pictures: %v, %v", f, err)
	}
	k = enumerating(captures)
	k.answer[enumFormat] = func(p unsafe.Pointer) error { (*formatDescription)(p).fourcc = code("GREY"); return nil }
	k.answer[enumSizes] = func(p unsafe.Pointer) error { (*frameSizes)(p).kind = v4l2.FrameSizeTypeDiscrete; return nil }
	k.answer[enumIntervals] = func(p unsafe.Pointer) error { (*frameIntervals)(p).kind = v4l2.FrameIntervalTypeDiscrete; return nil }
	if err := f.identify(k); err != nil || len(f.Modes) != maxFormats {
		t.Errorf("a driver without end: %d formats, %v", len(f.Modes), err)
	}
	f.Modes = f.Modes[:1]
	if err := f.measure(k); err != nil || len(f.Modes[0].Sizes) != maxSizes || len(f.Modes[0].Sizes[0].Intervals) != maxIntervals {
		t.Errorf("a driver without end: %v, %v", f, err)
	}
	k.answer[queryCapability] = func(unsafe.Pointer) error { return unix.ENOTTY }
	if err := f.identify(k); !errors.Is(err, ErrNotCamera) {
		t.Errorf("no video device: %v", err)
	}
}

func TestMatch(t *testing.T) {
	discrete := func(rate time.Duration) []Mode {
		return []Mode{{"GREY", []Size{{640, 480, 640, 480, []Interval{{time.Second / rate, time.Second / rate}}}}}}
	}
	ir := Found{Path: "/dev/video2", Bus: "usb-1", Port: "1-1", Capture: true, Infrared: true, Modes: discrete(30)}
	change := func(edit func(*Found)) Found {
		f := ir
		edit(&f)
		return f
	}
	colour := change(func(f *Found) {
		f.Path, f.Infrared, f.Modes = "/dev/video0", false, []Mode{{"YUYV", ir.Modes[0].Sizes}}
	})
	meta := Found{Path: "/dev/video1", Bus: "usb-1"}
	other := change(func(f *Found) { f.Path, f.Bus, f.Port = "/dev/video4", "usb-2", "1-2" })
	want := Settings{Format: Grey, Width: 640, Height: 480, Rate: 30}
	for name, row := range map[string]struct {
		list []Found
		bus  string
		path string
		want error
	}{
		"alone":             {[]Found{ir}, "", "", nil},
		"among its kin":     {[]Found{colour, meta, ir}, "usb-1", "", nil},
		"two, one on bus":   {[]Found{ir, other}, "usb-1", "", nil},
		"two, one on port":  {[]Found{ir, other}, "1-1", "", nil},
		"two, one at path":  {[]Found{ir, other}, "", "/dev/video2", nil},
		"two":               {[]Found{ir, other}, "", "", ErrAmbiguous},
		"none":              {nil, "", "", ErrNoMatch},
		"other port":        {[]Found{ir}, "usb-9", "", ErrNoMatch},
		"colour":            {[]Found{colour}, "", "", ErrColour},
		"metadata":          {[]Found{meta}, "", "", ErrNotCamera},
		"virtual":           {[]Found{change(func(f *Found) { f.Virtual = true })}, "", "", ErrVirtual},
		"in trouble":        {[]Found{change(func(f *Found) { f.Err = ErrBusy })}, "", "", ErrBusy},
		"slow":              {[]Found{change(func(f *Found) { f.Modes = discrete(25) })}, "", "", ErrFormat},
		"small":             {[]Found{change(func(f *Found) { f.Modes = []Mode{{"GREY", []Size{{320, 240, 320, 240, nil}}}} })}, "", "", ErrFormat},
		"other format":      {[]Found{change(func(f *Found) { f.Modes = []Mode{{"Y16", ir.Modes[0].Sizes}} })}, "", "", ErrFormat},
		"no interval named": {[]Found{change(func(f *Found) { f.Modes = []Mode{{"GREY", []Size{{320, 240, 800, 600, nil}}}} })}, "", "", nil},
		"range": {[]Found{change(func(f *Found) {
			f.Modes = []Mode{{"GREY", []Size{{640, 480, 640, 480, []Interval{{time.Second / 60, time.Second}}}}}}
		})}, "", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := want
			s.Path = row.path
			got, err := Match(row.list, row.bus, s)
			if !errors.Is(err, row.want) || row.want == nil && (err != nil || got.Path != "/dev/video2") {
				t.Errorf("%q, %v; want %v", got.Path, err, row.want)
			}
			if err != nil && !errors.Is(err, ErrAmbiguous) && !errors.Is(err, ErrNoMatch) {
				t.Errorf("%v is no ErrNoMatch", err)
			}
		})
	}
}
