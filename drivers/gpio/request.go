package gpio

import (
	"bytes"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file claims outputs by the kernel's own interface (GPIO character device v2, include/uapi/linux/gpio.h). periph claims a
// line first, makes it an output that is low, and then sets the level: an active-low relay would release the door for a moment at
// every start. The kernel takes the level in the request itself, and sets it together with the direction.

// What golang.org/x/sys does not name of that interface.
const (
	flagUsed   = 1 << 0
	flagOutput = 1 << 3

	setConfig = 0xc110b40d // GPIO_V2_LINE_SET_CONFIG_IOCTL
)

// output is a line that we claimed ourselves.
type output struct{ fd int }

// request claims an output at its initial level.
func (c *chip) request(name string, w *wire) error {
	return c.take(name, w, drive(w.electrical(w.Initial)))
}

// adopt claims an output at the level that it is found driven at, and at its initial level if it is found as an input: then
// nothing drove it, and it has no level of its own.
func (c *chip) adopt(name string, w *wire) error {
	// Neither input nor output: the kernel leaves the line as it is.
	if err := c.take(name, w, unix.GPIOV2LineConfig{}); err != nil {
		return err
	}
	o := w.port.(*output)
	high := w.electrical(w.Initial)
	info, err := c.info(w.Offset)
	if err == nil && info.Flags&flagOutput != 0 {
		high, err = o.read()
	}
	config := drive(high)
	if err = errors.Join(err, ioctl(o.fd, setConfig, unsafe.Pointer(&config))); err != nil {
		return fmt.Errorf("adopt line %q: %w", name, err)
	}
	return nil
}

// drive is the configuration of one output.
func drive(high bool) unix.GPIOV2LineConfig {
	c := unix.GPIOV2LineConfig{Flags: flagOutput, Num_attrs: 1}
	// The attribute's value is a union; x/sys calls it by its first member.
	c.Attrs[0] = unix.GPIOV2LineConfigAttribute{
		Attr: unix.GPIOV2LineAttribute{Id: unix.GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES, Flags: bit(high)}, Mask: 1,
	}
	return c
}

// take claims a line and makes it the port of w.
func (c *chip) take(name string, w *wire, config unix.GPIOV2LineConfig) error {
	if _, err := c.line(w.Offset); err != nil {
		return fmt.Errorf("request line %q: %w", name, err)
	}
	r := unix.GPIOV2LineRequest{Num_lines: 1, Config: config}
	r.Offsets[0] = uint32(w.Offset)
	copy(r.Consumer[:len(r.Consumer)-1], "lintel "+name)
	if err := ioctl(c.fd, unix.GPIO_V2_GET_LINE_IOCTL, unsafe.Pointer(&r)); err != nil {
		return fmt.Errorf("request line %q: %w", name, c.explain(err, w.Offset))
	}
	o := &output{fd: int(r.Fd)}
	c.outputs = append(c.outputs, o)
	w.port = o
	return nil
}

// explain says of a line that is taken who has it.
func (c *chip) explain(err error, offset int) error {
	if !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("chip %q offset %d: %w", c.name, offset, err)
	}
	by := "the kernel"
	if info, e := c.info(offset); e == nil {
		name, _, _ := bytes.Cut(info.Consumer[:], []byte{0})
		by = string(name)
	}
	return fmt.Errorf("chip %q offset %d is taken by %q: %w", c.name, offset, by, err)
}

// write sets the level. It allocates nothing: the lamp is switched between two frames.
func (o *output) write(high bool) error {
	v := unix.GPIOV2LineValues{Bits: bit(high), Mask: 1}
	return ioctl(o.fd, unix.GPIO_V2_LINE_SET_VALUES_IOCTL, unsafe.Pointer(&v))
}

func (o *output) read() (high bool, err error) {
	v := unix.GPIOV2LineValues{Mask: 1}
	err = ioctl(o.fd, unix.GPIO_V2_LINE_GET_VALUES_IOCTL, unsafe.Pointer(&v))
	return v.Bits&1 != 0, err
}

// info is what the kernel knows of a line.
func (c *chip) info(offset int) (unix.GPIOV2LineInfo, error) {
	i := unix.GPIOV2LineInfo{Offset: uint32(offset)}
	err := ioctl(c.fd, unix.GPIO_V2_GET_LINEINFO_IOCTL, unsafe.Pointer(&i))
	return i, err
}

// alive is nil while the chip is there.
func (c *chip) alive() error {
	_, err := c.info(0)
	return err
}

func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); e != 0 {
		return e
	}
	return nil
}

func bit(high bool) uint64 {
	if high {
		return 1
	}
	return 0
}
