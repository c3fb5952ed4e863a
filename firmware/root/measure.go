package root

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/sync/wire"
)

// Measurements are the digests that are extended into PCR 11 (image), 12 (model bundle), 13 (embedded policy and board) and 14 (debugging), in
// this order. A policy that headquarters sends is not among them: the vault's counter guards it.
type Measurements [4][sha256.Size]byte

// Programs are the executables of an image.
func Programs() []string { return []string{"door", "eye", "link"} }

// MeasureImage is Measure with what this very build embeds.
func MeasureImage(programs string, b board.Board) (m Measurements, err error) {
	calibration, err := model.DefaultCalibration()
	if err != nil {
		return m, err
	}
	policy, err := wire.Marshal(access.DefaultPolicy())
	if err != nil {
		return m, err
	}
	return Measure(programs, calibration.Bundle, sha256.Sum256(policy), b)
}

// Measure looks at an image: its programs in a folder, the model bundle and the policy that they embed, and the board that they run on.
func Measure(programs string, bundle, policy [sha256.Size]byte, b board.Board) (m Measurements, err error) {
	image := sha256.New()
	for _, name := range Programs() {
		if err := measureFile(image, programs, name); err != nil {
			return m, fmt.Errorf("measure image: %w", err)
		}
	}
	image.Sum(m[0][:0])
	m[1] = bundle
	configuration, err := json.Marshal(b) // plain data with sorted keys: one board, one text
	if err != nil {
		return m, fmt.Errorf("measure board: %w", err)
	}
	m[2] = sha256.Sum256(append(policy[:], configuration...))
	m[3] = debugDigest(b.Lab)
	return m, nil
}

func debugDigest(lab bool) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "lintel debug: lab=%t", lab))
}

// Debugging reports whether what was measured may be debugged: it may unless it is exactly what may not. After an error it may.
func (r *Root) Debugging() (bool, error) {
	now, err := with(r, func(t *tpm.TPM) ([]tpm.PCR, error) { return t.Read(tpm.PCRDebug) })
	if err != nil {
		return true, err
	}
	return now[0] != (tpm.PCR{Index: tpm.PCRDebug}).Extended(debugDigest(false)), nil
}

func measureFile(to hash.Hash, dir, name string) error {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	one := sha256.New()
	if _, err := io.Copy(one, f); err != nil {
		return err
	}
	fmt.Fprintf(to, "%s %x\n", name, one.Sum(nil))
	return nil
}

// PCRs are the registers after the measurements were extended into them at a fresh start of the TPM.
func (m Measurements) PCRs() []tpm.PCR {
	list := make([]tpm.PCR, len(m))
	for i, digest := range m {
		list[i] = tpm.PCR{Index: tpm.PCRImage + i}.Extended(digest)
	}
	return list
}

// Extend measures the image into the TPM, as the boot chain does on a kiosk whose image is verified. A register that has been extended since the
// TPM was reset is left as it is: whether it holds the right value, the TPM judges when the data key is unsealed. It reports whether all were fresh,
// which tells a power-on from a restart of the program.
func (r *Root) Extend(m Measurements) (fresh bool, err error) {
	t, err := r.open()
	if err != nil {
		return false, err
	}
	fresh = true
	for i, digest := range m {
		pcr := tpm.PCRImage + i
		now, err := t.Read(pcr)
		if err != nil {
			return false, r.judge(t, err)
		}
		if now[0] != (tpm.PCR{Index: pcr}) {
			fresh = false
			continue
		}
		if err := t.Extend(pcr, digest); err != nil {
			return false, r.judge(t, err)
		}
	}
	return fresh, nil
}
