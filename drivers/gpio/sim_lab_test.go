//go:build lab

package gpio

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const configfs = "/sys/kernel/config"

// sim is a chip of the kernel's gpio-sim. Its lines are driven and watched from the other end of the wire, through sysfs.
type sim struct{ config, device string }

// newSim makes a chip with a line per name; "" is a line without one.
func newSim(label string, names ...string) (*sim, error) {
	if _, err := os.Stat(configfs + "/gpio-sim"); err != nil {
		if e := unix.Mount("configfs", configfs, "configfs", 0, ""); e != nil && !errors.Is(e, unix.EBUSY) {
			return nil, fmt.Errorf("mount configfs: %w", e)
		}
	}
	// Labels may repeat, folders may not.
	config, err := os.MkdirTemp(configfs+"/gpio-sim", "lintel-")
	if err != nil {
		return nil, fmt.Errorf("make gpio-sim chip (does this kernel have CONFIG_GPIO_SIM?): %w", err)
	}
	bank := config + "/bank"
	if err := os.Mkdir(bank, 0o755); err != nil {
		return nil, err
	}
	files := [][2]string{{"num_lines", fmt.Sprint(len(names))}, {"label", label}}
	for i, name := range names {
		if name == "" {
			continue
		}
		line := fmt.Sprintf("line%d", i)
		if err := os.Mkdir(filepath.Join(bank, line), 0o755); err != nil {
			return nil, err
		}
		files = append(files, [2]string{line + "/name", name})
	}
	for _, f := range append(files, [2]string{"../live", "1"}) {
		if err := os.WriteFile(filepath.Join(bank, f[0]), []byte(f[1]), 0o644); err != nil {
			return nil, err
		}
	}
	device, err := os.ReadFile(config + "/dev_name")
	if err != nil {
		return nil, err
	}
	chip, err := os.ReadFile(bank + "/chip_name")
	if err != nil {
		return nil, err
	}
	return &sim{config, filepath.Join("/sys/devices/platform", string(bytes.TrimSpace(device)), string(bytes.TrimSpace(chip)))}, nil
}

// path of the chip's device.
func (s *sim) path() string { return filepath.Join("/dev", filepath.Base(s.device)) }

// remove unplugs the chip. One that is gone already is left alone.
func (s *sim) remove() error {
	live, err := os.ReadFile(s.config + "/live")
	if err != nil || string(bytes.TrimSpace(live)) == "0" {
		return err
	}
	return os.WriteFile(s.config+"/live", []byte("0"), 0o644)
}

// pull ties the line to a level, as a switch or the board's resistor does.
func (s *sim) pull(offset int, high bool) error {
	to := "pull-down"
	if high {
		to = "pull-up"
	}
	return os.WriteFile(fmt.Sprintf("%s/sim_gpio%d/pull", s.device, offset), []byte(to), 0o644)
}

// probe is an open eye on a line: what stands on the wire now.
type probe struct{ file *os.File }

func (s *sim) probe(offset int) (*probe, error) {
	f, err := os.Open(fmt.Sprintf("%s/sim_gpio%d/value", s.device, offset))
	return &probe{f}, err
}

func (p *probe) high() (bool, error) {
	var b [4]byte
	n, err := p.file.ReadAt(b[:], 0)
	if n == 0 {
		return false, err
	}
	return strings.TrimSpace(string(b[:n])) == "1", nil
}
