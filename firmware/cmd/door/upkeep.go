package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/health"
	"github.com/lintel-access/lintel/sync/wire"
)

// How often each thing is seen to.
const (
	settleEvery = 10 * time.Second // the vault's changes that wait for the counter; counts of folded records
	beatEvery   = 30 * time.Second // whether the TPM answers
	leaseEvery  = time.Minute      // whose lease has ended
	sweepEvery  = 24 * time.Hour   // what is kept for longer than the policy allows
	sweepFirst  = 2 * time.Minute  // after a start, when nobody waits for it
)

// upkeep does what is due until ctx ends.
func (k *kiosk) upkeep(ctx context.Context) {
	settle, beat, lease := time.NewTicker(settleEvery), time.NewTicker(beatEvery), time.NewTicker(leaseEvery)
	sweep := time.NewTimer(sweepFirst)
	defer settle.Stop()
	defer beat.Stop()
	defer lease.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-settle.C:
			k.fold.due()
			if k.trail != nil {
				k.trail.Expire(frames.Now())
			}
			if k.store != nil {
				err := k.store.Settle()
				k.degrade("vault", err)
				k.test.suffers(health.Vault, err)
			}
			k.look()
			_ = k.portal.Check(ctx) // it says itself when it ends
		case <-beat.C:
			k.beat()
		case <-lease.C:
			k.refresh()
		case <-sweep.C:
			k.sweep()
			sweep.Reset(sweepEvery)
		}
	}
}

// beat asks the TPM something, and opens it anew when it was away.
func (k *kiosk) beat() {
	if k.root == nil {
		return
	}
	err := k.root.Revive()
	if err == nil {
		_, err = k.root.Counter()
	}
	if err != nil {
		err = fmt.Errorf("TPM does not answer: nothing is revoked for good or signed until it does; check it and restart the kiosk: %w", err)
	}
	k.test.suffers(health.TPM, err)
	k.guessed()
	k.debugged()
	switch was := k.trouble.set("tpm", err); {
	case err != nil && !was:
		k.note(access.EventTPMSilent, err.Error())
	case err == nil && was:
		k.note(access.EventTPMBack, "")
	}
}

// guessed looks whether somebody guessed at the TPM's authorisations. A TPM that does not answer is beat's to tell.
func (k *kiosk) guessed() {
	if k.root == nil {
		return
	}
	switch locked, err := k.root.InLockout(); {
	case err != nil:
	case locked:
		k.test.judge(health.Guessing, health.Impaired, "")
	default:
		k.test.judge(health.Guessing, health.Works, "")
	}
}

// look sees to what changes by itself: the clock, the room on the disk, programs that never came.
func (k *kiosk) look() {
	var space health.Space
	var fs unix.Statfs_t
	err := unix.Statfs(k.state, &fs)
	if err == nil {
		space.Free = fs.Bavail * uint64(fs.Bsize)
	}
	if k.audit != nil {
		space.Reserve, space.Want = k.audit.Reserve()
		space.Turned = k.lost.Load() > 0
	}
	// A bench's own clock is believed: whoever works there sees it.
	at, clock := k.wall()
	k.test.often(at, k.earliest, k.test.board.Lab || clock == access.ClockTrusted, space, err)
}

// oldest is when this program cannot have run: before it was written.
var oldest = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)

// notBefore is the earliest that it can be: later than the newest record, if the log has one.
func (k *kiosk) notBefore() time.Time {
	if k.audit == nil || k.audit.Head() == 0 {
		return oldest
	}
	newest, err := k.audit.Read(k.audit.Head()-1, 1)
	var r access.Record
	if err != nil || len(newest) == 0 || wire.Unmarshal(newest[0].Record, &r) != nil || r.Wall < oldest.Unix() {
		return oldest
	}
	return time.Unix(r.Wall, 0)
}

// refresh follows leases that ended while the kiosk runs.
func (k *kiosk) refresh() {
	if k.store == nil {
		return
	}
	var all []access.PersonID
	changed, err := k.gallery.Refresh(func(f func(access.PersonID, access.Standing) error) error {
		all = all[:0]
		return k.store.States(func(id access.PersonID, s vault.State) error { all = append(all, id); return f(id, standing(s)) })
	})
	k.degrade("leases", err)
	for _, id := range all { // so that their walk-ups need not wait for a change of the vault
		if _, err := k.store.Lockout(person(id)); err != nil {
			break // their walk-ups say so
		}
	}
	if changed > 0 {
		k.changed()
	}
}

// sweep removes what the policy keeps no longer, and records each person that went.
func (k *kiosk) sweep() {
	keep := k.policy.Keep
	if k.store != nil {
		done, err := k.store.Sweep(vault.Retention{Revoked: keep.Revoked, Expired: keep.Expired, Suspended: keep.Suspended, Lockout: keep.Lockout})
		k.degrade("retention", err)
		for _, id := range done.People {
			_ = k.gallery.Remove(id, func() error { return nil }) // gone from the vault already; whoever is not in the gallery needs no removing
			r := k.blank(access.EventRetentionRemoved)
			r.Subject = k.gallery.Subject(id, r.Wall)
			_ = k.append(auditlog.Vital, r)
		}
	}
	if k.audit == nil {
		return
	}
	oldest := time.Now().Add(-keep.Events).Unix()
	gone, err := k.audit.Expire(func(last auditlog.Entry) bool {
		var r access.Record
		return wire.Unmarshal(last.Record, &r) == nil && r.Wall < oldest
	})
	if errors.Is(err, auditlog.ErrCutOff) {
		k.note(access.EventAuditCutOff, err.Error())
	}
	k.degrade("expiry of records", err)
	if gone > 0 {
		k.note(access.EventRecordsExpired, fmt.Sprintf("%d records that headquarters has acknowledged", gone))
	}
}
