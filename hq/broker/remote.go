package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

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
	keepAlive  = 10 * time.Second // a broker that has vanished is noticed within two of them
	patience   = 10 * time.Second // for one answer of the broker
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
	log      *slog.Logger
}

// Dial connects to a broker, now or, when it does not answer yet, later; Close ends it.
func Dial(c RemoteConfig) (*Remote, error) {
	if _, err := c.TLS(); err != nil {
		return nil, fmt.Errorf("connect to broker %q: %w", c.Address, err)
	}
	r := &Remote{messages: make(chan Message, inbox), closed: make(chan struct{}), log: c.Log}
	o := mqtt.NewClientOptions().AddBroker("ssl://" + c.Address).SetClientID(c.Client).SetProtocolVersion(4) // 3.1.1
	o.SetCleanSession(false).SetAutoReconnect(true).SetConnectRetry(true).SetConnectRetryInterval(reconnect).SetMaxReconnectInterval(reconnect)
	o.SetKeepAlive(keepAlive).SetPingTimeout(keepAlive).SetConnectTimeout(patience).SetWriteTimeout(patience)
	o.SetOrderMatters(true).SetAutoAckDisabled(true)
	o.SetConnectionAttemptHandler(func(_ *url.URL, _ *tls.Config) *tls.Config {
		config, err := c.TLS()
		if err != nil { // nothing can be shown to the broker; it will say so
			c.Log.Error("no certificate for the broker", "error", err)
			return &tls.Config{MinVersion: tls.VersionTLS13}
		}
		return config
	})
	o.SetDefaultPublishHandler(r.take)
	o.SetOnConnectHandler(func(client mqtt.Client) { go r.subscribe(client) })
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { c.Log.Warn("broker lost", "error", err) })
	r.client = mqtt.NewClient(o)
	r.client.Connect() // it goes on trying, and tells Log
	return r, nil
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
}
