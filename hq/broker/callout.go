package broker

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/lintel-access/lintel/sync/wire"
)

// gate answers NATS servers, ours or a house's, who may connect and what they may do there.
type gate struct {
	issuer  nkeys.KeyPair // vouches for who is let in
	admit   func(name string, certificate *x509.Certificate) error
	end     func(connection)   // ends a connection, or does nothing if it is gone
	kick    func(kiosk string) // ends all that a kiosk has
	log     *slog.Logger
	mu      sync.Mutex
	clients map[string]connection // newest of a kiosk, by name
}

// connection is one of a kiosk's to one server.
type connection struct {
	server string // its id
	id     uint64 // within it
}

// Kick ends the connection of a kiosk that is no longer to be there.
func (g *gate) Kick(kiosk string) {
	g.mu.Lock()
	c, ok := g.clients[kiosk]
	g.mu.Unlock()
	if ok {
		g.end(c)
	}
}

// answer says to the server whether a connection is let in, and what it may do. Whoever gets no answer is not let in.
func (g *gate) answer(m *nats.Msg) {
	request, err := jwt.DecodeAuthorizationRequestClaims(string(m.Data))
	if err != nil {
		g.log.Error("broker asks in words that are not understood", "error", err)
		return
	}
	response := jwt.NewAuthorizationResponseClaims(request.UserNkey)
	response.Audience = request.Server.ID
	permit, err := g.judge(request)
	if err != nil {
		g.log.Warn("connection refused", "from", request.ClientInformation.Host, "error", err)
		response.Error = "not admitted" // why is nobody's business who is not let in
	}
	response.Jwt = permit
	token, err := response.Encode(g.issuer)
	if err != nil {
		g.log.Error("answer to broker cannot be signed", "error", err)
		return
	}
	if err := m.Respond([]byte(token)); err != nil {
		g.log.Error("broker does not take an answer", "error", err)
	}
}

// judge lets a kiosk in under its own name only: the MQTT client id must be the common name of its certificate. Otherwise any kiosk could end the
// session of any other.
func (g *gate) judge(r *jwt.AuthorizationRequestClaims) (permit string, err error) {
	if r.ClientInformation.Type != "mqtt" || r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
		return "", errors.New("no MQTT, or no certificate")
	}
	block, _ := pem.Decode([]byte(r.TLS.VerifiedChains[0][0]))
	if block == nil {
		return "", errors.New("certificate is no PEM")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", err
	}
	name := certificate.Subject.CommonName
	if !ValidName(name) {
		return "", fmt.Errorf("certificate of %q, which is no name of a kiosk", name)
	}
	if r.ClientInformation.MQTT != name {
		return "", fmt.Errorf("kiosk %q calls itself %q", name, r.ClientInformation.MQTT)
	}
	if err := g.admit(name, certificate); err != nil {
		return "", fmt.Errorf("kiosk %q: %w", name, err)
	}
	g.mu.Lock()
	g.clients[name] = connection{r.Server.ID, r.ClientInformation.ID}
	g.mu.Unlock()
	// Once more: whoever barred the kiosk before Kick could find this connection is noticed here, and whoever does it later finds it.
	if err := g.admit(name, certificate); err != nil {
		g.kick(name)
		return "", fmt.Errorf("kiosk %q: %w", name, err)
	}
	u := jwt.NewUserClaims(r.UserNkey)
	u.Name = name
	u.Audience = account
	u.Expires = certificate.NotAfter.Unix() // then it is disconnected
	u.AllowedConnectionTypes.Add(jwt.ConnectionTypeMqtt)
	u.Permissions.Pub.Allow.Add(subject(wire.Up(name)))
	u.Permissions.Sub.Allow.Add(subject(wire.Down(name)))
	return u.Encode(g.issuer)
}
