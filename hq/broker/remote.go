package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/lintel-access/lintel/sync/link/guard"
	"github.com/lintel-access/lintel/sync/wire"
)

// RemoteConfig says how to reach somebody else's broker.
type RemoteConfig struct {
	Address string // host:port
	Client  string // MQTT client id; the broker must let it read every Up and write every Down
	// TLS is asked for at every connection, so that a certificate is renewed in time.
	TLS func() (*tls.Config, error)
	Log *slog.Logger
}

const (
	keepAlive  = 30 * time.Second // after one and a half of it the broker counts us as gone; that it has vanished the line notices
	patience   = 10 * time.Second // for one answer of the broker
	probe      = 3 * time.Second  // of silence, after which it is asked for a sign of life
	outbox     = 1024             // packets that wait to be sent: a message and a confirmation for each kiosk that is dealt with, and some
	reconnect  = 5 * time.Second
	inbox      = 64   // messages; brokers keep 20 in flight by default
	leave      = 250  // ms to say goodbye
	atLeast    = 1    // QoS
	refusedQoS = 0x80 // of a SUBACK: from here on it is a refusal
)

// Remote is a client of somebody else's broker. The broker keeps headquarters' session, as long and as durably as it likes: what it loses comes again,
// since kiosks believe headquarters' signed acknowledgement and no broker's.
type Remote struct {
	client   mqtt.Client
	messages chan Message
	closed   chan struct{}
	ctx      context.Context // of connections, which say goodbye after closed; ended by hangUp
	hangUp   context.CancelFunc
	watchers sync.WaitGroup // one for each connection
	config   RemoteConfig
	log      *slog.Logger
}

// Dial connects to a broker, now or, when it does not answer yet, later; Close ends it.
func Dial(c RemoteConfig) (*Remote, error) {
	if _, err := c.TLS(); err != nil {
		return nil, fmt.Errorf("connect to broker %q: %w", c.Address, err)
	}
	r := &Remote{messages: make(chan Message, inbox), closed: make(chan struct{}), config: c, log: c.Log}
	r.ctx, r.hangUp = context.WithCancel(context.Background())
	o := mqtt.NewClientOptions().AddBroker("ssl://" + c.Address)
	o.SetClientID(c.Client).SetProtocolVersion(4) // 3.1.1
	o.SetCleanSession(false).SetAutoReconnect(true).SetConnectRetry(true).SetConnectRetryInterval(reconnect).SetMaxReconnectInterval(reconnect)
	o.SetKeepAlive(keepAlive).SetPingTimeout(time.Hour).SetConnectTimeout(patience).SetWriteTimeout(time.Second) // the line watches better, and takes a packet at once
	o.SetOrderMatters(true).SetAutoAckDisabled(true)
	o.SetCustomOpenConnectionFn(func(to *url.URL, _ mqtt.ClientOptions) (net.Conn, error) { return r.open(to.Host) })
	o.SetDefaultPublishHandler(r.take)
	o.SetOnConnectHandler(func(client mqtt.Client) { go r.subscribe(client) })
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { c.Log.Warn("broker lost", "error", err) })
	r.client = mqtt.NewClient(o)
	r.client.Connect() // it goes on trying, and tells Log
	return r, nil
}

// open makes a connection. The library gets it behind a guard, as a kiosk's does: it would believe whatever length a broker claims.
func (r *Remote) open(address string) (net.Conn, error) {
	conn, tcp, err := r.dial(address)
	if err != nil {
		if r.ctx.Err() == nil {
			r.log.Warn("broker not reached", "broker", address, "error", err)
		}
		return nil, err
	}
	l := guard.New(conn, tcp, guard.Limits{Probe: probe, Answer: patience, Queue: outbox})
	r.watchers.Go(func() {
		_ = l.Watch(r.ctx) // why it ended the library is told, too
		l.Close()
	})
	return l, nil
}

func (r *Remote) dial(address string) (conn *tls.Conn, tcp net.Conn, err error) {
	config, err := r.config.TLS()
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	if tcp, err = new(net.Dialer).DialContext(ctx, "tcp", address); err != nil {
		return nil, nil, err
	}
	config = config.Clone()
	if config.ServerName, _, err = net.SplitHostPort(address); err == nil {
		conn = tls.Client(guard.Prompt{Conn: tcp, Within: patience}, config)
		err = conn.HandshakeContext(ctx)
	}
	if err != nil {
		return nil, nil, errors.Join(err, tcp.Close())
	}
	return conn, tcp, nil
}

// subscribe asks for what kiosks say. It ends with its answer, within patience.
func (r *Remote) subscribe(client mqtt.Client) {
	topic := wire.Up("+")
	token := client.Subscribe(topic, atLeast, r.take)
	if !token.WaitTimeout(patience) || token.Error() != nil {
		r.log.Warn("broker does not answer a subscription", "error", token.Error())
		return
	}
	if s, ok := token.(*mqtt.SubscribeToken); ok && s.Result()[topic] >= refusedQoS {
		r.log.Error("broker does not let headquarters read what kiosks say: its access list must", "topic", topic)
	}
}

// take hands a message to Receive. While nobody receives, nothing more is read from the broker.
func (r *Remote) take(_ mqtt.Client, m mqtt.Message) {
	name, ok := sender(m.Topic())
	if !ok || m.Retained() || len(m.Payload()) > wire.MaxMessage {
		r.log.Warn("message of no kiosk dropped", "topic", fmt.Sprintf("%q", m.Topic()), "bytes", len(m.Payload()), "retained", m.Retained())
		m.Ack()
		return
	}
	select {
	case r.messages <- Message{Kiosk: name, Data: m.Payload(), Ack: func() error { m.Ack(); return nil }}:
	case <-r.closed:
	}
}

// Receive waits for the next message of a kiosk.
func (r *Remote) Receive(ctx context.Context) (Message, error) {
	select {
	case m := <-r.messages:
		return m, nil
	case <-r.closed:
		return Message{}, ErrClosed
	case <-ctx.Done():
		return Message{}, ctx.Err()
	}
}

// Send publishes to a kiosk, and waits until the broker has taken it.
func (r *Remote) Send(ctx context.Context, kiosk string, envelope []byte) error {
	if err := sendable(kiosk, envelope); err != nil {
		return err
	}
	if !r.client.IsConnectionOpen() { // else paho would keep it for later
		return fmt.Errorf("send to kiosk %q: %w", kiosk, errAway)
	}
	token := r.client.Publish(wire.Down(kiosk), atLeast, false, envelope)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return fmt.Errorf("send to kiosk %q: %w", kiosk, ctx.Err())
	case <-r.closed:
		return ErrClosed
	}
}

var errAway = errors.New("broker is not connected")

// Close ends the connection.
func (r *Remote) Close() {
	close(r.closed)
	r.client.Disconnect(leave)
	r.hangUp()
	r.watchers.Wait()
}
