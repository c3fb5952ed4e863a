package authority

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

func today() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

func folders(t *testing.T) (dir, offline string) {
	t.Helper()
	base := t.TempDir()
	dir, offline = filepath.Join(base, "hq"), filepath.Join(base, "safe")
	if err := Create(dir, offline, today()); err != nil {
		t.Fatal(err)
	}
	return dir, offline
}

func load(t *testing.T, dir string, now time.Time) *Server {
	t.Helper()
	s, err := LoadServer(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func key(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestServerRunsWithoutTheSafe(t *testing.T) {
	dir, offline := folders(t)
	if err := os.RemoveAll(offline); err != nil {
		t.Fatal(err)
	}
	s := load(t, dir, today())
	if s.Trust.Version != 1 || len(s.Trust.Grants) != 1 || s.Trust.Grants[0].Role != wire.RoleServer {
		t.Errorf("trust is %+v", s.Trust)
	}
	id, err := wire.IDOf(s.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []wire.Kind{wire.KindEnrolment, wire.KindRelease, wire.KindPolicy, wire.KindTrust} {
		if _, err := s.Trust.Grant(id, k, today().Unix()); err == nil {
			t.Errorf("headquarters' own key may sign a %v", k)
		}
	}
}

func TestCheckHost(t *testing.T) {
	for host, good := range map[string]bool{
		"hq.example": true, "hq": true, "HQ_1.example": true, "127.0.0.1": true, "::1": true, "3com.example": true,
		"": false, "a b": false, "hq.": false, ".hq": false, "-hq": false, "hq/x": false, "hq:8883": false, "300.1.1.1": false, "fe80::1%eth0": false, "[::1]": false,
		"höhle": false, "*.example": false, strings.Repeat("a", 64): false, strings.Repeat("a.", 127) + "a": false, strings.Repeat("a.", 126) + "a": true,
	} {
		if err := CheckHost(host); (err == nil) != good {
			t.Errorf("%q: %v", host, err)
		}
	}
}

// A safe that lies with headquarters never leaves it.
func TestTheSafeIsAnotherFolder(t *testing.T) {
	base := t.TempDir()
	t.Chdir(base)
	for _, err := range []error{os.Mkdir("here", 0o700), os.Symlink("here", "link"), os.Symlink("absent", "nowhere")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, f := range map[string][2]string{
		"one folder":          {"hq", filepath.Join(base, "x", "..", "hq")},
		"the safe inside":     {"hq", "hq/deep/safe"},
		"headquarters inside": {"safe/hq", "safe"},
		"one by a link":       {"here", "link"},
		"inside by a link":    {"link/hq", "here"},
		"a link to nowhere":   {"hq", "nowhere"},
	} {
		if err := Create(f[0], f[1], today()); err == nil || name != "a link to nowhere" && !strings.Contains(err.Error(), "neither may lie in the other") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, err := os.ReadDir("."); err != nil || len(left) != 3 {
		t.Errorf("what was refused left %v, %v", left, err)
	}
	if err := Create("hq", "hq-offline", today()); err != nil { // whose name only begins like the other's
		t.Error(err)
	}
}

func TestKeysOfOthersAreLeftAlone(t *testing.T) {
	dir, offline := folders(t)
	before, err := os.ReadFile(filepath.Join(offline, rootKey))
	if err != nil {
		t.Fatal(err)
	}
	if err := Create(dir, offline, today()); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("set up twice: %v", err)
	}
	if after, err := os.ReadFile(filepath.Join(offline, rootKey)); err != nil || string(after) != string(before) {
		t.Errorf("the root's key has changed, %v", err)
	}
	if _, err := CreateKey(filepath.Join(offline, rootKey)); !errors.Is(err, os.ErrExist) {
		t.Errorf("a key was written over another: %v", err)
	}
}

func TestWhatIsRefusedAtLoading(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(dir string) error
		now   time.Time
		says  string
	}{
		"a clock of 1970":           {func(string) error { return nil }, time.Unix(0, 0), "1970-01-01"},
		"a key that others read":    {func(d string) error { return os.Chmod(filepath.Join(d, serverKey), 0o644) }, today(), "chmod 600"},
		"half a key":                {func(d string) error { return os.Truncate(filepath.Join(d, serverKey), 80) }, today(), "PEM"},
		"no trust":                  {func(d string) error { return os.Remove(filepath.Join(d, trustFile)) }, today(), "trust"},
		"a trust with another byte": {spoilTrust, today(), "signature does not verify"},
		"no issuing key":            {func(d string) error { return os.Remove(issuingFile(d, 1, ".pem")) }, today(), "no issuing key"},
		"another key in its place":  {anotherIssuing, today(), "do not belong together"},
		"another server's key":      {anotherServer, today(), "does not let this server speak"},
		"a grant that has ended":    {func(string) error { return nil }, today().Add(serverTerm + time.Hour), "not in force"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := folders(t)
			if err := c.spoil(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := LoadServer(dir, c.now); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want it to say %q", err, c.says)
			}
		})
	}
}

func spoilTrust(dir string) error {
	path := filepath.Join(dir, trustFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data[len(data)-1] ^= 1
	return os.WriteFile(path, data, 0o600)
}

func anotherIssuing(dir string) error {
	if err := os.Remove(issuingFile(dir, 1, ".pem")); err != nil {
		return err
	}
	_, err := CreateKey(issuingFile(dir, 1, ".pem"))
	return err
}

func anotherServer(dir string) error {
	if err := os.Remove(filepath.Join(dir, serverKey)); err != nil {
		return err
	}
	_, err := CreateKey(filepath.Join(dir, serverKey))
	return err
}

func TestTrustThatLocksOutIsNotSigned(t *testing.T) {
	dir, offline := folders(t)
	o, err := OpenOffline(dir, offline)
	if err != nil {
		t.Fatal(err)
	}
	operator, server := key(t), load(t, dir, today()).Key
	year := 365 * 24 * time.Hour
	for name, change := range map[string]func(*wire.Trust) error{
		"no server":                Dismiss(serverName),
		"no authority":             func(t *wire.Trust) error { t.Authorities = nil; return nil },
		"nobody of that name":      Dismiss("nobody"),
		"the server as enroller":   Admit(wire.RoleEnroller, "sly", &server.PublicKey, today(), year),
		"a role that is not known": Admit(9, "nine", &operator.PublicKey, today(), year),
	} {
		if err := o.Change(today(), change); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	if got := load(t, dir, today()).Trust.Version; got != 1 {
		t.Fatalf("trust is of version %d after refusals", got)
	}
	if err := o.Change(today(), Admit(wire.RoleEnroller, "Ada", &operator.PublicKey, today(), year)); err != nil {
		t.Fatal(err)
	}
	id, err := wire.IDOf(operator.Public())
	if err != nil {
		t.Fatal(err)
	}
	s := load(t, dir, today())
	if g, err := s.Trust.Grant(id, wire.KindEnrolment, today().Unix()); err != nil || g.Name != "Ada" || s.Trust.Version != 2 {
		t.Errorf("grant %+v of version %d, %v", g, s.Trust.Version, err)
	}
	if _, err := s.Trust.Grant(id, wire.KindEnrolment, today().Add(year).Unix()); err == nil {
		t.Error("the grant has no end")
	}
}

// shake has a client of one certificate connect to a server of another, and says what each made of it.
func shake(t *testing.T, server, client *tls.Config) (atServer, atClient error) {
	t.Helper()
	a, b := net.Pipe()
	done := make(chan error, 1)
	go func() {
		s := tls.Server(a, server)
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte{1})
		}
		a.Close()
		done <- err
	}()
	c := tls.Client(b, client)
	atClient = c.Handshake()
	if atClient == nil {
		_, atClient = c.Read(make([]byte, 1))
	}
	b.Close()
	return <-done, atClient
}

// Control: A21
// Control: S1
func TestWhoCanConnect(t *testing.T) {
	dir, _ := folders(t)
	s, now := load(t, dir, today()), today()
	otherDir, _ := folders(t)
	other := load(t, otherDir, today())
	kioskKey := key(t)
	name := strings.Repeat("ab", 16)
	kiosk := func(i Issuer, at time.Time) tls.Certificate {
		c, err := i.Kiosk(name, &kioskKey.PublicKey, at)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: c.Chain, PrivateKey: kioskKey}
	}
	broker, err := s.Broker().Server([]string{"hq.example", "127.0.0.1"}, now)
	if err != nil {
		t.Fatal(err)
	}
	serverConfig := func(c tls.Certificate, at time.Time) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{c}, ClientCAs: s.Pool(), ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13, Time: func() time.Time { return at }}
	}
	clientConfig := func(c tls.Certificate, host string) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{c}, RootCAs: s.Pool(), ServerName: host, Time: func() time.Time { return now }}
	}
	mine := kiosk(s.Kiosks(), now)
	for _, c := range []struct {
		name   string
		server *tls.Config
		client *tls.Config
		ok     bool
	}{
		{"kiosk and broker", serverConfig(broker, now), clientConfig(mine, "hq.example"), true},
		{"by address", serverConfig(broker, now), clientConfig(mine, "127.0.0.1"), true},
		{"another host name", serverConfig(broker, now), clientConfig(mine, "hq.elsewhere"), false},
		{"a kiosk that poses as the broker", serverConfig(mine, now), clientConfig(mine, name), false},
		{"the broker that poses as a kiosk", serverConfig(broker, now), clientConfig(broker, "hq.example"), false},
		{"a kiosk of another house", serverConfig(broker, now), clientConfig(kiosk(other.Kiosks(), now), "hq.example"), false},
		{"a certificate that has ended", serverConfig(broker, now.Add(LeafTerm+time.Minute)), clientConfig(mine, "hq.example"), false},
	} {
		atServer, atClient := shake(t, c.server, c.client)
		if ok := atServer == nil && atClient == nil; ok != c.ok {
			t.Errorf("%s: server %v, client %v", c.name, atServer, atClient)
		}
	}
}

func TestAuthoritiesTakeTurns(t *testing.T) {
	dir, offline := folders(t)
	k := key(t)
	first := load(t, dir, today())
	o, err := OpenOffline(dir, offline)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.AddAuthority(today()); err != nil {
		t.Fatal(err)
	}
	both := load(t, dir, today())
	if !both.Broker().Authority.Equal(first.Broker().Authority) {
		t.Error("the broker's certificate is of an authority that kiosks have not heard of")
	}
	if both.Kiosks().Authority.Equal(first.Kiosks().Authority) {
		t.Error("kiosks still get certificates of the authority that is to go")
	}
	old, err := first.Kiosks().Kiosk("old", &k.PublicKey, today())
	if err != nil {
		t.Fatal(err)
	}
	admitted := func(s *Server, c wire.Certificate) bool {
		leaf, err := x509.ParseCertificate(c.Chain[0])
		if err != nil {
			t.Fatal(err)
		}
		middle, err := x509.ParseCertificate(c.Chain[1])
		if err != nil {
			t.Fatal(err)
		}
		between := x509.NewCertPool()
		between.AddCert(middle)
		_, err = leaf.Verify(x509.VerifyOptions{Roots: s.Pool(), Intermediates: between, CurrentTime: today(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		return err == nil
	}
	if !admitted(both, old) {
		t.Error("with two authorities, a certificate of the first is refused")
	}
	if err := o.DropAuthority(today()); err != nil {
		t.Fatal(err)
	}
	last := load(t, dir, today())
	if admitted(last, old) || !last.Broker().Authority.Equal(both.Kiosks().Authority) {
		t.Error("the dropped authority still counts")
	}
	if err := o.DropAuthority(today()); err == nil {
		t.Error("the last authority was dropped")
	}
	if err := o.RenewIssuing(today().Add(2 * 365 * 24 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := load(t, dir, today().Add(2*365*24*time.Hour)).Kiosks().Issuing.NotAfter; got.Before(today().Add(issuingTerm + 365*24*time.Hour)) {
		t.Errorf("renewed until %v", got)
	}
}

func TestIssuingEnds(t *testing.T) {
	dir, _ := folders(t)
	s, k := load(t, dir, today()), key(t)
	near := today().Add(issuingTerm - 10*24*time.Hour)
	c, err := s.Kiosks().Kiosk("kiosk", &k.PublicKey, near)
	if err != nil {
		t.Fatal(err)
	}
	if leaf, err := x509.ParseCertificate(c.Chain[0]); err != nil || leaf.NotAfter.After(s.Kiosks().Issuing.NotAfter) {
		t.Errorf("it outlives what vouches for it: %v, %v", leaf.NotAfter, err)
	}
	for _, at := range []time.Time{today().Add(issuingTerm + time.Hour), time.Unix(86400, 0)} {
		if _, err := s.Kiosks().Kiosk("kiosk", &k.PublicKey, at); err == nil {
			t.Errorf("issued at %v", at)
		}
	}
}

// Whose role ends is still named, so that what they took away stands; the same name may be given a role again. The server's grant is ended by no such word.
func TestEndedGrantsAreKept(t *testing.T) {
	dir, offline := folders(t)
	o := open(t, dir, offline)
	ann, year := key(t), 365*24*time.Hour
	at := today()
	for _, change := range []func(*wire.Trust) error{
		Admit(wire.RoleEnroller, "Ann", &ann.PublicKey, at, year), End("Ann", at.Add(time.Hour)), Admit(wire.RoleEnroller, "Ann", &ann.PublicKey, at.Add(2*time.Hour), year),
	} {
		if err := o.Change(at, change); err != nil {
			t.Fatal(err)
		}
	}
	g := load(t, dir, at).Trust.Grants
	if len(g) != 3 || g[1].Until != at.Add(time.Hour).Unix() || g[2].Until <= g[1].Until {
		t.Fatalf("%+v", g)
	}
	for _, name := range []string{serverName, "nobody"} {
		if err := o.Change(at, End(name, at)); err == nil {
			t.Errorf("%s ended", name)
		}
	}
	if err := o.Change(at, Dismiss("Ann")); err != nil || len(load(t, dir, at).Trust.Grants) != 1 {
		t.Errorf("whose key was stolen is still named: %v", err)
	}
}
