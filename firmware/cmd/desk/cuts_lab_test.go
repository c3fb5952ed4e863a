//go:build lab

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/twin"
	"github.com/lintel-access/lintel/sync/wire"
	"github.com/lintel-access/lintel/tests/lab/kiosk"
	"github.com/lintel-access/lintel/tests/lab/plan"
	"github.com/lintel-access/lintel/tests/lab/vm"
)

const (
	kioskCuts     = 5
	kioskCutsLong = 100
)

// cutWithin is how long after the beginning of its phase a boot is cut at most: about as long as the phase takes.
var cutWithin = map[phase]time.Duration{starting: 6 * time.Second, enrolling: 6 * time.Second, walking: 8 * time.Second}

// moment says when a boot is cut. The first is the one that provisions: it is cut no earlier than while people are enrolled.
func moment(seed uint64, boot int) (phase, time.Duration) {
	in := [...]phase{enrolling, walking, starting, walking}[boot%4]
	return in, time.Duration(rand.New(rand.NewPCG(seed, uint64(boot)<<1|1)).Int64N(int64(cutWithin[in])))
}

// The whole kiosk works: people are enrolled, walk up, are suspended and deleted, leave by the button. The machine loses its power. In the next boot the
// relay is off until somebody may be let in or out, everybody of whom enrolment, suspension or deletion was acknowledged is as acknowledged, the audit log
// begins with the records of before and has each grant that was told, and nothing is degraded that was not in the first boot.
//
// Control: P3
func TestKioskCuts(t *testing.T) {
	k := &boot{t: t, plan: vm.Plan(t), state: filepath.Join(vm.Disk(t), "desk")}
	cuts := kioskCuts
	if k.plan.Long {
		cuts = kioskCutsLong
	}
	var err error
	if k.board, err = board.Load("lab"); err != nil {
		t.Fatal(err)
	}
	if k.l, err = openLedger(); err != nil {
		t.Fatal(err)
	}
	if k.l.failed != "" {
		t.Fatalf("an earlier boot failed, and was cut before it could say so: %s", k.l.failed)
	}
	if k.l.seed == 0 {
		k.must(k.l.say("seed %d", time.Now().UnixNano()))
	}
	k.last = k.plan.Boot == cuts
	k.phase, k.after = moment(k.l.seed, k.plan.Boot)
	k.must(k.run())
	k.must(k.checkLog())
	k.account()
}

// boot is one boot of the machine.
type boot struct {
	t     *testing.T
	plan  plan.Plan
	board board.Board
	l     *ledger
	state string // folder of the desk
	last  bool   // it is not cut
	phase phase  // in which it is cut
	after time.Duration
	world *world
	bench *bench

	may  atomic.Bool // somebody may be let in or out by now
	told access.SessionID
}

// must ends the test if there is an error, and notes it first: the cut may be quicker than the test's own report.
func (k *boot) must(err error) {
	k.t.Helper()
	if err == nil {
		return
	}
	in, after := moment(k.l.seed, max(k.plan.Boot-1, 0))
	err = fmt.Errorf("seed %d, boot %d, the one before was to be cut %v after it began %s: %w", k.l.seed, k.plan.Boot, after, in, err)
	k.l.say("failed %q", err.Error()) // the test fails in any case
	k.t.Fatal(err)
}

// cut has the power taken away if this is the phase for it.
func (k *boot) cut(in phase) {
	if k.phase == in && !k.last {
		vm.CutIn(k.t, k.after)
		k.phase = ""
	}
}

// run brings the kiosk up, checks what the last cut has left, and works until the power goes.
func (k *boot) run() error {
	outside := filepath.Join(plan.Outside, "tpm")
	if !k.l.ready {
		if err := errors.Join(os.RemoveAll(k.state), os.RemoveAll(outside)); err != nil {
			return err
		}
	}
	k.world = newWorld(k.t, k.board)
	if err := k.world.Pull(board.Relay, k.l.relay); err != nil { // as a controller does that kept its level when the power of the machine went
		return err
	}
	if _, err := k.world.Outputs(); err != nil {
		return err
	}
	k.world.watch = k.relay
	chip := vm.StartTPM(k.t, outside)
	if k.l.ready {
		if err := errors.Join(k.checkVault(), k.checkLog()); err != nil {
			return err
		}
	}
	if err := k.l.say("boot %d", k.plan.Boot); err != nil {
		return err
	}
	at := k.world.site(k.plan, k.board, chip)
	build := at.build
	at.build = func(run string, cast twin.Cast) (*twin.Board, error) { // the last before the programs are started
		k.cut(starting)
		return build(run, cast)
	}
	at.operate = k.operate
	ctx, cancel := context.WithTimeout(k.t.Context(), k.plan.Deadline-20*time.Second)
	defer cancel()
	var told bytes.Buffer
	if err := inTheMachine(k.plan, k.state).open(ctx, at, &told, &told); err != nil {
		return fmt.Errorf("%w; %d of %d frames lost\n%s", err, k.world.dropped.Load(), k.world.shown, lastLines(told.String(), 40))
	}
	return nil
}

// checkVault holds the vault to what was acknowledged. What is found of an order that was under way is true from then on.
func (k *boot) checkVault() error {
	standings := map[vault.State]access.Standing{vault.Active: access.Permitted, vault.Suspended: access.Suspended, vault.Revoked: access.Revoked}
	found := map[access.PersonID]access.Standing{}
	if err := kiosk.InVault(k.plan.Programs, k.board, filepath.Join(k.state, "kiosk"), func(v *vault.Vault, bundle [32]byte) error {
		return v.All(bundle, func(p vault.Person) error {
			found[p.ID] = standings[p.State]
			return nil
		})
	}); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	differ := differs(k.l.people, found)
	if k.l.order == "" {
		if differ != "" {
			return fmt.Errorf("vault: %s", differ)
		}
		return nil
	}
	if differ == "" {
		return k.l.say("undone")
	}
	next := maps.Clone(k.l.people)
	if err := after(next, k.l.order); err != nil {
		return err
	}
	if also := differs(next, found); also != "" {
		return fmt.Errorf("vault: %s; with %q, which was under way: %s", differ, k.l.order, also)
	}
	return k.l.say("done")
}

// checkLog holds the audit log to what was told of it.
func (k *boot) checkLog() error {
	missing := map[access.SessionID]bool{}
	for _, s := range k.l.granted {
		missing[s] = true
	}
	log, err := kiosk.ReadLog(filepath.Join(k.state, "kiosk", "audit"), k.l.log, k.l.records, func(e auditlog.Entry) error {
		var r access.Record
		if err := wire.Unmarshal(e.Record, &r); err != nil {
			return err
		}
		if r.Event == access.EventWalkupGranted {
			delete(missing, r.Session)
		}
		return nil
	})
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("audit log: no record of the grants %v, which were told", slices.Collect(maps.Keys(missing)))
	}
	if err != nil || log.Sum == nil {
		return err
	}
	return k.l.say("log %d %x", log.Records, log.Sum)
}

// relay notes what the relay does, from the kernel's own record.
func (k *boot) relay(e board.Edge) error {
	if e.On && !k.may.Load() {
		return errors.New("the relay went on before anybody could be let in or out")
	}
	level := "off"
	if e.On {
		level = "on"
	}
	return k.l.say("relay %s", level)
}

// account prints the table.
func (k *boot) account() {
	c, l := k.l.count, k.l
	const format = "%5v %9v %10v %8v %9v %7v %12v %10v %8v %9v"
	vm.Measured(k.t, format, "cuts", "starting", "enrolling", "walking", "enrolled", "orders", "under way", "thereof", "records", "releases")
	vm.Measured(k.t, format, l.cuts[starting]+l.cuts[enrolling]+l.cuts[walking], l.cuts[starting], l.cuts[enrolling], l.cuts[walking], c["ok enrol"],
		c["ok"]-c["ok enrol"], c["done"]+c["undone"], c["done"], l.records, c["release"])
	vm.Measured(k.t, "%d grants told, %d walk-ups missed on a busy host; in each boot the relay was off until somebody might pass; seed %d", c["granted"],
		c["missed"], l.seed)
	switch enrolled, granted, missed := c["ok enrol"], c["granted"], c["missed"]; {
	case enrolled == 0 && granted == 0, (enrolled == 0 || granted == 0) && missed == 0:
		k.t.Errorf("%d enrolments and %d grants: too little happened that could have been lost; %d walk-ups were missed because the host was too busy", enrolled, granted, missed)
	case enrolled == 0, granted == 0:
		vm.Measured(k.t, "THE HOST WAS TOO BUSY for a kiosk at its camera's rate: %d enrolments and %d grants were put to the cuts", enrolled, granted)
	}
}
