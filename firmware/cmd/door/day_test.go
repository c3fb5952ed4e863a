package main

import (
	"crypto/sha256"
	"errors"
	"sync/atomic"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog/quota"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/sync/wire"
)

// hasten makes a kiosk's walk-ups as quick as a policy may, and has every one of them recorded.
func hasten(k *kiosk) {
	p := &k.policy
	p.RevealAfter, p.ShowFor, p.Cooldown, p.GrantPause = time.Millisecond, time.Millisecond, 100*time.Millisecond, 0
	p.FailureLimit, p.FailureCooldown, p.PersonLimit = 255, p.Cooldown, 3
	p.EnrolReferences, p.EnrolFused = 2, 1
	encoded, err := wire.Marshal(*p)
	if err != nil {
		panic(err) // unreachable: the default policy encodes
	}
	k.hash = sha256.Sum256(encoded)
	k.fold.quota.Limits = quota.Limits{PerKey: 1 << 20, PerKind: 1 << 20}
}

// day is what one kiosk goes through again and again.
func (v *visits) day(concluded *atomic.Int64, enough int64) error {
	regular, err := v.keep(drawVector(v.rng))
	if err != nil {
		return err
	}
	alike, err := v.keep(v.near(regular.reference, 0.1)) // a twin of the first
	if err != nil {
		return err
	}
	var known []visitor
	for range 6 {
		p, err := v.keep(drawVector(v.rng))
		if err != nil {
			return err
		}
		known = append(known, p)
	}
	revoked, suspended := known[0], known[1]
	known = known[2:]
	if err := errors.Join(v.order(ipc.KindRevoke, ipc.Revoke{Person: revoked.id}), v.order(ipc.KindSuspend, ipc.Suspend{Person: suspended.id})); err != nil {
		return err
	}
	visit := func(probe []float32, bend func(*access.Presentation)) error {
		_, err := v.come(probe, bend)
		if err == nil {
			concluded.Add(1)
		}
		return err
	}
	anybody := func() []float32 { return v.near(known[v.rng.IntN(len(known))].reference, 0.4) }
	if err := v.lockOut(known[2], visit); err != nil {
		return err
	}
	for round := 0; concluded.Load() < enough; round++ {
		for _, step := range []func() error{
			func() error { return visit(anybody(), nil) },
			func() error { return visit(drawVector(v.rng), nil) },
			func() error { return visit(v.near(revoked.reference, 0.3), nil) },
			func() error { return visit(v.near(suspended.reference, 0.3), nil) },
			func() error { return visit(v.near(regular.reference, 0.05), nil) },
			func() error { return visit(v.near(alike.reference, 0.05), nil) },
			v.confirm,
			func() error { return visit(anybody(), nil) },
			func() error {
				return visit(anybody(), func(p *access.Presentation) { // a photograph: it does not follow the lamp
					for i := range p.Frames {
						p.Frames[i].Level = p.Frames[0].Level
					}
				})
			},
			func() error {
				return visit(anybody(), func(p *access.Presentation) { // a screen: all of it follows the lamp
					for i := range p.Frames {
						p.Frames[i].Ring = p.Frames[i].Level[0]
					}
				})
			},
			func() error { return visit(anybody(), func(p *access.Presentation) { p.Nonce[0]++ }) },
			func() error { return visit(anybody(), func(p *access.Presentation) { p.Probe, p.ProbeFrom = nil, 0 }) },
			func() error { return visit(anybody(), func(p *access.Presentation) { p.Frames = p.Frames[:3] }) },
			func() error { return visit(anybody(), nil) },
			v.leave,
			func() error { return v.locked(func() error { return visit(anybody(), nil) }) },
			func() error { return v.enrolment(visit, round) },
		} {
			if err := step(); err != nil {
				return err
			}
		}
	}
	return v.rekey()
}

// confirm gives an operator's word that the first of two look-alikes stands there, if door asks for one.
func (v *visits) confirm() error {
	if p := v.view().Pending; !p.First.IsZero() {
		return v.order(ipc.KindConfirm, ipc.Confirm{Session: p.Session, Person: p.First})
	}
	return nil
}

// rekey has every reference turned anew.
func (v *visits) rekey() error {
	err := v.order(ipc.KindRekey, nil)
	for i, n := 0, len(v.vectors); i < n; i += 2 {
		v.vector(v.vectors[i])
	}
	return err
}

// lockOut has somebody come while they are suspended until they are locked out, and once more when they are not suspended any longer.
func (v *visits) lockOut(p visitor, visit func([]float32, func(*access.Presentation)) error) error {
	err := v.order(ipc.KindSuspend, ipc.Suspend{Person: p.id})
	for v.reasons[access.ReasonSuspended] < int(v.policy.PersonLimit) && err == nil {
		err = visit(v.near(p.reference, 0.3), nil)
	}
	if err == nil {
		err = v.order(ipc.KindResume, ipc.Resume{Person: p.id})
	}
	for v.reasons[access.ReasonLockedOut] == 0 && err == nil {
		err = visit(v.near(p.reference, 0.3), nil)
	}
	return err
}

// locked does something during a lockdown.
func (v *visits) locked(during func() error) error {
	return errors.Join(v.order(ipc.KindLockdown, ipc.Lockdown{On: true}), during(), v.order(ipc.KindLockdown, ipc.Lockdown{}))
}

// enrolment enrols somebody new through the desk, and has them forgotten again in every second round. In between they are suspended and resumed.
func (v *visits) enrolment(visit func([]float32, func(*access.Presentation)) error, round int) error {
	p := v.newVisitor()
	if err := v.enrol(p.id, func() error { return visit(v.near(p.reference, 0.3), nil) }); err != nil {
		return err
	}
	err := errors.Join(v.order(ipc.KindSuspend, ipc.Suspend{Person: p.id}), v.order(ipc.KindResume, ipc.Resume{Person: p.id}), visit(v.near(p.reference, 0.3), nil))
	if err == nil && round%2 == 1 {
		err = v.order(ipc.KindDelete, ipc.Delete{Person: p.id})
	}
	return err
}
