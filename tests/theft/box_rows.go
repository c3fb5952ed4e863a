package main

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/firmware/root"
)

// boxRows are the whole box under a system of the thief's own. Without verified boot that system measures whatever it likes; with it the boot
// chain has measured the thief's image before a line of it runs.
func (t *theft) boxRows() []row {
	free, bound := t.victim.moments[theEnd], t.bound.moments["begun"]
	thiefs := root.Measurements{}
	for i := range thiefs {
		thiefs[i] = sha256.Sum256([]byte{'t', byte(i)})
	}
	return []row{
		{"9.1", "whole box, own system extends our measurements; no verified boot, no CPU secret", nil, func() (string, error) {
			k, err := t.stage(free, free)
			if err == nil {
				err = k.start(t.victim.image)
			}
			if err != nil {
				return "", err
			}
			return t.loot(k)
		}},
		{"9.2", "the same, with a CPU secret that the thief's system cannot read", tpm.ErrSecret, func() (string, error) {
			k, err := t.stage(bound, bound)
			if err != nil {
				return "", err
			}
			return opened(k, k.start(t.bound.image))
		}},
		{"9.3", "control: that kiosk under its own system, which can read it", nil, func() (string, error) {
			k, err := t.stage(bound, bound)
			if err != nil {
				return "", err
			}
			k.cpu = t.bound.cpu
			return opened(k, k.start(t.bound.image))
		}},
		{"9.4", "whole box, verified boot (simulated) measured the thief's image before it ran", tpm.ErrPCR, func() (string, error) {
			k, err := t.stage(free, free)
			if err != nil {
				return "", err
			}
			return opened(k, k.start(thiefs))
		}},
		{"9.5", "the same, the thief extends our published measurements on top", tpm.ErrPCR, func() (string, error) {
			k, err := t.stage(free, free)
			if err == nil {
				err = t.underVerifiedBoot(k, thiefs, func(own *tpm.TPM) error {
					for i, digest := range t.victim.image {
						if err := own.Extend(tpm.PCRImage+i, digest); err != nil {
							return err
						}
					}
					return nil
				})
			}
			if err == nil {
				err = k.attach(t.victim.image)
			}
			if err != nil {
				return "", err
			}
			return opened(k, k.openVault())
		}},
		{"9.6", "verified boot, no CPU secret: vault's counter raised, then the kiosk starts", vault.ErrRolledBack, func() (string, error) {
			k, err := t.stage(free, free)
			if err == nil {
				err = t.underVerifiedBoot(k, thiefs, func(own *tpm.TPM) error {
					_, err := own.Raise(tpm.VaultVersion)
					return err
				})
			}
			if err != nil {
				return "", err
			}
			return opened(k, k.start(t.victim.image))
		}},
		{"9.7", "verified boot, no CPU secret: audit anchor overwritten, then the kiosk starts", auditlog.ErrCutOff, func() (string, error) {
			k, err := t.stage(free, free)
			if err == nil {
				err = t.underVerifiedBoot(k, thiefs, func(own *tpm.TPM) error {
					return own.WriteAnchor(append(binary.BigEndian.AppendUint64([]byte("LNTLANC1"), 1), make([]byte, 32)...))
				})
			}
			if err == nil {
				err = k.startLog(t.victim.image)
			}
			return "the log opens", err
		}},
		{"9.8", "verified boot, no CPU secret: own key sealed, own vault behind it, the kiosk starts", nil, func() (string, error) {
			k, err := t.stage(free, free)
			if err == nil {
				err = t.plant(k, t.victim, thiefs)
			}
			if err == nil {
				err = k.start(t.victim.image)
			}
			if err != nil {
				return "", err
			}
			if n := k.vault.Count(); n != 1 {
				return "", fmt.Errorf("%d people", n)
			}
			return "OPENS THE THIEF'S VAULT with the thief's person, as the threat model says", nil
		}},
		{"9.9", "the same, with a CPU secret that the thief's system cannot read", tpm.ErrSecret, func() (string, error) {
			k, err := t.stage(bound, bound)
			if err == nil {
				err = t.plant(k, t.bound, thiefs)
			}
			if err != nil {
				return "", err
			}
			k.cpu = t.bound.cpu
			return opened(k, k.start(t.bound.image))
		}},
	}
}

// loot is what the thief has who opened the vault: the templates, turned, and by the data key the transform; so faces.
func (t *theft) loot(k *kiosk) (string, error) {
	people, templates := 0, 0
	err := k.vault.All(t.victim.bundle, func(p vault.Person) error {
		people++
		for _, r := range p.References {
			if r.Template.Copy(make([]float32, access.ProbeSize)) == access.ProbeSize {
				templates++
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if people == 0 || templates == 0 {
		return "", errEmpty
	}
	return fmt.Sprintf("OPENS, as the threat model says: %d people, %d templates", people, templates), nil
}

// underVerifiedBoot starts a thief's image whose measurements the boot chain has extended, and lets it use the TPM with what lies on the disk.
func (t *theft) underVerifiedBoot(k *kiosk, image root.Measurements, do func(*tpm.TPM) error) error {
	if err := k.power(); err != nil {
		return err
	}
	id, err := root.Load(k.disk())
	if err != nil {
		return err
	}
	release, err := x509.ParsePKIXPublicKey(id.Release)
	if err != nil {
		return err
	}
	public, ok := release.(*ecdsa.PublicKey)
	if !ok {
		return fmt.Errorf("release key is %T", release)
	}
	own, err := k.bare(tpm.Authority{Release: public, Board: id.Device[:]})
	if err != nil {
		return err
	}
	for i, digest := range image {
		err = errors.Join(err, own.Extend(tpm.PCRImage+i, digest))
	}
	if err == nil {
		err = do(own)
	}
	return errors.Join(err, own.Close())
}

// plant seals a key of the thief's own to the victim's TPM, and puts a vault of the thief's own people behind it. The TPM is reset afterwards.
func (t *theft) plant(k *kiosk, v *victim, image root.Measurements) error {
	own := &software{key: [32]byte{7}}
	var sealed tpm.Blob
	err := t.underVerifiedBoot(k, image, func(chip *tpm.TPM) (err error) {
		if own.counter, err = chip.Counter(tpm.VaultVersion); err != nil {
			return err
		}
		sealed, err = chip.Seal(append(own.key[:], make([]byte, 8)...))
		return err
	})
	if err != nil {
		return err
	}
	own.counter-- // taking over raises it to what the TPM's is
	if err := os.Remove(k.file()); err != nil {
		return err
	}
	if err := makeVault(k.file(), vault.Options{Root: own, Device: v.id.Device, Adopt: true}); err != nil {
		return err
	}
	return changeIdentity(k.disk(), func(id *root.Identity) { id.Data = sealed })
}
