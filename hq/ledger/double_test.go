package ledger

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/sync/wire"
)

// double is a kiosk: the real audit log, with keys in software and a TPM whose numbers a test may set.
type double struct {
	id         [32]byte
	audit, tpm *ecdsa.PrivateKey
	dir        string
	log        *auditlog.Log

	mu       sync.Mutex
	counter  uint64
	clock    tpm2.TPMSClockInfo
	times    map[[32]byte][]byte // attestations by their hash
	seen     []byte              // newest checkpoint
	boot     uint64
	sessions uint64
}

func (d *double) kiosk() Kiosk {
	return Kiosk{ID: d.id, Audit: &d.audit.PublicKey, Attestation: &d.tpm.PublicKey}
}

func (d *double) name() string { return wire.Name(d.id) }

func newDouble(t testing.TB, name string) *double {
	t.Helper()
	d := &double{id: sha256.Sum256([]byte(name)), dir: filepath.Join(t.TempDir(), name), times: map[[32]byte][]byte{}, boot: 1, counter: 7}
	d.audit, d.tpm = newKey(t), newKey(t)
	d.open(t)
	return d
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (d *double) open(t testing.TB) {
	t.Helper()
	var err error
	d.log, _, err = auditlog.Open(d.dir, auditlog.Options{SegmentBytes: 256 << 10, Reserve: 1, MaxSegments: 4096, Merkle: &auditlog.Merkle{
		Origin: d.kiosk().origin(), Key: d.audit, Counter: func() (uint64, error) { return d.counter, nil }, Attest: d.attest,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.log.Close() })
}

// attest is TPM2_GetTime by a key in software.
func (d *double) attest(_ context.Context, root [32]byte) (sum [32]byte, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clock.Clock++
	body := tpm2.Marshal(tpm2.TPMSAttest{
		Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestTime, ExtraData: tpm2.TPM2BData{Buffer: root[:]}, ClockInfo: d.clock,
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestTime, &tpm2.TPMSTimeAttestInfo{Time: tpm2.TPMSTimeInfo{ClockInfo: d.clock}}),
	})
	hash := sha256.Sum256(body)
	signature, err := ecdsa.SignASN1(rand.Reader, d.tpm, hash[:])
	if err != nil {
		return sum, err
	}
	b, err := wire.Marshal(attestation{body, signature})
	sum = sha256.Sum256(b)
	d.times[sum] = b
	return sum, err
}

func (d *double) record(e access.Event, number uint64) []byte {
	r := access.Record{
		Version: access.RecordVersion, Event: e, Boot: d.boot, Stamp: time.Duration(number), Wall: 1_700_000_000 + int64(number), Door: "front",
		Policy: d.id,
	}
	if e.Concludes() {
		r.Session = access.SessionID{Boot: d.boot, Number: number}
		if e == access.EventWalkupGranted {
			r.Verdict, r.Reason = access.Granted, access.ReasonAllowed
		}
	}
	b, err := wire.Marshal(r)
	if err != nil {
		panic(err) // a record of constants: unreachable
	}
	return b
}

// add appends n records.
func (d *double) add(t testing.TB, n int) {
	t.Helper()
	var all sync.WaitGroup
	errs := make([]error, n)
	limit := make(chan struct{}, 64)
	for i := range n {
		limit <- struct{}{}
		d.sessions++
		record := d.record(access.EventWalkupGranted, d.sessions)
		all.Go(func() {
			_, errs[i] = d.log.Append(auditlog.Vital, record)
			<-limit
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func (d *double) sign(t testing.TB) []byte {
	t.Helper()
	note, err := d.log.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return note
}

// report is what door answers to a Fetch: at most so many records from one on, the newest checkpoint, and the proof where it covers more.
func (d *double) report(t testing.TB, from uint64, most int) wire.Records {
	t.Helper()
	m := wire.Records{From: from, Checkpoint: d.log.LastCheckpoint()}
	list, err := d.log.Read(from, most)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		m.Records = append(m.Records, e.Record)
	}
	if len(m.Checkpoint) == 0 {
		return m
	}
	c, err := openSigned(d.kiosk(), m.Checkpoint, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.Time = d.times[c.Time]
	if end := from + uint64(len(list)); end > 0 && end < c.Size {
		p, err := d.log.ProveConsistency(end, c.Size)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range p {
			m.Proof = append(m.Proof, h)
		}
	}
	return m
}

// clockwork is a clock that a test moves.
type clockwork struct {
	mu sync.Mutex
	t  time.Time
	of *double // whose TPM's clock goes with it
}

func (c *clockwork) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clockwork) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.of.clock.Clock += uint64(d.Milliseconds())
}

// bench is a ledger with one kiosk, and what it was told.
type bench struct {
	*Ledger
	*double
	dir   string
	clock *clockwork
	rings []string // alarms as they came
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{double: newDouble(t, "kiosk"), dir: t.TempDir(), clock: &clockwork{t: time.Unix(1_800_000_000, 0)}}
	b.clock.of = b.double
	b.reopen(t)
	return b
}

// reopen closes the ledger, if it is open, and opens it again.
func (b *bench) reopen(t testing.TB) {
	t.Helper()
	if b.Ledger != nil {
		b.Ledger.Close()
	}
	var err error
	if b.Ledger, err = Open(b.dir, Options{Now: b.clock.now, Alarm: b.ring}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Ledger.Close() })
	if err := b.Add(b.kiosk()); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) ring(_ [32]byte, a Alarm) {
	if a.Open() {
		b.rings = append(b.rings, a.Kind.String())
	} else {
		b.rings = append(b.rings, a.Kind.String()+" over")
	}
}

func (b *bench) kiosk() Kiosk { return b.double.kiosk() }

// send has the ledger take in a message and returns how many records it acknowledges.
func (b *bench) send(m wire.Records) (uint64, error) {
	ack, err := b.Ingest(b.id, m)
	if ack == nil {
		return 0, err
	}
	if root, failed := b.log.Root(ack.Records); failed != nil || root != ack.Root {
		return 0, fmt.Errorf("acknowledged root of %d is not the kiosk's: %v", ack.Records, failed)
	}
	return ack.Records, err
}

func (b *bench) mustSend(t testing.TB, m wire.Records, want uint64) {
	t.Helper()
	if n, err := b.send(m); err != nil || n != want {
		t.Fatalf("acknowledged %d, want %d; %v", n, want, err)
	}
}

func (b *bench) mustRefuse(t testing.TB, what string, m wire.Records, want uint64) {
	t.Helper()
	if n, err := b.send(m); !errors.Is(err, ErrRefused) || n != want {
		t.Errorf("%s: acknowledged %d, want %d; %v", what, n, want, err)
	}
}

func (b *bench) wantRings(t testing.TB, want ...string) {
	t.Helper()
	if fmt.Sprint(b.rings) != fmt.Sprint(want) {
		t.Errorf("alarms %v, want %v", b.rings, want)
	}
	b.rings = nil
}

func contextFor(t testing.TB, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}
