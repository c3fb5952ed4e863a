package vault

import (
	"fmt"

	"github.com/lintel-access/lintel/sync/wire"
)

// Receipt says that a person was deleted and cannot come back with this generation or an earlier one. The roof signs its encoding.
type Receipt struct {
	// Person is HMAC-SHA256 of the id under the kiosk's subject key, which headquarters has. The audit log's pseudonyms are of one day each.
	Person     [32]byte `cbor:"1,keyasint"`
	Generation uint64   `cbor:"2,keyasint"` // the highest that ended
	Counter    uint64   `cbor:"3,keyasint"` // the TPM's, after it rose for the deletion; 0 from a plain vault
}

// Encode is deterministic CBOR.
func (r Receipt) Encode() ([]byte, error) {
	b, err := wire.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode receipt: %w", err)
	}
	return b, nil
}
