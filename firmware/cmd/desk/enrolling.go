//go:build !kiosk

package main

import (
	"context"
	"errors"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/twin"
)

// refusal is door's reason for keeping nothing of an enrolment.
type refusal struct{ reason access.Reason }

func (r *refusal) Error() string {
	if r.reason == access.ReasonEnrolDuplicate {
		return "door knows this face by another id than people.json does, or this id by another face: remove the state folder to begin anew"
	}
	return "door refused: " + r.reason.String()
}

// enrolWithin bounds one enrolment: three walk-ups of a second each, and time for retries on a busy machine.
const enrolWithin = 30 * time.Second

func (b *bench) enrolOne(ctx context.Context, number int, id access.PersonID) (answer ipc.Enrolled, err error) {
	scene, err := twin.Enrolment(number)
	if err != nil {
		return answer, err
	}
	leave := b.stand(ctx, scene)
	err = b.call(ctx, ipc.KindEnrol, ipc.Enrol{Person: id, Within: enrolWithin}, &answer)
	if played := leave(); err == nil {
		err = played
	}
	if err == nil && answer.References == 0 {
		err = &refusal{answer.Reason}
	}
	return answer, err
}

// stand plays a scene over and over, until whoever stands there leaves.
func (b *bench) stand(ctx context.Context, s *twin.Scene) (leave func() error) {
	ctx, stop := context.WithCancel(ctx)
	played := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if err := b.twin.Play(ctx, s); err != nil && ctx.Err() == nil {
				played <- err
				return
			}
		}
		played <- nil
	}()
	return func() error { stop(); return <-played }
}

// enrolThere has headquarters order that the kiosk itself enrols the visitor, who then stands before it.
func (b *bench) enrolThere(ctx context.Context) error {
	who, number := b.visitor()
	if who == nil {
		return errors.New("there is nobody among the photographs whom the kiosk could enrol")
	}
	k, err := b.centre.kiosk(ctx)
	if err != nil {
		return err
	}
	if _, err := b.centre.ask(ctx, "enrol", who.Name, "-at", k.Kiosk, "-group", "staff", "-consent", "desk", "-proofing", recordFile,
		"-valid-until", time.Now().AddDate(1, 0, 0).Format(time.DateOnly), "-key", keyOf("enroller"), "-dir", hqFolder); err != nil {
		return err
	}
	if err := b.meet(ctx); err != nil {
		return err
	}
	g, known := b.guest(who.Name)
	if !known {
		return errors.New("headquarters does not list whom it has just enrolled")
	}
	scene, err := twin.Enrolment(number)
	if err != nil {
		return err
	}
	for i := range scene.Actors {
		scene.Actors[i].Role = twin.Stranger
	}
	for tries := 1; ; tries++ { // on a busy machine the kiosk may lose sight of somebody, who is refused at once: then it is begun once more, while afarWithin lasts
		err := b.beginThere(ctx, g.ID, scene)
		if !errors.As(err, new(*unfinished)) || tries == maxTries {
			return err
		}
	}
}

// unfinished is the kiosk's recorded reason for not having enrolled somebody.
type unfinished struct{ reason string }

func (u *unfinished) Error() string { return "the kiosk has not enrolled them: " + u.reason }

// beginThere is one try: headquarters begins, somebody stands there, and the kiosk's record of what came of it reaches headquarters.
func (b *bench) beginThere(ctx context.Context, id string, scene *twin.Scene) error {
	before, err := b.centre.enrolments(ctx)
	if err != nil {
		return err
	}
	if _, err := b.centre.ask(ctx, "begin", id, "-key", keyOf("enroller"), "-dir", hqFolder); err != nil {
		return err
	}
	if _, err := b.await(ctx, "the kiosk enrols", func(s ipc.Status) bool { return s.Enrolling }); err != nil {
		return err
	}
	leave := b.stand(ctx, scene)
	_, err = b.await(ctx, "the kiosk has enrolled somebody", func(s ipc.Status) bool { return !s.Enrolling })
	if err := errors.Join(err, leave()); err != nil {
		return err
	}
	for {
		all, err := b.centre.enrolments(ctx)
		if err != nil {
			return err
		}
		if len(all) > len(before) {
			last := all[len(all)-1]
			if last.Event != uint16(access.EventEnrolled) {
				return &unfinished{last.Reason}
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("headquarters has no record of what came of the enrolment")
		case <-time.After(200 * time.Millisecond):
		}
	}
}
