package vault

import "fmt"

const (
	keyPolicy = "policy"
	maxPolicy = 64 << 10 // bytes
)

// SetPolicy keeps the policy in force, or its hash, durably. In a sealed vault the counter has risen when it returns: no restart brings
// an earlier policy back.
func (v *Vault) SetPolicy(value []byte) error {
	if len(value) == 0 || len(value) > maxPolicy {
		return fmt.Errorf("store policy: %d bytes, want 1 to %d; store its hash", len(value), maxPolicy)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.change(restricting, func(b book) error { return b.setValue(bucketMeta, []byte(keyPolicy), value) }); err != nil {
		return fmt.Errorf("store policy: %w", err)
	}
	return nil
}

// Policy returns what was stored last; nil when nothing was.
func (v *Vault) Policy() (value []byte, err error) {
	err = v.view(func(b book) error {
		stored, err := b.value(bucketMeta, []byte(keyPolicy))
		value = append(value, stored...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	return value, nil
}
