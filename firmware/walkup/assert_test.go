package walkup

import (
	"errors"
	"testing"

	"github.com/lintel-access/lintel/access"
)

// An operator's word from afar opens once it is on record, and not otherwise.
func TestAssertIsOnRecordFirst(t *testing.T) {
	b := start(t, nil)
	a := func() access.Assertion { return access.Assertion{Vouched: true, Asked: now()} }
	opened := func() (n int) { b.locked(func() { n = b.released }); return n }
	if err := b.w.Assert(b.ctx, a(), "by somebody"); err != nil || opened() != 1 {
		t.Fatalf("%v, released %d times", err, opened())
	}
	b.locked(func() {
		r := b.records[len(b.records)-1]
		if r.Event != access.EventRemoteReleaseGranted || r.Session.Number == 0 || r.Detail != "by somebody" || r.Verdict != access.Granted || r.Subject != [16]byte{} {
			t.Errorf("%+v", r)
		}
	})
	if err := b.w.Assert(b.ctx, access.Assertion{Asked: now()}, ""); !errors.Is(err, ErrNotOpened) {
		t.Errorf("nobody vouched: %v", err)
	}
	b.locked(func() {
		if r := b.records[len(b.records)-1]; r.Event != access.EventRemoteReleaseRefused || r.Reason != access.ReasonNotReady {
			t.Errorf("%+v", r)
		}
		b.logErr = errors.New("full")
	})
	if err := b.w.Assert(b.ctx, a(), ""); err == nil {
		t.Error("opened without a record")
	}
	b.locked(func() { b.logErr, b.doorErr = nil, errors.New("relay stuck") })
	if err := b.w.Assert(b.ctx, a(), ""); err == nil || opened() != 1 {
		t.Errorf("%v, released %d times", err, opened())
	}
}
