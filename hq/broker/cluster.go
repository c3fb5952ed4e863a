package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ClusterConfig says how to reach a house's own NATS servers, which are set up by Settings.
type ClusterConfig struct {
	Servers []string // host:port of all of them, where headquarters speaks NATS to it
	Key     ClusterKey
	// Certificate is headquarters', asked for at every connection, so that it is renewed in time; Roots are the authorities of that moment.
	Certificate func() (tls.Certificate, error)
	Roots       func() *x509.CertPool
	// Admit is as in Config. While headquarters is away nobody is asked, and no kiosk that is new gets in.
	Admit func(name string, certificate *x509.Certificate) error
	Log   *slog.Logger
}

const (
	systemAccount = "SYS" // of what answers who may connect, and ends connections
	retry         = 2 * time.Second
	// hearing is how long servers have to say which connections of a kiosk they hold.
	hearing = time.Second
	// atOnce is how many kiosks they are asked about at the same time: headquarters starts with all that were ever removed.
	atOnce = 64
)

// Cluster is a house's own NATS servers: they carry messages of kiosks, and ask headquarters who may connect, as the broker inside hq serve does.
type Cluster struct {
	gate
	carrier
	config   ClusterConfig
	system   *nats.Conn
	opened   chan struct{} // closed once there are streams, and the servers are answered
	ctx      context.Context
	stop     context.CancelFunc
	workers  sync.WaitGroup
	kicked   chan struct{} // there is somebody new in unwanted
	ridding  sync.Mutex
	unwanted map[string]struct{} // kiosks whose connections are to end, on whichever server
}

// Join connects to the servers, now or, while none answers, later; Close ends it.
func Join(c ClusterConfig) (*Cluster, error) {
	n := &Cluster{config: c, opened: make(chan struct{}), unwanted: map[string]struct{}{}, kicked: make(chan struct{}, 1)}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.gate = gate{log: c.Log, clients: map[string]connection{}, admit: n.judged, end: n.end, kick: n.Kick}
	err := countable(c.Servers)
	if err == nil {
		err = n.connect()
	}
	if err != nil {
		n.Close()
		return nil, fmt.Errorf("join the cluster %q: %w", c.Servers, err)
	}
	n.workers.Go(n.open)
	n.workers.Go(n.sweep)
	return n, nil
}

func (n *Cluster) connect() (err error) {
	k, err := n.config.Key.derive()
	if err != nil {
		return err
	}
	n.issuer = k.issuer
	if n.nc, err = n.dial(loginHQ, k.hq); err != nil {
		return err
	}
	if n.system, err = n.dial(loginAuth, k.auth); err != nil {
		return err
	}
	n.js, err = jetstream.New(n.nc)
	return err
}

// dial makes a connection that stays: to whichever of the servers answers, again and again.
func (n *Cluster) dial(name string, as user) (*nats.Conn, error) {
	roots := func() (*x509.CertPool, error) { return n.config.Roots(), nil }
	said := func(what string) nats.ConnErrHandler {
		return func(c *nats.Conn, err error) {
			if n.ctx.Err() == nil {
				n.log.Warn("server of the cluster "+what, "as", name, "server", c.ConnectedUrlRedacted(), "error", err)
			}
		}
	}
	lost := said("says")
	return nats.Connect("tls://"+strings.Join(n.config.Servers, ",tls://"), nats.Name(name), nats.Nkey(as.public, as.key.Sign),
		nats.Secure(&tls.Config{MinVersion: tls.VersionTLS13}), nats.ClientTLSConfig(n.config.Certificate, roots), nats.TLSHandshakeFirst(),
		nats.MaxReconnects(-1), nats.ReconnectWait(retry), nats.RetryOnFailedConnect(true), nats.IgnoreAuthErrorAbort(), nats.IgnoreDiscoveredServers(),
		nats.ReconnectBufSize(-1), // what cannot be sent now is not kept: a kiosk says what it lacks
		nats.Timeout(patience), nats.PingInterval(probe), nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(said("lost")), nats.ReconnectErrHandler(said("not reached")),
		nats.ErrorHandler(func(c *nats.Conn, _ *nats.Subscription, err error) { lost(c, err) }))
}

// open makes the streams, and only then answers who may connect: what a kiosk publishes before would be thrown away.
func (n *Cluster) open() {
	for n.ctx.Err() == nil {
		if n.nc.IsConnected() && n.system.IsConnected() {
			err := n.begin()
			if err == nil {
				close(n.opened)
				return
			}
			n.log.Warn("cluster not ready", "error", err)
		}
		select {
		case <-time.After(retry):
		case <-n.ctx.Done():
		}
	}
}

func (n *Cluster) begin() error {
	ctx, cancel := context.WithTimeout(n.ctx, ready)
	defer cancel()
	if err := n.streams(ctx, replicas(len(n.config.Servers))); err != nil {
		return err
	}
	return n.listening(ctx)
}

// listening begins to answer who may connect. After an error nothing of it is left: it is tried again, and each question has one answer.
func (n *Cluster) listening(ctx context.Context) error {
	asked, err := n.system.Subscribe(server.AuthCalloutSubject, n.answer)
	if err != nil {
		return err
	}
	if err := n.system.FlushWithContext(ctx); err != nil {
		return errors.Join(err, asked.Unsubscribe())
	}
	return nil
}

// Receive waits for the next message of a kiosk. Servers may come and go: it ends with ctx, or with Close.
func (n *Cluster) Receive(ctx context.Context) (Message, error) {
	select {
	case <-n.opened:
	case <-n.ctx.Done():
		return Message{}, ErrClosed
	case <-ctx.Done():
		return Message{}, ctx.Err()
	}
	for {
		m, err := n.carrier.Receive(ctx)
		if err == nil || ctx.Err() != nil || n.ctx.Err() != nil {
			m.Stored = time.Time{} // by the clock of another machine: one that is wrong has no kiosk count as away
			return m, err
		}
		n.log.Warn("messages of kiosks interrupted", "error", err)
		if err := n.resume(ctx); err != nil {
			return Message{}, err
		}
	}
}

// resume makes what is needed to hear kiosks again, all of it, since servers may have come back without what they stored.
func (n *Cluster) resume(ctx context.Context) error {
	for failed := ""; ; {
		select {
		case <-time.After(retry):
		case <-n.ctx.Done():
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
		err := n.streams(ctx, replicas(len(n.config.Servers)))
		if err == nil {
			n.log.Info("messages of kiosks come again")
			return nil
		}
		if err.Error() != failed { // one line for each cause, and not every two seconds
			n.log.Warn("messages of kiosks not found", "error", err)
			failed = err.Error()
		}
	}
}

// Until is the earliest end of the certificates that servers have shown at the connections that there are now; ok is false while there is none.
func (n *Cluster) Until() (t time.Time, ok bool) {
	for _, c := range []*nats.Conn{n.nc, n.system} {
		s, err := c.TLSConnectionState()
		if err != nil || len(s.PeerCertificates) == 0 {
			continue
		}
		if end := s.PeerCertificates[0].NotAfter; !ok || end.Before(t) {
			t, ok = end, true
		}
	}
	return t, ok
}

// Send hands an envelope to the servers.
func (n *Cluster) Send(ctx context.Context, kiosk string, envelope []byte) error {
	if !n.nc.IsConnected() {
		return fmt.Errorf("send to kiosk %q: %w", kiosk, errAway)
	}
	return n.carrier.Send(ctx, kiosk, envelope)
}

// judged is Admit. Who is let in is no longer unwanted.
func (n *Cluster) judged(name string, certificate *x509.Certificate) error {
	if err := n.config.Admit(name, certificate); err != nil {
		return err
	}
	n.ridding.Lock()
	delete(n.unwanted, name)
	n.ridding.Unlock()
	// Once more: of whoever was barred in between, the Kick has just been forgotten.
	err := n.config.Admit(name, certificate)
	if err != nil {
		n.Kick(name)
	}
	return err
}

// Kick ends every connection of a kiosk, on whichever server, also one that was made before this headquarters started. It tries again until each server
// has said that it holds none: headquarters may be away from them, or they from each other.
func (n *Cluster) Kick(kiosk string) {
	n.gate.Kick(kiosk)
	n.ridding.Lock()
	n.unwanted[kiosk] = struct{}{}
	n.ridding.Unlock()
	select {
	case n.kicked <- struct{}{}:
	default:
	}
}

func (n *Cluster) sweep() {
	t := time.NewTicker(reconnect)
	defer t.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.kicked:
		case <-t.C:
		}
		n.ridAll()
	}
}

// ridAll looks once for everybody who is unwanted, at so many at the same time: a server that does not answer holds each of them up.
func (n *Cluster) ridAll() {
	n.ridding.Lock()
	names := slices.Collect(maps.Keys(n.unwanted))
	n.ridding.Unlock()
	room := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for _, name := range names {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			if n.ctx.Err() != nil || !n.rid(name) {
				return
			}
			n.ridding.Lock()
			defer n.ridding.Unlock()
			delete(n.unwanted, name)
		})
	}
	all.Wait()
}

// rid ends the connections of a kiosk that servers tell of, and reports whether all have said that they hold none.
func (n *Cluster) rid(kiosk string) bool {
	query, err := json.Marshal(server.ConnzEventOptions{ConnzOptions: server.ConnzOptions{MQTTClient: kiosk}})
	if err != nil {
		return false
	}
	inbox := n.system.NewRespInbox()
	answers, err := n.system.SubscribeSync(inbox)
	if err != nil {
		return false
	}
	defer answers.Unsubscribe()
	if err := n.system.PublishRequest("$SYS.REQ.SERVER.PING.CONNZ", inbox, query); err != nil {
		return false
	}
	empty := 0
	for range n.config.Servers {
		m, err := answers.NextMsg(hearing)
		if err != nil {
			return false
		}
		var a struct {
			Server server.ServerInfo `json:"server"`
			Data   server.Connz      `json:"data"`
		}
		if err := json.Unmarshal(m.Data, &a); err != nil {
			return false
		}
		for _, c := range a.Data.Conns {
			n.end(connection{a.Server.ID, c.Cid})
		}
		if len(a.Data.Conns) == 0 {
			empty++
		}
	}
	return empty == len(n.config.Servers)
}

// end has a server end a connection.
func (n *Cluster) end(c connection) {
	request, err := json.Marshal(server.KickClientReq{CID: c.id})
	if err == nil {
		err = n.system.PublishRequest("$SYS.REQ.SERVER."+c.server+".KICK", n.system.NewRespInbox(), request) // one without a place for an answer is ignored
	}
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		n.log.Warn("connection of a kiosk not ended yet", "error", err)
	}
}

// Close ends the connections. The servers let nobody in any more that is new; who is connected stays.
func (n *Cluster) Close() {
	n.stop()
	for _, c := range []*nats.Conn{n.system, n.nc} {
		if c != nil {
			c.Close()
		}
	}
	n.workers.Wait()
}
