package camera

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"
)

// Found is a video device as evidence: what its driver says, and where it hangs in the kernel's tree of devices. The texts come from the
// device and may lie; Virtual and the place do not come from it.
type Found struct {
	Path              string
	Driver, Card, Bus string
	Port              string // of the USB, such as "1-1.2"; empty on other buses
	Vendor, Product   string // USB ids, four hexadecimal digits each
	Serial            string // that the USB device claims; many have none
	Release           string // of the USB device's hardware or firmware, four decimal digits that it chooses
	Capture           bool   // streams captured frames through the one-plane interface
	Virtual           bool   // no light falls on it
	VirtualWhy        string // the evidence for or against
	Infrared          bool   // there is evidence for infrared; that it sees the lamp is for a test with the lamp
	InfraredWhy       string
	Modes             []Mode // empty in Camera.About
	Err               error  // why it could not be looked into
}

// Mode is a pixel format with its sizes.
type Mode struct {
	Format string
	Sizes  []Size
}

// Size is a frame size, or a range of them.
type Size struct {
	Width, Height       int // pixels; the smallest
	MaxWidth, MaxHeight int
	Intervals           []Interval // at the largest
}

// Interval is the time from frame to frame, or a range of them.
type Interval struct{ Shortest, Longest time.Duration }

// What a driver may enumerate. vivid, which has everything, has under a hundred formats.
const (
	maxFormats   = 256
	maxSizes     = 64
	maxIntervals = 64
)

// List looks into every video device of this machine, whatever it is good for. It starts no stream.
func List() []Found {
	paths, _ := filepath.Glob("/dev/video[0-9]*") // the one error is a bad pattern
	list := make([]Found, len(paths))
	for i, path := range paths {
		list[i] = look(path)
	}
	slices.SortFunc(list, func(a, b Found) int {
		if n := len(a.Path) - len(b.Path); n != 0 {
			return n // video2 stands before video10
		}
		return strings.Compare(a.Path, b.Path)
	})
	return list
}

func look(path string) Found {
	f := Found{Path: path, Virtual: true, VirtualWhy: "not known"}
	d, err := openDevice(path)
	if err != nil {
		f.Err = failed("open device", err)
		return f
	}
	if f.Err = f.identify(d); f.Err == nil {
		f.Err = errors.Join(f.locate(sysfs{"/sys"}, d.fd), f.measure(d))
	}
	f.Err = errors.Join(f.Err, d.close())
	return f
}

// identify asks the driver who it is and which formats it has.
func (f *Found) identify(n node) error {
	var q capability
	if err := n.ioctl(queryCapability, unsafe.Pointer(&q)); errors.Is(err, unix.ENOTTY) {
		return fmt.Errorf("%w: %w", ErrNotCamera, err)
	} else if err != nil {
		return failed("query capability", err)
	}
	f.Driver, f.Card, f.Bus = text(q.driver[:]), text(q.card[:]), text(q.bus[:])
	can := q.of
	if q.physical&v4l2.CapDeviceCapabilities == 0 {
		can = q.physical
	}
	f.Capture = can&v4l2.CapVideoCapture != 0 && can&v4l2.CapStreaming != 0
	if !f.Capture {
		f.InfraredWhy = "does not capture"
		return nil
	}
	f.Modes = nil
	for i := range uint32(maxFormats) {
		d := formatDescription{index: i, kind: v4l2.BufTypeVideoCapture}
		if err := n.ioctl(enumFormat, unsafe.Pointer(&d)); errors.Is(err, unix.EINVAL) {
			break
		} else if err != nil {
			return failed("enumerate formats", err)
		}
		f.Modes = append(f.Modes, Mode{Format: name(d.fourcc)})
	}
	f.Infrared, f.InfraredWhy = infrared(f.Modes)
	return nil
}

// gray are the formats with one value a pixel.
var gray = []string{"GREY", "Y04", "Y06", "Y10", "Y10B", "Y10P", "Y12", "Y14", "Y16", "Y16-BE", "ip3y"}

// infrared judges by the formats, because a name is no evidence: a sensor that has nothing but gray has no colour filter, whereas colour
// needs one, and with it usually goes a filter that stops infrared.
func infrared(modes []Mode) (bool, string) {
	var all, colour []string
	for _, m := range modes {
		if all = append(all, m.Format); !slices.Contains(gray, m.Format) {
			colour = append(colour, m.Format)
		}
	}
	switch {
	case len(all) == 0:
		return false, "has no format"
	case len(colour) > 8:
		return false, fmt.Sprintf("offers colour: %q and %d more", colour[:8], len(colour)-8)
	case len(colour) > 0:
		return false, fmt.Sprintf("offers colour: %q", colour)
	}
	return true, fmt.Sprintf("offers gray alone: %q", all)
}

// measure enumerates sizes and intervals of each format.
func (f *Found) measure(n node) error {
	for i := range f.Modes {
		m := &f.Modes[i]
		fourcc := code(m.Format)
		for j := range uint32(maxSizes) {
			e := frameSizes{index: j, fourcc: fourcc}
			if err := n.ioctl(enumSizes, unsafe.Pointer(&e)); errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTTY) {
				break
			} else if err != nil {
				return failed("enumerate sizes", err)
			}
			s := Size{Width: int(e.MinWidth), Height: int(e.MinHeight), MaxWidth: int(e.MaxWidth), MaxHeight: int(e.MaxHeight)}
			if e.kind == v4l2.FrameSizeTypeDiscrete {
				s = Size{Width: int(e.MinWidth), Height: int(e.MaxWidth), MaxWidth: int(e.MinWidth), MaxHeight: int(e.MaxWidth)}
			}
			var err error
			if s.Intervals, err = intervals(n, fourcc, s); err != nil {
				return err
			}
			m.Sizes = append(m.Sizes, s)
			if e.kind != v4l2.FrameSizeTypeDiscrete {
				break
			}
		}
	}
	return nil
}

func intervals(n node, fourcc uint32, s Size) ([]Interval, error) {
	var list []Interval
	for i := range uint32(maxIntervals) {
		e := frameIntervals{index: i, fourcc: fourcc, width: uint32(s.MaxWidth), height: uint32(s.MaxHeight)}
		if err := n.ioctl(enumIntervals, unsafe.Pointer(&e)); errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTTY) {
			break
		} else if err != nil {
			return nil, failed("enumerate intervals", err)
		}
		if e.kind != v4l2.FrameIntervalTypeDiscrete {
			return append(list, Interval{seconds(e.Min), seconds(e.Max)}), nil
		}
		list = append(list, Interval{seconds(e.Min), seconds(e.Min)})
	}
	return list, nil
}

// seconds of a fraction, 0 if it is none.
func seconds(f v4l2.Fract) time.Duration {
	if f.Denominator == 0 {
		return 0
	}
	return time.Duration(f.Numerator) * time.Second / time.Duration(f.Denominator)
}

// text of a field that ends in a zero byte, if it ends at all.
func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return strings.ToValidUTF8(string(b), "?")
}

// String is a paragraph for people.
func (f Found) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %q by driver %q on %q\n", f.Path, f.Card, f.Driver, f.Bus)
	if f.Port != "" {
		fmt.Fprintf(&b, "  usb: port %s, device %s:%s, release %q, serial %q\n", f.Port, f.Vendor, f.Product, f.Release, f.Serial)
	}
	fmt.Fprintf(&b, "  captures: %v\n  infrared: %v, %s\n  virtual:  %v, %s\n", f.Capture, f.Infrared, f.InfraredWhy, f.Virtual, f.VirtualWhy)
	for _, m := range f.Modes {
		if slices.Contains(gray, m.Format) {
			fmt.Fprintf(&b, "  %q:", m.Format)
			for _, s := range m.Sizes {
				b.WriteString(" " + s.String())
			}
			b.WriteByte('\n')
		}
	}
	if f.Err != nil {
		fmt.Fprintf(&b, "  error:    %v\n", f.Err)
	}
	return b.String()
}

func (s Size) String() string {
	t := fmt.Sprintf("%d×%d", s.Width, s.Height)
	if s.MaxWidth != s.Width || s.MaxHeight != s.Height {
		t += fmt.Sprintf("…%d×%d", s.MaxWidth, s.MaxHeight)
	}
	for i, v := range s.Intervals {
		t += fmt.Sprintf("%s%.4g", []string{"@", ","}[min(i, 1)], float64(time.Second)/float64(v.Shortest))
		if v.Longest != v.Shortest {
			t += fmt.Sprintf("…%.4g", float64(time.Second)/float64(v.Longest))
		}
	}
	return t
}
