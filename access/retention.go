package access

import (
	"fmt"
	"time"
)

// Retention is how long each class of data is kept once it serves nobody any more. The zero Retention is refused: what is kept for
// how long is always said.
type Retention struct {
	Revoked   time.Duration `cbor:"1,keyasint"` // references of the revoked, by which the door knows whom it refuses
	Expired   time.Duration `cbor:"2,keyasint"` // references whose lease ended at its time
	Suspended time.Duration `cbor:"3,keyasint"` // references of the suspended
	Lockout   time.Duration `cbor:"4,keyasint"` // refusals that are remembered of a door or a person
	Events    time.Duration `cbor:"5,keyasint"` // records that headquarters has acknowledged
}

const (
	day = 24 * time.Hour
	// leastKept: the job that removes may run at any hour, and less is an accident waiting.
	leastKept = day
	// mostKept is a year and what a yearly review is late by.
	mostKept = 400 * day
)

// DefaultRetention is the embedded default.
func DefaultRetention() Retention {
	return Retention{Revoked: 30 * day, Expired: 7 * day, Suspended: 180 * day, Lockout: 7 * day, Events: 90 * day}
}

// Validate refuses what would keep data for ever, or hardly at all.
func (r Retention) Validate() error {
	for _, class := range [...]struct {
		name string
		kept time.Duration
	}{
		{"revoked people", r.Revoked}, {"expired people", r.Expired}, {"suspended people", r.Suspended},
		{"lockouts", r.Lockout}, {"events", r.Events},
	} {
		if class.kept < leastKept || class.kept > mostKept {
			return fmt.Errorf("%s are kept for %v, outside %v..%v", class.name, class.kept, leastKept, mostKept)
		}
	}
	return nil
}
