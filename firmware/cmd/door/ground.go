package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/access/vault/locked"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/drivers/tpm/tis"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/firmware/walkup"
	"github.com/lintel-access/lintel/sync/wire"
)

// Names below the state folder.
const (
	vaultFile   = "vault.db"
	auditFolder = "audit"
	// emergencyFolder holds the records of a door whose audit log could not be opened or must not be touched. The next good start takes them over.
	emergencyFolder = "emergency"
)

// ground is what door stands on. Each part may be missing, with the reason: then the door works on in a degraded mode. REX, contact, fire and alarms
// work on any ground; people are recognised on a whole one alone.
type ground struct {
	state     string        // its folder
	root      *root.Root    // nil without a TPM
	vault     *vault.Vault  // nil: nobody is recognised
	log       *auditlog.Log // nil: nothing can be recorded
	emergency bool          // log is the emergency log
	slab      []float32     // of the gallery
	release   func()        // wipes it
	unfollow  func()        // wipes the faces that are followed; nil when none is
	locked    bool          // templates stay out of swap

	recovery auditlog.Recovery
	powered  bool // the TPM was reset before this start: power-on, not a restart of the program
	closed   string
	reasons  []string
	found    []finding
}

// finding is something to be recorded once there is a log.
type finding struct {
	event  access.Event
	detail string
}

// layGround opens all that door stands on. Its error is one of the installation: another instance runs.
func layGround(b board.Board, o options) (g *ground, err error) {
	g = &ground{state: o.state}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.clear())
		}
	}()
	if g.root, err = openRoot(b, o); err != nil {
		g.lacks(access.EventTPMSilent, fmt.Errorf("TPM: %w", err))
	} else if b.Lab {
		// On a kiosk the boot chain has measured before us, and could not be overruled by us.
		if err := g.measure(b); err != nil {
			g.lacks(access.EventMeasurementsDiffer, fmt.Errorf("measure image: %w", err))
		}
	}
	if g.root != nil {
		if g.vault, err = openVault(g.root, o.state); errors.Is(err, vault.ErrInUse) {
			return g, err
		} else if errors.Is(err, tpm.ErrPCR) {
			g.lacks(access.EventMeasurementsDiffer, err)
		} else if err != nil {
			g.lacks(access.EventVaultRefused, err)
		}
	}
	if err := g.openLog(o.state); err != nil {
		return g, err
	}
	rows, release, isLocked, err := locked.Slab(walkup.SlabFloats(b.Gallery.References))
	if err != nil {
		g.lacks(access.EventDegradedEntered, err)
		g.slab = make([]float32, walkup.SlabFloats(1)) // an empty gallery is one all the same
		return g, nil
	}
	g.slab, g.release = rows, release
	g.locked = isLocked && (g.vault == nil || g.vault.Locked())
	if !g.locked {
		g.reasons = append(g.reasons, "templates are not locked in memory and may be swapped to disk: raise the limit of locked memory (ulimit -l), or run as root")
	}
	return g, nil
}

// missing notes why nobody can be recognised.
func (g *ground) missing(e access.Event, why string) {
	if g.closed == "" {
		g.closed = why
	}
	g.reasons = append(g.reasons, closedBecause+why)
	g.found = append(g.found, finding{e, why})
}

// lacks is missing with an error: the page has the sentence of the manual, the log and the terminal have the error itself.
func (g *ground) lacks(e access.Event, err error) {
	full := strings.ReplaceAll(err.Error(), g.state+string(filepath.Separator), "")
	fmt.Fprintln(os.Stderr, "missing ground:", full)
	if say := remedy(err); say != "" {
		g.missing(e, say)
		g.found[len(g.found)-1].detail = full
	} else {
		g.missing(e, full)
	}
}

// refuseVault goes on without a vault that was opened and cannot be used.
func (g *ground) refuseVault(err error) {
	g.lacks(access.EventVaultRefused, errors.Join(err, g.vault.Close()))
	g.vault = nil
}

// clear closes what is open, in the order in which one needs the other.
func (g *ground) clear() error {
	var errs []error
	if g.vault != nil {
		errs = append(errs, g.vault.Close())
	}
	if g.log != nil {
		errs = append(errs, g.log.Close())
	}
	if g.release != nil {
		g.release()
	}
	if g.unfollow != nil {
		g.unfollow()
	}
	if g.root != nil {
		errs = append(errs, g.root.Close())
	}
	return errors.Join(errs...)
}

func openRoot(b board.Board, o options) (*root.Root, error) {
	way, err := root.WayTo(b.TPM, o.run)
	if err != nil {
		return nil, err
	}
	secret, err := root.CPUSecret(b.TPM.CPUSecret, sysfs)
	if err != nil {
		return nil, err
	}
	r, err := root.Open(way, o.state, tpm.Options{CPUSecret: secret})
	return r, absent(err)
}

// absent says of an error that it is because there is no TPM.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, tis.ErrAbsent) {
		return fmt.Errorf("%w: %w", errTPMAbsent, err)
	}
	return err
}

// measure does on a lab board what the boot chain does on a kiosk.
func (g *ground) measure(b board.Board) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	image, err := root.MeasureImage(filepath.Dir(self), b)
	if err != nil {
		return err
	}
	g.powered, err = g.root.Extend(image)
	return err
}

func openVault(r *root.Root, state string) (*vault.Vault, error) {
	adopt, err := r.Fresh()
	if err != nil {
		return nil, fmt.Errorf("open vault: %w: %w", vault.ErrRoot, err)
	}
	return vault.Open(filepath.Join(state, vaultFile), vault.Options{Root: r, Device: r.Identity().Device, Adopt: adopt, Now: frames.Now})
}

// openLog opens the audit log, or the emergency log when that one cannot be opened or is not the one that the TPM remembers: then nothing of it is
// touched, so that it stays evidence.
func (g *ground) openLog(state string) error {
	why := errors.New("it can only be held to the TPM's memory with the TPM")
	if g.root != nil {
		log, recovery, err := auditlog.Open(filepath.Join(state, auditFolder), auditlog.Options{Merkle: merkle(g.root, state)})
		switch {
		case err == nil:
			g.log, g.recovery = log, recovery
			return nil
		case errors.Is(err, auditlog.ErrInUse):
			return err
		case errors.Is(err, auditlog.ErrCutOff):
			g.lacks(access.EventAuditCutOff, err)
		default:
			g.lacks(access.EventStorageLow, err)
		}
		why = err
	}
	g.emergency = true
	log, recovery, err := auditlog.Open(filepath.Join(state, emergencyFolder), emergencyOptions())
	if err != nil {
		g.lacks(access.EventAuditWriteFailed, fmt.Errorf("neither audit log opens, nothing is recorded: %w; %w", why, err))
		return nil
	}
	g.log, g.recovery = log, recovery
	g.reasons = append(g.reasons, "events are recorded in the emergency log")
	return nil
}

// takeOver appends what an emergency log holds to the audit log, and removes it. A cut in between repeats records, and loses none.
//
// Nothing signed those records, and who can write to the disk can write such a log. So they are announced before they come, each says that nobody
// vouches for it, and of what it says only what a door that recognises nobody can have done is taken: no grant, no person, no order.
//
// It comes after the start, which looks back over the last records of before, and beside all else: it may take minutes.
func (g *ground) takeOver() error {
	if g.log == nil || g.emergency {
		return nil
	}
	dir := filepath.Join(g.state, emergencyFolder)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	taken, left, err := g.readEmergency(dir)
	if err != nil {
		return err
	}
	announced := access.Record{
		Version: access.RecordVersion, Event: access.EventEmergencyLogTaken, Stamp: frames.Now(), Wall: time.Now().Unix(),
		Detail: fmt.Sprintf("%d records follow for which nobody vouches; %d were left out that no degraded mode writes", len(taken), left),
	}
	for _, r := range append([]access.Record{announced}, taken...) {
		data, err := wire.Marshal(r)
		if err == nil {
			_, err = g.log.Append(auditlog.Vital, data)
		}
		if err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}

// unvouched stands before the detail of each record that was taken over.
const unvouched = "unvouched: "

// readEmergency reads the records of an emergency log, stripped of what a degraded mode cannot know.
func (g *ground) readEmergency(dir string) (taken []access.Record, left int, err error) {
	log, _, err := auditlog.Open(dir, emergencyOptions())
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	for from, head := uint64(0), log.Head(); from < head; {
		entries, err := log.Read(from, 256)
		var lost auditlog.Damage
		if errors.As(err, &lost) && lost.Until > from {
			from = lost.Until
			continue
		}
		if err != nil {
			return taken, left, err
		}
		for _, e := range entries {
			var r access.Record
			if wire.Unmarshal(e.Record, &r) != nil || !ofDegraded(r.Event) {
				left++
				continue
			}
			taken = append(taken, access.Record{
				Version: access.RecordVersion, Event: r.Event, Boot: r.Boot, Stamp: r.Stamp, Wall: r.Wall, Door: r.Door,
				Detail: clip(unvouched+r.Detail, access.MaxDetail),
			})
		}
		from += uint64(len(entries))
	}
	return taken, left, nil
}

// ofDegraded says what a door that recognises nobody can have seen or done: the program, the door, storage and the ground itself.
func ofDegraded(e access.Event) bool {
	switch e {
	case access.EventReleaseRefused, access.EventEmergencyLogTaken:
		return false
	}
	area := e / 100
	return area == 1 || area == 3 || area == 5 || e == access.EventVaultRefused || area == 9 && e != access.EventProvisioned
}

// emergencyOptions keep it small: 64 segments of a quarter of a megabyte hold some 60,000 records.
func emergencyOptions() auditlog.Options {
	return auditlog.Options{SegmentBytes: 256 << 10, Reserve: 2, MaxSegments: 64}
}
