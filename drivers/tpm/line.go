package tpm

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Line is one open connection to a TPM: one Write takes a whole command, the Reads after it give the answer. Each ends at the latest at the deadline,
// with an error that wraps os.ErrDeadlineExceeded.
type Line interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

// OpenLine is Open for a TPM that no kernel driver stands before: we are the only ones to speak to it, so it is started here if it was reset. The line
// is the TPM's from here on: it is closed with it, and on failure.
func OpenLine(l Line, o Options) (*TPM, error) {
	w := newWire(l, o.Deadline)
	if err := startUp(w); err != nil {
		return nil, errors.Join(fmt.Errorf("open tpm: %w", err), w.Close())
	}
	return openWire(w, true, o)
}

// ProvisionLine is Provision for such a TPM. It closes the line.
func ProvisionLine(l Line, s Secrets, o Options) (Identity, error) {
	w := newWire(l, o.Deadline)
	if err := startUp(w); err != nil {
		return Identity{}, errors.Join(fmt.Errorf("provision tpm: %w", err), w.Close())
	}
	return provisionWire(w, true, s, o)
}

// startUp does what firmware or a kernel's driver does elsewhere: a TPM that was reset refuses all else until then. One that was not says so, and keeps
// its measurements.
func startUp(w transport.TPM) error {
	_, err := tpm2.Startup{StartupType: tpm2.TPMSUClear}.Execute(w)
	if errors.Is(err, tpm2.TPMRCInitialize) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("start: %w", judge(err))
	}
	return nil
}
