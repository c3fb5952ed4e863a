//go:build !kiosk

package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/sync/wire"
)

// events has the kiosks come back with long logs, and cuts their networks and headquarters while they tell of them. Then every record of every scene so
// far must be at headquarters.
func events(s *site) (string, error) {
	if err := s.own(); err != nil {
		return "", err
	}
	each := s.size.events / len(s.kiosks)
	var work sync.WaitGroup
	failed := make([]error, len(s.kiosks))
	for i, k := range s.kiosks {
		k.rest()
		work.Go(func() { failed[i] = k.fill(each) })
	}
	work.Wait()
	if err := errors.Join(failed...); err != nil {
		return "", fmt.Errorf("fill the logs: %w", err)
	}
	for _, k := range s.kiosks {
		if err := k.start(); err != nil {
			return "", err
		}
	}
	began := time.Now()
	rng := rand.New(rand.NewPCG(5, 6))
	cuts := 0
	for round := range 8 {
		time.Sleep(time.Duration(300+rng.IntN(900)) * time.Millisecond)
		s.kiosks[round%len(s.kiosks)].net.reset()
		if cuts++; round%4 == 3 {
			s.serve.kill()
		}
	}
	// 100,000 records take a while on a machine that does all of this alone.
	patience := 2*time.Minute + time.Duration(each/100)*time.Second
	records, last := uint64(0), uint64(0)
	for _, k := range s.kiosks {
		n, err := k.complete(patience)
		if err != nil {
			return "", fmt.Errorf("%s: %w", k.door, err)
		}
		records, last = records+n, n
	}
	took := time.Since(began)
	shown, err := s.shown(s.kiosks[len(s.kiosks)-1], last)
	if err != nil {
		return "", err
	}
	proved, err := s.prove()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d records, %d of them written at rest, there after %.0f s, %d cuts of networks and 2 SIGKILL of hq serve; lost 0, twice 0; hq events shows the %d of one kiosk, "+
		"each once; %d receipts verified", records, each*len(s.kiosks), took.Seconds(), cuts, shown, proved), nil
}

// shown holds what hq events shows of a kiosk to the kiosk's own log, byte for byte: each record once and in order, and at least so many.
func (s *site) shown(k *kiosk, least uint64) (n uint64, err error) {
	own, err := k.log()
	if err != nil {
		return 0, err
	}
	out, err := s.at("events", "-json", "-vouched", "-kiosk", k.name)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(out) {
		var e struct {
			Kiosk  string `json:"kiosk"`
			Index  uint64 `json:"index"`
			Record string `json:"record"` // none of an alarm
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return n, fmt.Errorf("hq events: %w", err)
		}
		if e.Record == "" || n == uint64(len(own)) {
			continue
		}
		if e.Kiosk != k.name || e.Index != n || e.Record != hex.EncodeToString(own[n]) {
			return n, fmt.Errorf("hq events shows record %d of %s, want %d of %s as it is in its log", e.Index, e.Kiosk, n, k.name)
		}
		n++
	}
	if n < least {
		err = fmt.Errorf("hq events shows %d records of %s, and headquarters has %d", n, k.door, least)
	}
	return n, err
}

// withRoot opens the keys of a kiosk whose door is down, as door does.
func (k *kiosk) withRoot(do func(*root.Root) error) (err error) {
	r, err := root.Open(root.Path(k.chip.Socket()), k.state(), tpm.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	b, err := board.Load("desk")
	if err != nil {
		return err
	}
	image, err := root.MeasureImage(k.site.programs, b)
	if err != nil {
		return err
	}
	if _, err := r.Extend(image); err != nil {
		return err
	}
	return do(r)
}

// fill writes records into the log of a kiosk whose door is down, as door would: under the kiosk's own TPM, signed and anchored.
func (k *kiosk) fill(n int) error {
	return k.withRoot(func(r *root.Root) error { return k.fillUnder(r, n) })
}

func (k *kiosk) fillUnder(r *root.Root, n int) (err error) {
	own, err := k.log()
	if err != nil {
		return err
	}
	last, err := decoded(own[len(own)-1])
	if err != nil {
		return err
	}
	log, _, err := auditlog.Open(filepath.Join(k.state(), "audit"), auditlog.Options{Merkle: &auditlog.Merkle{
		Origin: r.Identity().Origin(), Key: r.AuditKey(), Anchor: r, Counter: r.AuditCounter,
		Attest: func(ctx context.Context, top [32]byte) ([32]byte, error) {
			attestation, sum, err := r.AttestTime(ctx, top)
			if err == nil {
				err = root.Replace(filepath.Join(k.state(), "root", "time"), attestation)
			}
			return sum, err
		},
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	record := access.Record{Version: access.RecordVersion, Event: access.EventExitRequested, Boot: last.Boot, Door: last.Door, Policy: last.Policy}
	for i := range n {
		record.Stamp, record.Wall, record.Detail = frames.Now(), time.Now().Unix(), fmt.Sprintf("number %d", i)
		data, err := wire.Marshal(record)
		if err == nil {
			_, err = log.Append(auditlog.Vital, data)
		}
		if err != nil {
			return fmt.Errorf("record %d: %w", i, err)
		}
	}
	if _, err := r.RaiseAudit(); err != nil {
		return err
	}
	_, err = log.Anchor(context.Background())
	return err
}

// provedMost bounds how many receipts of a kiosk are made and verified, evenly over its log: each reads a path of the tree.
const provedMost = 200

// prove has headquarters make receipts, and verifies them with what each kiosk's bench wrote down.
func (s *site) prove() (n int, err error) {
	books, err := s.books()
	if err != nil {
		return 0, err
	}
	for _, k := range s.kiosks {
		text, err := readFile(k.auditKey())
		if err != nil {
			return n, err
		}
		_, key, err := proof.ParseVerifierKey(strings.TrimSpace(string(text)))
		if err != nil {
			return n, err
		}
		own, err := k.log()
		if err != nil {
			return n, err
		}
		step := max(1, len(own)/provedMost)
		for i := 0; i+step < len(own); i += step {
			receipt, err := books.Receipt(k.name, uint64(i))
			if err != nil {
				return n, fmt.Errorf("%s, record %d: %w", k.door, i, err)
			}
			v, err := proof.VerifyReceipt(receipt, key)
			if err != nil || v.Seq != uint64(i) {
				return n, fmt.Errorf("%s, record %d: receipt of %d: %w", k.door, i, v.Seq, err)
			}
			n++
		}
	}
	return n, nil
}
