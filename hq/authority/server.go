package authority

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

// Server is what hq serve holds: the key that orders commands, issuing keys, and the Trust by which it judges what operators hand in.
type Server struct {
	Root     *ecdsa.PublicKey
	Trust    wire.Trust
	Envelope []byte // of the Trust, as the fleet root signed it
	Key      *ecdsa.PrivateKey
	broker   Issuer // of the first authority that Trust names
	kiosks   Issuer // of the last
	pool     *x509.CertPool
}

// LoadServer reads the server's folder. It refuses a Trust that does not know the server's key, and authorities without an issuing key.
func LoadServer(dir string, now time.Time) (*Server, error) {
	s, err := loadServer(dir, now)
	if err != nil {
		return nil, fmt.Errorf("open headquarters %q: %w", dir, err)
	}
	return s, nil
}

func loadServer(dir string, now time.Time) (s *Server, err error) {
	if err := CheckClock(now); err != nil {
		return nil, err
	}
	root, err := LoadPublic(filepath.Join(dir, rootPublic))
	if err != nil {
		return nil, err
	}
	t, envelope, err := loadTrust(dir, root)
	if err != nil {
		return nil, err
	}
	return under(dir, root, t, envelope, now)
}

// under is the server of a folder under a Trust.
func under(dir string, root *ecdsa.PublicKey, t wire.Trust, envelope []byte, now time.Time) (s *Server, err error) {
	s = &Server{Root: root, Trust: t, Envelope: envelope, pool: x509.NewCertPool()}
	if _, s.Key, err = loadServerKey(dir, s.Trust, now); err != nil {
		return nil, err
	}
	issuers, err := loadIssuers(dir)
	if err != nil {
		return nil, err
	}
	for n, der := range s.Trust.Authorities {
		i, err := issuerOf(issuers, der)
		if err != nil {
			return nil, fmt.Errorf("authority %d of trust version %d: %w", n+1, s.Trust.Version, err)
		}
		s.pool.AddCert(i.Authority)
		if n == 0 {
			s.broker = i
		}
		s.kiosks = i
	}
	if s.kiosks.key == nil {
		return nil, errors.New("trust names no authority")
	}
	return s, nil
}

// loadServerKey finds the server's key that Trust names: the new one, where a renewal was cut short.
func loadServerKey(dir string, t wire.Trust, now time.Time) (path string, key *ecdsa.PrivateKey, err error) {
	for _, name := range []string{serverNext, serverKey} {
		path = filepath.Join(dir, name)
		if key, err = LoadKey(path); name == serverNext && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", nil, err
		}
		id, err := wire.IDOf(key.Public())
		if err != nil {
			return "", nil, err
		}
		if _, err = t.Grant(id, wire.KindCommand, now.Unix()); err == nil {
			return path, key, nil
		} else if name == serverKey {
			return "", nil, fmt.Errorf("trust version %d does not let this server speak: %w", t.Version, err)
		}
	}
	return "", nil, err
}

func loadIssuers(dir string) (issuers []Issuer, err error) {
	for n := 1; n <= maxIssuings; n++ {
		key, err := LoadKey(issuingFile(dir, n, ".pem"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list, err := loadCertificates(issuingFile(dir, n, ".crt"))
		if errors.Is(err, os.ErrNotExist) {
			continue // it was being made
		}
		if err != nil {
			return nil, err
		}
		if len(list) != 2 || !key.PublicKey.Equal(list[0].PublicKey) || list[0].CheckSignatureFrom(list[1]) != nil {
			return nil, fmt.Errorf("issuing-%d: the key, its certificate and the authority do not belong together", n)
		}
		issuers = append(issuers, Issuer{Authority: list[1], Issuing: list[0], key: key})
	}
	return issuers, nil
}

// issuerOf is the newest: a renewal that was cut short leaves two.
func issuerOf(issuers []Issuer, authority []byte) (newest Issuer, err error) {
	for _, i := range issuers {
		if bytes.Equal(i.Authority.Raw, authority) && (newest.key == nil || i.Issuing.NotAfter.After(newest.Issuing.NotAfter)) {
			newest = i
		}
	}
	if newest.key == nil {
		err = errors.New("this folder has no issuing key of it")
	}
	return newest, err
}

// Broker issues what the broker shows: by the first authority, which every kiosk knows.
func (s *Server) Broker() Issuer { return s.broker }

// Kiosks issues certificates of kiosks: by the last authority, which stays longest.
func (s *Server) Kiosks() Issuer { return s.kiosks }

// Pool are the authorities by which the broker knows kiosks.
func (s *Server) Pool() *x509.CertPool { return s.pool }

// SaveBroker writes a broker's key and certificate into a folder, and the authorities by which it knows kiosks: all that Trust names.
func (s *Server) SaveBroker(folder string, c tls.Certificate) error {
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return fmt.Errorf("save broker's key: %w", err)
	}
	defer clear(key)
	var chain, authorities []byte
	for _, der := range c.Certificate {
		chain = append(chain, block("CERTIFICATE", der)...)
	}
	for _, der := range s.Trust.Authorities {
		authorities = append(authorities, block("CERTIFICATE", der)...)
	}
	for name, data := range map[string][]byte{"broker.key": block("PRIVATE KEY", key), "broker.crt": chain, "authority.crt": authorities} {
		if err := Replace(filepath.Join(folder, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
