package broker

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// NATS starts an embedded NATS server with an MQTT listener behind mutual TLS, and returns that listener's address.
func NATS(t testing.TB, a *Authority) string {
	t.Helper()
	o := &server.Options{
		ServerName: "test", DontListen: true, NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir(),
		MQTT: server.MQTTOpts{Host: "127.0.0.1", Port: server.RANDOM_PORT, TLSConfig: a.Config(t), TLSTimeout: 5, AckWait: 2 * time.Second},
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	return net.JoinHostPort(o.MQTT.Host, strconv.Itoa(o.MQTT.Port))
}

// free is an address at which nobody listens.
func free(t testing.TB) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr)
}

// Mosquitto is a broker as a process of its own, that can be killed and started again at the same address.
type Mosquitto struct {
	Addr string
	conf string
	cmd  *exec.Cmd
}

// NewMosquitto starts mosquitto behind mutual TLS. Where it is not installed the test is skipped, but not in CI.
func NewMosquitto(t testing.TB, a *Authority) *Mosquitto {
	t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/mosquitto"); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal("mosquitto is not installed, and CI must measure with it: make deps")
			}
			t.Skip("MOSQUITTO IS NOT INSTALLED, AND NOTHING IS KNOWN OF IT: apt-get install mosquitto")
		}
	}
	dir := t.TempDir()
	ca, cert, key := a.files(t, dir)
	addr := free(t)
	conf := fmt.Sprintf("listener %d 127.0.0.1\ncafile %s\ncertfile %s\nkeyfile %s\nrequire_certificate true\nuse_identity_as_username true\n"+
		"tls_version tlsv1.3\nallow_anonymous false\npersistence false\nlog_type none\n", addr.Port, ca, cert, key)
	if os.Getuid() == 0 {
		conf += "user root\n" // the folder of a test is for its owner alone
	}
	m := &Mosquitto{Addr: addr.String(), conf: filepath.Join(dir, "mosquitto.conf")}
	if err := os.WriteFile(m.conf, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	m.cmd = exec.Command(path)
	m.Start(t)
	t.Cleanup(func() { m.Kill(t) })
	return m
}

// Start starts it again after Kill.
func (m *Mosquitto) Start(t testing.TB) {
	t.Helper()
	m.cmd = exec.Command(m.cmd.Path, "-c", m.conf)
	m.cmd.Stderr = os.Stderr
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", m.Addr); err == nil {
			c.Close()
			return
		}
	}
	t.Fatal("mosquitto does not listen")
}

// Kill ends it with SIGKILL.
func (m *Mosquitto) Kill(t testing.TB) {
	if m.cmd.Process == nil {
		return
	}
	if err := m.cmd.Process.Kill(); err == nil {
		_ = m.cmd.Wait() // "signal: killed" is what was asked for
	}
}
