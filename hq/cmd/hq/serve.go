package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/broker"
	"github.com/lintel-access/lintel/hq/fleet"
	"github.com/lintel-access/lintel/hq/hatch"
	"github.com/lintel-access/lintel/hq/ledger"
	"github.com/lintel-access/lintel/hq/people"
	"github.com/lintel-access/lintel/hq/store"
	"github.com/lintel-access/lintel/sync/wire"
)

const serveAbout = `Runs headquarters on the folder that hq init made: the broker that kiosks connect to, the stream of commands of each, and what answers
the other commands of hq. It can neither enrol nor open: operators' keys are not here.

Example:
  hq serve -dir hq -name hq.example`

type serveOptions struct {
	dir, listen     string
	remote, cluster string
	master          string // file
	names           []string
	room            int64
	clockMended     bool
}

// mostRoom is what -room may say, megabytes: a petabyte, which no disk of ours has.
const mostRoom = 1 << 30

// serveCommand runs headquarters.
func serveCommand(ctx context.Context, args []string, out, progress io.Writer) error {
	p := newPage("serve", "-dir DIR -name HOST [-listen ADDRESS] | -dir DIR -cluster HOST,HOST,HOST | -dir DIR -broker ADDRESS", serveAbout, progress)
	o := serveOptions{}
	p.StringVar(&o.listen, "listen", ":8883", "`address` at which kiosks connect, host:port")
	p.Func("name", "`host` name or address by which kiosks know this machine; may be said several times (required, unless there is -broker or -cluster)", func(s string) error {
		o.names = append(o.names, s)
		return nil
	})
	p.StringVar(&o.remote, "broker", "", "`address` of somebody else's broker, host:port, which kiosks use instead; docs/HQ.md says what it must be set to")
	p.StringVar(&o.cluster, "cluster", "", "`hosts` of the house's own NATS servers, with commas between, which kiosks use instead; hq cluster makes what they need")
	p.StringVar(&o.master, "master", "", "`file` of the master key of the people (default DIR/"+masterFile+")")
	p.BoolVar(&o.clockMended, "clock-mended", false, "this machine's clock was ahead, kiosks were told so, and it is right now")
	room := p.Int64("room", 0, "`megabytes` that the state may take (default three quarters of what is free)")
	if _, err := p.words(args, 0, 0); err != nil {
		return err
	}
	for _, name := range o.names {
		if err := authority.CheckHost(name); err != nil {
			return fmt.Errorf("-name: %w: %w", err, errUsage)
		}
	}
	var small error
	p.Visit(func(f *flag.Flag) {
		if f.Name == "room" && (*room < 1 || *room > mostRoom) {
			small = fmt.Errorf("-room %d: want 1 to %d megabytes: %w", *room, mostRoom, errUsage)
		}
	})
	if small != nil {
		return small
	}
	if o.remote != "" && o.cluster != "" {
		return fmt.Errorf("say -broker or -cluster: %w", errUsage)
	}
	if len(o.names) == 0 && o.remote == "" && o.cluster == "" {
		return fmt.Errorf("say by which name kiosks know this machine, -name HOST: %w", errUsage)
	}
	o.dir, o.room = p.dir, *room<<20
	return serve(ctx, o, out, slog.New(slog.NewTextHandler(progress, nil)))
}

// served is what hq serve holds while it runs.
type served struct {
	options serveOptions
	log     *slog.Logger
	keys    atomic.Pointer[authority.Server]
	fleet   atomic.Pointer[fleet.Fleet] // nil until it is open: nobody is let in before
	store   *store.Store
	records *ledger.Ledger
	vault   *people.People           // nil where there is none yet
	until   func() (time.Time, bool) // when certificates of a cluster's servers end, as far as that is known; nil: there is no cluster

	mu   sync.Mutex
	leaf tls.Certificate // what the broker shows
}

func serve(ctx context.Context, o serveOptions, out io.Writer, log *slog.Logger) error {
	release, err := hold(o.dir) // before anything in it is opened
	if err != nil {
		return err
	}
	defer release()
	s := &served{options: o, log: log}
	keys, err := authority.LoadServer(o.dir, time.Now())
	if err != nil {
		return err
	}
	s.keys.Store(keys)
	listen := o.listen
	if o.remote != "" || o.cluster != "" {
		listen = ""
	}
	b, err := broker.Start(ctx, broker.Config{Dir: filepath.Join(o.dir, stateFolder), Listen: listen, Room: o.room, Log: log,
		TLS: &tls.Config{GetConfigForClient: s.forKiosk}, Admit: s.admit})
	if err != nil {
		return err
	}
	defer b.Close()
	w, err := s.way(b)
	if err != nil {
		return err
	}
	defer w.close()
	if s.store, err = store.Open(ctx, b.JetStream()); err != nil {
		return err
	}
	vault, err := s.people()
	if err != nil {
		return err
	}
	records, err := ledger.Open(filepath.Join(o.dir, ledger.Folder), ledger.Options{Alarm: s.alarm})
	if err != nil {
		return err
	}
	defer records.Close()
	s.records = records
	f, err := fleet.Open(ctx, fleet.Config{Store: s.store, Uplink: w.uplink, Server: keys, People: vault, Ledger: taker{records}, Alarm: s.note, Kick: w.kick, Now: time.Now, ClockMended: o.clockMended, Log: log})
	if err != nil {
		return err
	}
	s.overs(ctx, f)
	s.fleet.Store(f)
	fmt.Fprintf(out, "headquarters serves kiosks at %s\n", w.where)
	return together(ctx, f.Run, b.Wait, records.Run, s.watch, s.forget, func(ctx context.Context) error {
		return hatch.Serve(ctx, filepath.Join(o.dir, socketName), s.verbs())
	})
}

// together runs parts until the first of them ends, ends the others, and returns what went wrong.
func together(ctx context.Context, parts ...func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, len(parts))
	for _, p := range parts {
		go func() { ended <- p(ctx) }()
	}
	var all error
	for range parts {
		all = errors.Join(all, <-ended)
		stop()
	}
	return all
}

func (s *served) admit(name string, c *x509.Certificate) error {
	f := s.fleet.Load()
	if f == nil {
		return errors.New("headquarters is starting")
	}
	return f.Admit(name, c)
}

// forKiosk is the broker's side of one handshake: a certificate that is in force, and the authorities of now.
func (s *served) forKiosk(*tls.ClientHelloInfo) (*tls.Config, error) {
	keys, now := s.keys.Load(), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.leaf.Leaf; c == nil || now.After(c.NotAfter.Add(-authority.RenewBefore)) || string(c.AuthorityKeyId) != string(keys.Broker().Issuing.SubjectKeyId) {
		leaf, err := keys.Broker().Server(s.options.names, now)
		if err != nil {
			s.log.Error("no certificate for the broker", "error", err)
			return nil, err
		}
		s.leaf = leaf
	}
	return &tls.Config{Certificates: []tls.Certificate{s.leaf}, ClientCAs: keys.Pool()}, nil
}

// asClient is headquarters' side of a connection to somebody else's broker.
func (s *served) asClient() (*tls.Config, error) {
	c, err := s.certificate()
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{c}, RootCAs: s.roots(), MinVersion: tls.VersionTLS13}, nil
}

func (s *served) certificate() (tls.Certificate, error) {
	return s.keys.Load().Broker().Client("headquarters", time.Now())
}

func (s *served) roots() *x509.CertPool { return s.keys.Load().Pool() }

// Times before an end at which hq serve begins to ask for somebody with the safe.
const (
	issuingEarly = 180 * day
	serverEarly  = 60 * day // without it every kiosk becomes stale
	grantEarly   = 30 * day
	serversEarly = 30 * day // of a cluster: without it nobody connects
)

// endings says what somebody will have to open the safe for.
func endings(keys *authority.Server, now time.Time) (list []string) {
	date := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	if until := keys.Kiosks().Issuing.NotAfter; until.Sub(now) < issuingEarly {
		list = append(list, fmt.Sprintf("the issuing certificate ends on %s: hq trust issuing renews it", date(until)))
	}
	for _, g := range keys.Trust.Grants {
		until := time.Unix(g.Until, 0)
		switch left := until.Sub(now); {
		case g.Role == wire.RoleServer && left < serverEarly:
			list = append(list, fmt.Sprintf("the server's key ends on %s, and then no kiosk listens any more: hq trust server renews it", date(until)))
		case g.Role != wire.RoleServer && left < grantEarly && g.Until > keys.Trust.Issued: // what had ended when that was signed somebody ended, or saw it
			list = append(list, fmt.Sprintf("%v %q ends on %s: hq trust remove and add renew it", g.Role, g.Name, date(until)))
		}
	}
	return list
}

// watch says every day what ends soon.
func (s *served) watch(ctx context.Context) error {
	t := time.NewTicker(day)
	defer t.Stop()
	for {
		s.warn()
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// forgetting is how much longer than a week the references of a draft may lie here, besides when a command opens the vault.
const forgetting = time.Hour

// forget has the vault let go of what has come to its end.
func (s *served) forget(ctx context.Context) error {
	t := time.NewTicker(forgetting)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		if s.vault == nil {
			continue
		}
		if err := s.vault.Finish(); err != nil {
			s.log.Error("vault of people not tidied", "error", err)
		}
	}
}

func (s *served) warn() {
	list := endings(s.keys.Load(), time.Now())
	if s.until != nil {
		if until, ok := s.until(); ok && time.Until(until) < serversEarly {
			list = append(list, fmt.Sprintf("the certificates of the cluster's servers end on %s, and then nobody connects any more: hq cluster renews them", until.UTC().Format(time.DateOnly)))
		}
	}
	for _, e := range list {
		s.log.Warn("something ends", "what", e)
	}
}

// reload takes up what hq trust has changed.
func (s *served) reload(ctx context.Context, _ hatch.Nothing) (any, error) {
	keys, err := authority.LoadServer(s.options.dir, time.Now())
	if err != nil {
		return nil, err
	}
	if err = s.fleet.Load().Serve(ctx, keys); errors.Is(err, fleet.ErrTrust) {
		return nil, err
	}
	s.keys.Store(keys)
	s.warn()
	return nil, err
}

// split makes host and port of an address for kiosks.
func split(address string) (host string, err error) {
	i := strings.LastIndexByte(address, ':')
	if i < 1 || i == len(address)-1 {
		return "", fmt.Errorf("%q is not host:port: %w", address, errUsage)
	}
	return strings.Trim(address[:i], "[]"), nil
}
