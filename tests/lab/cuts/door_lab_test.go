//go:build lab

package cuts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/tests/lab/kiosk"
	"github.com/lintel-access/lintel/tests/lab/plan"
	"github.com/lintel-access/lintel/tests/lab/vm"
)

const (
	doorCuts     = 12
	doorCutsLong = 300
	people       = 40

	// A cut comes within so long after the boot's test has begun, or after door is ready: it takes some seconds to be.
	cutStarting = 4 * time.Second
	cutWorking  = 2 * time.Second
)

// The real door works: people are suspended, resumed, revoked and deleted, the access point is locked down, somebody presses the button to leave. The
// machine loses its power. In the next boot the relay stays off until the button is pressed, the vault has what door had acknowledged, the audit log
// has every record that door had told of, and door finds nothing degraded.
//
// Control: P3
func TestDoorCuts(t *testing.T) {
	p := vm.Plan(t)
	cuts := doorCuts
	if p.Long {
		cuts = doorCutsLong
	}
	k := &boot{t: t, plan: p, m: &reckoning{}, state: filepath.Join(vm.Disk(t), "kiosk")}
	if err := k.m.load(); errors.Is(err, fs.ErrNotExist) && p.Boot == 0 {
		k.m.Seed, k.m.Boot = uint64(time.Now().UnixNano()), -1
	} else if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(failedFile); err == nil {
		t.Fatalf("an earlier boot failed, and was cut before it could say so: %s", text)
	}
	starting, after := moment(k.m.Seed, p.Boot)
	if starting && p.Boot < cuts {
		vm.CutIn(t, after)
	}
	k.start()
	if p.Boot == cuts {
		k.account()
		return
	}
	if !starting {
		vm.CutIn(t, after)
	}
	k.must(k.operate())
}

// moment says when a boot is cut. The first is never cut while it starts: it provisions the TPM and enrols.
func moment(seed uint64, boot int) (starting bool, after time.Duration) {
	rng := mathrand.New(mathrand.NewPCG(seed, uint64(boot)<<1|1))
	if boot > 0 && rng.IntN(3) == 0 {
		return true, time.Duration(rng.Int64N(int64(cutStarting)))
	}
	return false, time.Duration(rng.Int64N(int64(cutWorking)))
}

const failedFile = plan.Outside + "/failed"

// boot is one boot of the kiosk.
type boot struct {
	t     *testing.T
	plan  plan.Plan
	m     *reckoning
	board board.Board
	state string // folder of the kiosk's disk
	wires *kiosk.Wires
	door  *client
}

// must ends the test if there is an error, and notes it first: the cut may be quicker than the test's own report.
func (k *boot) must(err error) {
	k.t.Helper()
	if err == nil {
		return
	}
	starting, after := moment(k.m.Seed, k.plan.Boot-1)
	err = fmt.Errorf("seed %d, boot %d, the one before was cut after %v (starting: %v): %w", k.m.Seed, k.plan.Boot, after, starting, err)
	os.WriteFile(failedFile, []byte(err.Error()), 0o600) // the test fails in any case
	k.t.Fatal(err)
}

// start brings the kiosk up to where door is ready, and checks what the last cut has left.
func (k *boot) start() {
	k.t.Helper()
	var err error
	k.board, err = board.Load("lab")
	k.must(err)
	last, err := k.m.hear()
	k.must(err)
	k.wires, err = kiosk.NewWires(k.t, k.board, last.on)
	k.must(err)
	chip := vm.StartTPM(k.t, filepath.Join(plan.Outside, "tpm"))
	if k.m.Boot < 0 {
		k.must(k.provision(chip.Path))
	}
	k.must(k.check(last))
	said, err := k.m.speak(k.plan.Boot)
	k.must(err)
	k.m.Boot = k.plan.Boot
	k.must(k.m.save())
	k.door, err = startDoor(k.t, filepath.Join(k.plan.Programs, "door"), k.board.Name, k.state, said)
	k.must(err)
	k.must(k.safe())
}

// provision makes the kiosk, as on the bench where it is built, and enrols people.
func (k *boot) provision(chip string) error {
	if err := kiosk.Provision(k.plan.Programs, k.board, chip, k.state); err != nil {
		return err
	}
	k.m.People = map[string]vault.State{}
	return k.inVault(func(v *vault.Vault, bundle [32]byte) error {
		for i := range people {
			vector := make([]float32, access.ProbeSize)
			vector[i] = 1
			t, err := vault.NewTemplate(vector)
			if err != nil {
				return err
			}
			p := vault.Person{ID: person(i), State: vault.Active, Generation: 1, References: []vault.Reference{{Template: t, Bundle: bundle, Created: 1}}}
			if err := v.Put(p); err != nil {
				return err
			}
			k.m.People[p.ID.String()] = vault.Active
		}
		return nil
	})
}

// inVault opens the vault as door does.
func (k *boot) inVault(do func(v *vault.Vault, bundle [32]byte) error) error {
	return kiosk.InVault(k.plan.Programs, k.board, k.state, do)
}

// check holds vault and audit log to what was acknowledged. What is found of an order that was under way is true from then on.
func (k *boot) check(last heard) error {
	m := k.m
	if m.Boot < 0 {
		return nil
	}
	found := &reckoning{People: map[string]vault.State{}}
	err := k.inVault(func(v *vault.Vault, bundle [32]byte) (err error) {
		if found.Lockdown, err = v.Lockdown(); err != nil {
			return err
		}
		return v.All(bundle, func(p vault.Person) error {
			found.People[p.ID.String()] = p.State
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	next := m.clone()
	next.apply(last.order)
	if last.order != "" {
		m.Under++
	}
	if differs := m.differs(found); differs != "" {
		if also := next.differs(found); also != "" {
			return fmt.Errorf("vault: %s; with %q, which was under way: %s", differs, last.order, also)
		}
		m.apply(last.order)
		m.UnderDone++
	}
	m.Cuts++
	m.Starting += max(k.plan.Boot-m.Boot-1, 0)
	if last.on {
		m.Held++
	}
	return k.checkLog()
}

// checkLog reads all records: those of before are as they were, and as many are there as door has told of.
func (k *boot) checkLog() error {
	m := k.m
	log, err := kiosk.ReadLog(filepath.Join(k.state, "audit"), kiosk.Log{Records: m.Hashed, Sum: m.Prefix}, m.Records, nil)
	if err == nil {
		m.Records, m.Hashed, m.Prefix = log.Records, log.Records, log.Sum
	}
	return err
}

// safe makes sure of what door says of itself when it is ready, and of what the relay has done meanwhile: nothing.
func (k *boot) safe() error {
	s, err := k.door.status(k.t.Context())
	if err != nil {
		return err
	}
	if s.Closed || s.Lockdown != k.m.Lockdown || s.Records < k.m.Records {
		return fmt.Errorf("door is ready: closed %v, lockdown %v, %d records; want lockdown %v, at least %d; degraded: %q", s.Closed, s.Lockdown, s.Records, k.m.Lockdown, k.m.Records, s.Degraded)
	}
	for _, why := range s.Degraded {
		if strings.Contains(why, "emergency") || strings.Contains(why, "vault") || strings.Contains(why, "audit") {
			return fmt.Errorf("door is degraded: %q", s.Degraded)
		}
	}
	on, err := k.wires.Changes()
	if err == nil && len(on) > 0 {
		err = fmt.Errorf("the relay went %v, and nobody was let out", on)
	}
	return err
}

// operate presses the button and gives door orders until the power goes.
func (k *boot) operate() error {
	ctx, cancel := context.WithCancelCause(k.t.Context())
	defer cancel(nil)
	go func() { cancel(press(ctx, k.wires, k.door.say)) }() // ends with ctx
	rng := mathrand.New(mathrand.NewPCG(k.m.Seed, uint64(k.plan.Boot)<<1))
	for {
		if err := k.door.order(ctx, k.m, rng); err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

func (k *boot) account() {
	m := k.m
	const format = "%5v %9v %13v %12v %11v %9v %9v %9v"
	vm.Measured(k.t, format, "cuts", "+starting", "orders ack'd", "under way", "of them done", "records", "releases", "relay on")
	vm.Measured(k.t, format, m.Cuts, m.Starting, m.Acknowledged, m.Under, m.UnderDone, m.Records, m.Released, m.Held)
	vm.Measured(k.t, "seed %d; in each boot the relay was off until the button was pressed, and door found nothing degraded", m.Seed)
	if m.Released == 0 || m.Acknowledged == 0 {
		k.t.Error("nothing happened that could have been lost")
	}
}
