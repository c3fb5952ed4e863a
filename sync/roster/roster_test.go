package roster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/lintel-access/lintel/sync/wire"
)

var self, other = [32]byte{1, 2, 3}, [32]byte{3, 2, 1}

// today is a trusted time at which the grants of these tests are in force, Unix seconds.
const today = 1_800_000_000

func key(t testing.TB, name string) *ecdsa.PrivateKey {
	t.Helper()
	d := sha256.Sum256([]byte(name))
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func grant(t testing.TB, role wire.Role, name string) wire.Grant {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(&key(t, name).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return wire.Grant{Role: role, Key: spki, Name: name, From: today - 1000, Until: today + 1000}
}

func trust(t testing.TB, version uint64) wire.Trust {
	t.Helper()
	return wire.Trust{Version: version, Issued: 1, Grants: []wire.Grant{
		grant(t, wire.RoleServer, "server"), grant(t, wire.RoleEnroller, "enroller"), grant(t, wire.RoleAdministrator, "administrator"), grant(t, wire.RoleReleaser, "releaser"),
	}}
}

func sign(t testing.TB, by string, audience [32]byte, body wire.Body) []byte {
	t.Helper()
	data, err := wire.Sign(key(t, by), audience, body)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// begun is the roster of a kiosk that trusts, and was told nothing yet.
func begun(t testing.TB) Roster {
	t.Helper()
	r, err := Open(self, &key(t, "root").PublicKey, State{})
	if err == nil {
		r, err = r.Renew(sign(t, "root", wire.Fleet(), trust(t, 1)), today)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNobodyIsTrustedBeforeTheRootSaysSo(t *testing.T) {
	for name, r := range map[string]Roster{"zero": {}, "no trust": func() Roster { r, _ := Open(self, &key(t, "root").PublicKey, State{}); return r }()} {
		if _, err := r.Command(commands(t, 1)[0], Means{Now: today}); err == nil {
			t.Errorf("%s: a command was taken", name)
		}
		if _, _, err := r.Answer(sign(t, "server", self, wire.Time{Nonce: [16]byte{1}, Now: 1, Trust: 1}), 0, func([16]byte) (uint64, bool) { return 0, true }); err == nil {
			t.Errorf("%s: a time was taken", name)
		}
	}
}

func TestTrustRises(t *testing.T) {
	empty := wire.Trust{Version: 9, Issued: 1}
	over := wire.Trust{Version: 9, Issued: 1, Grants: []wire.Grant{grant(t, wire.RoleServer, "server")}}
	over.Grants[0].Until = today
	noServer := wire.Trust{Version: 9, Issued: 1, Grants: []wire.Grant{grant(t, wire.RoleAdministrator, "administrator")}}
	for name, c := range map[string]struct {
		envelope []byte
		want     error
	}{
		"newer":                {sign(t, "root", wire.Fleet(), trust(t, 2)), nil},
		"the same":             {sign(t, "root", wire.Fleet(), trust(t, 1)), ErrOlder},
		"another's":            {sign(t, "administrator", wire.Fleet(), trust(t, 2)), wire.ErrMisdirected},
		"for one kiosk":        {sign(t, "root", self, trust(t, 2)), wire.ErrForged},
		"nobody":               {sign(t, "root", wire.Fleet(), empty), ErrLockout},
		"no server":            {sign(t, "root", wire.Fleet(), noServer), ErrLockout},
		"a server of the past": {sign(t, "root", wire.Fleet(), over), ErrLockout},
		"another kind":         {sign(t, "root", wire.Fleet(), wire.Lockdown{Version: 1, Issued: 1}), wire.ErrMisdirected},
	} {
		r := begun(t)
		next, err := r.Renew(c.envelope, today)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if want := map[bool]uint64{true: 2, false: 1}[c.want == nil]; next.Trust().Version != want {
			t.Errorf("%s: version %d in force", name, next.Trust().Version)
		}
	}
}

// What was kept is verified again at each start: who can write to the disk gains nothing.
func TestOpenVerifiesWhatWasKept(t *testing.T) {
	good := begun(t).State()
	root := &key(t, "root").PublicKey
	if r, err := Open(self, root, good); err != nil || r.Trust().Version != 1 {
		t.Fatal(err)
	}
	for name, s := range map[string]State{
		"another's trust":   {Trust: sign(t, "server", wire.Fleet(), trust(t, 1))},
		"links of nothing":  {Links: [][32]byte{{1}}, Trust: good.Trust},
		"commands unlinked": {Seq: 3, Trust: good.Trust},
		"too many links":    {Seq: 99, Links: make([][32]byte, remembered+1), Trust: good.Trust},
	} {
		if _, err := Open(self, root, s); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := Open(self, &key(t, "another root").PublicKey, good); err == nil {
		t.Error("opened under another root")
	}
}

func TestAnswer(t *testing.T) {
	list := commands(t, 3)
	r := begun(t)
	for _, c := range list[:2] {
		s, err := r.Command(c, Means{Now: today})
		if err != nil {
			t.Fatal(err)
		}
		r = s.Next
	}
	nonce := [16]byte{7}
	head := func(seq int) [32]byte { return linkOf(t, list[seq-1]) }
	for name, c := range map[string]struct {
		time   wire.Time
		by     string
		to     [32]byte
		at     uint64
		behind bool
		want   error
	}{
		"even":                    {wire.Time{Nonce: nonce, Now: today * 1000, Trust: 1, Seq: 2, Head: head(2)}, "server", self, 2, false, nil},
		"behind":                  {wire.Time{Nonce: nonce, Now: today * 1000, Trust: 1, Seq: 3, Head: head(3)}, "server", self, 2, true, nil},
		"late, from before":       {wire.Time{Nonce: nonce, Now: today * 1000, Trust: 1, Seq: 1, Head: head(1)}, "server", self, 1, false, nil},
		"put back":                {wire.Time{Nonce: nonce, Now: today * 1000, Trust: 1, Seq: 1, Head: head(1)}, "server", self, 2, false, ErrFork},
		"put back to nothing":     {wire.Time{Nonce: nonce, Now: today * 1000, Trust: 1}, "server", self, 2, false, ErrFork},
		"another head":            {wire.Time{Nonce: nonce, Now: today * 1000, Trust: 1, Seq: 2, Head: head(1)}, "server", self, 2, false, ErrFork},
		"another head before":     {wire.Time{Nonce: nonce, Now: today * 1000, Trust: 1, Seq: 1, Head: head(2)}, "server", self, 1, false, ErrFork},
		"before the grant":        {wire.Time{Nonce: nonce, Now: (today - 1001) * 1000, Trust: 1, Seq: 2, Head: head(2)}, "server", self, 2, false, ErrBounds},
		"at the grant's end":      {wire.Time{Nonce: nonce, Now: (today + 1000) * 1000, Trust: 1, Seq: 2, Head: head(2)}, "server", self, 2, false, ErrBounds},
		"of 1970":                 {wire.Time{Nonce: nonce, Now: 1, Trust: 1, Seq: 2, Head: head(2)}, "server", self, 2, false, ErrBounds},
		"another's nonce":         {wire.Time{Nonce: [16]byte{8}, Now: today * 1000, Trust: 1, Seq: 2, Head: head(2)}, "server", self, 2, false, ErrNonce},
		"for another kiosk":       {wire.Time{Nonce: nonce, Now: today * 1000, Trust: 1, Seq: 2, Head: head(2)}, "server", other, 2, false, wire.ErrForged},
		"for the fleet":           {wire.Time{Nonce: nonce, Now: today * 1000, Trust: 1, Seq: 2, Head: head(2)}, "server", wire.Fleet(), 2, false, wire.ErrForged},
		"an administrator's":      {wire.Time{Nonce: nonce, Now: today * 1000, Trust: 1, Seq: 2, Head: head(2)}, "administrator", self, 2, false, errAny},
		"of somebody not granted": {wire.Time{Nonce: nonce, Now: today * 1000, Trust: 1, Seq: 2, Head: head(2)}, "stranger", self, 2, false, errAny},
	} {
		_, behind, err := r.Answer(sign(t, c.by, c.to, c.time), today, func(n [16]byte) (uint64, bool) { return c.at, n == nonce })
		if behind != c.behind || c.want == errAny && err == nil || c.want != errAny && !errors.Is(err, c.want) {
			t.Errorf("%s: behind %t, %v; want %t, %v", name, behind, err, c.behind, c.want)
		}
	}
	// Nor is one from before the trust document.
	newer := trust(t, 2)
	newer.Issued = today + issuedSlack
	if next, err := r.Renew(sign(t, "root", wire.Fleet(), newer), today); err != nil {
		t.Error(err)
	} else if _, _, err := next.Answer(sign(t, "server", self, wire.Time{Nonce: nonce, Now: today*1000 - 1, Trust: 2, Seq: 2, Head: head(2)}), 0, func([16]byte) (uint64, bool) { return 2, true }); !errors.Is(err, ErrBounds) {
		t.Errorf("before the trust document: %v", err)
	}
	// A grant that has ended is of no use; while no time is trusted its dates are not asked.
	answer := sign(t, "server", self, wire.Time{Nonce: nonce, Now: today * 1000, Trust: 1, Seq: 2, Head: head(2)})
	greeted := func([16]byte) (uint64, bool) { return 2, true }
	if _, _, err := r.Answer(answer, today+2000, greeted); err == nil {
		t.Error("a server whose grant has ended tells the time")
	}
	if _, _, err := r.Answer(answer, 0, greeted); err != nil {
		t.Errorf("without trusted time: %v", err)
	}
}

var errAny = errors.New("any error")
