package authority

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

// TakeTrust puts a newer Trust that was signed elsewhere in force in the server's folder, and returns the one that was in force before, and it. It must be
// the fleet root's, know this server and its issuing keys, and take up where the one in force stands: what it cannot be is refused, and nothing is changed.
func TakeTrust(dir string, data []byte, now time.Time) (before, after wire.Trust, err error) {
	before, after, err = takeTrust(dir, data, now)
	if err != nil {
		return wire.Trust{}, wire.Trust{}, fmt.Errorf("take trust: %w", err)
	}
	return before, after, nil
}

func takeTrust(dir string, data []byte, now time.Time) (there, t wire.Trust, err error) {
	if err := CheckClock(now); err != nil {
		return there, t, err
	}
	root, err := LoadPublic(filepath.Join(dir, rootPublic))
	if err != nil {
		return there, t, err
	}
	if t, err = OpenTrust(data, root); err != nil {
		return there, t, errors.New("it is not what this fleet's root has signed") // by which byte tells nobody more
	}
	there, envelope, err := loadTrust(dir, root)
	if err != nil {
		return there, t, err
	}
	if bytes.Equal(envelope, data) {
		return there, t, nil
	}
	if t.Version <= there.Version {
		return there, t, fmt.Errorf("it is version %d, and another of version %d is in force", t.Version, there.Version)
	}
	if err := errors.Join(revived(there, t), sane(t, now)); err != nil {
		return there, t, err
	}
	if _, err := under(dir, root, t, data, now); err != nil {
		return there, t, err
	}
	return there, t, Replace(filepath.Join(dir, trustFile), data, 0o644)
}

// revived tells that a Trust gives back what the one in force has ended: it was signed in a copy of the safe that has missed a change. A higher version
// alone does not show that.
func revived(there, t wire.Trust) error {
	for _, g := range t.Grants {
		if g.Role == wire.RoleServer {
			continue // of its key the folder knows
		}
		until := int64(0)
		for _, old := range there.Grants {
			if old.Role == g.Role && old.From == g.From && bytes.Equal(old.Key, g.Key) {
				until = max(until, old.Until)
			}
		}
		if until == 0 && g.From >= there.Issued-int64(backdate/time.Second) {
			continue // given since
		}
		if g.Until > until {
			return fmt.Errorf("%v %q stands in it, whose role the trust in force has ended: this safe has missed a change; amend the newest one", g.Role, g.Name)
		}
	}
	return nil
}
