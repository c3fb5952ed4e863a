package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault/locked"
)

// schemaSealed is the schema of a sealed vault; a plain one has schema.
const schemaSealed = 2

// seal holds the keys of an open sealed vault. FORMAT.md draws them.
//
//	data key (TPM) ─HKDF(device)─┬─ index      names of the records
//	                             ├─ value      head, tombstones, lockouts, boot counter, anchors
//	                             ├─ wrap ───── content key, random, one a person ── that person's record and reference sets
//	                             ├─ sum        which records belong to this version
//	                             ├─ subject    pseudonyms of the audit log
//	                             └─ transform ─HMAC(turn)─ seed of Q
//
// Four of the keys lie in locked pages. value, wrap and content keys lie on Go's heap: expanded AES keys have no other place. Keeping the process
// out of core dumps is the roof's.
type seal struct {
	device                         [32]byte
	index, sum, subject, transform *[32]byte // in pages
	value                          cipher.AEAD
	wrap                           cipher.AEAD
	q                              *rotation

	release func() // wipes the pages
	locked  bool
}

func newSeal(root Root, device [32]byte) (*seal, error) {
	if device == [32]byte{} {
		return nil, errors.New("no device id: set Options.Device to the id that the kiosk was provisioned with")
	}
	key, err := root.Unseal()
	if err != nil {
		return nil, fmt.Errorf("%w: unseal data key: %w", ErrRoot, err)
	}
	defer clear(key[:])
	if key == [32]byte{} {
		return nil, fmt.Errorf("%w: the data key is zero", ErrRoot)
	}
	s := &seal{device: device}
	var value, wrap [32]byte
	defer func() { clear(value[:]); clear(wrap[:]) }()
	if err := s.place(); err != nil {
		return nil, err
	}
	// Extracted once: each time leaves the data key in the buffer of a hash.
	extracted, err := hkdf.Extract(sha256.New, key[:], device[:])
	if err != nil {
		s.wipe()
		return nil, fmt.Errorf("derive keys: %w", err)
	}
	defer clear(extracted)
	for name, to := range map[string]*[32]byte{
		"index": s.index, "value": &value, "wrap": &wrap, "sum": s.sum, "subject": s.subject, "transform": s.transform,
	} {
		derived, err := hkdf.Expand(sha256.New, extracted, "lintel vault 2 "+name, len(to))
		if err != nil {
			s.wipe()
			return nil, fmt.Errorf("derive %s key: %w", name, err)
		}
		copy(to[:], derived)
		clear(derived)
	}
	if s.value, err = newAEAD(&value); err == nil {
		s.wrap, err = newAEAD(&wrap)
	}
	if err != nil {
		s.wipe()
		return nil, err
	}
	return s, nil
}

// place gives the keys that hash their room.
func (s *seal) place() error {
	pages, release, isLocked, err := locked.Bytes(4 * 32)
	if err != nil {
		return fmt.Errorf("place keys: %w", err)
	}
	s.release, s.locked = release, isLocked
	for i, k := range []**[32]byte{&s.index, &s.sum, &s.subject, &s.transform} {
		*k = (*[32]byte)(pages[32*i:])
	}
	return nil
}

// newAEAD draws its nonces at random and puts them in front. The busiest key, value, seals some thousand records a day: far from 2^32.
func newAEAD(key *[32]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// wipe overwrites what can be reached of the keys.
func (s *seal) wipe() {
	s.release()
	s.locked = false
	s.index, s.sum, s.subject, s.transform = new([32]byte), new([32]byte), new([32]byte), new([32]byte) // the pages are gone
	s.value, s.wrap = nil, nil
	if s.q != nil {
		s.q.drop()
	}
}

// seed is that of the turn-th rotation.
func (s *seal) seed(turn uint64) [32]byte {
	return mac(s.transform, binary.BigEndian.AppendUint64(nil, turn))
}

// name is the key in a bucket of what is called id elsewhere. A person has one name in all buckets, so that the content key is found
// from the record alone; names of different kinds never meet.
func (s *seal) name(bucket string, id []byte) []byte {
	if bucket == bucketKey || bucket == bucketTombstone {
		bucket = bucketPerson
	}
	n := mac(s.index, []byte{byte(len(bucket))}, []byte(bucket), id)
	return n[:]
}

// associated is what a value is bound to: it opens in no other place. model is zero but for reference sets.
func (s *seal) associated(bucket string, name []byte, model [32]byte) []byte {
	b := make([]byte, 0, len(magic)+4+len(s.device)+len(model)+1+len(bucket)+len(name))
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint32(b, schemaSealed)
	b = append(b, s.device[:]...)
	b = append(b, model[:]...)
	b = append(b, byte(len(bucket)))
	b = append(b, bucket...)
	return append(b, name...)
}

// A tally is the sum, modulo 2^256, of a keyed hash of every sealed record but the head, in which it stands. A record of another age
// in a file otherwise of today changes it. Who does not have the key can predict no summand, and sees no sum.
type tally [32]byte

const (
	nonceSize = 12 // of AES-GCM
	tagSize   = 16
	overhead  = nonceSize + tagSize
)

// summand stands for one sealed record by its nonce and tag; that the rest belongs to them, opening it shows.
func (s *seal) summand(bucket string, name, sealed []byte) tally {
	return mac(s.sum, []byte{byte(len(bucket))}, []byte(bucket), name, sealed[:nonceSize], sealed[len(sealed)-tagSize:])
}

func (t *tally) add(o tally) {
	var carry uint64
	for i := 24; i >= 0; i -= 8 {
		var sum uint64
		sum, carry = bits.Add64(binary.BigEndian.Uint64(t[i:]), binary.BigEndian.Uint64(o[i:]), carry)
		binary.BigEndian.PutUint64(t[i:], sum)
	}
}

func (t *tally) subtract(o tally) {
	var borrow uint64
	for i := 24; i >= 0; i -= 8 {
		var difference uint64
		difference, borrow = bits.Sub64(binary.BigEndian.Uint64(t[i:]), binary.BigEndian.Uint64(o[i:]), borrow)
		binary.BigEndian.PutUint64(t[i:], difference)
	}
}

// pseudonym is the person's name in the audit log and on receipts, uncut.
func pseudonym(subject *[32]byte, id access.PersonID) [32]byte { return mac(subject, id[:]) }

// mac is HMAC-SHA256 (RFC 2104) of the parts, one behind the other. crypto/hmac leaves the key on the heap twice at every call, until that memory is
// used again; this one wipes what it writes down of it.
func mac(key *[32]byte, parts ...[]byte) (sum [32]byte) {
	var block [sha256.BlockSize]byte
	defer clear(block[:])
	pad := func(with byte) []byte {
		for i := range block {
			block[i] = with
		}
		subtle.XORBytes(block[:], block[:], key[:])
		return block[:]
	}
	h := sha256.New()
	h.Write(pad(0x36))
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	h.Reset()
	h.Write(pad(0x5c))
	h.Write(sum[:])
	h.Sum(sum[:0])
	return sum
}
