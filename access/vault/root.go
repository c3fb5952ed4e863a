package vault

import "errors"

// Root is what a sealed vault hangs on: a secret and a counter that cannot be copied with the disk. The roof makes one of the TPM.
// The counter belongs to this vault alone and each Raise adds exactly 1; it is durable when Raise returns.
type Root interface {
	// Unseal gives the data key, the same at every call. An error when the machine is not in a state that its policy approves.
	Unseal() (key [32]byte, err error)
	// Counter reads the counter.
	Counter() (uint64, error)
	// Raise adds 1 to the counter and returns what it is then. After an error the counter may or may not have risen.
	Raise() (uint64, error)
}

// What can be wrong with a sealed vault. Each says what the operator should do; the door stays shut to faces, while REX, contact and
// alarms work.
var (
	// ErrSealed means that the vault is sealed and no Root was given. A sealed vault never opens as a plain one.
	ErrSealed = errors.New("vault is sealed and no TPM was given: start the kiosk with its TPM")
	// ErrNotSealed means that a Root was given and the file is absent or plain. Only provisioning may start from such a file
	// (Options.Adopt): otherwise who can write to the disk could put in people of their own.
	ErrNotSealed = errors.New("vault is absent or not sealed: if the kiosk was provisioned before, somebody changed its disk; provision it again and let headquarters send its people")
	// ErrRolledBack means that the file is older than the counter: it is a copy that somebody put back.
	ErrRolledBack = errors.New("vault is an older copy than the TPM's counter allows: do not restore it from a backup; wipe the vault, provision the kiosk again and let headquarters send its people; if nobody restored a copy, treat it as an attack")
	// ErrOtherTPM means that the file was not sealed by this root for this device, or that the counter is behind the file.
	ErrOtherTPM = errors.New("vault does not belong to this TPM and device: return the disk to its kiosk; if the TPM was replaced or cleared, wipe the vault, provision the kiosk again and let headquarters send its people")
	// ErrRoot means that the root did not answer or refused.
	ErrRoot = errors.New("TPM refused or does not answer: boot the approved image on this board, check the TPM and restart the kiosk")
	// ErrSpliced means that records of different ages were put together in the file.
	ErrSpliced = errors.New("vault's records do not belong together: somebody wrote to the disk; wipe the vault, provision the kiosk again and let headquarters send its people")
)
