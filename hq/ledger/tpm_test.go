package ledger

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/drivers/tpm/swtpm"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/sync/wire"
)

// chip is the root of a real kiosk, over a software TPM that is switched off and on.
type chip struct {
	*testing.T
	state, socket string
	release       *ecdsa.PrivateKey
	process       *swtpm.Process
	*root.Root
	log *auditlog.Log
	att []byte // newest attestation of the clock
}

func measured() root.Measurements { return root.Measurements{{1}, {2}, {3}, {4}} }

func newChip(t *testing.T) *chip {
	t.Helper()
	dir, err := os.MkdirTemp("", "ledger") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := &chip{T: t, state: t.TempDir(), socket: filepath.Join(dir, "s"), release: newKey(t)}
	c.power()
	t.Cleanup(func() { c.off() })
	id, err := root.Provision(root.Path(c.socket), c.state, tpm.NewSecrets(), &c.release.PublicKey, tpm.Options{}, true)
	if err != nil {
		t.Fatal(err)
	}
	approval, err := root.Approve(c.release, id, measured(), id.Floor)
	if err == nil {
		err = root.WriteApprovals(c.state, approval)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.boot()
	return c
}

func (c *chip) power() {
	c.Helper()
	var err error
	if c.process, err = swtpm.StartAt(filepath.Join(c.state, "chip"), c.socket); err != nil {
		c.Fatal(err)
	}
}

func (c *chip) boot() {
	c.Helper()
	var err error
	if c.Root, err = root.Open(root.Path(c.socket), c.state, tpm.Options{}); err != nil {
		c.Fatal(err)
	}
	if _, err := c.Extend(measured()); err != nil {
		c.Fatal(err)
	}
	c.log, _, err = auditlog.Open(filepath.Join(c.state, "audit"), auditlog.Options{Merkle: &auditlog.Merkle{
		Origin: c.Identity().Origin(), Key: c.AuditKey(), Anchor: c.Root, Counter: c.AuditCounter,
		Attest: func(ctx context.Context, top [32]byte) (sum [32]byte, err error) {
			c.att, sum, err = c.AttestTime(ctx, top)
			return sum, err
		},
	}})
	if err != nil {
		c.Fatal(err)
	}
}

func (c *chip) off() {
	c.Helper()
	if c.Root == nil {
		return
	}
	if err := errors.Join(c.log.Close(), c.Root.Close(), c.process.Stop()); err != nil {
		c.Error(err)
	}
	c.Root = nil
}

// What a real kiosk signs holds here: checkpoint, counter, and the clock of a TPM over its resets.
func TestCheckpointsOfATPM(t *testing.T) {
	c := newChip(t)
	key, err := x509.ParsePKIXPublicKey(c.Identity().Attestation)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{double: &double{id: c.Identity().Kiosk()}, dir: t.TempDir(), clock: &clockwork{}}
	if b.Ledger, err = Open(b.dir, Options{Now: b.clock.now, Alarm: b.ring}); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Add(Kiosk{ID: b.id, Audit: c.AuditKey().Public().(*ecdsa.PublicKey), Attestation: key.(*ecdsa.PublicKey)}); err != nil {
		t.Fatal(err)
	}
	send := func(n uint64) {
		t.Helper()
		record := b.record(access.EventDoorOpened, n)
		if _, err := c.log.Append(auditlog.Vital, record); err != nil {
			t.Fatal(err)
		}
		note, err := c.log.Anchor(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ack, err := b.Ingest(b.id, wire.Records{From: n, Records: [][]byte{record}, Checkpoint: note, Time: c.att})
		if err != nil || ack == nil || ack.Records != n+1 {
			t.Fatalf("%+v, %v", ack, err)
		}
	}
	send(0)
	first := b.kiosks[b.id].state.Newest
	c.off()
	c.power()
	c.boot()
	send(1)
	second := b.kiosks[b.id].state.Newest
	if !first.Attested || !second.Attested || second.clock(first) <= 0 || second.Resets <= first.Resets {
		t.Errorf("%+v, then %+v", first, second)
	}
	b.wantRings(t)
}
