// Package root is what the kiosk hangs on: the TPM, what was provisioned on it, what the board is measured as, and which measurements the release
// role has approved. door alone opens it.
//
//	state/root/identity   what provisioning left: the pinned TPM, the release role's public key, blobs of keys; no secret but the endorsement's
//	state/root/approvals  one or two states of this board that the release role approved, signed offline
//	state/root/audit.pub  the public half of the audit key, as verify-receipt takes it
//
// The TPM is never taken at its word of yesterday: a TPM that falls silent is opened anew every so often (Revive), and until it answers nothing
// that depends on it is acknowledged.
package root
