package link

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/lintel-access/lintel/sync/link/guard"
)

// trouble is an error with a sentence for whoever stands before the kiosk with a laptop.
type trouble struct {
	say string
	err error
}

func (t *trouble) Error() string {
	if t.err == nil {
		return t.say
	}
	return fmt.Sprintf("%s (%v)", t.say, t.err)
}

func (t *trouble) Unwrap() error { return t.err }

func problem(err error, format string, args ...any) error {
	return &trouble{fmt.Sprintf(format, args...), err}
}

// sentence is what the door is told, at most MaxWhy bytes.
func sentence(err error) string {
	say := err.Error()
	if t := new(trouble); errors.As(err, &t) {
		say = t.say
	}
	if len(say) > MaxWhy {
		say = say[:MaxWhy]
	}
	return strings.ToValidUTF8(say, "")
}

// quoted keeps foreign text short enough for a sentence.
func quoted(s string) string {
	const most = 60 // bytes: two of them and the words around fit MaxWhy
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	q := fmt.Sprintf("%q", s)
	if len(q) > 2*most || !utf8.ValidString(q) {
		return "a name that cannot be shown"
	}
	return q
}

// unreached says why no connection came about.
func unreached(err error, broker string) error {
	at := quoted(broker)
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return problem(err, "the name server does not know %s", at)
	case errors.As(err, &dns):
		return problem(err, "no name server answers, %s has no address: look at the network's settings", at)
	case errors.Is(err, syscall.ECONNREFUSED):
		return problem(err, "no broker listens at %s", at)
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETDOWN):
		return problem(err, "no way leads to %s: look at cable and address", at)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return problem(err, "this kiosk may not connect to %s", at)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return problem(err, "%s does not answer: look at network and firewall", at)
	}
	return problem(err, "no connection to %s", at)
}

// refusals are what a TLS peer says of our certificate, by the library's words for its alerts: it has no other names for them.
var refusals = [...]struct{ alert, say string }{
	{"tls: expired certificate", "the broker says that this kiosk's certificate has expired"},
	{"tls: revoked certificate", "the broker says that this kiosk's certificate is revoked"},
	{"tls: unknown certificate authority", "the broker does not know who issued this kiosk's certificate"},
	{"tls: bad certificate", "the broker does not accept this kiosk's certificate"},
	{"tls: unknown certificate", "the broker does not accept this kiosk's certificate"},
	{"tls: unsupported certificate", "the broker does not accept this kiosk's certificate"},
	{"tls: certificate required", "the broker got no certificate of this kiosk"},
	{"tls: error decrypting message", "the broker does not accept this kiosk's signature: key and certificate do not fit"},
	{"tls: access denied", "the broker denies access to this kiosk"},
	{"tls: protocol version not supported", "the broker does not speak TLS 1.3"},
	{"tls: handshake failure", "the broker has no TLS in common with this kiosk"},
}

// unproven says why the two ends do not believe each other.
func unproven(err error, s Station) error {
	var (
		said     *trouble
		unknown  x509.UnknownAuthorityError
		name     x509.HostnameError
		invalid  x509.CertificateInvalidError
		noTLS    tls.RecordHeaderError
		remote   *net.OpError
		isRemote = errors.As(err, &remote) && remote.Op == "remote error"
	)
	switch {
	case errors.As(err, &said):
		return err
	case errors.As(err, &unknown):
		return problem(err, "the broker's certificate is not of headquarters' authority: wrong broker, or its authority was changed")
	case errors.As(err, &name):
		return problem(err, "the broker's certificate is not for %s", quoted(s.Server))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		const date = time.DateTime
		return problem(err, "the broker's certificate is good from %s to %s, and here it is %s (UTC)", invalid.Cert.NotBefore.UTC().Format(date),
			invalid.Cert.NotAfter.UTC().Format(date), time.Now().UTC().Format(date))
	case errors.As(err, &invalid):
		return problem(err, "the broker's certificate is not one of a broker")
	case errors.As(err, &noTLS):
		return problem(err, "the broker at %s does not speak TLS", quoted(s.Broker))
	case strings.Contains(err.Error(), "server selected unsupported protocol version"):
		return problem(err, "the broker does not speak TLS 1.3")
	case isRemote:
		for _, r := range refusals {
			if remote.Err.Error() == r.alert {
				return problem(err, "%s", r.say)
			}
		}
		return problem(err, "the broker ended the handshake: %s", quoted(remote.Err.Error()))
	}
	return broken(err, "in the handshake")
}

// rejected says why the broker takes no session.
func rejected(code byte, err error, s Station) error {
	switch code {
	case packets.ErrRefusedBadProtocolVersion:
		return problem(err, "the broker does not speak MQTT 3.1.1")
	case packets.ErrRefusedIDRejected:
		return problem(err, "the broker refuses the name %s of this kiosk", quoted(s.Name))
	case packets.ErrRefusedServerUnavailable:
		return problem(err, "the broker takes no sessions now")
	case packets.ErrRefusedBadUsernameOrPassword, packets.ErrRefusedNotAuthorised:
		return problem(err, "the broker knows no kiosk of the name %s with this certificate", quoted(s.Name))
	}
	// In TLS 1.3 the broker looks at our certificate after we are done, so its refusal comes here.
	return unproven(err, s)
}

// broken says how a connection that stood has ended.
func broken(err error, where string) error {
	switch {
	case errors.Is(err, guard.ErrProtocol), errors.Is(err, guard.ErrSilent), errors.Is(err, guard.ErrStuck):
		return problem(nil, "%v", err)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return problem(err, "the broker does not answer %s", where)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return problem(err, "the broker closed the connection %s", where)
	}
	return problem(err, "the connection broke %s", where)
}
