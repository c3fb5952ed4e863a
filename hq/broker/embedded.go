package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/sync/wire"
)

// Config says how the broker inside hq serve runs.
type Config struct {
	Dir    string      // of its files
	Listen string      // address for kiosks, host:port; port 0 takes a free one; empty: kiosks use another broker, and this one only stores
	TLS    *tls.Config // certificate and authorities; Start makes it demand a kiosk's certificate and TLS 1.3
	// Admit judges who may connect as the kiosk of that name. The certificate is verified and bears the name. It is asked at every connection, and
	// answers from memory.
	Admit func(name string, certificate *x509.Certificate) error
	Room  int64 // bytes that its files may have; 0: three quarters of what is free
	Log   *slog.Logger
}

const (
	account     = "LINTEL" // of kiosks and of headquarters
	authAccount = "AUTH"   // of what answers who may connect
	loginHQ     = "hq"
	loginAuth   = "auth"
	ready       = 20 * time.Second // to start: replaying 160 MB of files took 3 s
	// redeliver is how long a kiosk may take to acknowledge: nats' 30 s would deliver after newer messages (measured).
	redeliver = 2 * time.Second
	// headroom of a payload over a kiosk's largest message: headers, and what headquarters stores.
	headroom   = 16 << 10
	maxPayload = wire.MaxMessage + headroom
	// look is how often the broker is asked whether it still stores.
	look = time.Second
	// floor is how much room the disk must have, bytes. A NATS server that has met the end of a disk stores nothing more until it is started again.
	floor = 8 << 20
)

// Embedded is a NATS server with its MQTT listener, inside this process. No kiosk reaches anything but MQTT; nothing else listens.
type Embedded struct {
	gate
	carrier // of headquarters
	config  Config
	options *server.Options
	server  *server.Server
	auth    *nats.Conn // answers who may connect
}

// Start starts the broker; Close ends it. No kiosk is let in before the durable consumer of what kiosks say exists: what is published without one is
// thrown away although it is acknowledged.
func Start(ctx context.Context, c Config) (*Embedded, error) {
	e := &Embedded{config: c, gate: gate{admit: c.Admit, log: c.Log, clients: map[string]connection{}}}
	e.kick = e.Kick
	e.end = func(c connection) { _ = e.server.DisconnectClientByID(c.id) } // an error means that it has gone by itself
	if err := e.start(ctx); err != nil {
		e.Close()
		return nil, fmt.Errorf("start broker: %w", err)
	}
	return e, nil
}

func (e *Embedded) start(ctx context.Context) (err error) {
	if e.issuer, err = nkeys.CreateAccount(); err != nil {
		return err
	}
	hq, err := nkeys.CreateUser() // both for connections inside this process alone
	if err != nil {
		return err
	}
	auth, err := nkeys.CreateUser()
	if err != nil {
		return err
	}
	if e.options, err = e.settings(hq, auth); err != nil {
		return err
	}
	if err := os.MkdirAll(e.config.Dir, 0o700); err != nil {
		return err
	}
	if err := e.room(); err != nil {
		return err
	}
	if e.config.Listen != "" {
		if err := free(ctx, e.config.Listen); err != nil {
			return err
		}
	}
	if e.server, err = server.NewServer(e.options); err != nil {
		return err
	}
	e.server.SetLoggerV2(&logger{e.config.Log}, false, false, false)
	e.server.Start() // its goroutines end with Shutdown
	if !e.server.ReadyForConnections(ready) {
		return fmt.Errorf("it does not answer after %v: is there room on the disk of %q?", ready, e.config.Dir)
	}
	a, err := e.server.LookupAccount(account)
	if err != nil {
		return err
	}
	if err := a.EnableJetStream(nil, nil); err != nil {
		return err
	}
	if e.nc, err = e.connect(loginHQ, hq); err != nil {
		return err
	}
	if e.js, err = jetstream.New(e.nc); err != nil {
		return err
	}
	if err := e.streams(ctx, 1); err != nil {
		return err
	}
	if e.auth, err = e.connect(loginAuth, auth); err != nil {
		return err
	}
	if _, err = e.auth.Subscribe(server.AuthCalloutSubject, e.answer); err != nil {
		return err
	}
	return e.auth.Flush()
}

// free tells at once what the server would only write into its log.
func free(ctx context.Context, address string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return l.Close()
}

func (e *Embedded) settings(hq, auth nkeys.KeyPair) (*server.Options, error) {
	mqtt, err := e.listener()
	if err != nil {
		return nil, err
	}
	hqKey, err := hq.PublicKey()
	if err != nil {
		return nil, err
	}
	authKey, err := auth.PublicKey()
	if err != nil {
		return nil, err
	}
	issuer, err := e.issuer.PublicKey()
	if err != nil {
		return nil, err
	}
	kiosks, gate := server.NewAccount(account), server.NewAccount(authAccount)
	return &server.Options{
		ServerName:         "headquarters",
		DontListen:         true, // nobody speaks NATS to it from outside
		NoSigs:             true,
		MaxPayload:         maxPayload,
		JetStream:          true,
		StoreDir:           e.config.Dir,
		JetStreamMaxStore:  e.config.Room,
		JetStreamMaxMemory: 64 << 20,                                    // nothing of ours is kept in memory
		SyncAlways:         true,                                        // an acknowledgement means that it is on the disk
		JetStreamLimits:    server.JSLimitOpts{DefaultMaxConsumers: -1}, // 1000 by default, and each kiosk needs one
		Accounts:           []*server.Account{kiosks, gate},
		Nkeys:              []*server.NkeyUser{{Nkey: hqKey, Account: kiosks}, {Nkey: authKey, Account: gate}},
		AuthCallout:        &server.AuthCallout{Issuer: issuer, Account: authAccount, AuthUsers: []string{hqKey, authKey}},
		MQTT:               mqtt,
	}, nil
}

// listener is how kiosks are listened to; the zero options: not at all.
func (e *Embedded) listener() (o server.MQTTOpts, err error) {
	if e.config.Listen == "" {
		return o, nil
	}
	host, port, err := net.SplitHostPort(e.config.Listen)
	if err != nil {
		return o, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return o, fmt.Errorf("port %q is no number", port)
	}
	if n == 0 {
		n = -1 // in the words of nats
	}
	return server.MQTTOpts{
		Host: host, Port: n, TLSConfig: demanding(e.config.TLS), TLSTimeout: 10, AuthTimeout: 5, // seconds
		AckWait: redeliver, MaxAckPending: 64,
	}, nil
}

// demanding is a configuration that lets nobody in without a kiosk's certificate, and remembers no session: each connection is judged afresh.
func demanding(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.MinVersion, c.ClientAuth, c.SessionTicketsDisabled = tls.VersionTLS13, tls.RequireAndVerifyClientCert, true
	if inner := c.GetConfigForClient; inner != nil {
		c.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			now, err := inner(h)
			if err != nil || now == nil {
				return nil, err
			}
			return demanding(now), nil
		}
	}
	return c
}

func (e *Embedded) connect(name string, key nkeys.KeyPair) (*nats.Conn, error) {
	public, err := key.PublicKey()
	if err != nil {
		return nil, err
	}
	return nats.Connect("", nats.InProcessServer(e.server), nats.Nkey(public, key.Sign), nats.Name(name), nats.MaxReconnects(0))
}

// JetStream is where headquarters keeps its state.
func (e *Embedded) JetStream() jetstream.JetStream { return e.js }

// Address is where kiosks connect, host:port.
func (e *Embedded) Address() string { // the server has written the port that it took
	return net.JoinHostPort(e.options.MQTT.Host, strconv.Itoa(e.options.MQTT.Port))
}

// Wait returns when the broker has stopped storing, or ctx has ended. A broker that cannot store must not go on: kiosks would find nobody who answers,
// and nobody would know why.
func (e *Embedded) Wait(ctx context.Context) error {
	t := time.NewTicker(look)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if err := e.room(); err != nil {
				return err
			}
			if !e.server.JetStreamEnabled() || e.nc.IsClosed() {
				return fmt.Errorf("broker has stopped storing in %q; its log says why", e.config.Dir)
			}
		}
	}
}

// room tells that the disk is as good as full, before the broker finds out.
func (e *Embedded) room() error {
	var disk unix.Statfs_t
	if err := unix.Statfs(e.config.Dir, &disk); err != nil {
		return fmt.Errorf("look at the disk of %q: %w", e.config.Dir, err)
	}
	if left := disk.Bavail * uint64(disk.Bsize); left < floor {
		return fmt.Errorf("the disk of %q is full: %d KB are left; make room and start again, nothing that was acknowledged is lost", e.config.Dir, left>>10)
	}
	return nil
}

// Close ends the broker and waits for it.
func (e *Embedded) Close() {
	if e.messages != nil {
		e.messages.Stop()
	}
	for _, c := range []*nats.Conn{e.auth, e.nc} {
		if c != nil {
			c.Close()
		}
	}
	if e.server != nil {
		e.server.Shutdown()
		e.server.WaitForShutdown()
	}
}
