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
	Locked   Item = "hq lockdown" // present while a lockdown of headquarters stands
	Disabled Item = "hq disabled" // present while nobody is to be recognised
	Retired  Item = "hq retired"  // present once the kiosk was decommissioned: then nobody is stored any more
	Pending  Item = "hq pending"  // what the audit log still has to say of commands that are applied
	Door     Item = "hq door"     // name of the kiosk's door, as the kiosk was first told it with a headquarters
	InForce  Item = keyPolicy     // what SetPolicy keeps, for whoever changes it together with the document
)

// maxItem is the longest value, bytes: a policy document of 128 KiB and what a program may come to put around it.
const maxItem = 160 << 10

func (i Item) known() bool {
	switch i {
	case Stream, Fleet, Exchange, Document, Locked, Disabled, Retired, Pending, Door, InForce:
		return true
	}
	return false
}

// retired is ErrRetired once the kiosk was.
func retired(b book) error {
	value, err := b.value(bucketMeta, []byte(Retired))
	if err == nil && value != nil {
		err = ErrRetired
	}
	return err
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
