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

// Names of files. In offline/ lie rootKey, authorities, the newest trustFile and nothing else; in the server's folder all the others.
const (
	rootKey     = "root.pem"
	rootPublic  = "root.pub"
	trustFile   = "trust.cose"
	serverKey   = "server.pem"
	serverNext  = "server.next.pem" // of a Trust that is being signed
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
// absent, and neither may lie in the other, or the root would not leave with the safe; they get mode 0700.
func Create(dir, offline string, now time.Time) error {
	if err := CheckClock(now); err != nil {
		return fmt.Errorf("set up headquarters: %w", err)
	}
	if err := apart(dir, offline); err != nil {
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
	return saveTrust(dir, offline, root, trust)
}

// apart refuses two folders that are one, or of which one lies in the other, by whatever links they are named.
func apart(dir, offline string) error {
	d, err := resolve(dir)
	if err != nil {
		return err
	}
	o, err := resolve(offline)
	if err != nil {
		return err
	}
	for _, f := range [][2]string{{d, o}, {o, d}} {
		if inner, err := filepath.Rel(f[0], f[1]); err != nil || filepath.IsLocal(inner) {
			return errors.Join(fmt.Errorf("the safe %q must be another folder than headquarters' %q, and neither may lie in the other: what goes into a safe leaves this machine", offline, dir), err)
		}
	}
	return nil
}

// resolve is where a folder lies, or will when it is made.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	if _, link := os.Lstat(path); !errors.Is(link, os.ErrNotExist) || path == filepath.Dir(path) { // a link to nowhere is no folder that can be made
		return real, err
	}
	above, err := resolve(filepath.Dir(path))
	return filepath.Join(above, filepath.Base(path)), err
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
	return ca, createIssuing(dir, ca, key, now)
}

// createIssuing makes a new issuing key, and then takes away those that the authority vouched for before: what they signed holds without them.
func createIssuing(dir string, ca *x509.Certificate, key *ecdsa.PrivateKey, now time.Time) error {
	n, old := 0, []int(nil)
	for i := maxIssuings; i >= 1; i-- {
		list, err := loadCertificates(issuingFile(dir, i, ".crt"))
		switch {
		case errors.Is(err, os.ErrNotExist):
			n = i
		case err != nil:
			return err
		case list[len(list)-1].Equal(ca):
			old = append(old, i)
		}
	}
	if n == 0 {
		return fmt.Errorf("make issuing key: %d are there already", maxIssuings)
	}
	path := issuingFile(dir, n, ".pem")
	if err := ignoreAbsent(os.Remove(path)); err != nil { // it has no certificate, so nobody has heard of it
		return err
	}
	issuing, err := CreateKey(path)
	if err != nil {
		return err
	}
	certificate, err := NewIssuing("Lintel issuing "+strconv.Itoa(n), issuing.Public(), ca, key, now)
	if err != nil {
		return err
	}
	if err := Replace(issuingFile(dir, n, ".crt"), certificates(certificate, ca), 0o644); err != nil {
		return err
	}
	for _, i := range old {
		if err := retire(dir, i); err != nil {
			return err
		}
	}
	return nil
}

// retire takes an issuing key away, its certificate first: without that the key is nothing.
func retire(dir string, n int) error {
	if err := errors.Join(os.Remove(issuingFile(dir, n, ".crt")), ignoreAbsent(os.Remove(issuingFile(dir, n, ".pem")))); err != nil {
		return fmt.Errorf("take away issuing key %d: %w", n, err)
	}
	return nil
}

func certificates(list ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range list {
		b.Write(block("CERTIFICATE", c.Raw))
	}
	return b.Bytes()
}

// saveTrust signs a Trust. The safe has it before anybody hears of it, so that what is amended next is the newest.
func saveTrust(dir, offline string, root *ecdsa.PrivateKey, t wire.Trust) error {
	data, err := wire.Sign(root, wire.Fleet(), t)
	if err != nil {
		return err
	}
	if err := Replace(filepath.Join(offline, trustFile), data, 0o600); err != nil || dir == "" {
		return err
	}
	return Replace(filepath.Join(dir, trustFile), data, 0o644)
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
