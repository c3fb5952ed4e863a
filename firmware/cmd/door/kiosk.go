package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/health"
	"github.com/lintel-access/lintel/firmware/portal"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/firmware/walkup"
	"github.com/lintel-access/lintel/inference/model"
)

// kiosk is all that door holds, wired together. Its portal works before anything else is there, and whatever else is missing.
type kiosk struct {
	policy access.Policy // its own; what is in force says rules
	hash   [32]byte      // of its own policy
	portal *portal.Portal

	// What it stands on: set by furnish, before whole is closed.
	whole    chan struct{}
	boot     uint64
	state    string        // folder
	earliest time.Time     // what the time cannot be before
	root     *root.Root    // nil without a TPM
	store    *vault.Vault  // nil without a vault
	audit    *auditlog.Log // nil when nothing can be recorded
	shelf    *shelf        // nil without a vault
	gallery  *walkup.People
	walkup   *walkup.Walkup
	trail    *walkup.Trail                // nil where no face is followed
	notary   *notary                      // nil without a log that the TPM remembers
	sign     func([]byte) ([]byte, error) // by the kiosk's audit key; nil without one
	closed   string                       // why the ground lets nobody be recognised, if so
	test     *selfTest
	evidence *evidence    // nil when nothing is kept for reviewers
	able     func() bool  // whether people may be recognised now
	barred   atomic.Bool  // they may not, and the door shows why
	disabled atomic.Bool  // headquarters wants nobody to be
	retired  bool         // at the start already
	reasons  []string     // of degraded modes that only a restart ends
	inherit  func() error // takes over what an emergency log holds

	pin    pin
	raised atomic.Uint32 // signals, as access.Signals
	looked bool          // the measurement for debugging was read once, or could not be

	commands, trust missing // that headquarters has
	leaps           comings // of times that are too far
	turns           turns   // of becoming stale or fresh

	trouble troubles
	fold    folder
	linked  atomic.Bool
	broken  atomic.Bool   // a vital record could not be written
	lost    atomic.Uint64 // ordinary records that found no room since the last one that did
	locking sync.Mutex    // held while a lockdown changes

	clock clock
	hq    *headquarters // nil without one

	calibration *model.Calibration
	rules       atomic.Pointer[rules] // in force; nil: its own policy and nothing else
	governed    atomic.Bool           // there is a headquarters: without its rules nobody passes
	unruly      error                 // why the rules that the vault kept are not in force

	eyes, links, strangers comings

	mu   sync.Mutex
	wake chan struct{} // closed and replaced at every change
}

// newKiosk is a door whose portal can run: locked down until the vault says otherwise, its records waiting for the audit log.
func newKiosk(b board.Board, lines portal.Lines) (*kiosk, error) {
	k := &kiosk{policy: access.DefaultPolicy(), leaps: comings{every: alarmEvery}, turns: turns{pace: comings{every: alarmEvery}}, whole: make(chan struct{}), wake: make(chan struct{})}
	k.fold.write = k.append
	k.test = newSelfTest(b, k.note, k.found)
	k.pin.wanted = b.Camera.Bus != ""
	k.able = func() bool { return k.serves() && !k.portal.View().Testing }
	err := k.seal()
	if err != nil {
		return nil, err
	}
	k.portal, err = portal.New(portal.Config{
		Board: b, Lines: lines, Recorder: (*recorder)(k), Times: k.policy.Times, Lockdown: true, Now: frames.Now, Changed: k.changed, ReadBack: k.test.readBack,
	})
	return k, err
}

// furnish takes the ground that was laid and makes the rest of the kiosk stand on it. It returns whether a lockdown stood before the start, which the
// portal is to be told.
func (k *kiosk) furnish(b board.Board, g *ground, lines portal.Lines) (lockdown bool, err error) {
	k.root, k.store, k.audit, k.state = g.root, g.vault, g.log, g.state
	k.earliest = k.notBefore()
	if k.root != nil && !g.emergency {
		k.notary = newNotary(k.audit, k.root, k.notarised)
		k.sign = k.signDeletion
	}
	calibration, err := model.DefaultCalibration()
	if err != nil {
		return false, err
	}
	k.calibration = calibration
	failures, lockdown, err := k.moveIn(g, calibration.Bundle)
	if err != nil {
		return false, err
	}
	k.debugged()
	k.followFaces(g, calibration.Bundle)
	k.closed, k.reasons, k.inherit = g.closed, g.reasons, g.takeOver
	keep := k.keepEvidence(b.Name)
	w := k.walkups(k.inForce())
	if k.walkup, err = walkup.New(walkup.Config{
		Policy: w.Policy, PolicyHash: w.PolicyHash, Boot: k.boot, Lamps: lamps(b, lines), Door: k.portal, Log: k, Gallery: k.gallery,
		Threshold: w.Threshold, MinLearned: w.MinLearned, Objection: w.Objection,
		Failures:       failures,
		SaveFailures:   func(f []time.Duration, limited bool) error { return k.shelf.saveFailures(k.policy.Door, f, limited) },
		PersonFailures: func(id access.PersonID) ([]time.Duration, error) { return k.shelf.failures(person(id)) },
		SavePersonFailures: func(id access.PersonID, f []time.Duration, locked bool) error {
			return k.shelf.saveFailures(person(id), f, locked)
		},
		Signals: k.signals, Trail: k.trail,
		Able: k.able, Free: func() bool { return !k.portal.View().Testing }, Gauged: k.gauged, Stalled: k.test.stalled, Show: k.show, Now: frames.Now, Wall: k.wall, Changed: k.changed,
		Keep: keep,
	}); err != nil {
		return false, err
	}
	k.barred.Store(true) // until every part was looked at
	k.portal.Show(access.IndicateStarting())
	if k.closed != "" {
		k.portal.Show(access.IndicateOutOfOrder())
	}
	close(k.whole)
	return lockdown, nil
}

// moveIn takes from the vault what it keeps. A vault that fails at that is gone without: whatever is wrong with it, people must be able to leave.
func (k *kiosk) moveIn(g *ground, bundle [32]byte) (failures []time.Duration, lockdown bool, err error) {
	if k.root != nil {
		if k.boot, err = k.root.Boot(); err != nil {
			g.lacks(access.EventTPMSilent, fmt.Errorf("TPM: %w", err))
		}
	}
	if k.store != nil {
		if failures, lockdown, err = k.fromVault(g, bundle); err == nil {
			return failures, lockdown, nil
		}
		g.refuseVault(err)
		k.store, k.shelf = nil, nil
	}
	k.gallery, err = walkup.NewPeople(nobody{k}, bundle, g.slab)
	return nil, true, err // a door that cannot read its order stays shut
}

func (k *kiosk) fromVault(g *ground, bundle [32]byte) (failures []time.Duration, lockdown bool, err error) {
	boot, err := k.store.Boot() // beside the TPM's, which counts where there is no vault, too
	if err != nil {
		return nil, false, err
	}
	if k.boot == 0 {
		k.boot = boot
	}
	k.shelf = &shelf{vault: k.store, boot: k.boot, began: frames.Now()}
	if k.root != nil { // the vault is sealed, and has room for groups
		k.shelf.groups = []string{localGroup}
	}
	if k.shelf.key, err = k.store.SubjectKey(); err != nil {
		return nil, false, err
	}
	if lockdown, err = k.store.Lockdown(); err != nil {
		return nil, false, err
	}
	if err = errors.Join(k.ordered(g), k.takeUpRules()); err != nil {
		return nil, false, err
	}
	if failures, err = k.shelf.failures(k.policy.Door); err != nil {
		return nil, false, err
	}
	k.gallery, err = walkup.NewPeople(k.shelf, bundle, g.slab)
	return failures, lockdown, err
}

// ordered takes up what headquarters ordered about the whole kiosk before this start.
func (k *kiosk) ordered(g *ground) error {
	disabled, err := k.store.Item(vault.Disabled)
	if err != nil {
		return err
	}
	k.disabled.Store(disabled != nil)
	retired, err := k.store.Item(vault.Retired)
	if k.retired = retired != nil; k.retired {
		g.missing(access.EventVaultRefused, errRetired.Error())
	}
	return err
}

// nobody is the store of a kiosk without a vault: no walk-up reaches it, since eye is not heard then.
type nobody struct{ *kiosk }

func (n nobody) Each([32]byte, func(walkup.Enrollee) error) error { return nil }
func (n nobody) One(access.PersonID, [32]byte) (walkup.Enrollee, bool, error) {
	return walkup.Enrollee{}, false, n.shut()
}
func (n nobody) Transform([]float32) error               { return n.shut() }
func (n nobody) Subject(access.PersonID, int64) [16]byte { return [16]byte{} }
func (n nobody) Keep(access.PersonID, [][]float32, [32]byte, int64) error {
	return n.shut()
}

// shut is the answer to whoever wants something of the vault when there is none.
func (k *kiosk) shut() error {
	if k.store != nil {
		return nil
	}
	return errors.New(closedBecause + k.closed)
}

func (k *kiosk) signDeletion(receipt []byte) ([]byte, error) {
	digest := vault.ReceiptDigest(receipt)
	return k.root.AuditKey().Sign(nil, digest[:], crypto.SHA256)
}

// run works until ctx or one of the parts ends.
func (k *kiosk) run(ctx context.Context, s *server) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := k.portal.SetTimes(ctx, k.inForce().policy.Times); ctx.Err() == nil {
		k.degrade("times of the door", err)
	}
	var work sync.WaitGroup
	work.Go(func() { cancel(fmt.Errorf("walk-up: %w", k.walkup.Run(ctx))) })
	work.Go(func() { cancel(fmt.Errorf("sockets: %w", s.serve(ctx))) })
	work.Go(func() { k.upkeep(ctx) })
	work.Go(func() { k.test.run(ctx) })
	work.Go(func() { k.degrade("emergency log, not taken over", k.inherit()) })
	if k.notary != nil {
		work.Go(func() { k.notary.run(ctx) })
	}
	if k.hq != nil {
		work.Go(func() { k.hq.run(ctx) })
	}
	if k.evidence != nil {
		work.Go(func() { k.evidence.run(ctx) })
	}
	<-ctx.Done()
	work.Wait()
	if k.evidence != nil {
		k.evidence.end()
	}
	return context.Cause(ctx)
}

// degrade opens or, with nil, ends a degraded mode, and records either once.
func (k *kiosk) degrade(part string, err error) {
	switch was := k.trouble.set(part, err); {
	case err != nil && !was:
		k.note(access.EventDegradedEntered, fmt.Sprintf("%s: %v", part, err))
	case err == nil && was:
		k.note(access.EventDegradedLeft, part)
	}
}

// gauged hears how the camera answers the lamp.
func (k *kiosk) gauged(r access.Response, found bool) {
	k.test.gauged(r, found)
	if !found {
		return
	}
	fmt.Fprintf(os.Stderr, "the camera sees the lamp: %.1f gray levels; frames are stamped %v after their light, up to %v astray; exposure %v (%d frames)\n",
		r.Depth, r.Delay.Round(100*time.Microsecond), r.Spread.Round(100*time.Microsecond), r.Exposure.Round(100*time.Microsecond), r.Frames)
}

// serves reports whether walk-ups may be granted: whether the kiosk is able to what the policy asks of it.
func (k *kiosk) serves() bool {
	return !k.disabled.Load() && k.test.found.Profile().Assurance >= health.Assurance(max(k.inForce().policy.Profile, access.Office))
}

// found hears that a part was found otherwise than before, and has the door show it when nobody can be recognised any more, or somebody can again.
func (k *kiosk) found() {
	select {
	case <-k.whole:
		barred := !k.serves()
		if was := k.barred.Swap(barred); was || barred {
			k.show(access.Indication{})
		}
	default:
	}
	k.changed()
}

// show is what the walk-up shows; when it has nothing to show, and nobody can be recognised, the door says so.
func (k *kiosk) show(in access.Indication) {
	if in == (access.Indication{}) && k.barred.Load() {
		if in = k.test.shown(); in == (access.Indication{}) {
			in = access.IndicateOutOfOrder() // it could serve a door whose policy asks for less
		}
	}
	k.portal.Show(in)
}

// notarised hears how the notary fares.
func (k *kiosk) notarised(err error) {
	k.test.suffers(health.Signing, err)
	if err != nil {
		err = fmt.Errorf("the audit log is not signed: %w", err)
		k.note(access.EventCheckpointFailed, err.Error())
	} else {
		k.note(access.EventDegradedLeft, "checkpoints")
	}
	k.trouble.set("checkpoints", err)
	k.changed()
}

// booted records the start, what was found on the way, what the last one left open and what the audit log had to mend.
func (k *kiosk) booted(g *ground) {
	orderly := k.endedInOrder()
	k.note(access.EventBooted, "")
	k.test.stands(g)
	k.guessed()
	k.look()
	k.following()
	if g.powered {
		cause := "the kiosk had not been stopped in order: crash or power cut"
		if orderly {
			cause = "after an orderly stop"
		}
		k.note(access.EventPoweredOn, cause)
	}
	for _, f := range g.found {
		k.note(f.event, f.detail)
	}
	for _, why := range k.reasons {
		k.note(access.EventDegradedEntered, why)
	}
	if err := k.settle(); err != nil {
		k.reasons = append(k.reasons, err.Error())
	}
	r := g.recovery
	if r.Torn > 0 {
		k.note(access.EventAuditRepaired, fmt.Sprintf("%d bytes of an unfinished write cut off", r.Torn))
	}
	for _, d := range r.Damage {
		k.note(access.EventAuditRepaired, d.Error())
		k.reasons = append(k.reasons, d.Error()+": what they said is lost; check the disk, and if it is well treat it as an attack")
	}
	for _, n := range r.Notes {
		k.note(access.EventAuditRepaired, n)
		k.reasons = append(k.reasons, "audit log: "+n)
	}
	if k.store != nil {
		k.degrade("policy", k.keepPolicy())
	}
	k.consult()
	k.governs()
}

var errTheirs = errors.New("the lockdown is headquarters': an administrator there ends it")

// lockdown sets or lifts the lockdown. It is kept over every restart: the door is shut before that is written, and opened after it,
// so that whatever fails in between fails shut.
func (k *kiosk) lockdown(ctx context.Context, on bool) error {
	if err := k.shut(); err != nil {
		return err
	}
	k.locking.Lock()
	defer k.locking.Unlock()
	if !on {
		theirs, err := k.store.Item(vault.Locked)
		if err == nil && theirs != nil {
			err = errTheirs
		}
		if err == nil {
			err = k.store.SetLockdown(false)
		}
		if err != nil {
			return err
		}
		return k.portal.Lockdown(ctx, false)
	}
	if err := k.portal.Lockdown(ctx, true); err != nil {
		return err
	}
	if err := k.store.SetLockdown(true); err != nil {
		return fmt.Errorf("the door is locked down, but not beyond a restart: %w", err)
	}
	return nil
}
