//go:build !kiosk

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/firmware/cmd/desk/runner"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/firmware/twin"
	"github.com/lintel-access/lintel/sync/wire"
)

// A review is signed with the desk's release key, for the kiosk that it runs.
//
// Control: B24
func TestReviewIsSignedOnTheDesk(t *testing.T) {
	b, door := operator(t)
	what := access.CorrelationID{1, 15: 9}
	if err := b.review(t.Context(), what.String()); err == nil {
		t.Error("reviewed at a kiosk that is not provisioned")
	}
	release, err := releaseKey(b.options.offline())
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&release.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	id := root.Identity{Version: 2, Attestation: []byte("a key"), Release: public, Device: sha256.Sum256([]byte("lintel device 1\x00a key"))}
	encoded, err := wire.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(b.options.disk(), "root", "identity"), encoded)
	if err := b.review(t.Context(), "nobody"); err == nil {
		t.Error("reviewed what has no id")
	}
	if err := b.review(t.Context(), what.String()); err != nil {
		t.Fatal(err)
	}
	door.mu.Lock()
	defer door.mu.Unlock()
	if got, err := id.OpenReview(door.review.Order); err != nil || got != what || len(door.asked) != 1 {
		t.Errorf("door was handed a review of %v, %v", got, err)
	}
}

// counter plays door: it notes what it is asked, carries it out for everybody and proves deletions with its key.
type counter struct {
	t *testing.T

	mu      sync.Mutex
	key     *ecdsa.PrivateKey
	refuses string // what it says to everything, if set
	asked   []ipc.Kind
	word    ipc.Confirm // the last
	review  ipc.Review  // the last
}

func (c *counter) confirmed() ipc.Confirm {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.word
}

func (c *counter) refuse(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuses = text
}

func (c *counter) calls() []ipc.Kind {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}

// operator is a desk's bench on a state folder, connected to a door that is played.
func operator(t *testing.T) (*bench, *counter) {
	t.Helper()
	o := options{state: t.TempDir()}
	if err := errors.Join(os.MkdirAll(filepath.Join(o.disk(), "root"), 0o700), o.makePlaces()); err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	line, err := proof.VerifierKey("lintel/test", &key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(o.disk(), "root", "audit.pub"), []byte(line+"\n"))
	reg, err := openRegister(filepath.Join(o.state, "people.json"))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"Ada", "Ben"} {
		if err := reg.put(name, access.PersonID{byte(i + 1)}, access.Permitted); err != nil {
			t.Fatal(err)
		}
	}
	nobody, err := runner.New(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(o, nil, nobody, twin.Cast{}, reg, nil, io.Discard)

	c := &counter{t: t, key: key}
	path := filepath.Join(t.TempDir(), ipc.Desk.Socket())
	if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := ipc.Listen(path, ipc.Desk, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); c.serve(t.Context(), l) }()
	conn, err := ipc.Dial(t.Context(), path, ipc.Desk, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	b.client = ipc.NewClient(conn, func(ipc.Message) {})
	ran := make(chan struct{})
	go func() { defer close(ran); _ = b.client.Run(t.Context()) }()
	t.Cleanup(func() { conn.Close(); <-ran; l.Close(); <-served })
	return b, c
}

func (c *counter) serve(ctx context.Context, l *ipc.Listener) {
	conn, err := l.Accept(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		m, err := conn.Recv(ctx)
		if err != nil {
			return
		}
		c.mu.Lock()
		c.asked = append(c.asked, m.Kind)
		if m.Kind == ipc.KindConfirm && ipc.Decode(m, &c.word) != nil {
			c.t.Error("door was told nothing that it understands")
		}
		if m.Kind == ipc.KindReview && ipc.Decode(m, &c.review) != nil {
			c.t.Error("door was handed no review")
		}
		switch {
		case c.refuses != "":
			err = conn.Refuse(m.ID, c.refuses)
		case m.Kind == ipc.KindDelete:
			err = conn.Send(ipc.KindDeleted, m.ID, c.deleted())
		default:
			err = conn.Send(ipc.KindOK, m.ID, nil)
		}
		c.mu.Unlock()
		if err != nil {
			c.t.Errorf("door: %v", err)
			return
		}
	}
}

func (c *counter) deleted() ipc.Deleted {
	receipt, err := vault.Receipt{Person: [32]byte{1}, Generation: 1, Counter: 42}.Encode()
	if err != nil {
		c.t.Error(err)
	}
	digest := vault.ReceiptDigest(receipt)
	signature, err := ecdsa.SignASN1(rand.Reader, c.key, digest[:])
	if err != nil {
		c.t.Error(err)
	}
	return ipc.Deleted{Receipt: receipt, Signature: signature}
}

// Every order from every standing: what door is asked, and what the register says afterwards, also after a restart of the desk.
func TestOrders(t *testing.T) {
	const gone = access.Standing(99)
	kinds := map[string]ipc.Kind{"suspend": ipc.KindSuspend, "resume": ipc.KindResume, "revoke": ipc.KindRevoke, "delete": ipc.KindDelete}
	becomes := map[string]access.Standing{"suspend": access.Suspended, "resume": access.Permitted, "revoke": access.Revoked, "delete": gone}
	for verb, kind := range kinds {
		for _, was := range []access.Standing{access.Permitted, access.Suspended, access.Revoked} {
			for _, refused := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s a person of standing %d, refused %v", verb, was, refused), func(t *testing.T) {
					b, door := operator(t)
					id := access.PersonID{1}
					if err := b.register.put("Ada", id, was); err != nil {
						t.Fatal(err)
					}
					want, asked := becomes[verb], []ipc.Kind{kind}
					if want == was {
						asked = nil
					} else if refused {
						want = was
						door.refuse("not now")
					}
					err := b.order(t.Context(), verb, "Ada")
					if wantErr := refused && asked != nil; (err != nil) != wantErr || wantErr && !strings.Contains(err.Error(), "not now") {
						t.Errorf("%v", err)
					}
					if !slices.Equal(door.calls(), asked) {
						t.Errorf("door was asked %v, want %v", door.calls(), asked)
					}
					again, err := openRegister(b.register.path)
					if err != nil {
						t.Fatal(err)
					}
					if e, ok := again.entry("Ada"); ok != (want != gone) || ok && (e.standing() != want || e.person() != id) {
						t.Errorf("the register says %+v, %v; want standing %d", e, ok, want)
					}
					if e, ok := again.entry("Ben"); !ok || e.standing() != access.Permitted {
						t.Errorf("somebody else became %+v, %v", e, ok)
					}
				})
			}
		}
	}
}

func TestOrdersThatAreNone(t *testing.T) {
	b, door := operator(t)
	if err := b.order(t.Context(), "delete", "Mallory"); err != nil {
		t.Errorf("who is not there is deleted already: %v", err)
	}
	if err := b.order(t.Context(), "resume", "Mallory"); err == nil || !strings.Contains(err.Error(), `"Mallory" is not enrolled`) {
		t.Errorf("nobody is resumed: %v", err)
	}
	b.enrolling = true
	if err := b.order(t.Context(), "delete", "Ada"); err == nil || !strings.Contains(err.Error(), "wait until") {
		t.Errorf("deleted while people are enrolled: %v", err)
	}
	if len(door.calls()) > 0 {
		t.Errorf("door was asked %v", door.calls())
	}
}

// The receipt is kept as door gave it, for nobody else to read, and holds with nothing but the kiosk's public key.
func TestDeletionIsProved(t *testing.T) {
	b, door := operator(t)
	ctx, leave := context.WithCancel(t.Context())
	leave() // the browser is gone: the proof is not to go with it
	if err := b.order(ctx, "delete", "Ada"); err != nil {
		t.Fatal(err)
	}
	kept, err := filepath.Glob(filepath.Join(b.options.offline(), "deleted-*-01000000"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept %v, %v; want one receipt", kept, err)
	}
	if info, err := os.Stat(kept[0]); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	data, err := os.ReadFile(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	var d ipc.Deleted
	if err := wire.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	if r, err := vault.VerifyReceipt(&door.key.PublicKey, d.Receipt, d.Signature); err != nil || r.Counter != 42 {
		t.Errorf("kept %+v, %v", r, err)
	}
	if want := "Ada is deleted; the receipt is proved, counter 42, kept in " + kept[0] + "."; !slices.Equal(b.told, []string{want}) {
		t.Errorf("the desk says %q, want %q", b.told, want)
	}
}

// A deletion that is not proved is none for headquarters: the person stays listed, so that it is asked for again.
func TestDeletionWithoutProof(t *testing.T) {
	for name, forge := range map[string]func(*bench, *counter){
		"signed by another kiosk": func(_ *bench, c *counter) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		},
		"no public key": func(b *bench, _ *counter) { os.Remove(filepath.Join(b.options.disk(), "root", "audit.pub")) },
		"another thing in the key's place": func(b *bench, c *counter) {
			write(c.t, filepath.Join(b.options.disk(), "root", "audit.pub"), bytes.Repeat([]byte("x"), maxKeyFile+1))
		},
		"no room for the receipt": func(b *bench, _ *counter) { os.RemoveAll(b.options.offline()) },
	} {
		t.Run(name, func(t *testing.T) {
			b, door := operator(t)
			forge(b, door)
			if err := b.order(t.Context(), "delete", "Ada"); err == nil || !strings.Contains(err.Error(), "Ada is deleted, but that is not proved") {
				t.Errorf("%v", err)
			}
			if e, ok := b.register.entry("Ada"); !ok || e.standing() != access.Revoked || len(b.told) > 0 {
				t.Errorf("the register says %+v, %v; the desk %q", e, ok, b.told)
			}
			if kept, _ := filepath.Glob(filepath.Join(b.options.offline(), "deleted-*")); len(kept) > 0 {
				t.Errorf("kept %v", kept)
			}
		})
	}
}

// Only the two whom door names can be confirmed, and of those only who is in the register.
func TestConfirm(t *testing.T) {
	b, door := operator(t)
	for name, tt := range map[string]struct {
		pending ipc.Pending
		says    string
	}{
		"Ada": {ipc.Pending{First: access.PersonID{1}, Second: access.PersonID{9}}, ""},
		"Ben": {ipc.Pending{First: access.PersonID{1}, Second: access.PersonID{2}}, ""},
		"Eve": {ipc.Pending{First: access.PersonID{1}, Second: access.PersonID{2}}, `does not ask about "Eve"`},
		"":    {ipc.Pending{}, "does not ask"},
	} {
		tt.pending.Session = access.SessionID{Boot: 3, Number: 4}
		b.status.Pending = tt.pending
		before := len(door.calls())
		err := b.confirm(t.Context(), name)
		if ok := err == nil; ok != (tt.says == "") || !ok && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: %v, want %q", name, err, tt.says)
		}
		if asked := len(door.calls()) - before; (asked == 1) != (tt.says == "") {
			t.Errorf("%q: door was asked %d times", name, asked)
		}
		if want := map[string]byte{"Ada": 1, "Ben": 2}[name]; tt.says == "" && door.confirmed().Person != (access.PersonID{want}) {
			t.Errorf("%q: door was told %+v", name, door.confirmed())
		}
	}
}

func TestRekeyIsSaid(t *testing.T) {
	b, door := operator(t)
	if err := b.rekey(t.Context()); err != nil || !slices.Equal(door.calls(), []ipc.Kind{ipc.KindRekey}) || len(b.told) != 1 {
		t.Errorf("%v; door was asked %v, the desk says %q", err, door.calls(), b.told)
	}
	door.refuse("not now")
	if err := b.rekey(t.Context()); err == nil || len(b.told) != 1 {
		t.Errorf("%v; the desk says %q", err, b.told)
	}
}

func TestLookAlikeIsNamed(t *testing.T) {
	b, _ := operator(t)
	for id, want := range map[access.PersonID]string{
		{2}: "Ada looks like Ben: the door may ask one of them for assistance.",
		{9}: "Ada looks like somebody who is enrolled: the door may ask one of them for assistance.",
	} {
		if got := b.looksLike("Ada", id); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A door that recognises nobody ends the wait with its own sentence.
func TestClosedDoorEndsTheWait(t *testing.T) {
	for want, s := range map[string]ipc.Status{
		"nobody is recognised: the TPM is silent": {Closed: true, Degraded: []string{"nobody is recognised: the TPM is silent", "more"}},
		"nobody is recognised":                    {Closed: true},
	} {
		b, _ := operator(t)
		b.status, b.heard = s, time.Now()
		if _, err := b.ready(t.Context()); !errors.Is(err, errClosed) || err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
