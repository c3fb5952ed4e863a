package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/drivers/tpm/swtpm"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/firmware/walkup"
)

// provisioned is a kiosk of this package on a software TPM.
func provisioned(t *testing.T) *running {
	t.Helper()
	b, g := groundOnTPM(t, stateFolder(t))
	return stand(t, b, g)
}

// groundOnTPM is what a kiosk stands on, with a software TPM of its own.
func groundOnTPM(t *testing.T, state string) (board.Board, *ground) {
	t.Helper()
	b, g, _ := groundReleased(t, state, root.Measurements{{1}, {2}, {3}, {4}})
	return b, g
}

// groundReleased is groundOnTPM with an image, and the key that approved it.
func groundReleased(t *testing.T, state string, image root.Measurements) (board.Board, *ground, *ecdsa.PrivateKey) {
	t.Helper()
	socket, release := chipReleased(t, state, image)
	b, g := groundAgain(t, socket, state, image)
	return b, g, release
}

// chipReleased provisions a software TPM for a state folder, and has an image approved.
func chipReleased(t *testing.T, state string, image root.Measurements) (socket string, release *ecdsa.PrivateKey) {
	t.Helper()
	return chipOf(t, state, image, tpm.NewSecrets())
}

// chipOf is chipReleased with secrets that the owner keeps.
func chipOf(t *testing.T, state string, image root.Measurements, owner tpm.Secrets) (socket string, release *ecdsa.PrivateKey) {
	t.Helper()
	sockets, err := os.MkdirTemp("", "door-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockets) })
	chip, err := swtpm.StartAt(filepath.Join(t.TempDir(), "tpm"), filepath.Join(sockets, "tpm.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { chip.Stop() })
	if release, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	provisionOn(t, chip.Socket(), state, image, owner, release)
	return chip.Socket(), release
}

// provisionOn provisions a kiosk on a TPM that is its owner's, and approves an image.
func provisionOn(t *testing.T, socket, state string, image root.Measurements, owner tpm.Secrets, release *ecdsa.PrivateKey) {
	t.Helper()
	id, err := root.Provision(root.Path(socket), state, owner, &release.PublicKey, tpm.Options{}, true)
	if err != nil {
		t.Fatal(err)
	}
	approval, err := root.Approve(release, id, image, id.Floor)
	if err == nil {
		err = root.WriteApprovals(state, approval)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// groundAgain is what a kiosk stands on at a start with that TPM.
func groundAgain(t *testing.T, socket, state string, image root.Measurements) (board.Board, *ground) {
	t.Helper()
	b, err := board.Load("desk")
	if err != nil {
		t.Fatal(err)
	}
	b.Gallery.References = 64
	g := &ground{state: state, slab: make([]float32, walkup.SlabFloats(b.Gallery.References)), release: func() {}}
	if g.root, err = root.Open(root.Path(socket), state, tpm.Options{}); err == nil {
		g.powered, err = g.root.Extend(image)
	}
	if err == nil {
		g.vault, err = openVault(g.root, state)
	}
	if err == nil {
		err = g.openLog(state)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b, g
}

// remote is the kiosk's TLS key as link has it: a socket.
type remote struct {
	client *ipc.Client
	public crypto.PublicKey
}

func (r remote) Public() crypto.PublicKey { return r.public }

func (r remote) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("digests are not signed")
}

func (r remote) SignMessage(_ io.Reader, message []byte, _ crypto.SignerOpts) ([]byte, error) {
	var s ipc.Signature
	err := r.client.Call(context.Background(), ipc.KindSignTLS, ipc.SignTLS{Message: message}, &s)
	return s.Signature, err
}

// link reaches headquarters by TLS 1.3 with a key that it never has, and gets no other signature: not over a checkpoint, nor over a digest, and not
// with the audit key.
//
// Control: I3
func TestLinkSignsHandshakesThroughDoorAlone(t *testing.T) {
	k := provisioned(t)
	conn, err := ipc.DialWithin(t.Context(), 5*time.Second, filepath.Join(k.run, ipc.Link.Socket()), ipc.Link, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	client := ipc.NewClient(conn, func(ipc.Message) {})
	go client.Run(t.Context())
	public, err := k.root.TLSPublic()
	if err != nil {
		t.Fatal(err)
	}
	key := remote{client, public}

	authority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, DNSNames: []string{"hq"}}
	issue := func(public crypto.PublicKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, template, template, public, authority)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	ca, err := x509.ParseCertificate(issue(&authority.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	here, there := net.Pipe()
	server := tls.Server(there, &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
		Certificates: []tls.Certificate{{Certificate: [][]byte{ca.Raw}, PrivateKey: authority}},
	})
	shaken := make(chan error, 1)
	go func() { shaken <- server.Handshake() }()
	err = tls.Client(here, &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: pool, ServerName: "hq",
		Certificates: []tls.Certificate{{Certificate: [][]byte{issue(public)}, PrivateKey: key}},
	}).HandshakeContext(t.Context())
	if err := errors.Join(err, <-shaken); err != nil {
		t.Fatalf("handshake with the key in the TPM: %v", err)
	}

	note, err := k.audit.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(note)
	for name, message := range map[string][]byte{"checkpoint": note[:min(len(note), 146)], "digest": digest[:], "nothing": nil, "zeros": make([]byte, 146)} {
		if s, err := key.SignMessage(nil, message, nil); err == nil {
			t.Errorf("%s was signed: %x", name, s)
		}
	}
}

// The kiosk signs what it holds at its start, after what matters and when it ends; what it says it deleted is proved by the same key.
//
// Control: G4
func TestNotary(t *testing.T) {
	k := provisioned(t)
	wait := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("waited in vain until %s", what)
			}
		}
	}
	head := k.audit.Head() // what the start brought, the first policy among it
	wait("the start is anchored", func() bool {
		a, err := k.root.ReadAnchor()
		return err == nil && len(a) == auditlog.AnchorBytes && binary.BigEndian.Uint64(a[8:]) >= head
	})
	counter, err := k.root.AuditCounter()
	for was := counter + 1; counter != was && err == nil; { // and the anchor that it asked for is made
		time.Sleep(3 * hurryFor)
		was = counter
		counter, err = k.root.AuditCounter()
	}
	if err != nil {
		t.Fatal(err)
	}
	before, err := k.root.ReadAnchor()
	if err != nil {
		t.Fatal(err)
	}
	k.note(access.EventEyeLost, "") // a warning: signed, not anchored
	seq := k.audit.Head() - 1
	wait("a warning is signed", func() bool { _, err := k.audit.Receipt(seq); return err == nil })
	if a, _ := k.root.ReadAnchor(); !bytes.Equal(a, before) {
		t.Error("a warning wore the TPM's memory")
	}
	k.note(access.EventDoorForcedOpen, "")
	wait("an alert is anchored", func() bool { a, err := k.root.ReadAnchor(); return err == nil && !bytes.Equal(a, before) })
	if now, err := k.root.AuditCounter(); err != nil || now != counter+1 {
		t.Errorf("audit counter %d after one anchor, before %d: %v", now, counter, err)
	}
	if w, err := k.sign([]byte("receipt")); err != nil || len(w) == 0 {
		t.Errorf("sign a deletion: %v", err)
	}
}

// A TPM that is gone is a degraded mode that says so, and nothing at the door waits for it.
func TestTroubleComesAndGoes(t *testing.T) {
	k := startKiosk(t, stateFolder(t), auditlog.Options{})
	k.degrade("vault", errors.New("no answer"))
	k.degrade("vault", errors.New("no answer"))
	k.degrade("vault", nil)
	k.degrade("vault", nil)
	records, err := tail(k.audit, tailRecords)
	if err != nil {
		t.Fatal(err)
	}
	entered, left := 0, 0
	for _, r := range records {
		switch {
		case !strings.HasPrefix(r.Detail, "vault"):
		case r.Event == access.EventDegradedEntered:
			entered++
		case r.Event == access.EventDegradedLeft:
			left++
		}
	}
	if entered != 1 || left != 1 || len(k.trouble.sentences()) != 0 {
		t.Errorf("entered %d times, left %d, open %q", entered, left, k.trouble.sentences())
	}
}
