package authority

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

// copied is another copy of a safe.
func copied(t *testing.T, offline string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "safe")
	if err := os.CopyFS(to, os.DirFS(offline)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(to, rootKey), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

func away(t *testing.T, offline string, at time.Time, change func(*wire.Trust) error) []byte {
	t.Helper()
	o, err := OpenSafe(offline)
	if err == nil {
		err = o.Change(at, change)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file(t, filepath.Join(offline, trustFile))
}

// The safe is opened on another machine: headquarters takes what it signed there, and nothing else.
func TestTrustIsSignedAwayFromHeadquarters(t *testing.T) {
	const year = 365 * 24 * time.Hour
	dir, offline := folders(t)
	_, strange := folders(t)
	first := file(t, filepath.Join(dir, trustFile))
	ada, eve := key(t), key(t)
	clock := today()
	now := func() time.Time { clock = clock.Add(time.Minute); return clock }
	added := away(t, offline, now(), Admit(wire.RoleEnroller, "Ada", &ada.PublicKey, now(), year))
	stale := copied(t, offline)
	if got := file(t, filepath.Join(dir, trustFile)); string(got) != string(first) {
		t.Fatal("what was signed elsewhere is in force at once")
	}
	before, took, err := TakeTrust(dir, added, now())
	if err != nil || took.Version != 2 || before.Version != 1 || load(t, dir, now()).Trust.Version != 2 {
		t.Fatalf("version %d, %v", took.Version, err)
	}
	if _, _, err := TakeTrust(dir, added, now()); err != nil {
		t.Errorf("the same again: %v", err)
	}
	removed := away(t, offline, now(), Dismiss("Ada"))
	if _, _, err := TakeTrust(dir, removed, now()); err != nil {
		t.Fatal(err)
	}

	away(t, stale, now(), Admit(wire.RoleReleaser, "Eve", &eve.PublicKey, now(), year))
	spoilt := append([]byte(nil), removed...)
	spoilt[len(spoilt)-1] ^= 1
	elsewhere := away(t, strange, now(), Admit(wire.RoleEnroller, "Ada", &ada.PublicKey, now(), year))
	other, err := x509.MarshalPKIXPublicKey(&eve.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	nobody := away(t, copied(t, offline), now(), func(t *wire.Trust) error { t.Grants[0].Key = other; return nil })
	for what, c := range map[string]struct {
		data []byte
		says string
	}{
		"an older one":                    {added, "another of version 3"},
		"another of the same version":     {file(t, filepath.Join(stale, trustFile)), "another of version 3"},
		"of a safe that missed a removal": {away(t, stale, now(), Dismiss("Eve")), "missed a change"},
		"another byte":                    {spoilt, "root"},
		"of another fleet":                {elsewhere, "root"},
		"that does not know this server":  {nobody, "does not let this server speak"},
		"nothing":                         {nil, "root"},
	} {
		if _, _, err := TakeTrust(dir, c.data, now()); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want it to say %q", what, err, c.says)
		}
		if got := file(t, filepath.Join(dir, trustFile)); string(got) != string(removed) {
			t.Fatalf("%s: the trust in force was changed", what)
		}
	}
	// A role that ended is not prolonged either.
	back := away(t, offline, now(), Admit(wire.RoleEnroller, "Ada", &ada.PublicKey, now(), year))
	if _, _, err := TakeTrust(dir, back, now()); err != nil {
		t.Fatalf("who is added anew: %v", err)
	}
	long := copied(t, offline)
	ended := away(t, offline, now(), End("Ada", now()))
	if _, _, err := TakeTrust(dir, ended, now()); err != nil {
		t.Fatal(err)
	}
	away(t, long, now(), Admit(wire.RoleReleaser, "Eve", &eve.PublicKey, now(), year))
	if _, _, err := TakeTrust(dir, away(t, long, now(), Dismiss("Eve")), now()); err == nil || !strings.Contains(err.Error(), "missed a change") {
		t.Errorf("a role that ended is there again: %v", err)
	}
}
