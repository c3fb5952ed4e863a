package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

const (
	authorityTerm = 20 * 365 * 24 * time.Hour // it outlives the kiosks that pin it, and is replaced by way of Trust
	issuingTerm   = 3 * 365 * 24 * time.Hour  // the key lies on a server: its certificate is renewed by somebody who opens the safe
	// LeafTerm is how long certificates of kiosks and of the broker are good for.
	LeafTerm = 90 * 24 * time.Hour
	// RenewBefore is how long before its end a certificate is replaced: a kiosk that was cut off for a month still connects.
	RenewBefore = 30 * 24 * time.Hour
	// backdate makes up for clocks of brokers that run behind ours.
	backdate = time.Hour
)

// written is a little before this program was: a clock that says less has lost its battery.
func written() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }

// CheckClock refuses a clock that cannot be right: what it would date nobody could use.
func CheckClock(now time.Time) error {
	if now.Before(written()) {
		return fmt.Errorf("the clock of this machine says %s, which is before this program was written: set it first", now.UTC().Format(time.DateOnly))
	}
	return nil
}

// NewAuthority makes the certificate of an authority for its own key. Kiosks pin it, by way of Trust.
func NewAuthority(name string, key *ecdsa.PrivateKey, now time.Time) (*x509.Certificate, error) {
	t := template(name, now, authorityTerm)
	t.IsCA, t.MaxPathLen, t.KeyUsage = true, 1, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	return issue(t, t, key.Public(), key)
}

// NewIssuing has an authority vouch for an issuing key, which may make certificates of kiosks and servers, and no further authority.
func NewIssuing(name string, public crypto.PublicKey, by *x509.Certificate, key *ecdsa.PrivateKey, now time.Time) (*x509.Certificate, error) {
	t := template(name, now, issuingTerm)
	t.IsCA, t.MaxPathLenZero, t.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	return issue(t, by, public, key)
}

// Issuer makes certificates from an issuing key.
type Issuer struct {
	Authority *x509.Certificate // what kiosks pin
	Issuing   *x509.Certificate
	key       *ecdsa.PrivateKey
}

// Kiosk vouches for a kiosk's TLS key. The certificate is good for a client and for no server, so that no kiosk can pose as headquarters.
func (i Issuer) Kiosk(name string, public *ecdsa.PublicKey, now time.Time) (wire.Certificate, error) {
	t := template(name, now, LeafTerm)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	leaf, err := i.leaf(t, public, now)
	if err != nil {
		return wire.Certificate{}, fmt.Errorf("issue certificate of kiosk %q: %w", name, err)
	}
	c := wire.Certificate{Chain: [][]byte{leaf.Raw, i.Issuing.Raw}}
	return c, c.Validate()
}

// Server makes a broker's certificate for these host names and addresses, with a key that stays in memory.
func (i Issuer) Server(hosts []string, now time.Time) (tls.Certificate, error) {
	return i.broker(hosts, now, x509.ExtKeyUsageServerAuth)
}

// Peer makes the certificate of one of several servers that are a broker together: to each other they are clients as well.
func (i Issuer) Peer(hosts []string, now time.Time) (tls.Certificate, error) {
	return i.broker(hosts, now, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
}

// CheckHost refuses what is neither the name of a host, in the letters of the DNS, nor an address: no kiosk would find it, or believe its certificate.
func CheckHost(host string) error {
	if net.ParseIP(host) != nil {
		return nil
	}
	labels := strings.Split(host, ".")
	bad := func(l string) bool {
		return len(l) == 0 || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.ContainsFunc(l, func(r rune) bool {
			return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		})
	}
	last := labels[len(labels)-1] // of digits alone it would be of an address
	if len(host) > 253 || slices.ContainsFunc(labels, bad) || strings.Trim(last, "0123456789") == "" {
		return fmt.Errorf("%q is neither the name of a host nor an address", host)
	}
	return nil
}

// broker makes a certificate under a name that is no kiosk's and not headquarters', whatever the hosts are called: some brokers go by it.
func (i Issuer) broker(hosts []string, now time.Time, uses ...x509.ExtKeyUsage) (tls.Certificate, error) {
	if len(hosts) == 0 {
		return tls.Certificate{}, errors.New("issue certificate of broker: it has no name")
	}
	t := template("Lintel broker", now, LeafTerm)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, uses
	for _, h := range hosts {
		if err := CheckHost(h); err != nil {
			return tls.Certificate{}, fmt.Errorf("issue certificate of broker: %w", err)
		}
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return i.withKey(t, now)
}

// Client makes the certificate by which headquarters is a client of somebody else's broker.
func (i Issuer) Client(name string, now time.Time) (tls.Certificate, error) {
	t := template(name, now, LeafTerm)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return i.withKey(t, now)
}

func (i Issuer) withKey(t *x509.Certificate, now time.Time) (tls.Certificate, error) {
	key, err := newKey()
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := i.leaf(t, &key.PublicKey, now)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("issue certificate of %q: %w", t.Subject.CommonName, err)
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, i.Issuing.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

func (i Issuer) leaf(t *x509.Certificate, public *ecdsa.PublicKey, now time.Time) (*x509.Certificate, error) {
	if err := CheckClock(now); err != nil {
		return nil, err
	}
	if now.Before(i.Issuing.NotBefore) || !now.Before(i.Issuing.NotAfter) {
		return nil, fmt.Errorf("the issuing certificate is good from %s to %s, and it is %s: hq trust issuing makes a new one",
			i.Issuing.NotBefore.Format(time.DateOnly), i.Issuing.NotAfter.Format(time.DateOnly), now.UTC().Format(time.DateOnly))
	}
	if t.NotAfter.After(i.Issuing.NotAfter) {
		t.NotAfter = i.Issuing.NotAfter
	}
	return issue(t, i.Issuing, public, i.key)
}

func template(name string, now time.Time, term time.Duration) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-backdate).UTC().Truncate(time.Second),
		NotAfter:              now.Add(term).UTC().Truncate(time.Second),
		BasicConstraintsValid: true,
	}
}

func issue(t, by *x509.Certificate, public crypto.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126)) // RFC 5280 wants it positive, and at most 20 bytes
	if err != nil {
		return nil, err
	}
	t.SerialNumber = serial.Add(serial, big.NewInt(1))
	der, err := x509.CreateCertificate(rand.Reader, t, by, public, key)
	if err != nil {
		return nil, err
	}
	if len(der) > wire.MaxCertificate {
		return nil, fmt.Errorf("certificate has %d bytes, at most %d", len(der), wire.MaxCertificate)
	}
	return x509.ParseCertificate(der)
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }
