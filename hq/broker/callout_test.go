package broker

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"

	"github.com/nats-io/jwt/v2"
)

// Who is barred while it connects loses every connection that it has, as by Kick of the whole.
func TestBarredWhileItConnectsLosesAll(t *testing.T) {
	h := newHouse(t)
	asked, kicked := 0, ""
	g := gate{clients: map[string]connection{}, log: quiet(), kick: func(kiosk string) { kicked += kiosk }, admit: func(string, *x509.Certificate) error {
		if asked++; asked > 1 {
			return errors.New("barred")
		}
		return nil
	}}
	r := &jwt.AuthorizationRequestClaims{}
	r.ClientInformation.Type, r.ClientInformation.MQTT = "mqtt", name(1)
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.certificate(name(1)).Certificate[0]})
	r.TLS = &jwt.ClientTLS{VerifiedChains: []jwt.StringList{{string(chain)}}}
	if _, err := g.judge(r); err == nil || kicked != name(1) {
		t.Errorf("%v, kicked %q", err, kicked)
	}
}

// Who is removed between the yes and what follows it stays unwanted, and who is let in does not.
func TestKickIsNotForgotten(t *testing.T) {
	removed := false
	n := &Cluster{unwanted: map[string]struct{}{}, kicked: make(chan struct{}, 1)}
	n.config.Admit = func(kiosk string, _ *x509.Certificate) error {
		if removed {
			return errors.New("removed")
		}
		if kiosk == name(1) {
			removed = true
			n.Kick(kiosk)
		}
		return nil
	}
	n.unwanted[name(2)] = struct{}{}
	if err := n.judged(name(2), nil); err != nil || n.isUnwanted(name(2)) {
		t.Errorf("it was let in, and is to go: %v", err)
	}
	if err := n.judged(name(1), nil); err == nil || !n.isUnwanted(name(1)) {
		t.Errorf("it was removed, and may stay: %v", err)
	}
}
