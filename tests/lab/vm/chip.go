//go:build linux

package vm

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// Chip is a GPIO chip of gpio-sim: the electrics at the other side of the kernel's line.
type Chip struct {
	Path string // /dev/gpiochipN

	lines  []string
	sysfs  string // of its lines
	config string
}

const configfs = "/sys/kernel/config/gpio-sim"

// NewChip makes a chip with named lines until the test ends.
func NewChip(t testing.TB, lines ...string) *Chip {
	t.Helper()
	return NewLabelledChip(t, "", lines...)
}

// NewLabelledChip is NewChip with a label, by which a board names its chip.
func NewLabelledChip(t testing.TB, label string, lines ...string) *Chip {
	t.Helper()
	c := &Chip{lines: lines}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("make chip: %v", err)
		}
	}
	for n := 0; ; n++ { // a name that no other chip has
		c.config = filepath.Join(configfs, "chip"+strconv.Itoa(n))
		err := os.Mkdir(c.config, 0o755)
		if err == nil {
			break
		}
		if !os.IsExist(err) {
			must(err)
		}
	}
	bank := filepath.Join(c.config, "bank")
	must(os.Mkdir(bank, 0o755))
	must(write(filepath.Join(bank, "num_lines"), strconv.Itoa(len(lines))))
	if label != "" {
		must(write(filepath.Join(bank, "label"), label))
	}
	for i, name := range lines {
		line := filepath.Join(bank, "line"+strconv.Itoa(i))
		must(os.Mkdir(line, 0o755))
		must(write(filepath.Join(line, "name"), name))
	}
	must(write(filepath.Join(c.config, "live"), "1"))
	t.Cleanup(func() {
		if err := c.Remove(); err != nil {
			t.Error(err)
		}
	})
	chip, err := read(filepath.Join(bank, "chip_name"))
	must(err)
	device, err := read(filepath.Join(c.config, "dev_name"))
	must(err)
	c.Path, c.sysfs = "/dev/"+chip, filepath.Join("/sys/devices/platform", device, chip)
	wait(t, c.Path, func() bool { return exists(c.Path) })
	return c
}

func (c *Chip) file(line, what string) string {
	return filepath.Join(c.sysfs, fmt.Sprintf("sim_gpio%d", slices.Index(c.lines, line)), what)
}

// Level is the voltage on the line, as whatever is wired to it sees it: true is high.
func (c *Chip) Level(line string) (bool, error) {
	v, err := read(c.file(line, "value"))
	if err != nil {
		return false, fmt.Errorf("read level of %q: %w", line, err)
	}
	return v == "1", nil
}

// Pull pulls the line up or down, as a contact or a button does.
func (c *Chip) Pull(line string, up bool) error {
	pull := "pull-down"
	if up {
		pull = "pull-up"
	}
	return write(c.file(line, "pull"), pull)
}

// Remove takes the chip away while it may be in use. A second time does nothing.
func (c *Chip) Remove() error {
	if !exists(c.config) {
		return nil
	}
	if err := write(filepath.Join(c.config, "live"), "0"); err != nil {
		return fmt.Errorf("remove chip: %w", err)
	}
	for i := range c.lines {
		if err := os.Remove(filepath.Join(c.config, "bank", "line"+strconv.Itoa(i))); err != nil {
			return fmt.Errorf("remove chip: %w", err)
		}
	}
	for _, d := range []string{filepath.Join(c.config, "bank"), c.config} {
		if err := os.Remove(d); err != nil {
			return fmt.Errorf("remove chip: %w", err)
		}
	}
	return nil
}
