package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/lintel-access/lintel/access"
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
// The keys lie on Go's heap: expanded AES keys have no other place. Keeping the process out of core dumps is the roof's.
type seal struct {
	device    [32]byte
	index     [32]byte
	sum       [32]byte
	subject   [32]byte
	transform [32]byte
	value     cipher.AEAD
	wrap      cipher.AEAD
	q         *rotation
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
	for name, to := range map[string]*[32]byte{
		"index": &s.index, "value": &value, "wrap": &wrap, "sum": &s.sum, "subject": &s.subject, "transform": &s.transform,
	} {
		derived, err := hkdf.Key(sha256.New, key[:], device[:], "lintel vault 2 "+name, len(to))
		if err != nil {
			return nil, fmt.Errorf("derive %s key: %w", name, err)
		}
		copy(to[:], derived)
		clear(derived)
	}
	if s.value, err = newAEAD(value); err != nil {
		return nil, err
	}
	s.wrap, err = newAEAD(wrap)
	return s, err
}

// newAEAD draws its nonces at random and puts them in front. The busiest key, value, seals some thousand records a day: far from 2^32.
func newAEAD(key [32]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// wipe overwrites what can be reached of the keys.
func (s *seal) wipe() {
	clear(s.index[:])
	clear(s.sum[:])
	clear(s.subject[:])
	clear(s.transform[:])
	s.value, s.wrap = nil, nil
	if s.q != nil {
		s.q.drop()
	}
}

// seed is that of the turn-th rotation.
func (s *seal) seed(turn uint64) (seed [32]byte) {
	h := hmac.New(sha256.New, s.transform[:])
	h.Write(binary.BigEndian.AppendUint64(nil, turn))
	h.Sum(seed[:0])
	return seed
}

// name is the key in a bucket of what is called id elsewhere. A person has one name in all buckets, so that the content key is found
// from the record alone; names of different kinds never meet.
func (s *seal) name(bucket string, id []byte) []byte {
	if bucket == bucketKey || bucket == bucketTombstone {
		bucket = bucketPerson
	}
	h := hmac.New(sha256.New, s.index[:])
	h.Write([]byte{byte(len(bucket))})
	h.Write([]byte(bucket))
	h.Write(id)
	return h.Sum(nil)
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
func (s *seal) summand(bucket string, name, sealed []byte) (sum tally) {
	h := hmac.New(sha256.New, s.sum[:])
	h.Write([]byte{byte(len(bucket))})
	h.Write([]byte(bucket))
	h.Write(name)
	h.Write(sealed[:nonceSize])
	h.Write(sealed[len(sealed)-tagSize:])
	h.Sum(sum[:0])
	return sum
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
func pseudonym(subject [32]byte, id access.PersonID) (p [32]byte) {
	h := hmac.New(sha256.New, subject[:])
	h.Write(id[:])
	h.Sum(p[:0])
	return p
}
