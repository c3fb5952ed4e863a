//go:build !kiosk

package tpm

import (
	"crypto"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// floor is the price of one bare command to the same TPM in the same run.
func floor(b *testing.B, tp *TPM) time.Duration {
	const rounds = 100
	start := time.Now()
	for range rounds {
		if _, err := (tpm2.GetRandom{BytesRequested: 32}).Execute(tp.wire); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start) / rounds
}

func measure(b *testing.B, tp *TPM, do func() error) {
	least := floor(b, tp)
	for b.Loop() {
		if err := do(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(least), "bare-commands/op")
}

func BenchmarkUnseal(b *testing.B) {
	d := newBoard(b)
	tp := d.open()
	good := d.approve(tp, 1)
	sealed := must(tp.Seal(make([]byte, 32)))(b)
	measure(b, tp, func() error { _, err := tp.Unseal(sealed, good); return err })
}

func BenchmarkRaise(b *testing.B) {
	tp := newBoard(b).open()
	measure(b, tp, func() error { _, err := tp.Raise(VaultVersion); return err })
}

func BenchmarkCounter(b *testing.B) {
	tp := newBoard(b).open()
	measure(b, tp, func() error { _, err := tp.Counter(VaultVersion); return err })
}

func BenchmarkSign(b *testing.B) {
	d := newBoard(b)
	tp := d.open()
	s := must(tp.AuditKey(must(tp.CreateKey(Audit))(b), d.approve(tp, 1)))(b)
	digest := make([]byte, 32)
	measure(b, tp, func() error { _, err := s.Sign(nil, digest, crypto.SHA256); return err })
}

func BenchmarkAttestTime(b *testing.B) {
	tp := newBoard(b).open()
	measure(b, tp, func() error { _, err := tp.AttestTime(nil); return err })
}

func BenchmarkOpen(b *testing.B) {
	d := newBoard(b)
	tp := d.open()
	least := floor(b, tp)
	tp.Close()
	for b.Loop() {
		tp, err := Open(d.process.Socket(), d.options)
		if err != nil {
			b.Fatal(err)
		}
		tp.Close()
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(least), "bare-commands/op")
}
