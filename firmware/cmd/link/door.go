package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/lintel-access/lintel/firmware/confine"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/sync/link"
)

// door is door as link.Carrier sees it: a socket.
type door struct {
	client  *ipc.Client
	reach   confine.Reach // to which this process is confined
	offline time.Time     // since when headquarters is not reached; zero: it is, or nobody has tried
}

var errAnew = errors.New("what may be reached has changed: to be started anew")

const (
	// settle is how long door has to say where headquarters is, while link is not confined yet. If it needs longer once, it is asked again soon.
	settle = time.Second
	// signs is how long door's TPM has for a signature; it needs 0.1 s.
	signs = 10 * time.Second
	// stale is how long a broker with a name may be out of reach before link starts anew: a lease of the network may have replaced the name servers' file,
	// and a confined process sees the old one.
	stale = 10 * time.Minute
)

// ask says where headquarters is before there is a session; a door that refuses, or does not answer, has none.
func (d *door) ask(ctx context.Context) (at ipc.Stationed, err error) {
	within, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	err = d.client.Call(within, ipc.KindStation, nil, &at)
	if ctx.Err() != nil {
		return at, context.Cause(ctx)
	}
	if errors.Is(err, ipc.ErrRefused) || errors.Is(err, context.DeadlineExceeded) {
		return ipc.Stationed{}, nil
	}
	return at, err
}

// reach is what a broker at host:port needs of the network; nothing without a broker, or where that is no address.
func reach(broker string) confine.Reach {
	host, port, err := net.SplitHostPort(broker)
	if err != nil || host == "" {
		return confine.Reach{}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return confine.Reach{}
	}
	_, err = netip.ParseAddr(host)
	return confine.Reach{Port: uint16(n), Names: err != nil}
}

// Station asks anew where headquarters is.
func (d *door) Station(ctx context.Context) (link.Station, error) {
	var at ipc.Stationed
	if err := d.call(ctx, ipc.KindStation, nil, &at); err != nil {
		return link.Station{}, err
	}
	if at.Broker == "" {
		return link.Station{}, nil
	}
	if reach(at.Broker) != d.reach || d.reach.Names && !d.offline.IsZero() && time.Since(d.offline) > stale {
		return link.Station{}, errAnew
	}
	s := link.Station{Broker: at.Broker, Server: at.Server, Name: at.Name, Certificate: at.Certificate, Authorities: at.Authorities}
	if len(at.Certificate) > 0 {
		leaf, err := x509.ParseCertificate(at.Certificate[0])
		if err != nil {
			return s, nil // without a key the carrier says what is wrong
		}
		s.Key = key{d.client, leaf.PublicKey}
	}
	return s, nil
}

// Deliver brings door what headquarters sent.
func (d *door) Deliver(ctx context.Context, envelope []byte) error {
	return d.call(ctx, ipc.KindEnvelope, ipc.Envelope{Data: envelope}, nil)
}

// Online tells door whether headquarters is reached.
func (d *door) Online(_ context.Context, on bool, why string) error {
	switch {
	case on:
		d.offline = time.Time{}
	case d.offline.IsZero():
		d.offline = time.Now()
	}
	return d.client.Send(ipc.KindOnline, ipc.Online{On: on, Why: why})
}

// Dropped tells door what came and was not brought.
func (d *door) Dropped(_ context.Context, n link.Drops) error {
	return d.client.Send(ipc.KindDropped, ipc.Dropped(n))
}

// Outbox says how far the log and headquarters are.
func (d *door) Outbox(ctx context.Context) (records, cursor uint64, err error) {
	var out ipc.Outbox
	err = d.call(ctx, ipc.KindOutboxHead, nil, &out)
	return out.Records, out.Cursor, err
}

// Fetch reads records for headquarters.
func (d *door) Fetch(ctx context.Context, from uint64) (report []byte, next uint64, err error) {
	var out ipc.Fetched
	err = d.call(ctx, ipc.KindFetch, ipc.Fetch{From: from}, &out)
	return out.Report, out.Next, err
}

func (d *door) call(ctx context.Context, kind ipc.Kind, req, resp any) error {
	err := d.client.Call(ctx, kind, req, resp)
	if errors.Is(err, ipc.ErrRefused) {
		return fmt.Errorf("%w: %w", link.ErrRefused, err)
	}
	return err
}

// key is the kiosk's TLS key, which lies in door's TPM: door signs what TLS 1.3 has a client sign, and nothing else.
type key struct {
	client *ipc.Client
	public crypto.PublicKey
}

func (k key) Public() crypto.PublicKey { return k.public }

// Sign refuses: door is shown the whole message or signs nothing.
func (k key) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("digests are not signed")
}

// SignMessage has door sign.
func (k key) SignMessage(_ io.Reader, message []byte, _ crypto.SignerOpts) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), signs)
	defer cancel()
	var s ipc.Signature
	err := k.client.Call(ctx, ipc.KindSignTLS, ipc.SignTLS{Message: message}, &s)
	return s.Signature, err
}
