package main

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

// The way of a kiosk to its headquarters: it introduces itself, headquarters issues a certificate on that alone, and the kiosk starts with what it was
// given.
func TestEnlist(t *testing.T) {
	c := newCentre(t)
	dir := t.TempDir()
	introduction := filepath.Join(dir, "introduction")
	if err := identityCommand([]string{"-tpm", c.socket, "-state", c.state, "-out", introduction}, io.Discard); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(introduction)
	if err != nil {
		t.Fatal(err)
	}
	in, err := wire.Read[wire.Introduction](data)
	if err != nil || in.Kiosk != c.id || in.Door == "" {
		t.Fatalf("%v", err)
	}
	write := func(name, kind string, data []byte) string {
		if kind != "" {
			data = pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data})
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	spki, err := x509.MarshalPKIXPublicKey(&c.keys["root"].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate := func(name string) []byte {
		template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, c.ca, &c.keys["stranger"].PublicKey, c.keys["ca"])
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	good := []string{
		"-state", c.state, "-root-key", write("root.pub", "PUBLIC KEY", spki), "-broker", "hq.example:8883", "-server", "hq.example",
		"-trust", write("trust", "", c.sign("root", wire.Fleet(), c.trust(1))), "-certificate", write("kiosk.pem", "CERTIFICATE", certificate(wire.Name(c.id))),
	}
	for i, bad := range map[int]string{
		1: dir, 3: write("ca.pem", "CERTIFICATE", spki), 5: "hq.example", 7: "", 9: write("rubbish", "", []byte{1}), 11: write("other.pem", "CERTIFICATE", certificate("another")),
	} {
		args := slices.Clone(good)
		args[i] = bad
		if err := headquartersCommand(args, io.Discard); err == nil {
			t.Errorf("%q: taken", args[i-1:i+1])
		}
	}
	if err := headquartersCommand(good, io.Discard); err != nil {
		t.Fatal(err)
	}
	c.start()
	if c.hq == nil || c.hq.place.Broker != "hq.example:8883" {
		t.Error("the kiosk starts without headquarters")
	}
}
