package link

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/tests/broker"
)

// A clock that is wrong the way clocks without a battery are keeps no kiosk from headquarters; one that can be right is believed.
func TestClockOf1970(t *testing.T) {
	a, other := broker.NewAuthority(t), broker.NewAuthority(t)
	now := time.Now()
	dated := func(by *broker.Authority, from, until time.Duration) []*x509.Certificate {
		leaf := by.Issue(t, broker.Server, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(from), now.Add(until) })
		return []*x509.Certificate{leaf.Cert}
	}
	id, err := station(t, a, "", nil).identity() // since a minute ago
	if err != nil {
		t.Fatal(err)
	}
	fresh := dated(a, -10*time.Second, time.Hour) // younger than the kiosk's own
	tests := map[string]struct {
		chain  []*x509.Certificate
		server string
		now    time.Time
		ok     bool
	}{
		"right":                     {fresh, broker.Server, now, true},
		"1970":                      {fresh, broker.Server, time.Unix(0, 0), true},
		"1970, another authority":   {dated(other, -10*time.Second, time.Hour), broker.Server, time.Unix(0, 0), false},
		"1970, another name":        {fresh, "other.test", time.Unix(0, 0), false},
		"just before the kiosk was": {fresh, broker.Server, id.since.Add(-time.Second), true},
		"expired":                   {dated(a, -50*time.Minute, -time.Second), broker.Server, now, false},
		"not yet":                   {dated(a, time.Minute, time.Hour), broker.Server, now, false},
		"2090":                      {fresh, broker.Server, now.AddDate(64, 0, 0), false},
		"no certificate":            {nil, broker.Server, now, false},
		"no name":                   {fresh, "", now, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := id.verify(tt.server, tt.chain, tt.now); (err == nil) != tt.ok {
				t.Errorf("%v", err)
			}
		})
	}
}

// Whatever a name server or a certificate says, the sentence fits where it has to go.
func TestSentencesFit(t *testing.T) {
	for _, foreign := range []string{strings.Repeat("a", 1000), strings.Repeat("\x00", 1000), strings.Repeat("ä", 1000), "\xff\xfe", ""} {
		for _, err := range []error{unreached(x509.ErrUnsupportedAlgorithm, foreign), rejected(2, nil, Station{Name: foreign}), problem(nil, "%s", foreign),
			unproven(x509.HostnameError{Certificate: new(x509.Certificate), Host: foreign}, Station{Server: foreign})} {
			if s := sentence(err); len(s) > MaxWhy || strings.ToValidUTF8(s, "") != s {
				t.Errorf("%d bytes: %q", len(s), s)
			}
		}
	}
	if s := quoted(strings.Repeat("b", 61)); len(s) > 70 {
		t.Errorf("%d bytes", len(s))
	}
}
