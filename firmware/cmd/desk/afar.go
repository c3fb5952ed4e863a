//go:build !kiosk

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/firmware/twin"
)

const (
	afarWithin = 60 * time.Second // for a command of headquarters; the slowest loads the models, in a second
	heedWithin = 20 * time.Second // for the kiosk to do what it is told, or to connect again
)

// visitorScene is the scene of whoever headquarters may enrol.
const visitorScene = "visitor"

var (
	errNoCentre = errors.New("there is no headquarters beside this desk")
	errWorking  = errors.New("headquarters is busy with what it was told before")
)

// visitor is the stranger of the cast whom headquarters enrols, and their number: the one who looks straightest into the camera, as it asks for.
func (b *bench) visitor() (who *twin.Person, number int) {
	for i, p := range b.cast.Strangers {
		if who == nil || b.portraits[p.Name].turned < b.portraits[who.Name].turned {
			who, number = p, i+1
		}
	}
	return who, number
}

// admitVisitor has the visitor play the scene that is theirs.
func (b *bench) admitVisitor() {
	_, n := b.visitor()
	for _, s := range b.scenes {
		if s.Name != visitorScene || n == 0 {
			continue
		}
		for i := range s.Actors {
			s.Actors[i].Number = n
		}
	}
}

// afar has headquarters do something, one thing at a time.
func (b *bench) afar(ctx context.Context, do func(context.Context) error) error {
	if b.centre == nil {
		return errNoCentre
	}
	if !b.working.TryLock() {
		return errWorking
	}
	defer b.working.Unlock()
	ctx, cancel := context.WithTimeout(ctx, afarWithin)
	defer cancel()
	return do(ctx)
}

// heeded has headquarters do something, and waits until the kiosk has applied a command more. One that is cut off hears of it when it comes back.
func (b *bench) heeded(ctx context.Context, do func(context.Context) error) error {
	before := b.standing()
	if err := do(ctx); err != nil || !before.Online {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, heedWithin)
	defer cancel()
	_, err := b.await(ctx, "the kiosk has heard of it", func(s ipc.Status) bool { return s.Afar.Seq > before.Seq })
	return err
}

// standing is how the kiosk stands with headquarters.
func (b *bench) standing() ipc.Afar {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status.Afar
}

// reached waits until the kiosk is connected, or is not, and knows the time.
func (b *bench) reached(ctx context.Context, online bool) error {
	ctx, cancel := context.WithTimeout(ctx, heedWithin)
	defer cancel()
	_, err := b.await(ctx, fmt.Sprintf("the kiosk's connection to headquarters is %v", online), func(s ipc.Status) bool {
		return s.Afar.Online == online && (!online || s.Afar.Trusted != 0)
	})
	return err
}

// govern puts the desk's rules into force. A kiosk that has a headquarters and no rules lets nobody in.
func (b *bench) govern(ctx context.Context) error {
	if b.centre == nil {
		return nil
	}
	err := b.afar(ctx, func(ctx context.Context) error {
		if err := b.centre.answers(ctx); err != nil {
			return err
		}
		if err := b.meet(ctx); err != nil {
			return err
		}
		if done, err := b.centre.pushed(); err != nil {
			return err
		} else if !done {
			if err := b.centre.push(ctx); err != nil {
				return err
			}
		}
		k, err := b.centre.kiosk(ctx)
		if err != nil {
			return err
		}
		if err := b.reached(ctx, true); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, heedWithin)
		defer cancel()
		_, err = b.await(ctx, "the kiosk has the rules", func(s ipc.Status) bool { return s.Afar.Seq >= k.Newest })
		return err
	})
	if err != nil {
		return fmt.Errorf("headquarters: %w", err)
	}
	b.touch(func() { b.governed = true })
	return nil
}

// enrolAfar has headquarters enrol the visitor from their photograph, or change their groups.
func (b *bench) enrolAfar(ctx context.Context, group string) error {
	who, _ := b.visitor()
	if who == nil {
		return errors.New("there is nobody among the photographs whom headquarters could enrol")
	}
	photo, err := b.portraits[who.Name].encode()
	if err != nil {
		return err
	}
	file := filepath.Join(b.centre.dir, "photo.png")
	if err := root.Replace(file, photo); err != nil {
		return err
	}
	defer os.Remove(file)
	words := []string{
		"enrol", who.Name, "-photo", file, "-group", group, "-consent", "desk", "-proofing", recordFile,
		"-valid-until", time.Now().AddDate(1, 0, 0).Format(time.DateOnly), "-key", keyOf("enroller"), "-dir", hqFolder,
	}
	if g, again := b.guest(who.Name); again {
		words = append(words, "-again", g.ID)
	}
	return b.heeded(ctx, func(ctx context.Context) error {
		if _, err := b.centre.ask(ctx, append(words, b.centre.models...)...); err != nil {
			return err
		}
		return b.meet(ctx)
	})
}

// deleteAfar has headquarters delete the visitor, everywhere.
func (b *bench) deleteAfar(ctx context.Context) error {
	who, _ := b.visitor()
	if who == nil {
		return nil
	}
	if err := b.meet(ctx); err != nil { // what was done to them may have been broken off before it was learnt
		return err
	}
	g, known := b.guest(who.Name)
	if !known {
		return nil
	}
	return b.heeded(ctx, func(ctx context.Context) error {
		if _, err := b.centre.ask(ctx, "delete", g.ID, "-key", keyOf("administrator"), "-dir", hqFolder); err != nil {
			return err
		}
		return b.meet(ctx)
	})
}

// meet learns from headquarters whom it has enrolled.
func (b *bench) meet(ctx context.Context) error {
	all, err := b.centre.people(ctx)
	if err == nil {
		b.touch(func() { b.guests = all })
	}
	return err
}

// guest is somebody enrolled at headquarters.
func (b *bench) guest(name string) (guest, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.guests, func(g guest) bool { return g.Name == name })
	if i < 0 {
		return guest{}, false
	}
	return b.guests[i], true
}

// name is the bench name of a person, empty for a stranger. The lock is held.
func (b *bench) name(id access.PersonID) string {
	for _, g := range b.guests {
		if g.ID == id.String() {
			return g.Name
		}
	}
	return b.register.name(id)
}

// lockdownAfar sets or lifts lockdown from headquarters.
func (b *bench) lockdownAfar(ctx context.Context, to string) error {
	return b.heeded(ctx, func(ctx context.Context) error {
		_, err := b.centre.ask(ctx, "lockdown", to, "-key", keyOf("administrator"), "-dir", hqFolder)
		return err
	})
}

// releaseAfar opens the door once, by an operator's answer to the kiosk's challenge.
func (b *bench) releaseAfar(ctx context.Context) error {
	if !b.standing().Online {
		return errors.New("the kiosk is not connected, and nothing that opens a door is kept for later")
	}
	_, err := b.centre.ask(ctx, "release", deskDoor, "-key", keyOf("releaser"), "-dir", hqFolder)
	return err
}
