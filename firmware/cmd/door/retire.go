package main

import (
	"errors"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault"
)

// empty has the vault of a retired kiosk forget whoever is still there: somebody may have been enrolled at the door between the order's judgement and its
// transaction. Nobody comes after it.
func (k *kiosk) empty() error {
	orders, err := k.everybody()
	if err != nil || len(orders) == 0 {
		return err
	}
	var list []access.Record
	for _, o := range orders {
		list = append(list, k.aboutPerson(access.EventPersonDeleted, about(o), "decommissioned"))
	}
	_, err = k.store.Apply(vault.Step{Orders: orders}, nil)
	late, err := stored(err)
	if err == nil {
		err = errors.Join(late, k.recordAll(list))
	}
	return err
}

// everybody are the orders that forget whoever is stored.
func (k *kiosk) everybody() (orders []vault.Order, err error) {
	var people []access.PersonID
	err = k.store.States(func(id access.PersonID, _ vault.State) error { people = append(people, id); return nil })
	for _, id := range people {
		p, getErr := k.store.Get(id, [32]byte{}) // no bundle: no reference is read
		if err = errors.Join(err, getErr); err != nil {
			return nil, err
		}
		orders = append(orders, vault.Forget{Person: id, Generation: p.Generation})
	}
	return orders, err
}
