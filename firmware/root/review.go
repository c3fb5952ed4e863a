package root

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// ErrReview means that an order is no review that the release role signed for this kiosk.
var ErrReview = errors.New("it is not a review that the release role signed for this kiosk")

// reviewRecord is what is signed. A correlation id is random and never comes again: an order that was carried out names nothing any more.
type reviewRecord struct {
	Version    uint8                `cbor:"1,keyasint"`
	Device     [32]byte             `cbor:"2,keyasint"`
	Recurrence access.CorrelationID `cbor:"3,keyasint"`
}

type signedReview struct {
	Review    []byte `cbor:"1,keyasint"` // encoding of reviewRecord
	Signature []byte `cbor:"2,keyasint"` // ECDSA P-256, ASN.1
}

const reviewVersion = 1

// reviewHash is what the release role signs. The context keeps it from being taken for anything else that the role signs: an approval's hash is of 64
// bytes that no text begins.
func reviewHash(review []byte) []byte {
	sum := sha256.Sum256(append([]byte("lintel review 1\x00"), review...))
	return sum[:]
}

// SignReview is a human's word that a recurrence at this kiosk is no attack. Until headquarters has a review role, it is the release role's, given
// offline.
func SignReview(release *ecdsa.PrivateKey, id Identity, recurrence access.CorrelationID) (order []byte, err error) {
	review, err := wire.Marshal(reviewRecord{reviewVersion, id.Device, recurrence})
	if err != nil {
		return nil, fmt.Errorf("sign review: %w", err)
	}
	signature, err := ecdsa.SignASN1(rand.Reader, release, reviewHash(review))
	if err != nil {
		return nil, fmt.Errorf("sign review: %w", err)
	}
	return wire.Marshal(signedReview{review, signature})
}

// OpenReview is the recurrence that a signed order names. ErrReview when nobody who may has signed it, or for another kiosk.
func (id Identity) OpenReview(order []byte) (access.CorrelationID, error) {
	release, err := parsePublic(id.Release)
	if err != nil {
		return access.CorrelationID{}, err
	}
	var s signedReview
	if wire.Unmarshal(order, &s) != nil || !ecdsa.VerifyASN1(release, reviewHash(s.Review), s.Signature) {
		return access.CorrelationID{}, ErrReview
	}
	var r reviewRecord
	if wire.Unmarshal(s.Review, &r) != nil || r.Version != reviewVersion || r.Device != id.Device {
		return access.CorrelationID{}, ErrReview
	}
	return r.Recurrence, nil
}
