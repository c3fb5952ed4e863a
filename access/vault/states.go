package vault

import "github.com/lintel-access/lintel/access"

// States calls f with everybody and what they may do at this moment, templates left closed. It stops at the first error. f must not call the vault.
func (v *Vault) States(f func(access.PersonID, State) error) error {
	return v.view(func(b book) error { return b.states(f) })
}

func (b plainBook) states(f func(access.PersonID, State) error) error {
	return b.each([32]byte{}, func(p Person) error { return f(p.ID, p.State) })
}

func (b *sealedBook) states(f func(access.PersonID, State) error) error {
	return b.records(func(r sealedPerson, _ aead) error { return f(r.ID, b.now(r)) })
}

// now is the state of a person at this moment.
func (b *sealedBook) now(r sealedPerson) State {
	if r.State == Active && b.head.ended(r.Until, r.Granted) {
		return Expired
	}
	return r.State
}
