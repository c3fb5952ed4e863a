package root

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lintel-access/lintel/board"
)

// CPUSecret reads the secret that a board names, below sys (/sys on a kiosk). It is nil where the board names none. A memory that was never
// programmed is an error: the TPM's objects would be bound to nothing.
func CPUSecret(kind board.CPUSecret, sys string) ([]byte, error) {
	switch kind {
	case board.NoCPUSecret:
		return nil, nil
	case board.RPiOTP:
		secret, err := rpiOTP(sys)
		if err != nil {
			return nil, fmt.Errorf("read secret of the processor: %w", err)
		}
		return secret, nil
	}
	return nil, fmt.Errorf("read secret of the processor: kind %q is not known", kind)
}

// rpiOTP reads the 256-bit private key that the Raspberry Pi kernel's nvmem driver shows. Its name is taken from reading that driver: no board was at
// hand to try it on.
func rpiOTP(sys string) ([]byte, error) {
	const size = 32
	found, err := filepath.Glob(filepath.Join(sys, "bus/nvmem/devices/rpi*otp*priv*/nvmem"))
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%d private one-time-programmable memories found: does the kernel have the raspberrypi-otp driver?", len(found))
	}
	f, err := os.Open(found[0])
	if err != nil {
		return nil, err
	}
	defer f.Close()
	secret := make([]byte, size)
	if n, err := f.Read(secret); err != nil || n != size {
		return nil, fmt.Errorf("%d of %d bytes: %w", n, size, err)
	}
	if bytes.Equal(secret, make([]byte, size)) {
		return nil, errors.New("it was never programmed")
	}
	return secret, nil
}
