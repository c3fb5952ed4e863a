//go:build lab

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/twin"
)

// operate enrols, walks people up and gives orders until the power goes; in the last boot until everybody has walked up.
func (k *boot) operate(ctx context.Context, b *bench) error {
	k.bench = b
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer b.collect(ctx, func(s ipc.Status) {
		if err := k.hear(s); err != nil {
			cancel(err)
		}
	})()
	if err := errors.Join(k.checkRegister(), k.safe(ctx)); err != nil {
		return err
	}
	if k.phase == enrolling && len(k.l.people) == len(b.cast.Enrolled) {
		if err := k.order(ctx, "delete", 3); err != nil {
			return err
		}
	}
	if err := k.enrolAll(ctx); err != nil {
		return err
	}
	if err := errors.Join(k.l.say("now %s", walking), k.walk(ctx, "enrolled-1", 1)); err != nil { // nobody takes the permission of the first
		return err
	}
	k.cut(walking)
	for rng := rand.New(rand.NewPCG(k.l.seed, uint64(k.plan.Boot)<<1)); !k.last; {
		if err := k.act(ctx, rng); err != nil {
			return err
		}
	}
	second := "enrolled-2"
	if k.l.people[2].standing == access.Suspended {
		second = "suspended"
	}
	if err := errors.Join(k.walk(ctx, second, 2), k.walk(ctx, "enrolled-3", 3)); err != nil {
		return err
	}
	return errDone
}

// hear notes what door tells of its log: it is a promise.
func (k *boot) hear(s ipc.Status) error {
	if s.Records > k.l.records {
		if err := k.l.say("records %d", s.Records); err != nil {
			return err
		}
	}
	for _, d := range slices.Backward(s.Decisions) { // oldest first
		if d.Session.Boot < k.told.Boot || d.Session.Boot == k.told.Boot && d.Session.Number <= k.told.Number {
			continue
		}
		k.told = d.Session
		if d.Verdict == access.Granted {
			if err := k.l.say("granted %d %d", d.Session.Boot, d.Session.Number); err != nil {
				return err
			}
		}
	}
	return nil
}

// safe waits until the kiosk is ready, and makes sure of its relay and of what it says of itself.
func (k *boot) safe(ctx context.Context) error {
	s, err := k.bench.ready(ctx)
	if err != nil {
		return err
	}
	if high, err := k.world.chip.Level(string(board.Relay)); err != nil || high == (k.board.Lines[board.Relay].Active == board.High) {
		return fmt.Errorf("the kiosk is ready, and the relay is on (%v)", err)
	}
	first := !k.l.ready
	for _, why := range s.Degraded {
		mode, _, _ := strings.Cut(why, ":")
		switch {
		case strings.HasPrefix(mode, "lamp"): // measured on frames, of which a busy host loses some
		case first:
			err = errors.Join(err, k.l.say("degraded %s", mode))
		case !slices.Contains(k.l.degraded, mode):
			err = errors.Join(err, fmt.Errorf("degraded: %s; in the first boot %q", why, k.l.degraded))
		}
	}
	return errors.Join(err, k.l.say("ready"))
}

// checkRegister holds the desk's names to what door acknowledged, and has the desk know what became of an order that was under way.
func (k *boot) checkRegister() error {
	for i, p := range k.bench.cast.Enrolled {
		want, known := k.l.people[i+1]
		e, listed := k.bench.register.entry(p.Name)
		if known == listed && (!known || e.person() == want.id && e.standing() == want.standing) {
			continue
		}
		if k.l.mend != i+1 {
			return fmt.Errorf("people.json: person %d is %+v (listed: %v), acknowledged was %v (known: %v)", i+1, e, listed, want, known)
		}
		if err := k.bench.remember(func(r *register) error {
			if !known {
				return r.remove(p.Name)
			}
			return r.put(p.Name, want.id, want.standing)
		}); err != nil {
			return err
		}
	}
	return nil
}

// errMissed means that nobody could be enrolled because the host is too busy for its machine's camera.
var errMissed = errors.New("an enrolment ran out of time")

// enrolAll enrols those whom door does not know; who is missed is enrolled in a later boot.
func (k *boot) enrolAll(ctx context.Context) error {
	for i := range k.bench.cast.Enrolled {
		if _, known := k.l.people[i+1]; known {
			continue
		}
		if err := k.enrol(ctx, i+1); errors.Is(err, errMissed) {
			return k.l.say("missed enrolment of %d", i+1)
		} else if err != nil {
			return fmt.Errorf("enrol %d: %w", i+1, err)
		}
	}
	return nil
}

func (k *boot) enrol(ctx context.Context, n int) error {
	k.cut(enrolling)
	name := k.bench.cast.Enrolled[n-1].Name
	id := k.bench.register.id(name)
	for range 2 {
		if err := errors.Join(k.l.say("now %s", enrolling), k.l.say("try enrol %d %s", n, id)); err != nil {
			return err
		}
		_, err := k.bench.enrolOne(ctx, n, id)
		var refused *refusal
		if errors.As(err, &refused) && refused.reason == access.ReasonDeadline {
			if err := k.l.say("undone"); err != nil {
				return err
			}
			continue
		}
		if k.hungUp(ctx, err) {
			continue
		}
		if err == nil {
			err = k.bench.remember(func(r *register) error { return r.put(name, id, access.Permitted) })
		}
		if err != nil {
			return err
		}
		return k.l.say("ok")
	}
	return errMissed
}

// order has door suspend, resume or delete a person, if it knows them.
func (k *boot) order(ctx context.Context, verb string, n int) error {
	if _, known := k.l.people[n]; !known {
		return nil
	}
	if err := k.l.say("try %s %d %s", verb, n, k.l.people[n].id); err != nil {
		return err
	}
	err := k.bench.order(ctx, verb, k.bench.cast.Enrolled[n-1].Name)
	for k.hungUp(ctx, err) {
		err = k.bench.order(ctx, verb, k.bench.cast.Enrolled[n-1].Name)
	}
	if err != nil {
		return fmt.Errorf("%s %d: %w", verb, n, err)
	}
	return k.l.say("ok")
}

// hungUp reports whether an order was lost because door hung up on a desk that did not get to read for a quarter of a second, and waits until they are
// together again. What becomes of such an order is not known: it is under way until it was given once more.
func (k *boot) hungUp(ctx context.Context, err error) bool {
	if !errors.Is(err, io.EOF) {
		return false
	}
	_, err = k.bench.ready(ctx)
	return err == nil
}

// act does one of the things that happen at a door.
func (k *boot) act(ctx context.Context, rng *rand.Rand) error {
	switch rng.IntN(7) {
	case 0, 1:
		return k.walk(ctx, "enrolled-1", 1)
	case 2:
		return k.walk(ctx, "stranger-1")
	case 3:
		return k.walk(ctx, "request-to-exit")
	case 4:
		if err := k.bench.rekey(ctx); !k.hungUp(ctx, err) {
			return err
		}
		return nil
	case 5:
		verb, scene := "suspend", "suspended"
		if k.l.people[2].standing == access.Suspended {
			verb, scene = "resume", "resumed"
		}
		if err := k.order(ctx, verb, 2); err != nil {
			return err
		}
		return k.walk(ctx, scene, 2)
	}
	if err := k.order(ctx, "delete", 3); err != nil {
		return err
	}
	if err := k.walk(ctx, "deleted"); err != nil {
		return err
	}
	return k.enrolAll(ctx)
}

// walk plays a scene of the product, if those whom it asks for are enrolled. Who may pass and does not, though no frame was lost and the machine had time,
// is an error: at once when they are denied, and after as many tries as on a busy host when they are asked to try again, which happens to living people
// (docs/PAD.md). Who passes and may not is one in any case.
func (k *boot) walk(ctx context.Context, name string, who ...int) error {
	for _, n := range who {
		if _, known := k.l.people[n]; !known {
			return k.l.say("missed %s: %d could not be enrolled", name, n)
		}
	}
	i := slices.IndexFunc(k.bench.scenes, func(s *twin.Scene) bool { return s.Name == name })
	if i < 0 {
		return fmt.Errorf("there is no scene %q", name)
	}
	s := k.bench.scenes[i]
	passes := s.Expect.Outcome == twin.Granted
	if passes || s.Expect.Door == "released" {
		k.may.Store(true)
	}
	busy := true
	for try := 1; ; try++ {
		lost, began := k.world.dropped.Load(), time.Now()
		_, idle := uptime(k.t)
		w, err := k.bench.watchScene(ctx, s)
		if err != nil || w.unexpected == "" {
			return err
		}
		_, idleThen := uptime(k.t)
		late := w.lost || k.world.dropped.Load() > lost || idleThen-idle < 0.1*time.Since(began).Seconds()
		busy = busy && late
		again := passes && w.outcome == twin.Retry.String() && try < maxTries
		if !late && !again || !passes && w.outcome == twin.Granted.String() || try == maxTries && !busy {
			return fmt.Errorf("scene %q: %s because of %s: %s", name, w.outcome, w.reason, w.unexpected)
		}
		if try == maxTries {
			return k.l.say("missed %s: %s", name, w.unexpected)
		}
	}
}
