package vault

import "fmt"

const keyLockdown = "lockdown"

// Lockdown says whether a lockdown stands. Whatever is found under its key counts as one: a door that cannot read its order stays shut.
func (v *Vault) Lockdown() (on bool, err error) {
	err = v.view(func(b book) error {
		value, err := b.value(bucketMeta, []byte(keyLockdown))
		on = value != nil
		return err
	})
	if err != nil {
		return true, fmt.Errorf("read lockdown: %w", err)
	}
	return on, nil
}

// SetLockdown keeps a lockdown over every restart, or ends that, durably. In a sealed vault both raise the counter.
func (v *Vault) SetLockdown(on bool) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	u, value := ordinary, []byte(nil)
	if on {
		u, value = restricting, []byte{1}
	}
	if err := v.change(u, func(b book) error { return b.setValue(bucketMeta, []byte(keyLockdown), value) }); err != nil {
		return fmt.Errorf("store lockdown: %w", err)
	}
	return nil
}
