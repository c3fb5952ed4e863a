package vault

import "fmt"

const keyCamera = "camera"

// SetCamera keeps the identity of the one camera whose evidence counts, durably. In a sealed vault the counter has risen when it returns: no restart brings
// an earlier camera back.
func (v *Vault) SetCamera(identity [32]byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.change(restricting, func(b book) error { return b.setValue(bucketMeta, []byte(keyCamera), identity[:]) }); err != nil {
		return fmt.Errorf("store camera: %w", err)
	}
	return nil
}

// Camera is the identity that was stored last; found is false before the first. What has another length is an error: no camera is accepted then.
func (v *Vault) Camera() (identity [32]byte, found bool, err error) {
	err = v.view(func(b book) error {
		stored, err := b.value(bucketMeta, []byte(keyCamera))
		if err == nil && stored != nil && len(stored) != len(identity) {
			err = fmt.Errorf("%d bytes, want %d", len(stored), len(identity))
		}
		found = stored != nil
		copy(identity[:], stored)
		return err
	})
	if err != nil {
		return [32]byte{}, false, fmt.Errorf("read camera: %w", err)
	}
	return identity, found, nil
}
