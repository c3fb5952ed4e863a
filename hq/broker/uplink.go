// Package broker carries bytes between headquarters and its kiosks, and knows nothing of what they mean. It has three ways: the broker inside hq serve
// (Start), which is the rule; a house's own NATS servers, which ask headquarters who may connect (Join); and somebody else's MQTT broker (Dial).
//
// A broker is not believed. What it can do is lose, delay, repeat and reorder; what arrives is judged by those who understand it.
package broker

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

// Message is what a kiosk has published, as far as the broker can tell.
type Message struct {
	Kiosk string // name
	Data  []byte // at most wire.MaxMessage
	// Stored is when the broker took it, by this machine's clock; zero: nobody here can tell.
	Stored time.Time
	// Ack tells the broker that the message need not be kept. Until then it comes again, after a restart as well.
	Ack func() error
}

// Uplink is a way to the kiosks.
type Uplink interface {
	// Receive waits for the next message. Its error is final.
	Receive(ctx context.Context) (Message, error)
	// Send hands an envelope to the kiosk of that name if it is connected. That it returns nil says nothing about whether it arrived: a kiosk that
	// lacks something says so when it greets. Nothing is kept for a kiosk that is not there.
	Send(ctx context.Context, kiosk string, envelope []byte) error
}

// ErrClosed means that the way to the kiosks has ended.
var ErrClosed = errors.New("broker is closed")

// ValidName reports whether this is the name of a kiosk, so that it can stand in a topic: 32 lower-case hexadecimal digits.
func ValidName(name string) bool {
	raw, err := hex.DecodeString(name)
	return err == nil && len(raw) == 16 && name == strings.ToLower(name)
}

// sender is the kiosk that a topic is of; ok is false for any other topic.
func sender(topic string) (name string, ok bool) {
	before, after, _ := strings.Cut(wire.Up("+"), "+")
	rest, has := strings.CutPrefix(topic, before)
	name, found := strings.CutSuffix(rest, after)
	return name, has && found && ValidName(name)
}

// subject is a topic in the words of NATS.
func subject(topic string) string { return strings.ReplaceAll(topic, "/", ".") }
