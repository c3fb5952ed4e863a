package authority

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

// Offline is the opened safe: it changes who may do what. The Trust that it amends is its own, since whoever has the server's folder could put back
// one in which an operator still stands who was dismissed.
type Offline struct {
	dir, offline string
	root         *ecdsa.PrivateKey
	Trust        wire.Trust
}

// ErrOtherTrust means that the server's folder has another Trust than the safe.
var ErrOtherTrust = errors.New("the server's folder has another trust than the safe")

// OpenOffline loads the fleet root's key and the Trust that is in force. ErrOtherTrust when the server's folder has another.
func OpenOffline(dir, offline string) (*Offline, error) {
	o, data, err := openOffline(dir, offline)
	if err != nil {
		return nil, err
	}
	there, other, err := loadTrust(dir, &o.root.PublicKey)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(data, other) {
		return nil, fmt.Errorf("%w: version %d of %s instead of %d of %s. Somebody has put it there, or a change was cut short, or there are two safes; hq trust restore puts the safe's there",
			ErrOtherTrust, there.Version, time.Unix(there.Issued, 0).UTC().Format(time.DateTime), o.Trust.Version, time.Unix(o.Trust.Issued, 0).UTC().Format(time.DateTime))
	}
	return o, nil
}

// OpenSafe loads the fleet root's key and the Trust beside it, on a machine that is not headquarters'. What Change signs there goes to headquarters as the
// safe's file of the Trust, by TakeTrust; it makes no keys of headquarters.
func OpenSafe(offline string) (*Offline, error) {
	o, _, err := openOffline("", offline)
	return o, err
}

func openOffline(dir, offline string) (*Offline, []byte, error) {
	root, err := LoadKey(filepath.Join(offline, rootKey))
	if err != nil {
		return nil, nil, err
	}
	o := &Offline{dir: dir, offline: offline, root: root}
	var data []byte
	if o.Trust, data, err = loadTrust(offline, &root.PublicKey); err != nil {
		return nil, nil, fmt.Errorf("open the safe %q: %w", offline, err)
	}
	return o, data, nil
}

// RestoreTrust puts the safe's Trust into the server's folder, whatever is there. It refuses to go back behind one that the root has signed.
func RestoreTrust(dir, offline string) (*Offline, error) {
	o, data, err := openOffline(dir, offline)
	if err != nil {
		return nil, err
	}
	if there, _, err := loadTrust(dir, &o.root.PublicKey); err == nil && there.Version > o.Trust.Version {
		return nil, fmt.Errorf("restore trust: version %d is in force, and this safe is at %d: take the newer safe, or copy %s from DIR once you have compared hq trust show with what you know",
			there.Version, o.Trust.Version, trustFile)
	}
	return o, Replace(filepath.Join(dir, trustFile), data, 0o644)
}

// Change amends the Trust, signs it and puts it in force in the server's folder, if that is here. The server hands it on when it starts next, or is told to look.
func (o *Offline) Change(now time.Time, change func(*wire.Trust) error) error {
	next, err := Amend(o.Trust, now, change)
	if err != nil {
		return err
	}
	if err := saveTrust(o.dir, o.offline, o.root, next); err != nil {
		return err
	}
	o.Trust = next
	return nil
}

// RenewServer gives headquarters' server another key; the old one counts no longer. A server that is cut short in between finds the key that Trust names.
func (o *Offline) RenewServer(now time.Time) error {
	current, _, err := loadServerKey(o.dir, o.Trust, now)
	next := filepath.Join(o.dir, serverNext)
	if err == nil && current == next { // the last renewal was cut short after Trust was signed
		err = os.Rename(next, filepath.Join(o.dir, serverKey))
	} else {
		err = ignoreAbsent(os.Remove(next)) // Trust has never named it
	}
	if err != nil {
		return fmt.Errorf("renew server's key: %w", err)
	}
	key, err := CreateKey(next)
	if err != nil {
		return err
	}
	if err := o.Change(now, succeed(&key.PublicKey, now)); err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(o.dir, serverKey)); err != nil {
		return fmt.Errorf("renew server's key: %w", err)
	}
	return SyncFolder(next)
}

// succeed has one key take the place of the server's. It counts from when the first of them did: a kiosk whose clock is behind must hear it, too.
func succeed(public *ecdsa.PublicKey, now time.Time) func(*wire.Trust) error {
	return func(t *wire.Trust) error {
		from := now
		for _, g := range t.Grants {
			if g.Role == wire.RoleServer && g.From < from.Unix() {
				from = time.Unix(g.From, 0)
			}
		}
		t.Grants = slices.DeleteFunc(t.Grants, func(g wire.Grant) bool { return g.Role == wire.RoleServer })
		if err := Admit(wire.RoleServer, serverName, public, now, serverTerm)(t); err != nil {
			return err
		}
		t.Grants[len(t.Grants)-1].From = from.Unix()
		return nil
	}
}

// AddAuthority makes a further authority and has Trust name it last: kiosks get their certificates from the last, and the broker shows one of the
// first, so that those who have not heard of the new one still connect. DropAuthority ends that.
func (o *Offline) AddAuthority(now time.Time) error {
	n := 1
	for ; n <= maxIssuings; n++ {
		if _, err := os.Stat(authorityFile(o.offline, n, ".pem")); errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	if n > maxIssuings {
		return fmt.Errorf("add authority: there are %d already", maxIssuings)
	}
	ca, err := createAuthority(o.dir, o.offline, n, now)
	if err != nil {
		return err
	}
	return o.Change(now, func(t *wire.Trust) error {
		t.Authorities = append(t.Authorities, ca.Raw)
		return nil
	})
}

// DropAuthority has Trust forget its first authority, whose issuing keys go. Kiosks whose certificate it vouches for are locked out from then on.
func (o *Offline) DropAuthority(now time.Time) error {
	err := o.Change(now, func(t *wire.Trust) error {
		t.Authorities = t.Authorities[1:]
		return nil
	})
	if err != nil {
		return err
	}
	for n := 1; n <= maxIssuings; n++ {
		list, err := loadCertificates(issuingFile(o.dir, n, ".crt"))
		if errors.Is(err, os.ErrNotExist) || err == nil && o.names(list[len(list)-1]) {
			continue
		}
		if err == nil {
			err = retire(o.dir, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// names reports whether Trust names an authority.
func (o *Offline) names(ca *x509.Certificate) bool {
	return slices.ContainsFunc(o.Trust.Authorities, func(der []byte) bool { return bytes.Equal(der, ca.Raw) })
}

// RenewIssuing makes new issuing keys of every authority that Trust names.
func (o *Offline) RenewIssuing(now time.Time) error {
	for n := 1; n <= maxIssuings; n++ {
		key, err := LoadKey(authorityFile(o.offline, n, ".pem"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		list, err := loadCertificates(authorityFile(o.offline, n, ".crt"))
		if err != nil {
			return err
		}
		if !o.names(list[0]) {
			continue
		}
		if err := createIssuing(o.dir, list[0], key, now); err != nil {
			return err
		}
	}
	return nil
}
