package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/match"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/inference/model"
)

// person is somebody whom a victim's vault knows, with what is to be found nowhere.
type person struct {
	id        access.PersonID
	templates [2][]float32
	turned    [2][]float32 // as the sealed vault compares them
	content   []byte       // the key of their records
}

// victim is a kiosk with its life: copies of disk and TPM at its moments.
type victim struct {
	kiosk
	programs string
	release  *ecdsa.PrivateKey
	secrets  tpm.Secrets // of the owner, of which nothing is on the disk
	board    board.Board
	bundle   [32]byte // of the product's models, or door would leave the references out
	image    root.Measurements
	id       root.Identity

	people  []person
	keys    keys
	subject [32]byte
	boot    uint64
	count   int
	moments map[string]moment
}

func (v *victim) offline() string { return filepath.Join(v.dir, "offline") }

// newVictim provisions a TPM and has the release role approve the image. With programs door does the former, and the image is theirs.
func newVictim(dir, programs string, cpu []byte) (v *victim, err error) {
	v = &victim{kiosk: kiosk{dir: dir, cpu: cpu}, programs: programs, secrets: tpm.NewSecrets(), moments: map[string]moment{}}
	for _, d := range []string{v.disk(), v.offline()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	if v.release, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if v.board, err = board.Load("desk"); err != nil {
		return nil, err
	}
	calibration, err := model.DefaultCalibration()
	if err != nil {
		return nil, err
	}
	v.bundle = calibration.Bundle
	if err := v.power(); err != nil {
		return nil, err
	}
	if programs == "" {
		for i := range v.image {
			v.image[i] = sha256.Sum256([]byte{'i', byte(i)})
		}
		v.id, err = root.Provision(root.Path(v.socket()), v.disk(), v.secrets, &v.release.PublicKey, v.options(), true)
	} else {
		err = v.provision()
	}
	if err == nil {
		err = v.approve(v.disk(), v.release, v.image, v.id.Floor)
	}
	if err != nil {
		return nil, errors.Join(err, v.off())
	}
	return v, nil
}

// provision has door take the TPM, as the installer does.
func (v *victim) provision() error {
	der, err := x509.MarshalPKIXPublicKey(&v.release.PublicKey)
	if err != nil {
		return err
	}
	public := filepath.Join(v.offline(), "release.pub")
	if err := os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(v.programs, "door"), "provision", "-board", v.board.Name, "-tpm", v.socket(), "-state", v.disk(),
		"-release", public, "-secrets", filepath.Join(v.offline(), "owner"))
	cmd.Env = []string{}
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("door provision: %w: %q", err, said)
	}
	owner, err := os.ReadFile(filepath.Join(v.offline(), "owner"))
	if err != nil {
		return err
	}
	if _, err := hex.Decode(v.secrets[:], bytes.TrimSpace(owner)); err != nil {
		return fmt.Errorf("owner's secrets: %w", err)
	}
	if v.id, err = root.Load(v.disk()); err != nil {
		return err
	}
	v.image, err = root.MeasureImage(v.programs, v.board)
	return err
}

// approve replaces what is approved on a disk by an image, signed by whichever key.
func (v *victim) approve(disk string, key *ecdsa.PrivateKey, image root.Measurements, version uint64) error {
	a, err := root.Approve(key, v.id, image, version)
	if err != nil {
		return err
	}
	return root.WriteApprovals(disk, a)
}

// begin is the first power-on: the vault is taken over and somebody enrolled. It is all the life of a kiosk that is not the victim.
func (v *victim) begin() error {
	err := v.start(v.image)
	if err == nil {
		err = v.openLog()
	}
	if err == nil {
		v.subject, err = v.vault.SubjectKey()
	}
	if err == nil {
		v.boot, err = v.vault.Boot()
	}
	if err == nil {
		err = v.enrol()
	}
	if err == nil {
		err = v.anchor()
	}
	if err == nil {
		err = v.copy("begun")
	}
	return errors.Join(err, v.off())
}

// enrol stores one more person, and records it.
func (v *victim) enrol() error {
	p := newPerson()
	if err := put(v.vault, p, v.bundle, v.boot); err != nil {
		return err
	}
	v.people = append(v.people, p)
	return v.record(access.EventEnrolled, p.id)
}

func newPerson() (p person) {
	rand.Read(p.id[:])
	for i := range p.templates {
		p.templates[i] = newTemplate()
	}
	return p
}

func newTemplate() []float32 {
	bytes := make([]byte, 4*access.ProbeSize)
	rand.Read(bytes)
	t := make([]float32, access.ProbeSize)
	for i := range t {
		t[i] = float32(int32(bytes[4*i])|int32(bytes[4*i+1])<<8|int32(bytes[4*i+2])<<16) - 1<<23 // 24 bits, around zero: every byte of it counts
	}
	match.Normalise(t)
	return t
}

func put(to *vault.Vault, p person, bundle [32]byte, boot uint64) error {
	stored := vault.Person{ID: p.id, State: vault.Active, Generation: 1}
	for _, components := range p.templates {
		t, err := vault.NewTemplate(components)
		if err != nil {
			return err
		}
		stored.References = append(stored.References, vault.Reference{Template: t, Bundle: bundle, Created: boot, Quality: 1})
	}
	return to.Put(stored)
}

// copy keeps disk and TPM as they are at this moment. The vault is between two commits, and swtpm has written what it acknowledged.
func (v *victim) copy(name string) error {
	v.count++
	m := moment(filepath.Join(v.dir, fmt.Sprint(v.count)))
	v.moments[name] = m
	return errors.Join(copyTree(m.disk(), v.disk()), copyTree(m.chip(), v.chip()))
}
