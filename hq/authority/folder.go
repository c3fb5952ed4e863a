package authority

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

// Names of files. In offline/ lie rootKey, authorities and nothing else; in the server's folder all the others.
const (
	rootKey     = "root.pem"
	rootPublic  = "root.pub"
	trustFile   = "trust.cose"
	serverKey   = "server.pem"
	serverTerm  = 5 * 365 * 24 * time.Hour
	serverName  = "headquarters"
	maxIssuings = 8 // of one folder; Trust names 4 authorities at most
)

func authorityFile(offline string, n int, ext string) string {
	return filepath.Join(offline, "authority-"+strconv.Itoa(n)+ext)
}

func issuingFile(dir string, n int, ext string) string {
	return filepath.Join(dir, "issuing-"+strconv.Itoa(n)+ext)
}

// Create sets up headquarters: every key that it has, and the first Trust, which knows the server and no operator yet. Both folders must be empty or
// absent; they get mode 0700.
func Create(dir, offline string, now time.Time) error {
	if err := CheckClock(now); err != nil {
		return fmt.Errorf("set up headquarters: %w", err)
	}
	for _, d := range []string{dir, offline} {
		if err := emptyFolder(d); err != nil {
			return fmt.Errorf("set up headquarters: %w", err)
		}
	}
	root, err := CreateKey(filepath.Join(offline, rootKey))
	if err != nil {
		return err
	}
	if err := SavePublic(filepath.Join(dir, rootPublic), &root.PublicKey); err != nil {
		return err
	}
	server, err := CreateKey(filepath.Join(dir, serverKey))
	if err != nil {
		return err
	}
	ca, err := createAuthority(dir, offline, 1, now)
	if err != nil {
		return err
	}
	trust, err := Amend(wire.Trust{}, now, func(t *wire.Trust) error {
		t.Authorities = [][]byte{ca.Raw}
		return Admit(wire.RoleServer, serverName, &server.PublicKey, now, serverTerm)(t)
	})
	if err != nil {
		return err
	}
	return saveTrust(dir, root, trust)
}

func emptyFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("folder %q is not empty: there may be keys in it that others rely on", dir)
	}
	return errors.Join(err, os.Chmod(dir, 0o700))
}

// createAuthority makes authority number n, and an issuing key that it vouches for.
func createAuthority(dir, offline string, n int, now time.Time) (*x509.Certificate, error) {
	key, err := CreateKey(authorityFile(offline, n, ".pem"))
	if err != nil {
		return nil, err
	}
	ca, err := NewAuthority("Lintel authority "+strconv.Itoa(n), key, now)
	if err != nil {
		return nil, err
	}
	if err := writeNew(authorityFile(offline, n, ".crt"), certificates(ca), 0o644); err != nil {
		return nil, err
	}
	return ca, createIssuing(dir, ca, key, n, now)
}

// createIssuing makes an issuing key, or a new one in the place of the old.
func createIssuing(dir string, ca *x509.Certificate, key *ecdsa.PrivateKey, n int, now time.Time) error {
	path := issuingFile(dir, n, ".pem")
	issuing, err := LoadKey(path)
	if errors.Is(err, os.ErrNotExist) {
		issuing, err = CreateKey(path)
	}
	if err != nil {
		return err
	}
	certificate, err := NewIssuing("Lintel issuing "+strconv.Itoa(n), issuing.Public(), ca, key, now)
	if err != nil {
		return err
	}
	return Replace(issuingFile(dir, n, ".crt"), certificates(certificate, ca), 0o644)
}

func certificates(list ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range list {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.Bytes()
}

func saveTrust(dir string, root *ecdsa.PrivateKey, t wire.Trust) error {
	data, err := wire.Sign(root, wire.Fleet(), t)
	if err != nil {
		return err
	}
	return Replace(filepath.Join(dir, trustFile), data, 0o644)
}

// Offline is the opened safe: it changes who may do what. It needs the server's folder for the Trust that is in force.
type Offline struct {
	dir, offline string
	root         *ecdsa.PrivateKey
	Trust        wire.Trust
}

// OpenOffline loads the fleet root's key and the Trust that is in force.
func OpenOffline(dir, offline string) (*Offline, error) {
	root, err := LoadKey(filepath.Join(offline, rootKey))
	if err != nil {
		return nil, err
	}
	o := &Offline{dir: dir, offline: offline, root: root}
	if o.Trust, _, err = loadTrust(dir, &root.PublicKey); err != nil {
		return nil, err
	}
	return o, nil
}

// Change amends the Trust, signs it and puts it in force in the server's folder. The server hands it on when it starts next, or is told to look.
func (o *Offline) Change(now time.Time, change func(*wire.Trust) error) error {
	next, err := Amend(o.Trust, now, change)
	if err != nil {
		return err
	}
	if err := saveTrust(o.dir, o.root, next); err != nil {
		return err
	}
	o.Trust = next
	return nil
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

// DropAuthority has Trust forget its first authority. Kiosks whose certificate it vouches for are locked out from then on.
func (o *Offline) DropAuthority(now time.Time) error {
	return o.Change(now, func(t *wire.Trust) error {
		t.Authorities = t.Authorities[1:]
		return nil
	})
}

// RenewIssuing makes new certificates for the issuing keys of every authority that Trust names.
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
		if err := createIssuing(o.dir, list[0], key, n, now); err != nil {
			return err
		}
	}
	return nil
}

func loadTrust(dir string, root *ecdsa.PublicKey) (wire.Trust, []byte, error) {
	data, _, err := read(filepath.Join(dir, trustFile))
	if err != nil {
		return wire.Trust{}, nil, fmt.Errorf("load trust: %w", err)
	}
	t, err := OpenTrust(data, root)
	return t, data, err
}

func loadCertificates(path string) ([]*x509.Certificate, error) {
	data, _, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("load certificates: %w", err)
	}
	var list []*x509.Certificate
	for len(data) > 0 {
		block, rest := pem.Decode(data)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("load certificates %q: something else stands there", path)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("load certificates %q: %w", path, err)
		}
		list, data = append(list, c), rest
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("load certificates %q: it is empty", path)
	}
	return list, nil
}
