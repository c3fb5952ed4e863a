package broker

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// mosquitto runs Debian's broker as docs/HQ.md tells to set it up, and returns its address and how to kill it.
func mosquitto(t *testing.T, h *house) (address string, kill func()) {
	t.Helper()
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		if program = "/usr/sbin/mosquitto"; !present(program) {
			t.Fatal("mosquitto is not installed: apt-get install mosquitto")
		}
	}
	dir, err := os.MkdirTemp("", "mosquitto")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	key, err := x509.MarshalPKCS8PrivateKey(h.broker.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var chain bytes.Buffer
	for _, c := range h.broker.Certificate {
		pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: c})
	}
	for name, data := range map[string][]byte{
		"key.pem":   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"chain.pem": chain.Bytes(),
		"ca.pem":    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.server.Broker().Authority.Raw}),
		"acl": []byte("user headquarters\ntopic read lintel/v1/+/up/msg\ntopic write lintel/v1/+/down/cmd\n" +
			"pattern write lintel/v1/%u/up/msg\npattern read lintel/v1/%u/down/cmd\n"),
		"conf": fmt.Appendf(nil, "listener %d 127.0.0.1\ncafile %[2]s/ca.pem\ncertfile %[2]s/chain.pem\nkeyfile %[2]s/key.pem\nrequire_certificate true\n"+
			"use_identity_as_username true\nuse_username_as_clientid true\ntls_version tlsv1.3\nacl_file %[2]s/acl\nretain_available false\nuser root\nmax_packet_size 200000\nmax_queued_messages 100\n", port, dir),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-c", filepath.Join(dir, "conf"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() { cmd.Process.Kill(); cmd.Wait() }
	t.Cleanup(kill)
	address = fmt.Sprintf("127.0.0.1:%d", port)
	for range 100 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return address, kill
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("mosquitto does not listen: %s", said.Bytes())
	return "", nil
}

func present(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// client is how headquarters connects to somebody else's servers.
func (h *house) client() (*tls.Config, error) {
	c, err := h.server.Broker().Client("headquarters", time.Now())
	return &tls.Config{Certificates: []tls.Certificate{c}, RootCAs: h.server.Pool(), MinVersion: tls.VersionTLS13}, err
}

func (h *house) dial(address string) *Remote {
	h.t.Helper()
	r, err := Dial(RemoteConfig{Address: address, Client: "headquarters", Log: quiet(), TLS: h.client})
	if err != nil {
		h.t.Fatal(err)
	}
	for range 200 {
		if r.client.IsConnectionOpen() {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(time.Second) // until the subscription is answered
	return r
}

func TestForeignBrokerConforms(t *testing.T) {
	h := newHouse(t)
	address, kill := mosquitto(t, h)
	r := h.dial(address)
	t.Cleanup(func() { r.Close() })
	conforms(t, h, func() string { return address }, r, func() Uplink {
		r.Close()
		r = h.dial(address)
		return r
	})
	kill()
	for range 100 {
		if !r.client.IsConnectionOpen() {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := r.Send(t.Context(), name(1), []byte("into the void")); err == nil {
		t.Error("sent without a broker")
	}
}
