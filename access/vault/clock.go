package vault

import (
	"time"
)

const (
	// maxUntrusted is how long a lease runs on powered hours alone, summed over restarts, since trusted time was last seen.
	maxUntrusted = 72 * time.Hour
	// saveAge is how often the vault's age is written when nothing else is.
	saveAge = 5 * time.Minute
	// startCost is what each start adds to the age: so much of the last run may be unwritten. Pulling the plug lengthens no lease.
	startCost = saveAge + time.Minute
)

// head is the sealed record that says which version the file is of, and how old the vault is.
type head struct {
	Version uint64 `cbor:"1,keyasint"` // the TPM's counter is this, or one less while a raise is pending
	Sum     tally  `cbor:"2,keyasint"`
	// Age is how much time has demonstrably passed since the vault was made: powered hours, and what trusted time shows beyond them.
	Age        time.Duration `cbor:"3,keyasint"`
	Trusted    int64         `cbor:"4,keyasint"` // Unix seconds when time was last trusted; 0: never
	TrustedAge time.Duration `cbor:"5,keyasint"` // Age then
	Day        int64         `cbor:"6,keyasint"` // of Age, whose raises are counted
	Raised     uint32        `cbor:"7,keyasint"` // on that day
	Turn       uint64        `cbor:"8,keyasint"` // which rotation the templates are under, from 1
}

// advance moves the clock on by powered time. wall is trusted Unix time, 0 when nobody vouches for any. Trusted time that would go
// back is not believed.
func (h *head) advance(powered time.Duration, wall int64) {
	h.Age += max(powered, 0)
	if wall <= 0 || wall < h.Trusted {
		return
	}
	if h.Trusted != 0 {
		const most = int64(1<<62) / int64(time.Second) // 146 years; beyond it a duration would overflow
		h.Age = max(h.Age, h.TrustedAge+time.Duration(min(wall-h.Trusted, most))*time.Second)
	}
	h.Trusted, h.TrustedAge = wall, h.Age
}

// expiry is the age at which a lease until a Unix second ends by the best estimate of time, and false when no time was ever trusted.
func (h head) expiry(until int64) (time.Duration, bool) {
	if h.Trusted == 0 {
		return 0, false
	}
	const most = int64(1<<61) / int64(time.Second)
	return h.TrustedAge + time.Duration(max(-most, min(until-h.Trusted, most)))*time.Second, true
}

// ended says whether a lease has run out: at its time, or after too many hours in which nobody vouched for any. granted is the age
// at which it was stored. 0 is no lease and never ends.
func (h head) ended(until int64, granted time.Duration) bool {
	if until == 0 {
		return false
	}
	if h.Age-max(granted, h.TrustedAge) >= maxUntrusted {
		return true
	}
	at, known := h.expiry(until)
	return known && h.Age >= at
}
