package tpm

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// Index is a place in the TPM's non-volatile memory. The handles are in TPMs in the field: never renumber, only append.
type Index uint32

// The indices, in the range that TCG gives to the owner.
const (
	FirmwareFloor Index = 0x01804C00
	VaultVersion  Index = 0x01804C01
	AuditCounter  Index = 0x01804C02
	BootCounter   Index = 0x01804C03
	AuditAnchor   Index = 0x01804C04
)

const (
	counterSize = 8 // TPM 2.0 part 1, 37.2.3: counters are 64 bits, big-endian

	// AnchorSize is the most that WriteAnchor takes: a hash of 32 bytes, a tree size of 8, and room. One more byte tells the length.
	AnchorSize = anchorRoom - 1
	anchorRoom = 64
)

// entry is a line of the table: an index, what it is for, and its shape. All are read and written with one authorisation derived from the CPU
// secret, are exempt from the dictionary-attack lock, and reach memory that survives a cut at each write (never orderly). Only the owner's
// authorisation can remove one, and a counter that is defined again starts above the highest that any counter of this TPM ever had.
type entry struct {
	index   Index
	purpose string
	counter bool
}

var table = [...]entry{
	{FirmwareFloor, "firmware floor: approvals of lower versions no longer open", true},
	{VaultVersion, "version of the vault file", true},
	{AuditCounter, "number in audit checkpoints", true},
	{BootCounter, "number of the boot", true},
	{AuditAnchor, "last audit checkpoint", false},
}

func entryOf(i Index) (entry, error) {
	for _, e := range table {
		if e.index == i {
			return e, nil
		}
	}
	return entry{}, fmt.Errorf("NV index %#x is not in the table", uint32(i))
}

// String names the index.
func (i Index) String() string {
	e, err := entryOf(i)
	if err != nil {
		return err.Error()
	}
	return e.purpose
}

func (e entry) public(written bool) tpm2.TPMSNVPublic {
	p := tpm2.TPMSNVPublic{
		NVIndex:    tpm2.TPMHandle(e.index),
		NameAlg:    tpm2.TPMAlgSHA256,
		Attributes: tpm2.TPMANV{AuthRead: true, AuthWrite: true, NoDA: true, Written: written, NT: tpm2.TPMNTOrdinary},
		DataSize:   anchorRoom,
	}
	if e.counter {
		p.Attributes.NT, p.DataSize = tpm2.TPMNTCounter, counterSize
	} else {
		p.Attributes.WriteAll = true
	}
	return p
}

// name is the index's Name, computed and never asked for: an index of other attributes at the same handle fails the HMAC of every command.
func (e entry) name(written bool) tpm2.TPM2BName {
	p := e.public(written)
	name, err := tpm2.NVName(&p)
	if err != nil {
		panic(err) // unreachable: SHA-256 is a hash
	}
	return *name
}

func bytesEqual(a, b tpm2.TPM2BName) bool { return bytes.Equal(a.Buffer, b.Buffer) }

// Counter returns the value of a counter.
func (t *TPM) Counter(i Index) (uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counter(i)
}

func (t *TPM) counter(i Index) (uint64, error) {
	e, err := entryOf(i)
	if err != nil || !e.counter {
		return 0, fmt.Errorf("read counter: %v is none", i)
	}
	b, err := t.read(i, e.name(true), counterSize)
	if err != nil {
		return 0, fmt.Errorf("read counter, %v: %w", i, err)
	}
	return binary.BigEndian.Uint64(b), nil
}

// Raise adds one to a counter and returns the new value. On an error the counter may have been raised all the same: read it before acting on it.
func (t *TPM) Raise(i Index) (uint64, error) {
	e, err := entryOf(i)
	if err != nil || !e.counter {
		return 0, fmt.Errorf("raise counter: %v is none", i)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.increment(i, e.name(true)); err != nil {
		return 0, fmt.Errorf("raise counter, %v: %w", i, err)
	}
	return t.counter(i)
}

// ReadAnchor returns what WriteAnchor wrote last; nil if nothing yet.
func (t *TPM) ReadAnchor() ([]byte, error) {
	e, err := entryOf(AuditAnchor)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	b, err := t.read(AuditAnchor, e.name(true), anchorRoom)
	if err != nil {
		return nil, fmt.Errorf("read anchor: %w", err)
	}
	n := int(b[0])
	if n > AnchorSize {
		return nil, fmt.Errorf("read anchor: it announces %d bytes of at most %d", n, AnchorSize)
	}
	if n == 0 {
		return nil, nil
	}
	return b[1 : 1+n], nil
}

// WriteAnchor keeps 1 to AnchorSize bytes in the TPM, where neither an old disk nor a power cut brings the earlier ones back.
func (t *TPM) WriteAnchor(b []byte) error {
	if len(b) == 0 || len(b) > AnchorSize {
		return fmt.Errorf("write anchor: %d bytes are not within 1..%d", len(b), AnchorSize)
	}
	e, err := entryOf(AuditAnchor)
	if err != nil {
		return err
	}
	room := make([]byte, anchorRoom)
	room[0] = byte(len(b))
	copy(room[1:], b)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.write(AuditAnchor, e.name(true), room); err != nil {
		return fmt.Errorf("write anchor: %w", err)
	}
	return nil
}

// nv is the index as handle and as its own authorisation.
func (t *TPM) nv(i Index, name tpm2.TPM2BName, opts ...tpm2.AuthOption) (tpm2.AuthHandle, tpm2.NamedHandle) {
	h := tpm2.TPMHandle(i)
	return tpm2.AuthHandle{Handle: h, Name: name, Auth: t.session(t.auth("nv"), opts...)}, tpm2.NamedHandle{Handle: h, Name: name}
}

// nvRefusal explains the refusals of an index that is there, and of one that is not.
func nvRefusal(err error) error {
	err = refusal(err, ErrSecret, tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail)
	return refusal(err, ErrOtherTPM, tpm2.TPMRCHandle)
}

func (t *TPM) read(i Index, name tpm2.TPM2BName, size uint16) ([]byte, error) {
	auth, index := t.nv(i, name, encryptOut())
	r, err := run(t, tpm2.NVRead{AuthHandle: auth, NVIndex: index, Size: size})
	if err != nil {
		return nil, nvRefusal(err)
	}
	if len(r.Data.Buffer) != int(size) {
		return nil, fmt.Errorf("tpm returned %d bytes of %d", len(r.Data.Buffer), size)
	}
	return r.Data.Buffer, nil
}

func (t *TPM) write(i Index, name tpm2.TPM2BName, b []byte) error {
	auth, index := t.nv(i, name, encryptIn())
	_, err := run(t, tpm2.NVWrite{AuthHandle: auth, NVIndex: index, Data: tpm2.TPM2BMaxNVBuffer{Buffer: b}})
	return nvRefusal(err)
}

func (t *TPM) increment(i Index, name tpm2.TPM2BName) error {
	auth, index := t.nv(i, name)
	_, err := run(t, tpm2.NVIncrement{AuthHandle: auth, NVIndex: index})
	return nvRefusal(err)
}
