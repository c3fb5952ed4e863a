package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/tpm/tis"
	"github.com/lintel-access/lintel/firmware/root"
)

// The board says how its TPM is reached; whoever provisions may say otherwise, and must where it is software.
func TestWayToTPM(t *testing.T) {
	for _, name := range board.Names() {
		b, err := board.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if way, err := wayTo(b, "/tmp/s"); err != nil || way != root.Path("/tmp/s") {
			t.Errorf("%s: a TPM that is named: %v, %v", name, way, err)
		}
		way, err := wayTo(b, "")
		if b.TPM.Transport == board.SWTPM {
			if err == nil || !strings.Contains(err.Error(), "say -tpm") {
				t.Errorf("%s: a software TPM without a socket: %v, %v", name, way, err)
			}
			continue
		}
		if _, bare := way.(root.Bare); err != nil || bare != (b.TPM.Transport == board.TPMSPI) {
			t.Errorf("%s: %T, %v", name, way, err)
		}
	}
	err := provisionCommand([]string{"-board", "desk", "-state", "s", "-release", "r", "-secrets", "x"}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "say -tpm") {
		t.Errorf("door provision without a TPM: %v", err)
	}
}

// A bus that is not there, and one on which nothing answers, are an absent TPM: the kiosk says what to check.
func TestAbsentTPMOnSPI(t *testing.T) {
	state := stateFolder(t)
	b, g := groundOnTPM(t, state)
	if err := g.clear(); err != nil {
		t.Fatal(err)
	}
	b.TPM = board.TPM{Transport: board.TPMSPI, SPI: board.SPI{Bus: 31, ChipSelect: 7, Hz: 10_000_000}, CPUSecret: board.NoCPUSecret}
	if _, err := openRoot(b, options{state: state}); !errors.Is(err, errTPMAbsent) || remedy(err) == "" {
		t.Errorf("no such bus: %v, remedy %q", err, remedy(err))
	}
	if err := absent(tis.ErrAbsent); !errors.Is(err, errTPMAbsent) {
		t.Errorf("nothing on the bus: %v", err)
	}
	if err := absent(io.EOF); errors.Is(err, errTPMAbsent) {
		t.Errorf("a broken line: %v", err)
	}
}
