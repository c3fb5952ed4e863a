package authority

import (
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

// Amend makes the next version of a Trust. It refuses one that would lock everybody out, or that lets headquarters' server act as an operator.
func Amend(t wire.Trust, now time.Time, change func(*wire.Trust) error) (wire.Trust, error) {
	next := wire.Trust{Version: t.Version + 1, Issued: now.Unix(), Grants: slices.Clone(t.Grants), Authorities: slices.Clone(t.Authorities)}
	err := CheckClock(now)
	if err == nil {
		err = change(&next)
	}
	if err == nil {
		err = sane(next, now)
	}
	if err != nil {
		return wire.Trust{}, fmt.Errorf("amend trust: %w", err)
	}
	return next, nil
}

func sane(t wire.Trust, now time.Time) error {
	if err := t.Validate(); err != nil {
		return err
	}
	if len(t.Authorities) == 0 {
		return errors.New("no authority would be left, and no kiosk could connect again")
	}
	served, keys := false, map[string]wire.Role{}
	for _, g := range t.Grants {
		served = served || g.Role == wire.RoleServer && g.Until > now.Unix()
		if other, twice := keys[string(g.Key)]; twice && (other == wire.RoleServer) != (g.Role == wire.RoleServer) {
			return fmt.Errorf("the key of %q would be a server's and an operator's: headquarters alone could then enrol or open", g.Name)
		}
		keys[string(g.Key)] = g.Role
	}
	if !served {
		return errors.New("no server would be left that kiosks listen to")
	}
	return nil
}

// Admit adds a grant for a key, from now on.
func Admit(role wire.Role, name string, public *ecdsa.PublicKey, now time.Time, term time.Duration) func(*wire.Trust) error {
	return func(t *wire.Trust) error {
		spki, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			return err
		}
		for _, g := range t.Grants {
			if g.Role == role && now.Unix() < g.Until && (g.Name == name || string(g.Key) == string(spki)) {
				return fmt.Errorf("%v %q is there already", role, g.Name)
			}
		}
		t.Grants = append(t.Grants, wire.Grant{Role: role, Key: spki, Name: name, From: now.Add(-backdate).Unix(), Until: now.Add(term).Unix()})
		return nil
	}
}

// End ends every grant of that name. What was taken away under them stands, at kiosks that hear of it later, too; what was given under them, and has not
// arrived, is refused.
func End(name string, now time.Time) func(*wire.Trust) error {
	return func(t *wire.Trust) error {
		had := false
		for i, g := range t.Grants {
			if g.Name == name && g.Role != wire.RoleServer && g.From < now.Unix() && now.Unix() < g.Until {
				t.Grants[i].Until, had = now.Unix(), true
			}
		}
		if !had {
			return fmt.Errorf("nobody is called %q whose grant could end", name)
		}
		return nil
	}
}

// Dismiss takes every grant of that name away, of a key that somebody else has: nothing that it ever signed is believed any more.
func Dismiss(name string) func(*wire.Trust) error {
	return func(t *wire.Trust) error {
		had := len(t.Grants)
		t.Grants = slices.DeleteFunc(t.Grants, func(g wire.Grant) bool { return g.Name == name })
		if len(t.Grants) == had {
			return fmt.Errorf("nobody is called %q", name)
		}
		return nil
	}
}

// OpenTrust verifies a Trust by the fleet root's public key.
func OpenTrust(data []byte, root *ecdsa.PublicKey) (wire.Trust, error) {
	return wire.Open[wire.Trust](data, root, wire.Fleet())
}
