package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/sync/roster"
	"github.com/lintel-access/lintel/sync/wire"
)

// consult takes up the headquarters that the kiosk was given, if it was given any. What cannot be believed leaves the kiosk without one. One that had a
// headquarters before counts as stale then: whoever takes the file away, or has the log put aside, gains no kiosk that nobody can tell anything.
func (k *kiosk) consult() {
	if k.store == nil || k.closed != "" && !k.retired {
		return // what it orders could not be carried out, and would be lost
	}
	if k.retired {
		k.degrade("decommissioning", errors.Join(k.empty(), root.ForgetExchange(k.state))) // a power cut may have come before either
	}
	known, err := k.store.Item(vault.Fleet)
	if k.root == nil || k.notary == nil {
		k.stale(known != nil || err != nil)
		return
	}
	place, found, foreign := root.Headquarters{}, false, false // foreign: somebody has written to the disk
	if err == nil {
		place, found, err = root.ReadHeadquarters(k.state)
		foreign = err != nil
	}
	if err == nil && !found {
		if known == nil {
			return
		}
		err, foreign = errGone, true
	}
	var h *headquarters
	if err == nil {
		h, err = k.adopt(place, known)
		foreign = errors.Is(err, errForeign)
	}
	if err != nil {
		if foreign {
			k.note(access.EventHeadquartersForeign, err.Error())
		}
		k.degrade("headquarters", err)
		fmt.Fprintln(os.Stderr, "headquarters is not taken:", err)
		k.stale(true)
		return
	}
	k.hq, k.notary.watched = h, true
	k.store.Believe(k.clock.trusted)
}

var errGone = errors.New("what the disk said about headquarters is gone, and this kiosk has one: run door headquarters again")

var errForeign = errors.New("what the disk says about headquarters is not of the fleet root that this kiosk has adopted")

// adopt has the vault remember the first fleet root: whoever writes to the disk later can put no other in its place. known is what it remembers.
func (k *kiosk) adopt(place root.Headquarters, known []byte) (*headquarters, error) {
	calibration, err := model.DefaultCalibration()
	if err != nil {
		return nil, err
	}
	h := &headquarters{
		door: k, bundle: calibration.Bundle, place: place, retired: k.retired, wake: make(chan struct{}, 1), enrol: make(chan wire.Supervised, 1), made: frames.Now() - exchangeLeast,
		odd: comings{every: alarmEvery}, certified: comings{every: alarmEvery},
	}
	key, err := wire.ParseKey(place.Root)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(place.Root)
	if known == nil {
		k.note(access.EventHeadquartersAdopted, fmt.Sprintf("%x, door %q", sum, k.policy.Door))
		_, err = k.store.Apply(vault.Step{Items: map[vault.Item][]byte{vault.Fleet: sum[:], vault.Door: []byte(k.policy.Door)}, Restricts: true}, nil)
		var late error
		late, err = stored(err)
		k.degrade("vault", late)
		k.governed.Store(true)
	} else if !bytes.Equal(known, sum[:]) {
		err = errForeign
	} else {
		err = k.isDoor(place.Door)
	}
	if err == nil {
		err = h.restore(key)
	}
	if err != nil {
		return nil, err
	}
	return h, nil
}

// restore takes up what the vault keeps.
func (h *headquarters) restore(key *ecdsa.PublicKey) error {
	k := h.door
	var s roster.State
	kept, err := k.store.Item(vault.Stream)
	if err == nil && kept != nil {
		err = wire.Unmarshal(kept, &s)
	}
	if err == nil {
		h.roster, err = roster.Open(k.root.Identity().Kiosk(), key, s)
	}
	if err == nil {
		err = h.restoreKeys()
	}
	if err != nil {
		return err
	}
	if err := h.restoreDebt(); err != nil {
		return err
	}
	if next, err := h.roster.Renew(h.place.Trust, 0); err == nil { // the file's may be newer, after a repair
		return h.trust(next)
	}
	return nil
}

// trust puts another trust document in force, durably first.
func (h *headquarters) trust(next roster.Roster) error {
	kept, err := wire.Marshal(next.State())
	if err != nil {
		return err
	}
	owed := h.owed.with(h.door.audit.Head(), []access.Record{h.door.plain(access.EventTrustChanged, fmt.Sprintf("version %d", next.Trust().Version))})
	_, err = h.door.store.Apply(vault.Step{Items: map[vault.Item][]byte{vault.Stream: kept}, Restricts: true}, func([]vault.Outcome) (map[vault.Item][]byte, error) {
		return owed.items()
	})
	if late, failed := stored(err); failed != nil {
		return failed
	} else if late != nil {
		h.door.degrade("vault", late)
	}
	h.owed = owed
	h.follow(next)
	h.settle()
	return nil
}

// follow takes up the roster that is in force now, and is kept. What came with it was not withheld.
func (h *headquarters) follow(next roster.Roster) {
	h.roster = next
	h.door.commands.came(next.State().Seq)
	h.door.trust.came(next.Trust().Version)
}
