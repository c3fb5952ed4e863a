package camera

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Match picks the one device that is what the settings ask for, of those on a bus if bus is given: the bus_info of V4L2 or a USB port. Settings.Path
// counts if it is not empty. A camera with a sensor for colour and one for infrared is two devices on one bus, of which one
// fits. ErrNoMatch says of each device what is against it; ErrAmbiguous names those that fit.
func Match(list []Found, bus string, s Settings) (Found, error) {
	var fit []Found
	var paths []string
	against := []error{ErrNoMatch}
	for _, f := range list {
		if err := s.fits(f, bus); err != nil {
			against = append(against, fmt.Errorf("%s: %w", f.Path, err))
			continue
		}
		fit, paths = append(fit, f), append(paths, f.Path)
	}
	switch len(fit) {
	case 0:
		return Found{}, errors.Join(against...)
	case 1:
		return fit[0], nil
	default:
		return Found{}, fmt.Errorf("%w: %q", ErrAmbiguous, paths)
	}
}

func (s Settings) fits(f Found, bus string) error {
	if s.Path != "" && s.Path != f.Path {
		return fmt.Errorf("is not %q", s.Path)
	}
	if bus != "" && bus != f.Bus && bus != f.Port {
		return fmt.Errorf("is on bus %q", f.Bus)
	}
	if f.Err != nil {
		return f.Err
	}
	if err := s.accepts(f); err != nil {
		return err
	}
	for _, m := range f.Modes {
		if m.Format == string(s.Format) && slices.ContainsFunc(m.Sizes, s.within) {
			return nil
		}
	}
	return fmt.Errorf("%w: %s %d×%d at %d frames a second is not among its modes", ErrFormat, s.Format, s.Width, s.Height, s.Rate)
}

// within reports whether a size has ours at our rate. A driver that lists no interval may still take it: Open will see.
func (s Settings) within(z Size) bool {
	if s.Width < z.Width || s.Width > z.MaxWidth || s.Height < z.Height || s.Height > z.MaxHeight {
		return false
	}
	return len(z.Intervals) == 0 || slices.ContainsFunc(z.Intervals, func(i Interval) bool {
		short, long := float64(i.Shortest)*float64(s.Rate)/1e9, float64(i.Longest)*float64(s.Rate)/1e9
		return short <= 1 && 1 <= long || math.Abs(short-1) <= tolerance || math.Abs(long-1) <= tolerance
	})
}
