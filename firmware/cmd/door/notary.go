package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/root"
)

const (
	// checkpointEvery is how long an ordinary record waits for a signature over it.
	checkpointEvery = time.Minute
	// anchorEvery is how long the TPM remembers an older log than the signed one; a cut-off in between is seen at headquarters alone.
	anchorEvery = time.Hour
	// hurryFor gathers what comes together: one grave event seldom comes alone.
	hurryFor = time.Second
	// anchorBudget bounds the writes of a day that events may cause: with the hourly ones 120 a day are 438,000 in ten years.
	anchorBudget = 96
)

// notary signs what the audit log holds: at power-on, soon after what matters, each minute that brought something, and each minute at all where headquarters listens; and has the TPM remember it at
// power-on, each hour and after security events. It works beside the door: nobody at the door waits for the TPM.
type notary struct {
	log  *auditlog.Log
	root *root.Root

	hurry chan struct{} // of one: something urgent was recorded
	made  chan struct{} // of one: there is a newer checkpoint

	mu    sync.Mutex
	grave bool // among it something for the TPM's memory

	// Owned by run.
	signed uint64 // records under the newest checkpoint
	spent  int    // anchors that events caused
	day    time.Duration
	failed error

	told func(error) // failing, or with nil well again
	// watched says that there is a headquarters, which takes a minute without a signature for silence.
	watched bool
}

func newNotary(log *auditlog.Log, r *root.Root, told func(error)) *notary {
	return &notary{log: log, root: r, hurry: make(chan struct{}, 1), made: make(chan struct{}, 1), told: told}
}

// weigh says what a record asks of the notary.
func weigh(e access.Event) (urgent, grave bool) {
	switch e {
	case access.EventRevoked, access.EventPersonSuspended, access.EventPersonDeleted, access.EventPersonLockedOut, access.EventLockdownSet, access.EventLockdownLifted,
		access.EventFailuresLimited, access.EventPolicyChanged, access.EventConfigurationChanged, access.EventTrustChanged, access.EventAuditRepaired, access.EventGrantUnresolved:
		return true, true
	case access.EventCommandApplied, access.EventEnrolled, access.EventPersonResumed, access.EventLookAlikeReported, access.EventRetentionRemoved:
		return true, false
	case access.EventEnvelopeRefused, access.EventHeadquartersLost, access.EventLampAnswerWrong, access.EventPresentationRefused, access.EventRecurrenceFlagged,
		access.EventBundleDropped, access.EventBundleNotMade, access.EventCheckpointFailed, access.EventTPMSilent:
		return false, false // whoever stands at the door or on the line causes these as often as they like; the last two are about the notary's own tool
	}
	return e.Severity() >= access.Warning, e.Severity() >= access.Alert
}

// noticed tells the notary of a record. It never blocks.
func (n *notary) noticed(e access.Event) {
	if n == nil {
		return
	}
	urgent, grave := weigh(e)
	if !urgent {
		return
	}
	n.mu.Lock()
	n.grave = n.grave || grave
	n.mu.Unlock()
	select {
	case n.hurry <- struct{}{}:
	default:
	}
}

// run works until ctx ends, and then once more: what the last minute brought shall not wait for the next start.
func (n *notary) run(ctx context.Context) {
	n.anchor(ctx)
	minute, hour := time.NewTicker(checkpointEvery), time.NewTicker(anchorEvery)
	defer minute.Stop()
	defer hour.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-minute.C:
			if n.due() {
				n.checkpoint(ctx)
			}
		case <-hour.C:
			n.anchor(ctx)
		case <-n.hurry:
			select {
			case <-ctx.Done():
				return
			case <-time.After(hurryFor):
			}
			n.mu.Lock()
			grave := n.grave
			n.grave = false
			n.mu.Unlock()
			if grave && n.afford() {
				n.anchor(ctx)
			} else {
				n.checkpoint(ctx)
			}
		}
	}
}

// afford pays for an anchor that an event asks for.
func (n *notary) afford() bool {
	if now := frames.Now(); now-n.day >= 24*time.Hour {
		n.day, n.spent = now, 0
	}
	if n.spent >= anchorBudget {
		return false
	}
	n.spent++
	return true
}

// due reports whether a minute that is over wants a signature.
func (n *notary) due() bool { return n.failed != nil || n.log.Head() != n.signed || n.watched }

func (n *notary) checkpoint(ctx context.Context) {
	size := n.log.Head()
	_, err := n.log.Checkpoint(ctx)
	n.done(size, err)
}

func (n *notary) anchor(ctx context.Context) {
	size := n.log.Head()
	_, err := n.root.RaiseAudit()
	if err == nil {
		_, err = n.log.Anchor(ctx)
	}
	n.done(size, err)
}

func (n *notary) done(size uint64, err error) {
	if err == nil {
		n.signed = size
		select {
		case n.made <- struct{}{}:
		default:
		}
	}
	if (err == nil) != (n.failed == nil) {
		n.told(err)
		// What is said about it is a record itself; it waits for the next minute.
	}
	n.failed = err
}

// merkle is how the audit log of this kiosk is hashed, signed and remembered.
func merkle(r *root.Root, state string) *auditlog.Merkle {
	kept := filepath.Join(state, "root", "time")
	return &auditlog.Merkle{
		Origin: r.Identity().Origin(), Key: r.AuditKey(), Anchor: r, Counter: r.AuditCounter,
		Attest: func(ctx context.Context, top [32]byte) ([32]byte, error) {
			attestation, sum, err := r.AttestTime(ctx, top)
			if err != nil {
				return sum, err
			}
			if err := root.Replace(kept, attestation); err != nil { // before any checkpoint names it
				return sum, fmt.Errorf("keep attestation of the clock: %w", err)
			}
			return sum, nil
		},
	}
}
