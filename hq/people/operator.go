package people

import (
	"crypto"
	"fmt"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

// Operator is somebody who signs orders with a key of their own. Kiosks ask the same of every order that reaches them; it is asked here so that nothing
// is promised which they would refuse.
type Operator struct {
	key   crypto.Signer
	id    wire.KeyID
	trust wire.Trust
}

// NewOperator takes an operator's key and the Trust that says what it may sign, which the caller has verified.
func NewOperator(key crypto.Signer, trust wire.Trust) (Operator, error) {
	id, err := wire.IDOf(key.Public())
	return Operator{key, id, trust}, err
}

// may refuses a kind that the operator may not sign now.
func (o Operator) may(k wire.Kind, now time.Time) error {
	if o.key == nil {
		return fmt.Errorf("sign %v: no key", k)
	}
	if _, err := o.trust.Grant(o.id, k, now.Unix()); err != nil {
		return fmt.Errorf("sign %v: %w", k, err)
	}
	return nil
}
