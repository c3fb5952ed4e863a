package broker

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"github.com/lintel-access/lintel/sync/wire"
)

// answer says to the server whether a connection is let in, and what it may do. Whoever gets no answer is not let in.
func (e *Embedded) answer(m *nats.Msg) {
	request, err := jwt.DecodeAuthorizationRequestClaims(string(m.Data))
	if err != nil {
		e.config.Log.Error("broker asks in words that are not understood", "error", err)
		return
	}
	response := jwt.NewAuthorizationResponseClaims(request.UserNkey)
	response.Audience = request.Server.ID
	permit, err := e.judge(request)
	if err != nil {
		e.config.Log.Warn("connection refused", "from", request.ClientInformation.Host, "error", err)
		response.Error = "not admitted" // why is nobody's business who is not let in
	}
	response.Jwt = permit
	token, err := response.Encode(e.issuer)
	if err != nil {
		e.config.Log.Error("answer to broker cannot be signed", "error", err)
		return
	}
	if err := m.Respond([]byte(token)); err != nil {
		e.config.Log.Error("broker does not take an answer", "error", err)
	}
}

// judge lets a kiosk in under its own name only: the MQTT client id must be the common name of its certificate. Otherwise any kiosk could end the
// session of any other.
func (e *Embedded) judge(r *jwt.AuthorizationRequestClaims) (permit string, err error) {
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
	if err := e.config.Admit(name, certificate); err != nil {
		return "", fmt.Errorf("kiosk %q: %w", name, err)
	}
	e.mu.Lock()
	e.clients[name] = r.ClientInformation.ID
	e.mu.Unlock()
	// Once more: whoever barred the kiosk before Kick could find this connection is noticed here, and whoever does it later finds it.
	if err := e.config.Admit(name, certificate); err != nil {
		e.Kick(name)
		return "", fmt.Errorf("kiosk %q: %w", name, err)
	}
	u := jwt.NewUserClaims(r.UserNkey)
	u.Name = name
	u.Audience = account
	u.Expires = certificate.NotAfter.Unix() // then it is disconnected
	u.AllowedConnectionTypes.Add(jwt.ConnectionTypeMqtt)
	u.Permissions.Pub.Allow.Add(subject(wire.Up(name)))
	u.Permissions.Sub.Allow.Add(subject(wire.Down(name)))
	return u.Encode(e.issuer)
}
