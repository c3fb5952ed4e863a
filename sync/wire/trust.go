package wire

import (
	"errors"
	"fmt"
)

// Trust says who may do what to the fleet. The fleet root signs it, offline, for Fleet; a kiosk keeps the one of the highest version.
type Trust struct {
	Version uint64  `cbor:"1,keyasint"` // rises with every change, from 1
	Issued  int64   `cbor:"2,keyasint"` // Unix seconds
	Grants  []Grant `cbor:"3,keyasint"`
	// Authorities are the CA certificates (DER) that may vouch for headquarters' servers, two of them while one is being replaced.
	Authorities [][]byte `cbor:"4,keyasint"`
}

// Grant lets one key act in one role.
type Grant struct {
	Role  Role   `cbor:"1,keyasint"`
	Key   []byte `cbor:"2,keyasint"` // SubjectPublicKeyInfo
	Name  string `cbor:"3,keyasint"` // of the operator or the server, 1 to 64 bytes
	From  int64  `cbor:"4,keyasint"` // Unix seconds: before, the key may not act
	Until int64  `cbor:"5,keyasint"` // Unix seconds: from then on neither
}

// MaxCertificate is the largest certificate that is believed to be one, bytes.
const MaxCertificate = 4 << 10

// Bounds of a Trust.
const (
	maxGrants      = 128
	maxAuthorities = 4
	maxName        = 64
)

// Kind is KindTrust.
func (Trust) Kind() Kind { return KindTrust }

// Validate refuses what no fleet root would sign.
func (t Trust) Validate() error {
	if t.Version == 0 || t.Issued <= 0 {
		return errors.New("no version, or no date")
	}
	if len(t.Grants) > maxGrants || len(t.Authorities) > maxAuthorities {
		return fmt.Errorf("%d grants and %d authorities, at most %d and %d", len(t.Grants), len(t.Authorities), maxGrants, maxAuthorities)
	}
	for i, g := range t.Grants {
		if g.Role < RoleServer || g.Role > RoleReleaser {
			return fmt.Errorf("grant %d: %v is not known", i+1, g.Role)
		}
		if _, err := ParseKey(g.Key); err != nil {
			return fmt.Errorf("grant %d: %w", i+1, err)
		}
		if err := checkText(g.Name, 1, maxName); err != nil {
			return fmt.Errorf("grant %d: name: %w", i+1, err)
		}
		if g.From <= 0 || g.Until <= g.From {
			return fmt.Errorf("grant %d: from %d until %d", i+1, g.From, g.Until)
		}
	}
	for i, a := range t.Authorities {
		if len(a) == 0 || len(a) > MaxCertificate {
			return fmt.Errorf("authority %d has %d bytes, at most %d", i+1, len(a), MaxCertificate)
		}
	}
	return nil
}

// Grant finds the grant under which a key may sign a kind of envelope at a time (Unix seconds; 0: no time is trusted, then dates are not asked).
func (t Trust) Grant(key KeyID, kind Kind, now int64) (Grant, error) {
	return t.grant(key, kind, func(g Grant) bool { return now == 0 || now >= g.From && now < g.Until })
}

// GrantSince is Grant for somebody who does not know the time, but that it is not before floor (Unix seconds): what had ended by then has ended.
func (t Trust) GrantSince(key KeyID, kind Kind, floor int64) (Grant, error) {
	return t.grant(key, kind, func(g Grant) bool { return floor < g.Until })
}

func (t Trust) grant(key KeyID, kind Kind, inForce func(Grant) bool) (Grant, error) {
	why := errors.New("key is not granted")
	for _, g := range t.Grants {
		public, err := ParseKey(g.Key)
		if err != nil {
			return Grant{}, err
		}
		id, err := IDOf(public)
		if err != nil {
			return Grant{}, err
		}
		switch {
		case id != key:
		case !g.Role.May(kind):
			why = fmt.Errorf("%v %q may not sign this: %v", g.Role, g.Name, kind)
		case !inForce(g):
			why = fmt.Errorf("grant of %q is not in force", g.Name)
		default:
			return g, nil
		}
	}
	return Grant{}, why
}
