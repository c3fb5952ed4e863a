package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/lintel-access/lintel/sync/wire"
)

const (
	// messageStream is where the MQTT listener stores what is published with QoS 1, before it acknowledges. A stream of our own on the topics loses
	// acknowledged messages at a SIGKILL; a durable consumer on this one loses none (measured, 12 times).
	messageStream  = "$MQTT_msgs"
	messageSubject = "$MQTT.msgs."
	durable        = "headquarters"
	// waiting is how many messages of one kiosk are kept. More are refused to that kiosk alone, which holds them in its own log anyway.
	waiting = 512
	// unacknowledged is how many messages are handed out before the first is acknowledged.
	unacknowledged = 1024            // four kiosks that are as far behind as headquarters lets them be
	again          = 5 * time.Second // a message that was handed out and not acknowledged comes once more
	fetched        = 32              // messages ahead of Receive, of at most 152 KiB
	// beat is how often the broker says that it is there while no message comes; after two that are missing it is asked.
	beat = 5 * time.Second
)

// carrier is a NATS connection over which messages of kiosks come and go: those that they publish lie in the MQTT listener's stream.
type carrier struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	messages jetstream.MessagesContext
}

// streams makes, before the first kiosk connects, what the MQTT listener would make itself with wider limits.
func (c *carrier) streams(ctx context.Context, replicas int) error {
	for _, s := range []jetstream.StreamConfig{
		{Name: messageStream, Subjects: []string{messageSubject + ">"}, Retention: jetstream.InterestPolicy,
			Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, MaxMsgsPerSubject: waiting},
		// Nothing is retained, and nothing is published with QoS 2: no message fits.
		{Name: "$MQTT_rmsgs", Subjects: []string{"$MQTT.rmsgs.>"}, MaxMsgsPerSubject: 1, MaxMsgSize: 1},
		{Name: "$MQTT_qos2in", Subjects: []string{"$MQTT.qos2.in.>"}, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, MaxMsgsPerSubject: 1, MaxMsgSize: 1},
	} {
		s.Storage, s.Replicas = jetstream.FileStorage, replicas
		if _, err := c.js.CreateOrUpdateStream(ctx, s); err != nil {
			return fmt.Errorf("create stream %q: %w", s.Name, err)
		}
	}
	return c.listen(ctx)
}

// listen makes the durable consumer of what kiosks say, if it is not there, and begins to read anew. After an error all is as it was.
func (c *carrier) listen(ctx context.Context) error {
	consumer, err := c.js.CreateOrUpdateConsumer(ctx, messageStream, jetstream.ConsumerConfig{
		Durable:       durable,
		FilterSubject: messageSubject + subject(wire.Up("*")),
		AckPolicy:     jetstream.AckExplicitPolicy,
		MaxAckPending: unacknowledged,
		AckWait:       again,
	})
	if err != nil {
		return fmt.Errorf("create consumer: %w", err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(fetched), jetstream.PullHeartbeat(beat))
	if err != nil {
		return fmt.Errorf("read from consumer: %w", err)
	}
	if c.messages != nil {
		c.messages.Stop()
	}
	c.messages = messages
	return nil
}

// absent reports whether the broker says that the durable consumer is gone: its servers were set up anew. That it says nothing shows nothing.
func (c *carrier) absent(ctx context.Context) bool {
	_, err := c.js.Consumer(ctx, messageStream, durable)
	return errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound)
}

// Receive waits for the next message of a kiosk.
func (c *carrier) Receive(ctx context.Context) (Message, error) {
	for {
		m, err := c.messages.Next(jetstream.NextContext(ctx))
		switch {
		case ctx.Err() != nil:
			return Message{}, ctx.Err()
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			if c.absent(ctx) {
				return Message{}, fmt.Errorf("%w: it has lost what it stored", ErrClosed)
			}
			continue // the server was busy for a while
		case err != nil:
			return Message{}, fmt.Errorf("%w: %w", ErrClosed, err)
		}
		topic := strings.ReplaceAll(strings.TrimPrefix(m.Subject(), messageSubject), ".", "/")
		name, ok := sender(topic)
		if !ok || len(m.Data()) > wire.MaxMessage {
			if err := m.Term(); err != nil { // it is nothing that a kiosk of ours sends
				return Message{}, fmt.Errorf("%w: %w", ErrClosed, err)
			}
			continue
		}
		message := Message{Kiosk: name, Data: m.Data(), Ack: m.Ack}
		if about, err := m.Metadata(); err == nil {
			message.Stored = about.Timestamp
		}
		return message, nil
	}
}

// Send publishes to a connected kiosk. The message passes through memory alone: nothing of it reaches a disk of the broker.
func (c *carrier) Send(_ context.Context, kiosk string, envelope []byte) error {
	if err := sendable(kiosk, envelope); err != nil {
		return err
	}
	if err := c.nc.Publish(subject(wire.Down(kiosk)), envelope); err != nil {
		if errors.Is(err, nats.ErrConnectionClosed) {
			err = ErrClosed
		}
		return fmt.Errorf("send to kiosk %q: %w", kiosk, err)
	}
	return nil
}

func sendable(kiosk string, envelope []byte) error {
	if !ValidName(kiosk) || len(envelope) > wire.MaxMessage {
		return fmt.Errorf("send %d bytes to %q: no kiosk, or too much", len(envelope), kiosk)
	}
	return nil
}
