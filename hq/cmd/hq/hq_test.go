//go:build !kiosk

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/drivers/tpm/swtpm"
	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/extract"
	"github.com/lintel-access/lintel/hq/hatch"
	"github.com/lintel-access/lintel/hq/ledger"
	"github.com/lintel-access/lintel/sync/wire"
)

// serveHere has this test program be hq serve on the folder that it names: what is killed must be a process.
const serveHere = "LINTEL_TEST_SERVE"

// The test program is hq, also where hq starts itself as the child that parses photographs.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == extract.Word {
		if err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv(serveHere); dir != "" {
		if err := hide(); err != nil {
			panic(err)
		}
		if err := run(context.Background(), []string{"serve", "-dir", dir, "-listen", "127.0.0.1:0", "-name", "127.0.0.1"}, os.Stdout, os.Stderr); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// site is a headquarters in folders of its own.
type site struct {
	t         *testing.T
	base, dir string
}

func newSite(t *testing.T) *site {
	t.Helper()
	base, err := os.MkdirTemp("", "hq") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	s := &site{t, base, filepath.Join(base, "hq")}
	s.must("init", s.dir, "-offline", filepath.Join(base, "safe"))
	for name, role := range map[string]string{"ada": "administrator", "eve": "enroller"} {
		s.must("key", s.file(name))
		s.must("trust", "add", name, "-dir", s.dir, "-offline", filepath.Join(base, "safe"), "-role", role, "-key", s.file(name)+".pub")
	}
	return s
}

func (s *site) file(name string) string { return filepath.Join(s.base, name) }

func (s *site) do(args ...string) (string, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	var out, progress bytes.Buffer
	err := run(ctx, args, &out, &progress)
	return out.String(), err
}

func (s *site) must(args ...string) string {
	s.t.Helper()
	out, err := s.do(args...)
	if err != nil {
		s.t.Fatalf("hq %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func (s *site) refused(says string, args ...string) {
	s.t.Helper()
	if _, err := s.do(args...); err == nil || !strings.Contains(err.Error(), says) {
		s.t.Errorf("hq %s: %v, want it to say %q", strings.Join(args, " "), err, says)
	}
}

// serve starts hq serve as a process of its own, and returns how to end it.
func (s *site) serve() (end func(syscall.Signal)) {
	s.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveHere+"="+s.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	gone := false
	end = func(signal syscall.Signal) {
		if !gone {
			gone = true
			cmd.Process.Signal(signal)
			<-ended
		}
	}
	s.t.Cleanup(func() { end(syscall.SIGKILL) })
	for range 400 {
		if _, err := hatch.Call[listed](s.t.Context(), filepath.Join(s.dir, socketName), verbList, listRequest{}); err == nil {
			return end
		} else if !errors.Is(err, hatch.ErrClosed) {
			s.t.Fatal(err)
		}
		select {
		case <-ended:
			gone = true
			s.t.Fatalf("hq serve ended: %s", said.Bytes())
		case <-time.After(25 * time.Millisecond):
		}
	}
	s.t.Fatalf("hq serve does not answer: %s", said.Bytes())
	return nil
}

// introduction is a file that says who a kiosk with a TPM is, as door identity writes it.
func (s *site) introduction() (file string, id [32]byte) {
	s.t.Helper()
	check := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp(s.base, "c")
	check(err)
	chip, err := swtpm.Start(dir)
	check(err)
	defer chip.Stop()
	identity, err := tpm.Provision(chip.Socket(), tpm.NewSecrets(), tpm.Options{})
	check(err)
	release, err := authority.CreateKey(filepath.Join(dir, "release"))
	check(err)
	in := wire.Introduction{Door: "front"}
	in.Attestation, err = x509.MarshalPKIXPublicKey(identity.Attestation)
	check(err)
	in.Release, err = x509.MarshalPKIXPublicKey(&release.PublicKey)
	check(err)
	device := wire.DeviceID(in.Attestation)
	p, err := tpm.Open(chip.Socket(), tpm.Options{Pin: identity.Pin, Authority: tpm.Authority{Release: &release.PublicKey, Board: device[:]}})
	check(err)
	defer p.Close()
	for _, k := range []struct {
		use    tpm.Use
		of     wire.KeyUse
		number uint32
		to     func(b []byte, a tpm.Attestation)
	}{
		{tpm.Audit, wire.AuditKey, 0, func(b []byte, a tpm.Attestation) {
			in.Audit = wire.Attested{Blob: b, Attestation: a.Body, Signature: a.Signature}
		}},
		{tpm.TLS, wire.TLSKey, 0, func(b []byte, a tpm.Attestation) {
			in.TLS = wire.Attested{Blob: b, Attestation: a.Body, Signature: a.Signature}
		}},
		{tpm.Exchange, wire.ExchangeKey, 1, func(b []byte, a tpm.Attestation) {
			in.Exchange = wire.Exchange{Number: 1, Blob: b, Attestation: a.Body, Signature: a.Signature}
		}},
	} {
		blob, err := p.CreateKey(k.use)
		check(err)
		if k.use == tpm.Audit { // the first
			signer, err := p.AuditKey(blob)
			check(err)
			public, err := x509.MarshalPKIXPublicKey(signer.Public())
			check(err)
			in.Kiosk = wire.KioskID(device, public)
		}
		nonce := wire.CertifyNonce(in.Kiosk, k.of, k.number)
		a, err := p.Certify(k.use, blob, nonce[:])
		check(err)
		k.to(blob, a)
	}
	data, err := wire.Report(in)
	check(err)
	file = filepath.Join(dir, "introduction")
	check(os.WriteFile(file, data, 0o600))
	return file, in.Kiosk
}

func (s *site) kiosks() (all []shown) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.must("kiosk", "list", "-dir", s.dir, "-json")), &all); err != nil {
		s.t.Fatal(err)
	}
	return all
}

func TestLifeOfAHouse(t *testing.T) {
	s := newSite(t)
	safe := filepath.Join(s.base, "safe")
	s.refused("not empty", "init", s.dir)
	s.refused("does not run", "kiosk", "list", "-dir", s.dir)
	end := s.serve()

	file, id := s.introduction()
	add := []string{"kiosk", "add", file, "-dir", s.dir, "-broker", "hq.example:8883", "-out"}
	if out := s.must(append(add, s.file("told"))...); !strings.Contains(out, "door headquarters") || !strings.Contains(out, "-door front") || !strings.Contains(out, wire.Name(id)) {
		t.Errorf("it says %q", out)
	}
	for _, name := range []string{"root.pub", "trust.cose", "certificate.pem"} {
		if info, err := os.Stat(filepath.Join(s.file("told"), name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.refused("exist", append(add, s.file("told"))...)
	s.refused("only small letters", append(add, s.file("spelt"), "-door", "Front door")...)
	spoilt, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	spoilt[10] ^= 1 // of its id
	if err := os.WriteFile(s.file("spoilt"), spoilt, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.do("kiosk", "add", s.file("spoilt"), "-dir", s.dir, "-broker", "hq.example:8883", "-out", s.file("other")); err == nil {
		t.Error("an introduction with another byte was taken")
	}
	if _, err := os.Stat(s.file("other")); err == nil {
		t.Error("something was written for a kiosk that is not known")
	}

	s.must("lockdown", "on", "-dir", s.dir, "-key", s.file("ada"))
	s.refused("may not sign", "lockdown", "off", "-dir", s.dir, "-key", s.file("eve"))
	s.refused("may not sign", "disable", "on", "-dir", s.dir, "-key", filepath.Join(s.dir, "server.pem"))
	s.refused("not connected", "release", "front", "-dir", s.dir, "-key", s.file("ada"))
	if k := s.kiosks(); len(k) != 1 || k[0].Door != "front" || k[0].State != "active" || k[0].Head != 1 {
		t.Errorf("%+v", k)
	}
	s.must("kiosk", "quarantine", "front", "-dir", s.dir, "-why", "is it ours?")
	if k := s.kiosks(); k[0].State != "quarantined" || k[0].Why != "is it ours?" {
		t.Errorf("%+v", k)
	}
	s.must("kiosk", "lift", wire.Name(id)[:8], "-dir", s.dir)

	// Eve is dismissed while headquarters runs: it hears of it.
	s.must("trust", "add", "eve2", "-dir", s.dir, "-offline", safe, "-role", "administrator", "-key", s.file("eve")+".pub")
	s.must("lockdown", "off", "-dir", s.dir, "-key", s.file("eve"))
	if out := s.must("trust", "remove", "eve2", "-dir", s.dir, "-offline", safe); !strings.Contains(out, `that "eve2" ended, or of somebody whom "eve2" resumed, refuses that now: somebody in office signs it anew`) {
		t.Errorf("it says %q", out)
	}
	s.refused("not in force", "lockdown", "on", "-dir", s.dir, "-key", s.file("eve"))
	if out := s.must("trust", "show", "-dir", s.dir); !strings.Contains(out, "eve2                     ended") {
		t.Errorf("trust is\n%s", out)
	}
	s.must("trust", "remove", "eve2", "-distrust", "-dir", s.dir, "-offline", safe)
	s.refused("may not sign", "lockdown", "on", "-dir", s.dir, "-key", s.file("eve"))
	if out := s.must("trust", "show", "-dir", s.dir); !strings.Contains(out, "ada") || strings.Contains(out, "eve2") {
		t.Errorf("trust is\n%s", out)
	}

	// Nobody's key signs for what headquarters says that somebody meant.
	for _, word := range []string{"front", wire.Name(id)[:8]} {
		s.refused("nothing was signed", "kiosk", "decommission", word, "-dir", s.dir, "-key", s.file("ada"))
		s.refused("nothing was signed", "lockdown", "off", "-kiosk", word, "-dir", s.dir, "-key", s.file("ada"))
	}
	if out := s.must("kiosk", "decommission", wire.Name(id), "-dir", s.dir, "-draft", s.file("end")); !strings.HasPrefix(out, "nothing is done yet") || strings.Contains(out, "forgets") {
		t.Errorf("a draft says %q", out)
	}
	if out := s.must("kiosk", "decommission", wire.Name(id), "-dir", s.dir, "-key", s.file("ada")); !strings.Contains(out, "forgets everything") {
		t.Errorf("it says %q", out)
	}
	s.must("backup", s.file("backup"), "-dir", s.dir)
	s.refused("exist", "backup", s.file("backup"), "-dir", s.dir)
	s.must("kiosk", "remove", "front", "-dir", s.dir, "-why", "sold")
	s.refused("no such kiosk", "kiosk", "quarantine", "front", "-dir", s.dir, "-why", "x")
	s.refused("stop it first", "restore", s.file("backup"), "-dir", s.dir)
	end(syscall.SIGTERM)
	s.refused("already", "restore", s.file("backup"), "-dir", s.dir)
	if err := os.RemoveAll(filepath.Join(s.dir, stateFolder)); err != nil {
		t.Fatal(err)
	}
	s.must("restore", s.file("backup"), "-dir", s.dir)
	l, err := ledger.Open(filepath.Join(s.dir, ledger.Folder), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Raise(id, ledger.AlarmFork, "two histories"), l.Close()); err != nil {
		t.Fatal(err)
	}
	s.serve()
	if k := s.kiosks(); len(k) != 1 || k[0].State != "active" || k[0].Head != 3 || len(k[0].Alarms) != 1 {
		t.Errorf("after the restore %+v", k)
	}
	s.refused("no person is handed on to it: kiosk is not connected", "kiosk", "lift", "front", "-dir", s.dir)
	if k := s.kiosks(); len(k[0].Alarms) != 0 {
		t.Errorf("not lifted: %v", k[0].Alarms)
	}
}

// Nobody who took over another program of headquarters' account reads keys out of hq serve's memory.
func TestHidden(t *testing.T) {
	before, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(before), 0, 0, 0)
	if err := hide(); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); n != 0 || err != nil || before == 0 {
		t.Errorf("dumpable %d, before %d, %v", n, before, err)
	}
}

// Whatever hq serve has said yes to is there after SIGKILL, at any moment.
func TestWhatWasTakenSurvivesSIGKILL(t *testing.T) {
	s := newSite(t)
	end := s.serve()
	file, _ := s.introduction()
	s.must("kiosk", "add", file, "-dir", s.dir, "-broker", "hq.example:8883", "-out", s.file("told"))
	key, err := authority.LoadKey(s.file("ada"))
	if err != nil {
		t.Fatal(err)
	}
	taken := uint64(0)
	for round := range 4 {
		killed, begun := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(killed)
			<-begun
			time.Sleep(time.Duration(20+40*round) * time.Millisecond)
			end(syscall.SIGKILL)
		}()
		for n := uint64(1); ; n++ {
			envelope, err := wire.Sign(key, wire.Fleet(), wire.Lockdown{Version: uint64(round)<<32 | n, Issued: 1})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := hatch.Call[hatch.Nothing](t.Context(), filepath.Join(s.dir, socketName), verbOrder, orderRequest{Envelope: envelope}); err != nil {
				break
			}
			if taken++; n == 3 {
				close(begun)
			}
		}
		<-killed
		end = s.serve()
		if head := s.kiosks()[0].Head; head < taken || head > taken+uint64(round)+1 {
			t.Fatalf("round %d: %d orders were taken, %d are in the stream", round, taken, head)
		} else {
			taken = head // what was not answered may be there as well
		}
	}
	if taken < 8 {
		t.Errorf("only %d orders were tried", taken)
	}
}

func TestWordsThatMakeNoSense(t *testing.T) {
	s := &site{t: t}
	for _, args := range [][]string{
		{"serve"}, {"serve", "-dir", "x"}, {"serve", "-dir", "x", "-name", ""}, {"serve", "-dir", "x", "-name", "a b"}, {"serve", "-dir", "x", "-name", "hq", "-room", "-5"},
		{"serve", "-dir", "x", "-name", "hq", "-room", "0"}, {"serve", "-nonsense"}, {"init"}, {"key"}, {"trust"}, {"trust", "add", "-dir", "x"}, {"kiosk"}, {"kiosk", "list"},
		{"kiosk", "dance", "-dir", "x"}, {"kiosk", "quarantine", "k", "-dir", "x"}, {"lockdown", "maybe", "-dir", "x"}, {"backup", "-dir", "x"}, {"release", "k", "-dir", "x"},
	} {
		if _, err := s.do(args...); !errors.Is(err, errUsage) {
			t.Errorf("hq %s: %v", strings.Join(args, " "), err)
		}
	}
}

// A kiosk in the place of another has its door, and is told that one.
func TestReplacementIsToldTheDoor(t *testing.T) {
	s := newSite(t)
	s.serve()
	old, _ := s.introduction()
	next, id := s.introduction()
	add := func(file, out string, more ...string) []string {
		return append([]string{"kiosk", "add", file, "-dir", s.dir, "-broker", "hq.example:8883", "-out", s.file(out)}, more...)
	}
	s.must(add(old, "old", "-door", "back")...)
	s.refused("say -door back;", add(next, "other", "-replaces", "back", "-door", "front")...)
	if out := s.must(add(next, "next", "-replaces", "back")...); !strings.HasSuffix(out, "-door back\n") {
		t.Errorf("it says %q", out)
	}
	s.refused("it is the same one", add(next, "again", "-replaces", wire.Name(id), "-door", "side")...)
	for _, k := range s.kiosks() {
		if k.Door != "back" || (k.State == "active") != (k.Kiosk == wire.Name(id)) {
			t.Errorf("%+v", k)
		}
	}
}

// What is wrong with a line is said in words of that line.
func TestWrongWordsAreNamed(t *testing.T) {
	s := newSite(t)
	safe := filepath.Join(s.base, "safe")
	s.refused("FILE is missing: hq kiosk add FILE;", "kiosk", "add", "-dir", s.dir)
	s.refused(`"dance" is nothing that can be done with a kiosk`, "kiosk", "dance", "front", "-dir", s.dir)
	s.refused("NEW is missing: hq kiosk replace OLD NEW;", "kiosk", "replace", "front", "-dir", s.dir)
	s.refused(`"x" is too much: hq kiosk list;`, "kiosk", "list", "x", "-dir", s.dir)
	s.refused("-why is not UTF-8", "kiosk", "quarantine", "front", "-why", "\xff", "-dir", s.dir)
	s.refused("there is no folder", "kiosk", "list", "-dir", s.file("absent"))
	empty := write(t, s.base, "empty", "")
	s.refused("is no introduction, which door identity writes", "kiosk", "add", empty, "-broker", "hq.example:8883", "-out", s.file("told"), "-dir", s.dir)
	for _, where := range [][]string{nil, {"-dir", s.dir, "-offline", safe}} {
		s.refused(`"frob" is nothing that can be done to trust`, append([]string{"trust", "frob"}, where...)...)
		s.refused("NAME is missing: hq trust add NAME;", append([]string{"trust", "add"}, where...)...)
		s.refused(`"x" is too much: hq trust restore;`, append([]string{"trust", "restore", "x"}, where...)...)
	}
	s.refused(`"a b" is neither the name of a host nor an address`, "certificate", "a b", "-out", s.file("broker"), "-dir", s.dir)
	if _, err := os.Stat(s.file("broker")); err == nil {
		t.Error("a folder of no certificate is left")
	}
	_, err := s.do("trust", "take", empty, "-dir", s.dir)
	if err == nil || !strings.HasSuffix(err.Error(), "it is not what this fleet's root has signed") {
		t.Errorf("an empty trust: %v", err)
	}
}

func TestSomebodyElsesBroker(t *testing.T) {
	program := "/usr/sbin/mosquitto"
	if _, err := os.Stat(program); err != nil {
		t.Fatal("mosquitto is not installed: apt-get install mosquitto")
	}
	s := newSite(t)
	s.must("certificate", "127.0.0.1", "-out", s.file("m"), "-dir", s.dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	text := strings.NewReplacer("PORT", address[strings.LastIndexByte(address, ':')+1:], "DIR", s.file("m")).Replace("listener PORT 127.0.0.1\ncafile DIR/authority.crt\ncertfile DIR/broker.crt\n" +
		"keyfile DIR/broker.key\nrequire_certificate true\nuse_identity_as_username true\ntls_version tlsv1.3\nacl_file DIR/acl\nuser root\nlog_type all\n")
	for name, data := range map[string]string{"conf": text, "acl": "user headquarters\ntopic read lintel/v1/+/up/msg\ntopic write lintel/v1/+/down/cmd\n"} {
		if err := os.WriteFile(filepath.Join(s.file("m"), name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-c", filepath.Join(s.file("m"), "conf"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "-dir", s.dir, "-broker", address}, io.Discard, io.Discard)
		cmd.Process.Kill()
	}()
	subscribed := false
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if strings.Contains(lines.Text(), "headquarters 1 lintel/v1/+/up/msg") {
			subscribed = true
			cancel()
		}
	}
	cmd.Wait()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) || !subscribed { // it may still be starting
		t.Errorf("listens: %v, ended with %v", subscribed, err)
	}
	cancel()
}
