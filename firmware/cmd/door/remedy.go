package main

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/firmware/root"
)

var errTPMAbsent = errors.New("TPM is absent")

// closedBecause stands before the reason for which nobody is recognised.
const closedBecause = "nobody is recognised: "

// remedies are the sentences of docs/OPERATIONS.md, "When the kiosk says …": each names a cause and what to do, and fits into a status whole.
// Of several causes in one error the first of the list is the one to act on.
func remedies() []struct {
	cause error
	say   string
} {
	return []struct {
		cause error
		say   string
	}{
		{unix.ENOSPC, "there is no room on the disk: free some, then restart the kiosk"},
		{tpm.ErrPCR, "this image is not the approved one: start the approved image, or have the release role approve this one; if nobody changed it, treat it as an attack"},
		{tpm.ErrFloor, "this image is older than the TPM still allows: install the newest version"},
		{tpm.ErrOtherTPM, "this is not the TPM that was provisioned: return the disk to its board; if the TPM was replaced or cleared, begin anew"},
		{tpm.ErrSilent, "the TPM does not answer: power-cycle the kiosk; if it stays silent, replace the board"},
		{root.ErrNotProvisioned, "the kiosk is not provisioned: put root/identity back, or run door provision"},
		{root.ErrDamaged, "a file below root is damaged: put back root/identity, or have the release role write root/approvals again; else begin anew"},
		{root.ErrNotApproved, "no image is approved for this kiosk: have the release role write root/approvals"},
		{vault.ErrRolledBack, "vault is an older copy than the TPM's counter allows: begin anew; if nobody put a backup back, treat it as an attack"},
		{vault.ErrOtherTPM, "vault does not belong to this TPM and device: bring disk and board together again, or begin anew"},
		{vault.ErrNotSealed, "vault is missing or not sealed: put the right one back, or begin anew; if nobody moved it, treat it as an attack"},
		{vault.ErrNewer, "vault was written by a newer program: install that version again"},
		{vault.ErrSpliced, "vault's records do not belong together: somebody wrote to the disk; treat it as an attack, then begin anew"},
		{vault.ErrForeign, "vault is damaged: check the disk, then begin anew"},
		{auditlog.ErrCutOff, "audit log is not the one that is remembered: delete nothing, copy the folder as evidence, compare with headquarters, then begin anew"},
		{errTPMAbsent, "the TPM is absent: check the chip and its driver, then restart the kiosk"},
	}
}

// remedy is the sentence for an error, empty when there is none.
func remedy(err error) string {
	for _, r := range remedies() {
		if errors.Is(err, r.cause) {
			return r.say
		}
	}
	return ""
}
