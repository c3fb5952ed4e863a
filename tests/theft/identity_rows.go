package main

import (
	"path/filepath"

	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/sync/wire"
)

// identityRows change what provisioning left on the disk: nobody signs that file, so the TPM must refuse what follows from it.
func (t *theft) identityRows() []row {
	v, thief := t.victim, t.thief
	end := v.moments[theEnd]
	// changed starts a kiosk whose identity file was worked on; then, if not nil, it is asked for more than its vault.
	changed := func(chip moment, work func(*root.Identity), write func(*kiosk) error) func() (string, error) {
		return func() (string, error) {
			k, err := t.stage(end, chip)
			if err == nil {
				err = changeIdentity(k.disk(), work)
			}
			if err == nil && write != nil {
				err = write(k)
			}
			if err != nil {
				return "", err
			}
			return opened(k, k.start(v.image))
		}
	}
	return []row{
		{"5.13", "identity: the pin of the thief's TPM, at the victim's", tpm.ErrOtherTPM, changed(end, func(id *root.Identity) { id.Pin = thief.id.Pin }, nil)},
		{"5.14", "identity: the pin of the thief's TPM, at the thief's", tpm.ErrOtherTPM,
			changed(thief.moments["begun"], func(id *root.Identity) { id.Pin, id.Endorsement = thief.id.Pin, thief.id.Endorsement }, nil)},
		{"5.15", "identity: the thief's release key, and an approval by it", tpm.ErrObject,
			changed(end, func(id *root.Identity) { id.Release = thief.id.Release }, func(k *kiosk) error {
				return v.approve(k.disk(), thief.release, v.image, v.id.Floor)
			})},
		{"5.16", "identity: another device id", root.ErrDamaged, changed(end, func(id *root.Identity) { id.Device[0] ^= 1 }, nil)},
		{"5.21", "identity: another audit key, so another kiosk id", root.ErrDamaged, changed(end, func(id *root.Identity) { id.AuditPublic = thief.id.AuditPublic }, nil)},
		{"5.17", "identity: the thief's device id and the attestation key that it is of", tpm.ErrObject,
			changed(end, func(id *root.Identity) { id.Device, id.Attestation = thief.id.Device, thief.id.Attestation }, nil)},
		{"5.18", "identity: data key and audit key exchanged", tpm.ErrObject, changed(end, func(id *root.Identity) { id.Data, id.Audit = id.Audit, id.Data }, nil)},
		{"5.19", "identity: the thief's sealed data key for the victim's", tpm.ErrObject, changed(end, func(id *root.Identity) { id.Data = thief.id.Data }, nil)},
		{"5.20", "identity: audit key in the TLS key's place, to have a handshake signed by it", tpm.ErrSecret, func() (string, error) {
			k, err := t.stage(end, end)
			if err == nil {
				err = changeIdentity(k.disk(), func(id *root.Identity) { id.TLS = id.Audit })
			}
			if err == nil {
				err = k.power()
			}
			if err == nil {
				err = k.attach(v.image)
			}
			if err == nil {
				_, err = k.root.SignTLS(clientHandshake())
			}
			return "it signs", err
		}},
	}
}

// clientHandshake is a message that the TLS key signs: RFC 8446, 4.4.3, over a transcript of zeros.
func clientHandshake() []byte {
	var message []byte
	for range 64 {
		message = append(message, ' ')
	}
	return append(append(message, "TLS 1.3, client CertificateVerify\x00"...), make([]byte, 32)...)
}

// changeIdentity writes another identity to a disk, as whoever has the disk can.
func changeIdentity(disk string, work func(*root.Identity)) error {
	id, err := root.Load(disk)
	if err != nil {
		return err
	}
	work(&id)
	data, err := wire.Marshal(id)
	if err != nil {
		return err
	}
	return root.Replace(filepath.Join(disk, "root", "identity"), data)
}
