package gpio

import (
	"errors"
	"fmt"
	"io"
	"log"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/host/v3/gpioioctl"
)

// discover has periph find the chips of the machine. It looks at all of them, once in the life of a process, and keeps their
// devices open for reading; that claims no line. None of them is ever closed: gpioioctl's GPIOChip.Close closes its descriptor
// twice and then descriptor 0.
//
// That is also what periph does itself to a chip that it finds under two names (gpiochip4 is a link on a Raspberry Pi): hence
// standard input is put back, and hence no other goroutine may open files meanwhile. Drivers of periph's that a program has for
// other buses start beside this one; nobody here uses what they open then. periph logs what it cannot open, chips of
// others mostly; the errors of this package name the chips that were found instead.
func discover() ([]*gpioioctl.GPIOChip, error) {
	defer log.SetOutput(log.Writer())
	log.SetOutput(io.Discard)
	// Without a standard input the first chip would become descriptor 0, which periph takes for none.
	stdin, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
	if errors.Is(err, unix.EBADF) {
		return nil, errors.New("find chips: descriptor 0 is not open")
	} else if err != nil {
		return nil, fmt.Errorf("keep standard input: %w", err)
	}
	defer unix.Close(stdin)
	_, initErr := driverreg.Init()
	// Whether or not it is missing: another driver of periph may have opened a file in its place.
	if err := unix.Dup3(stdin, 0, 0); err != nil {
		return nil, fmt.Errorf("put standard input back: %w", err)
	}
	if initErr != nil {
		return nil, fmt.Errorf("find chips: %w", initErr)
	}
	if len(gpioioctl.Chips) == 0 {
		return nil, errors.New("find chips: no /dev/gpiochip* can be opened")
	}
	return gpioioctl.Chips, nil
}

// chip is a chip of the board.
type chip struct {
	name    string // as the board calls it
	fd      int    // our own descriptor of its device
	periph  *gpioioctl.GPIOChip
	outputs []*output
}

// openChip finds a chip by its label or by the path of its device.
func openChip(known []*gpioioctl.GPIOChip, name string) (*chip, error) {
	var found *gpioioctl.GPIOChip
	var labels []string
	for _, c := range known {
		labels = append(labels, c.Label())
		if c.Label() != name && !sameFile(c.Path(), name) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("chip %q: %s and %s have this label, name one by its path", name, found.Path(), c.Path())
		}
		found = c
	}
	if found == nil {
		return nil, fmt.Errorf("chip %q: not on this machine, which has %q", name, labels)
	}
	fd, err := unix.Open(found.Path(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open chip %q: %w", name, err)
	}
	c := &chip{name: name, fd: fd, periph: found}
	if err := c.alive(); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open chip %q: %w", name, err)
	}
	return c, nil
}

func sameFile(device, name string) bool {
	if !filepath.IsAbs(name) {
		return false
	}
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return false
	}
	device, err = filepath.EvalSymlinks(device)
	return err == nil && device == real
}

// line is the line at an offset, refused when the chip has none there.
func (c *chip) line(offset int) (*gpioioctl.GPIOLine, error) {
	if offset >= c.periph.LineCount() {
		return nil, fmt.Errorf("chip %q has %d lines, offset %d is not among them", c.name, c.periph.LineCount(), offset)
	}
	return c.periph.Lines()[offset], nil
}

func (c *chip) close() error {
	var errs []error
	for _, o := range c.outputs {
		errs = append(errs, unix.Close(o.fd))
	}
	return errors.Join(append(errs, unix.Close(c.fd))...)
}

// errno makes an error number again of the text that periph's ioctl calls leave of it.
func errno(err error) error {
	if err == nil {
		return nil
	}
	for _, e := range []unix.Errno{unix.ENODEV, unix.EBUSY, unix.EPERM, unix.EINVAL, unix.EIO} {
		if strings.HasSuffix(err.Error(), e.Error()) {
			return e
		}
	}
	return err
}
