package authority

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

func open(t *testing.T, dir, offline string) *Offline {
	t.Helper()
	o, err := OpenOffline(dir, offline)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func file(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Whoever has the server's folder puts back a Trust in which a dismissed operator still stands. The next change does not bring the operator back.
func TestOlderTrustIsNotAmended(t *testing.T) {
	dir, offline := folders(t)
	year := 365 * 24 * time.Hour
	mallory, ada := key(t), key(t)
	o := open(t, dir, offline)
	if err := o.Change(today(), Admit(wire.RoleEnroller, "Mallory", &mallory.PublicKey, today(), year)); err != nil {
		t.Fatal(err)
	}
	with := file(t, filepath.Join(dir, trustFile))
	if err := o.Change(today(), Dismiss("Mallory")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, trustFile), with, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenOffline(dir, offline); !errors.Is(err, ErrOtherTrust) || !strings.Contains(err.Error(), "version 2") {
		t.Fatalf("an older trust is amended: %v", err)
	}
	if _, err := RestoreTrust(dir, offline); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir, offline).Change(today(), Admit(wire.RoleEnroller, "Ada", &ada.PublicKey, today(), year)); err != nil {
		t.Fatal(err)
	}
	s := load(t, dir, today())
	if s.Trust.Version != 4 || len(s.Trust.Grants) != 2 || s.Trust.Grants[1].Name != "Ada" {
		t.Errorf("version %d with %+v", s.Trust.Version, s.Trust.Grants)
	}
}

// A copy of the safe that was not kept up to date never goes back behind what is in force.
func TestOlderSafeIsRefused(t *testing.T) {
	dir, offline := folders(t)
	first := file(t, filepath.Join(offline, trustFile))
	k := key(t)
	if err := open(t, dir, offline).Change(today(), Admit(wire.RoleEnroller, "Ada", &k.PublicKey, today(), time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(offline, trustFile), first, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenOffline(dir, offline); !errors.Is(err, ErrOtherTrust) {
		t.Errorf("opened: %v", err)
	}
	if _, err := RestoreTrust(dir, offline); err == nil {
		t.Error("went back behind a newer trust")
	}
	if got := load(t, dir, today()).Trust.Version; got != 2 {
		t.Errorf("version %d is in force", got)
	}
	if err := os.Remove(filepath.Join(offline, trustFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenOffline(dir, offline); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a safe without a trust: %v", err)
	}
}

func TestServersKeyIsRenewed(t *testing.T) {
	for _, cut := range []string{"nothing", "before Trust", "after Trust", "after Trust, and again"} {
		t.Run(cut, func(t *testing.T) {
			dir, offline := folders(t)
			old := load(t, dir, today()).Key
			later := today().Add(4 * 365 * 24 * time.Hour)
			if cut == "before Trust" {
				if _, err := CreateKey(filepath.Join(dir, serverNext)); err != nil {
					t.Fatal(err)
				}
				if s := load(t, dir, later); !s.Key.Equal(old) {
					t.Fatal("a key counts that Trust does not name")
				}
			}
			oldFile := file(t, filepath.Join(dir, serverKey))
			if err := open(t, dir, offline).RenewServer(later); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(cut, "after Trust") { // as if the last rename had not happened
				newFile := file(t, filepath.Join(dir, serverKey))
				if err := errors.Join(os.WriteFile(filepath.Join(dir, serverNext), newFile, 0o600), os.WriteFile(filepath.Join(dir, serverKey), oldFile, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			s := load(t, dir, later)
			if cut == "after Trust, and again" {
				if err := open(t, dir, offline).RenewServer(later); err != nil {
					t.Fatal(err)
				}
				again := load(t, dir, later)
				if again.Key.Equal(s.Key) || again.Trust.Version != s.Trust.Version+1 {
					t.Error("not renewed again")
				}
				s = again
			}
			if s.Key.Equal(old) || len(s.Trust.Grants) != 1 || s.Trust.Grants[0].From != today().Add(-backdate).Unix() || s.Trust.Grants[0].Until != later.Add(serverTerm).Unix() {
				t.Errorf("grants %+v", s.Trust.Grants)
			}
			id, err := wire.IDOf(old.Public())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Trust.Grant(id, wire.KindCommand, later.Unix()); err == nil {
				t.Error("the old key still counts")
			}
		})
	}
}

// A thief of an issuing key is rid of it with the renewal, and a renewal that is cut short leaves one that works.
func TestIssuingKeyIsRenewed(t *testing.T) {
	dir, offline := folders(t)
	old, later := load(t, dir, today()).Kiosks(), today().Add(24*time.Hour)
	oldKey, oldCertificate := file(t, issuingFile(dir, 1, ".pem")), file(t, issuingFile(dir, 1, ".crt"))
	if err := open(t, dir, offline).RenewIssuing(later); err != nil {
		t.Fatal(err)
	}
	renewed := load(t, dir, later).Kiosks()
	if renewed.key.Equal(old.key) || !renewed.Authority.Equal(old.Authority) {
		t.Error("the key stayed, or the authority did not")
	}
	if _, err := os.Stat(issuingFile(dir, 1, ".pem")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old key is still there: %v", err)
	}
	if err := errors.Join(os.WriteFile(issuingFile(dir, 1, ".pem"), oldKey, 0o600), os.WriteFile(issuingFile(dir, 1, ".crt"), oldCertificate, 0o644)); err != nil {
		t.Fatal(err)
	}
	if got := load(t, dir, later).Kiosks(); !got.key.Equal(renewed.key) {
		t.Error("cut short before the old one went, the old one is used")
	}
	if _, err := CreateKey(issuingFile(dir, 3, ".pem")); err != nil {
		t.Fatal(err)
	}
	if got := load(t, dir, later).Kiosks(); !got.key.Equal(renewed.key) {
		t.Error("cut short before it had a certificate, a key is used")
	}
	for range 2 * maxIssuings {
		later = later.Add(24 * time.Hour)
		if err := open(t, dir, offline).RenewIssuing(later); err != nil {
			t.Fatal(err)
		}
	}
}
