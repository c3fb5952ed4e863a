package camera

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// sysfs is the kernel's tree of devices, /sys.
type sysfs struct{ root string }

// virtualDrivers are known to show what a program or a formula gives them. To be missing here proves nothing; the place in sysfs does.
var virtualDrivers = []string{"v4l2 loopback", "vivid", "vimc"}

// locate finds the open device in sysfs by its device number, whatever its node is called.
func (f *Found) locate(sys sysfs, fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("locate device: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return fmt.Errorf("locate device: %w: it is no character device", ErrNotCamera)
	}
	return f.place(sys, fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)))
}

// place walks from the device up to what carries it. Hardware hangs from a PCI function, or from a platform device that the firmware's tables
// describe. A platform device without such a description was made up by a module: vivid's, and those of the virtual USB
// controllers vhci_hcd and dummy_hcd.
func (f *Found) place(sys sysfs, number string) error {
	f.Virtual, f.VirtualWhy = true, ""
	node, err := filepath.EvalSymlinks(filepath.Join(sys.root, "dev/char", number))
	if err != nil {
		f.VirtualWhy = "the kernel does not show its place"
		return fmt.Errorf("locate device: %w", err)
	}
	at, err := filepath.EvalSymlinks(filepath.Join(node, "device"))
	if errors.Is(err, os.ErrNotExist) {
		f.VirtualWhy = "no device is behind it"
		return nil
	} else if err != nil {
		return fmt.Errorf("locate device: %w", err)
	}
	top := filepath.Join(sys.root, "devices")
	for ; strings.HasPrefix(at, top+"/"); at = filepath.Dir(at) {
		link, err := os.Readlink(filepath.Join(at, "subsystem"))
		if err != nil {
			continue
		}
		switch subsystem := filepath.Base(link); {
		case subsystem == "usb" && f.Port == "" && exists(at, "idVendor"):
			f.Port, f.Vendor, f.Product, f.Serial = filepath.Base(at), attribute(at, "idVendor"), attribute(at, "idProduct"), attribute(at, "serial")
			f.Release = attribute(at, "bcdDevice")
		case subsystem == "pci":
			f.Virtual, f.VirtualWhy = false, "hangs from the PCI function "+filepath.Base(at)
		case subsystem == "platform" && (exists(at, "of_node") || exists(at, "firmware_node")):
			f.Virtual, f.VirtualWhy = false, "hangs from the platform device "+filepath.Base(at)+", which the firmware describes"
		case subsystem == "platform":
			f.VirtualWhy = "hangs from the platform device " + filepath.Base(at) + ", which no firmware describes"
		default:
			continue
		}
		if f.VirtualWhy != "" {
			break
		}
	}
	if f.VirtualWhy == "" {
		f.VirtualWhy = "hangs from no hardware"
	}
	if !f.Virtual && slices.Contains(virtualDrivers, f.Driver) {
		f.Virtual, f.VirtualWhy = true, fmt.Sprintf("its driver is %q", f.Driver)
	}
	return nil
}

func exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

// attribute reads one line, empty if there is none. A USB device chooses its serial number: no more of it than a descriptor can hold.
func attribute(dir, name string) string {
	file, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, 256))
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(strings.TrimRight(string(b), "\n"), "?")
}
