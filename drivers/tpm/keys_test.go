//go:build !kiosk

package tpm

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAuditKeySigns(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	good := b.approve(tp, 1)
	blob := must(tp.CreateKey(Audit))(t)
	s := must(tp.AuditKey(blob, good))(t)
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			digest := sha256.Sum256([]byte{byte(i)})
			signature, err := s.Sign(rand.Reader, digest[:], crypto.SHA256)
			if err != nil || !ecdsa.VerifyASN1(s.Public().(*ecdsa.PublicKey), digest[:], signature) {
				t.Errorf("signature %x, %v", signature, err)
			}
		})
	}
	wait.Wait()
	digest := make([]byte, 32)
	for name, err := range map[string]error{
		"SHA-384":    second(s.Sign(nil, make([]byte, 48), crypto.SHA384)),
		"no hash":    second(s.Sign(nil, digest, crypto.Hash(0))),
		"no options": second(s.Sign(nil, digest, nil)),
		"short":      second(s.Sign(nil, digest[:31], crypto.SHA256)),
	} {
		if err == nil {
			t.Errorf("%s was signed", name)
		}
	}
	// The same policy covers the keys: after a measurement that nobody approved it signs no more.
	if err := tp.Extend(PCRDebug, [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(nil, digest, crypto.SHA256); !errors.Is(err, ErrPCR) {
		t.Errorf("in another state: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestKeyServesItsOwnUseAlone(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	good := b.approve(tp, 1)
	tlsBlob, exchange := must(tp.CreateKey(TLS))(t), must(tp.CreateKey(Exchange))(t)
	// To the TPM audit and TLS keys have one shape; the authorisation tells them apart.
	s := must(tp.AuditKey(tlsBlob, good))(t)
	if _, err := s.Sign(nil, make([]byte, 32), crypto.SHA256); !errors.Is(err, ErrSecret) {
		t.Errorf("the TLS key signed as audit key: %v", err)
	}
	if _, err := tp.AuditKey(exchange, good); !errors.Is(err, ErrObject) {
		t.Errorf("exchange key opened as audit key: %v", err)
	}
	if _, err := tp.ExchangeKey(tlsBlob, good); !errors.Is(err, ErrObject) {
		t.Errorf("TLS key opened as exchange key: %v", err)
	}
	for _, u := range []Use{0, 9} {
		if _, err := tp.CreateKey(u); err == nil {
			t.Errorf("use %d made a key", u)
		}
	}
}

// Control: I3
func TestTLSKeySignsClientCertificateVerifyAlone(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	s := must(tp.TLSKey(must(tp.CreateKey(TLS))(t), b.approve(tp, 1)))(t)
	var _ crypto.MessageSigner = s
	spaces := strings.Repeat(" ", 64)
	const context = "TLS 1.3, client CertificateVerify\x00"
	for _, n := range []int{32, 48} {
		message := []byte(spaces + context + strings.Repeat("t", n))
		signature, err := s.SignMessage(rand.Reader, message, crypto.SHA256)
		if digest := sha256.Sum256(message); err != nil || !ecdsa.VerifyASN1(s.Public().(*ecdsa.PublicKey), digest[:], signature) {
			t.Errorf("transcript hash of %d bytes: %v", n, err)
		}
	}
	hash := strings.Repeat("t", 32)
	for name, message := range map[string]string{
		"empty":                   "",
		"no transcript":           spaces + context,
		"a byte too few":          spaces + context + hash[1:],
		"a byte too many":         spaces + context + hash + "t",
		"one space less":          spaces[1:] + context + hash,
		"one space more":          " " + spaces + context + hash,
		"the server's":            spaces + "TLS 1.3, server CertificateVerify\x00" + hash,
		"no end of context":       spaces + context[:len(context)-1] + "t" + hash,
		"a checkpoint":            "lintel/audit\n7\nabc=\n",
		"something in front":      "x" + spaces + context + hash,
		"a certificate request":   "\x30\x82\x01\x00" + spaces + context + hash,
		"SHA-512 of a transcript": spaces + context + hash + hash,
	} {
		if _, err := s.SignMessage(rand.Reader, []byte(message), crypto.SHA256); err == nil {
			t.Errorf("%s was signed", name)
		}
	}
	if _, err := s.SignMessage(rand.Reader, []byte(spaces+context+hash), crypto.SHA384); err == nil {
		t.Error("signed with SHA-384")
	}
	if _, err := s.Sign(rand.Reader, make([]byte, 32), crypto.SHA256); err == nil {
		t.Error("a digest was signed")
	}
	if _, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, s); err == nil {
		t.Error("a certificate request was signed")
	}
}

func TestTLSKeyShakesHands(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	s := must(tp.TLSKey(must(tp.CreateKey(TLS))(t), b.approve(tp, 1)))(t)
	ca := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	certificate := func(name string, public crypto.PublicKey) []byte {
		now := time.Now()
		c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: now.Add(-time.Hour),
			NotAfter: now.Add(time.Hour), IsCA: name == "ca", BasicConstraintsValid: true}
		return must(x509.CreateCertificate(rand.Reader, c, &x509.Certificate{Subject: pkix.Name{CommonName: "ca"}}, public, ca))(t)
	}
	pool := x509.NewCertPool()
	pool.AddCert(must(x509.ParseCertificate(certificate("ca", ca.Public())))(t))
	server := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	for version, works := range map[uint16]bool{tls.VersionTLS13: true, tls.VersionTLS12: false} {
		near, far := net.Pipe()
		hq := tls.Server(far, &tls.Config{ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MaxVersion: version,
			Certificates: []tls.Certificate{{Certificate: [][]byte{certificate("hq", server.Public())}, PrivateKey: server}}})
		kiosk := tls.Client(near, &tls.Config{RootCAs: pool, ServerName: "hq", MinVersion: version,
			Certificates: []tls.Certificate{{Certificate: [][]byte{certificate("kiosk", s.Public())}, PrivateKey: s}}})
		ended := make(chan error, 1)
		go func() {
			ended <- hq.Handshake()
			far.Close()
		}()
		err := kiosk.Handshake()
		near.Close()
		if heard := <-ended; (err == nil && heard == nil) != works {
			t.Errorf("%s: kiosk %v, hq %v", tls.VersionName(version), err, heard)
		}
	}
}

func TestExchangeKeyOpensHPKE(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	e := must(tp.ExchangeKey(must(tp.CreateKey(Exchange))(t), b.approve(tp, 1)))(t)
	private := must(hpke.NewDHKEMPrivateKey(e))(t)
	public := must(hpke.NewDHKEMPublicKey(e.PublicKey()))(t)
	want := []byte("a reference")
	sealed := must(hpke.Seal(public, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte("kiosk 7"), want))(t)
	got := must(hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte("kiosk 7"), sealed))(t)
	if !bytes.Equal(got, want) {
		t.Errorf("opened %q", got)
	}
	if _, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte("kiosk 8"), sealed); err == nil {
		t.Error("opened for another kiosk")
	}
	x := must(ecdh.X25519().GenerateKey(rand.Reader))(t)
	for _, remote := range []*ecdh.PublicKey{nil, x.PublicKey()} {
		if _, err := e.ECDH(remote); err == nil {
			t.Errorf("agreed with %v", remote)
		}
	}
}

func TestAttestationsHoldForTheirNonceAlone(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	nonce := []byte("HQ's nonce")
	key := b.id.Attestation
	a := must(tp.AttestTime(nonce))(t)
	first := must(VerifyTime(key, nonce, a))(t)
	pcrs := must(tp.Read(PCRImage, PCRModels))(t)
	q := must(tp.Quote(nonce, PCRImage, PCRModels))(t)
	if err := VerifyQuote(key, nonce, pcrs, q); err != nil {
		t.Error(err)
	}
	blob := must(tp.CreateKey(TLS))(t)
	c := must(tp.Certify(TLS, blob, nonce))(t)
	authority := b.options.Authority
	public := must(VerifyKey(key, nonce, TLS, blob, authority, c))(t)
	if s := must(tp.TLSKey(blob, b.approve(tp, 1)))(t); !public.Equal(s.Public()) {
		t.Error("certified another public key")
	}

	stranger := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	for name, err := range map[string]error{
		"another nonce":          second(VerifyTime(key, []byte("old"), a)),
		"another key":            second(VerifyTime(&stranger.PublicKey, nonce, a)),
		"no key":                 second(VerifyTime(nil, nonce, a)),
		"nothing":                second(VerifyTime(key, nonce, Attestation{})),
		"a quote as time":        second(VerifyTime(key, nonce, q)),
		"time as a quote":        VerifyQuote(key, nonce, pcrs, a),
		"other values":           VerifyQuote(key, nonce, []PCR{pcrs[0], pcrs[1].Extended([32]byte{})}, q),
		"fewer pcrs":             VerifyQuote(key, nonce, pcrs[:1], q),
		"another blob certified": second(VerifyKey(key, nonce, TLS, must(tp.CreateKey(TLS))(t), authority, c)),
	} {
		if !errors.Is(err, ErrAttestation) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range a.Body {
		bad := Attestation{bytes.Clone(a.Body), a.Signature}
		bad.Body[i] ^= 1
		if _, err := VerifyTime(key, nonce, bad); !errors.Is(err, ErrAttestation) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	if _, err := tp.AttestTime(make([]byte, MaxNonce+1)); err == nil {
		t.Error("long nonce was taken")
	}
	if _, err := tp.Quote(nonce, pcrCount); err == nil {
		t.Error("pcr 24 was quoted")
	}
	tp.Close()
	b.restart()
	tp = b.open()
	second := must(VerifyTime(key, nonce, must(tp.AttestTime(nonce))(t)))(t)
	if second.Resets != first.Resets+1 || second.Safe && second.Clock < first.Clock {
		t.Errorf("before the restart %+v, after %+v", first, second)
	}
	// Without the endorsement's authorisation there is no attested time, and everything else works.
	tp.Close()
	b.options.Endorsement = nil
	tp = b.open()
	if _, err := tp.AttestTime(nonce); !errors.Is(err, ErrSecret) {
		t.Errorf("without the endorsement authorisation: %v", err)
	}
	must(tp.Raise(BootCounter))(t)
}
