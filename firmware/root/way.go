package root

import (
	"fmt"
	"os"
	"path/filepath"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/host/v3/sysfs"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/drivers/tpm/tis"
)

// socketName is where swtpm answers, below the folder of the sockets.
const socketName = "tpm.sock"

// Way is how a TPM is reached: a Path or a Bare. It is gone anew for each opening, because a TPM that fell silent leaves nothing that could be used.
type Way interface {
	open(tpm.Options) (*tpm.TPM, error)
	provision(tpm.Secrets, tpm.Options) (tpm.Identity, error)
}

// WayTo is how the TPM of a board is reached. run is the folder of the sockets, which a lab's software TPM needs.
func WayTo(t board.TPM, run string) (Way, error) {
	switch t.Transport {
	case board.SWTPM:
		return Path(filepath.Join(run, socketName)), nil
	case board.TPMRM0:
		return Path(t.Device()), nil
	case board.TPMSPI:
		return Bare(func() (tpm.Line, error) { return openSPI(t) }), nil
	}
	return nil, fmt.Errorf("reach tpm: transport %q is not known", t.Transport)
}

// Path leads to a TPM that somebody drives: the character device of the kernel's driver, or the socket of swtpm.
type Path string

func (p Path) open(o tpm.Options) (*tpm.TPM, error) { return tpm.Open(string(p), o) }

func (p Path) provision(s tpm.Secrets, o tpm.Options) (tpm.Identity, error) {
	return tpm.Provision(string(p), s, o)
}

// Bare opens a line to a TPM that nobody drives but us. An error that there is no such device wraps fs.ErrNotExist.
type Bare func() (tpm.Line, error)

func (b Bare) open(o tpm.Options) (*tpm.TPM, error) {
	l, err := b()
	if err != nil {
		return nil, fmt.Errorf("open tpm: %w", err)
	}
	return tpm.OpenLine(l, o)
}

func (b Bare) provision(s tpm.Secrets, o tpm.Options) (tpm.Identity, error) {
	l, err := b()
	if err != nil {
		return tpm.Identity{}, fmt.Errorf("provision tpm: %w", err)
	}
	return tpm.ProvisionLine(l, s, o)
}

// openSPI opens a chip on a bus. That it was not tried on a chip stands in package tis.
func openSPI(t board.TPM) (tpm.Line, error) {
	if _, err := os.Stat(t.Device()); err != nil { // periph tells it in words alone
		return nil, fmt.Errorf("open spi bus: %w", err)
	}
	port, err := sysfs.NewSPI(t.SPI.Bus, t.SPI.ChipSelect)
	if err != nil {
		return nil, fmt.Errorf("open spi bus: %w", err)
	}
	l, err := tis.Open(port, physic.Frequency(t.SPI.Hz)*physic.Hertz)
	if err != nil {
		return nil, err
	}
	return l, nil
}
