package tpm

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// Bits of TPMA_PERMANENT: TPM 2.0 part 2, 8.6.
const (
	permanentOwner       = 1 << 0
	permanentEndorsement = 1 << 1
	permanentLockout     = 1 << 2
	permanentInLockout   = 1 << 9
)

// permanent asks the TPM for these bits, and believes the answer as far as the session guards it.
func (t *TPM) permanent(s ...tpm2.Session) (uint32, error) {
	r, err := run(t, tpm2.GetCapability{Capability: tpm2.TPMCapTPMProperties, Property: uint32(tpm2.TPMPTPermanent), PropertyCount: 1}, s...)
	if err != nil {
		return 0, err
	}
	list, err := r.CapabilityData.Data.TPMProperties()
	if err != nil || len(list.TPMProperty) != 1 {
		return 0, errors.New("tpm does not tell its permanent attributes")
	}
	return list.TPMProperty[0].Value, nil
}

// InLockout reports whether the TPM refuses every authorisation that is guarded against guessing, because too many wrong ones were given. None of
// ours is: they are too long to be guessed, and whoever can reach the bus could stop the kiosk by guessing.
func (t *TPM) InLockout() (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	bits, err := t.permanent(t.session(nil, tpm2.Audit()))
	if err != nil {
		return false, fmt.Errorf("ask for lockout: %w", err)
	}
	return bits&permanentInLockout != 0, nil
}
