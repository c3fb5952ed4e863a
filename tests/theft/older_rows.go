package main

import (
	"errors"
	"fmt"

	"github.com/lintel-access/lintel/access/vault"
)

// olderRows put back what was copied earlier.
func (t *theft) olderRows() []row {
	v := t.victim
	var rows []row
	before := atAnchor
	for i, what := range []struct{ at, undone string }{
		{atRevocation, "a revocation"}, {atDeletion, "a deletion"}, {atSuspension, "a suspension"}, {atLockdown, "a lockdown"}, {atPolicy, "a policy"},
		{atLockout, "a lockout that was entered"}, {atBoot, "a start"},
	} {
		if what.at == atLockout {
			before = atFailures
		}
		disk, chip := v.moments[before], v.moments[what.at]
		rows = append(rows, row{fmt.Sprintf("4.%d", i+1), "vault of just before " + what.undone + " put back", vault.ErrRolledBack, func() (string, error) {
			k, err := t.stage(chip, chip)
			if err != nil {
				return "", err
			}
			if err := copyFile(k.file(), disk.disk()+"/vault.db"); err != nil {
				return "", err
			}
			return opened(k, k.start(v.image))
		}})
		before = what.at
	}
	rows = append(rows,
		row{"4.8", "the whole disk of before put back, at the end", vault.ErrRolledBack, func() (string, error) {
			k, err := t.stage(v.moments[atAnchor], v.moments[theEnd])
			if err != nil {
				return "", err
			}
			return opened(k, k.start(v.image))
		}},
		row{"4.9", "vault of just before an enrolment put back", nil, func() (string, error) {
			k, err := t.stage(v.moments[atBoot], v.moments[atEnrolment])
			if err != nil {
				return "", err
			}
			if err := k.start(v.image); err != nil {
				return "", err
			}
			if _, err := k.vault.Get(v.people[crowd].id, v.bundle); !errors.Is(err, vault.ErrUnknown) {
				return "", fmt.Errorf("whoever was enrolled after the copy: %v", err)
			}
			return "OPENS without whoever was enrolled since: the window that the threat model names", nil
		}})
	return rows
}

// lockoutRows cut the power to be forgiven.
func (t *theft) lockoutRows() []row {
	v := t.victim
	// remembered starts a disk at a TPM and returns what the vault remembers of failures.
	remembered := func(disk, chip string) (l vault.Lockout, err error) {
		k, err := t.stage(v.moments[disk], v.moments[chip])
		if err == nil {
			err = k.start(v.image)
		}
		if err != nil {
			return l, err
		}
		return k.vault.Lockout(doorName)
	}
	return []row{
		{"8.1", "failures at the door, then the power is cut", nil, func() (string, error) {
			l, err := remembered(atFailures, atFailures)
			if err == nil && (len(l.Failures) != failures || l.Locked) {
				err = fmt.Errorf("it remembers %d failures", len(l.Failures))
			}
			return fmt.Sprintf("still limited: all %d failures are remembered", failures), err
		}},
		{"8.2", "a lockout is entered, then the power is cut", nil, func() (string, error) {
			l, err := remembered(atLockout, atLockout)
			if err == nil && !l.Locked {
				err = errors.New("it is locked out no longer")
			}
			return "still locked out", err
		}},
		{"8.3", "the same, and the vault of before the lockout put back", vault.ErrRolledBack, func() (string, error) {
			_, err := remembered(atPolicy, atLockout)
			return "OPENS, the failures forgotten", err
		}},
		{"8.4", "failures below the limit, the power is cut, the vault of before them put back", nil, func() (string, error) {
			l, err := remembered(atPolicy, atFailures)
			if err == nil && len(l.Failures) != 0 {
				err = fmt.Errorf("it remembers %d failures that the copy cannot know", len(l.Failures))
			}
			return "OPENS, those failures forgotten: the window, one opened case for each time", err
		}},
		{"8.5", "that copy once more, after the start that it was put in for", vault.ErrRolledBack, func() (string, error) {
			k, err := t.stage(v.moments[atPolicy], v.moments[atFailures])
			if err == nil {
				err = k.start(v.image)
			}
			if err == nil {
				_, err = k.vault.Boot() // as door does at each start
			}
			if err == nil {
				err = k.off()
			}
			if err == nil {
				err = copyFile(k.file(), v.moments[atPolicy].disk()+"/vault.db")
			}
			if err != nil {
				return "", err
			}
			return opened(k, k.start(v.image))
		}},
	}
}
