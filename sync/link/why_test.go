package link

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/lintel-access/lintel/tests/broker"
)

// server answers handshakes as conf says and then does f.
func server(t *testing.T, conf *tls.Config, f func(net.Conn)) string {
	return deaf(t, func(c net.Conn) {
		secure := tls.Server(c, conf)
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if secure.Handshake() == nil {
			f(secure)
		}
	})
}

// answer reads CONNECT and answers it.
func answer(code byte) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := packets.ReadPacket(c); err == nil {
			c.Write([]byte{0x20, 2, 0, code})
		}
		io.Copy(io.Discard, c)
	}
}

// Every way to be refused has a sentence of its own, and none of them ends the carrier.
//
// Control: S1
func TestWhyNot(t *testing.T) {
	a, other := broker.NewAuthority(t), broker.NewAuthority(t)
	nats, mosquitto := broker.NATS(t, a), broker.NewMosquitto(t, a)
	hold := func(c net.Conn) { io.Copy(io.Discard, c) }
	changed := func(f func(*tls.Config)) *tls.Config {
		conf := a.Config(t)
		f(conf)
		return conf
	}
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }
	strange := func(addr string) Station { // it trusts the broker, and the broker does not trust it
		s := station(t, other, addr, nil)
		s.Authorities = [][]byte{a.Cert.Raw}
		return s
	}
	listens := func(addr string) func(*Station) { return func(s *Station) { s.Broker = addr } }
	tests := map[string]struct {
		change func(*Station)
		want   string
	}{
		"nobody listens": {listens("127.0.0.1:1"), `no broker listens at "127.0.0.1:1"`},
		"unknown name":   {listens("nowhere.invalid:8883"), `"nowhere.invalid:8883"`},
		"no address":     {listens("127.0.0.1"), `"127.0.0.1" is no address of a broker, want host:port`},
		"no TLS": {listens(deaf(t, func(c net.Conn) {
			c.Write([]byte("SSH-2.0-OpenSSH_9.2p1 Debian\r\n"))
			hold(c)
		})), "does not speak TLS"},
		"silent before TLS":   {listens(deaf(t, hold)), "the broker does not answer in the handshake"},
		"closes at once":      {listens(deaf(t, func(net.Conn) {})), "the broker closed the connection in the handshake"},
		"silent after TLS":    {listens(server(t, a.Config(t), hold)), "the broker does not answer to CONNECT"},
		"closes after TLS":    {listens(server(t, a.Config(t), func(net.Conn) {})), "the broker closed the connection in the handshake"},
		"silent at SUBSCRIBE": {listens(server(t, a.Config(t), answer(packets.Accepted))), "the broker does not answer"},
		"refused id":          {listens(server(t, a.Config(t), answer(packets.ErrRefusedIDRejected))), `the broker refuses the name "` + kioskName},
		"not authorised":      {listens(server(t, a.Config(t), answer(packets.ErrRefusedNotAuthorised))), "the broker knows no kiosk of the name"},
		"no MQTT 3.1.1":       {listens(server(t, a.Config(t), answer(packets.ErrRefusedBadProtocolVersion))), "the broker does not speak MQTT 3.1.1"},
		"unknown refusal":     {listens(server(t, a.Config(t), answer(77))), "the connection broke in the handshake"},
		"refused topic": {listens(server(t, a.Config(t), func(c net.Conn) {
			packets.ReadPacket(c)
			c.Write([]byte{0x20, 2, 0, 0})
			if p, err := packets.ReadPacket(c); err == nil {
				id := p.Details().MessageID
				c.Write([]byte{0x90, 3, byte(id >> 8), byte(id), 0x80})
			}
			hold(c)
		})), "the broker does not let this kiosk read its topic (answer 128)"},
		"two answers to one question": {listens(server(t, a.Config(t), func(c net.Conn) {
			packets.ReadPacket(c)
			c.Write([]byte{0x20, 2, 0, 0})
			if p, err := packets.ReadPacket(c); err == nil {
				id := p.Details().MessageID
				c.Write([]byte{0x90, 4, byte(id >> 8), byte(id), 1, 1}) // the library panics on it
			}
			hold(c)
		})), "the broker breaks the protocol"},
		"TLS 1.2":           {listens(server(t, changed(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }), hold)), "the broker does not speak TLS 1.3"},
		"anybody may come":  {listens(server(t, changed(func(c *tls.Config) { c.ClientAuth = tls.NoClientCert }), hold)), "the broker does not ask who this kiosk is"},
		"other authority":   {func(s *Station) { s.Authorities = [][]byte{other.Cert.Raw} }, "the broker's certificate is not of headquarters' authority"},
		"no authority":      {func(s *Station) { s.Authorities = nil }, "nobody is named who may vouch for headquarters"},
		"leaf as authority": {func(s *Station) { s.Authorities = s.Certificate }, "what should vouch for headquarters is no authority's certificate"},
		"other server":      {func(s *Station) { s.Server = "other.test" }, `the broker's certificate is not for "other.test"`},
		"no server named":   {func(s *Station) { s.Server = "" }, "this kiosk has no certificate of headquarters yet"},
		"broker expired": {listens(server(t, changed(func(c *tls.Config) {
			c.Certificates = []tls.Certificate{a.Issue(t, broker.Server, expired).TLS()}
		}), hold)), "the broker's certificate is good from "},
		"broker with a client's certificate": {listens(server(t, changed(func(c *tls.Config) {
			c.Certificates = []tls.Certificate{a.Issue(t, broker.Server, func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] }).TLS()}
		}), hold)), "the broker's certificate is not one of a broker"},
		"kiosk expired, nats":         {func(s *Station) { *s = station(t, a, nats, expired) }, "the broker says that this kiosk's certificate has expired"},
		"kiosk expired, mosquitto":    {func(s *Station) { *s = station(t, a, mosquitto.Addr, expired) }, "the broker says that this kiosk's certificate has expired"},
		"kiosk of another, nats":      {func(s *Station) { *s = strange(nats) }, "the broker does not know who issued this kiosk's certificate"},
		"kiosk of another, mosquitto": {func(s *Station) { *s = strange(mosquitto.Addr) }, "the broker does not know who issued this kiosk's certificate"},
		"certificate of another kiosk": {func(s *Station) {
			leaf := a.Issue(t, "somebody else", nil)
			s.Certificate, s.Key = [][]byte{leaf.Cert.Raw}, whole{leaf.Key}
		}, `this kiosk's certificate is that of "somebody else"`},
		"certificate of another key": {func(s *Station) { s.Key = whole{a.Issue(t, kioskName, nil).Key} }, "this kiosk's certificate is for another key than it has"},
		"no certificate":             {func(s *Station) { s.Certificate = [][]byte{{1}} }, "this kiosk's certificate cannot be read"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &kiosk{station: station(t, a, nats, nil)}
			tt.change(&k.station)
			c := New(k, t.Logf)
			c.pace = hasty
			c.pace.connect = time.Second
			stop := run(t, c)
			for try := 1; try <= 2; try++ {
				eventually(t, 10*time.Second, fmt.Sprintf("try %d says %q", try, tt.want), func() bool {
					why, n := k.last()
					return n >= try && strings.Contains(why, tt.want)
				})
			}
			stop()
		})
	}
}
