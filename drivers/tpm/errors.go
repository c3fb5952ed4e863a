package tpm

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

var (
	// ErrSilent means that the TPM did not answer before the deadline. The handle is unusable afterwards.
	ErrSilent = errors.New("tpm did not answer")
	// ErrUnusable means that an earlier exchange failed or the handle is closed: open the TPM again.
	ErrUnusable = errors.New("tpm handle is unusable")
	// ErrTampered means that an answer did not carry the right HMAC: something between us and the TPM changes or replays answers.
	ErrTampered = errors.New("answer of the tpm is not authentic")
	// ErrOtherTPM means that this is not the TPM that was provisioned, or that it was cleared since.
	ErrOtherTPM = errors.New("this is not the tpm that was provisioned")
	// ErrOwned means that the TPM belongs to somebody else's secrets. Only a clear by them or by its firmware frees it.
	ErrOwned = errors.New("tpm was provisioned with other secrets")
	// ErrSecret means that the TPM refused an object's authorisation: the CPU secret differs from the one at provisioning.
	ErrSecret = errors.New("object authorisation refused: other cpu secret")
	// ErrObject means that a blob is damaged, or was made for another use, release key or board.
	ErrObject = errors.New("blob is not this object")

	// ErrPCR refuses because the measurements differ from the approved ones.
	ErrPCR = errors.New("measurements differ from the approved")
	// ErrFloor refuses because the firmware floor has passed the approved version.
	ErrFloor = errors.New("firmware floor is above the approved version")
	// ErrBoard refuses an approval that names another board.
	ErrBoard = errors.New("approval is for another board")
	// ErrForged refuses an approval that the release role did not sign.
	ErrForged = errors.New("approval is not signed by the release role")
)

// judge tells what a failed command means: the connection broke, the TPM refused, or the answer could not be believed.
func judge(err error) error {
	var broken *lost
	var refused tpm2.TPMRC
	switch {
	case err == nil, errors.As(err, &broken), errors.As(err, &refused), errors.Is(err, ErrUnusable):
		return err
	}
	return fmt.Errorf("%w: %w", ErrTampered, err)
}

// refusal puts our meaning before a response code of the TPM, if it is one of codes.
func refusal(err, meaning error, codes ...tpm2.TPMRC) error {
	for _, code := range codes {
		if errors.Is(err, code) {
			return fmt.Errorf("%w: %w", meaning, err)
		}
	}
	return err
}
