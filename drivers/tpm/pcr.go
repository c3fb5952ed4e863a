package tpm

import (
	"crypto/sha256"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// The PCRs that are ours, in the SHA-256 bank. Those below belong to the board's firmware.
const (
	PCRImage  = 11 // the image that boots
	PCRModels = 12 // the model bundle
	PCRPolicy = 13 // policy and configuration
	PCRDebug  = 14 // anything that opens a door for debugging

	pcrCount = 24 // PC client profile
)

// PCR is the value of one platform configuration register.
type PCR struct {
	Index int
	Value [sha256.Size]byte
}

// Extended is the value of a PCR after digest was extended into it.
func (p PCR) Extended(digest [sha256.Size]byte) PCR {
	p.Value = sha256.Sum256(append(p.Value[:], digest[:]...))
	return p
}

// Extend measures digest into one of our PCRs.
func (t *TPM) Extend(pcr int, digest [sha256.Size]byte) error {
	if pcr < PCRImage || pcr > PCRDebug {
		return fmt.Errorf("extend pcr %d: only %d to %d are ours", pcr, PCRImage, PCRDebug)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := run(t, tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: t.session(nil)},
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: digest[:]}}},
	})
	if err != nil {
		return fmt.Errorf("extend pcr %d: %w", pcr, err)
	}
	return nil
}

// Read returns the values of the PCRs, in the order asked for.
func (t *TPM) Read(pcrs ...int) ([]PCR, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []PCR
	for _, i := range pcrs { // one at a time: a TPM returns at most eight, and which eight is in its answer
		if i < 0 || i >= pcrCount {
			return nil, fmt.Errorf("read pcr %d: there is none", i)
		}
		// Audit is what lets a session that authorises nothing guard the answer.
		r, err := run(t, tpm2.PCRRead{PCRSelectionIn: selection(i)}, t.session(nil, tpm2.Audit()))
		if err != nil {
			return nil, fmt.Errorf("read pcr %d: %w", i, err)
		}
		if len(r.PCRValues.Digests) != 1 || len(r.PCRValues.Digests[0].Buffer) != sha256.Size {
			return nil, fmt.Errorf("read pcr %d: tpm has no SHA-256 bank", i)
		}
		all = append(all, PCR{Index: i, Value: [sha256.Size]byte(r.PCRValues.Digests[0].Buffer)})
	}
	return all, nil
}

func selection(pcrs ...int) tpm2.TPMLPCRSelection {
	bits := make([]byte, pcrCount/8)
	for _, i := range pcrs {
		bits[i/8] |= 1 << (i % 8)
	}
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: bits}}}
}
