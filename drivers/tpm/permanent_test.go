//go:build !kiosk

package tpm

import (
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

// Whoever reaches the TPM can guess until it is in lockout. We see it, and all that is ours works on.
func TestLockoutStopsNothingOfOurs(t *testing.T) {
	b := newBoard(t)
	w := b.bare()
	made, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.TPMRHNull,
		InSensitive:   tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{UserAuth: tpm2.TPM2BAuth{Buffer: []byte("right")}}},
		InPublic: tpm2.New2B(tpm2.TPMTPublic{
			Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, UserWithAuth: true, SignEncrypt: true, SensitiveDataOrigin: true},
			Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgKeyedHash, &tpm2.TPMSKeyedHashParms{Scheme: tpm2.TPMTKeyedHashScheme{
				Scheme: tpm2.TPMAlgHMAC, Details: tpm2.NewTPMUSchemeKeyedHash(tpm2.TPMAlgHMAC, &tpm2.TPMSSchemeHMAC{HashAlg: tpm2.TPMAlgSHA256}),
			}}),
		}),
	}.Execute(w)
	if err != nil {
		t.Fatal(err)
	}
	guess := func() error {
		_, err := tpm2.Hmac{
			Handle:  tpm2.AuthHandle{Handle: made.ObjectHandle, Name: made.Name, Auth: tpm2.PasswordAuth([]byte("wrong"))},
			HashAlg: tpm2.TPMAlgSHA256,
		}.Execute(w)
		return err
	}
	for err = guess(); errors.Is(err, tpm2.TPMRCAuthFail) || errors.Is(err, tpm2.TPMRCRetry); { // it notes the first of a boot, and has it tried again
		err = guess()
	}
	if !errors.Is(err, tpm2.TPMRCLockout) {
		t.Fatal(err)
	}
	w.Close()

	tp := b.open()
	if locked, err := tp.InLockout(); err != nil || !locked {
		t.Errorf("in lockout: %v, %v", locked, err)
	}
	good := b.approve(tp, 1)
	if _, err := tp.Unseal(must(tp.Seal([]byte("secret")))(t), good); err != nil {
		t.Error(err)
	}
	if _, err := tp.Raise(VaultVersion); err != nil {
		t.Error(err)
	}
	other := newBoard(t)
	if locked, err := other.open().InLockout(); err != nil || locked {
		t.Errorf("a TPM that nobody guessed at is in lockout: %v, %v", locked, err)
	}
}
