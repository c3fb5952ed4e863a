package vault

import "fmt"

// Item is something that headquarters gave the kiosk to keep beside people. Its value is opaque here.
type Item string

// The items.
const (
	Stream   Item = "hq stream"   // how far headquarters' commands are applied, and whom the kiosk obeys
	Fleet    Item = "hq root"     // hash of the fleet root's key that the kiosk was first given
	Exchange Item = "hq exchange" // keys for sealed content, as the TPM wrapped them
	Document Item = "hq policy"   // the policy document in force
	Disabled Item = "hq disabled" // present while nobody is to be recognised
	Retired  Item = "hq retired"  // present once the kiosk was decommissioned
)

// maxItem is the longest value, bytes: a policy document of 128 KiB and what a program may come to put around it.
const maxItem = 160 << 10

func (i Item) known() bool {
	switch i {
	case Stream, Fleet, Exchange, Document, Disabled, Retired:
		return true
	}
	return false
}

// Item returns what was kept last; nil when nothing was.
func (v *Vault) Item(i Item) (value []byte, err error) {
	err = v.view(func(b book) error {
		stored, err := b.value(bucketMeta, []byte(i))
		if stored != nil {
			value = append([]byte{}, stored...)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", i, err)
	}
	return value, nil
}

// SetItem keeps a value durably; nil removes it. In a sealed vault the counter has risen when it returns: no restart brings an earlier one back.
func (v *Vault) SetItem(i Item, value []byte) error {
	_, err := v.Apply(Step{Items: map[Item][]byte{i: value}, Restricts: true}, nil)
	return err
}
