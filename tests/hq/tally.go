//go:build !kiosk

package main

import (
	"github.com/lintel-access/lintel/access"
)

// records gives each record of the kiosk's own log, oldest first.
func (k *kiosk) records(f func(access.Record)) error {
	own, err := k.log()
	if err != nil {
		return err
	}
	for _, record := range own {
		r, err := decoded(record)
		if err != nil {
			return err
		}
		f(r)
	}
	return nil
}

// count counts the records of a kind in the kiosk's own log.
func (k *kiosk) count(e access.Event) (n int, err error) {
	err = k.records(func(r access.Record) { n += one(r, e) })
	return n, err
}

// newest is the newest record of a kind in the kiosk's own log, zero where there is none.
func (k *kiosk) newest(e access.Event) (last access.Record, err error) {
	err = k.records(func(r access.Record) {
		if r.Event == e {
			last = r
		}
	})
	return last, err
}

// counts are the records of a kind in each kiosk's own log.
func (s *site) counts(e access.Event) ([]int, error) {
	return s.tallied(func(r access.Record) int { return one(r, e) })
}

// tallied adds up, for each kiosk, what some of the records of its own log count for.
func (s *site) tallied(count func(access.Record) int) ([]int, error) {
	n := make([]int, len(s.kiosks))
	for i, k := range s.kiosks {
		if err := k.records(func(r access.Record) { n[i] += count(r) }); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func one(r access.Record, e access.Event) int {
	if r.Event == e {
		return 1
	}
	return 0
}
