package link

import (
	"context"
	"errors"
	"net"
	"net/url"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/lintel-access/lintel/sync/link/guard"
	"github.com/lintel-access/lintel/sync/wire"
)

// session is one connection to the broker, from CONNECT on.
type session struct {
	carrier *Carrier
	station Station
	client  mqtt.Client
	arrived chan mqtt.Message
	ended   chan error // why the library gave up

	brings, fetches meter
}

// Bounds of a session.
const (
	// maxArrived bounds the envelopes that wait for the door: 5 MB of the largest. A broker has 20 on the way (mosquitto's default), headquarters fewer.
	maxArrived = 32

	// maxQueue bounds the packets that wait to be sent: a few messages on the way (window, maxReports), a confirmation for each message that has come, and
	// a ping.
	maxQueue = 64

	// The door takes 200 packets a second from us and closes the socket on more (firmware/ipc), so a broker that floods must be held back here.
	bringEvery = 12 * time.Millisecond // 83 envelopes a second
	fetchEvery = 15 * time.Millisecond // 66 messages a second, 17,000 records if they are short

	// keepAlive is for the broker: it counts the kiosk as gone after one and a half of it. A message of 152 KiB may take as long on a line of 40 kbit/s.
	keepAlive = 30 * time.Second
)

// session connects, carries until something breaks, and says what.
func (c *Carrier) session(ctx context.Context) error {
	st, err := c.door.Station(ctx)
	if gone := lost(ctx, err); gone != nil {
		return gone
	}
	if err != nil {
		return problem(err, "the door does not say where headquarters is")
	}
	if st.Broker == "" {
		return ErrNoStation
	}
	l, err := dial(ctx, st, c.pace)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	s := &session{carrier: c, station: st, arrived: make(chan mqtt.Message, maxArrived), ended: make(chan error, 1),
		brings: meter{every: bringEvery}, fetches: meter{every: fetchEvery}}
	s.client = mqtt.NewClient(s.options(l))

	var work sync.WaitGroup
	worker := func(f func(context.Context) error) { work.Go(func() { cancel(f(ctx)) }) }
	defer func() {
		cancel(nil)
		s.client.Disconnect(uint(time.Second.Milliseconds())) // waits for the library's goroutines; they end at once when the line has
		l.Close()
		<-l.Ended()
		work.Wait()
	}()
	if err := s.connect(ctx, l); err != nil {
		return err
	}
	worker(l.Watch)
	if err := s.subscribe(ctx); err != nil {
		return err
	}

	reports := make(chan []byte, maxReports)
	c.listen(reports) // first: once it is online, the door greets
	defer c.listen(nil)
	if err := lost(ctx, c.door.Online(ctx, true, "")); err != nil {
		return err
	}
	c.said = ""
	c.say("headquarters is reached at %q", st.Broker)
	worker(s.deliver)
	worker(s.records)
	worker(func(ctx context.Context) error { return s.speak(ctx, reports) })
	worker(s.look)
	worker(c.accounts)
	select {
	case <-ctx.Done():
	case err := <-s.ended:
		cancel(broken(err, "during a session"))
	}
	err = context.Cause(ctx)
	if why := l.Why(nil); why != nil && why != net.ErrClosed && !errors.As(err, new(doorGone)) {
		err = broken(why, "during a session") // whatever else went wrong did because of it
	}
	return err
}

// listen has reports go to a session, or to none.
func (c *Carrier) listen(to chan []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reports = to
}

// options are the library's. A client lives for one connection: it neither connects again nor keeps anything over it, and has no way to the network but
// the line.
func (s *session) options(l *guard.Line) *mqtt.ClientOptions {
	o := mqtt.NewClientOptions()
	o.Servers = []*url.URL{{Scheme: "tls"}} // it wants one, and is given the line instead
	o.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return l, nil })
	o.SetProtocolVersion(4).SetClientID(s.station.Name).SetCleanSession(true).SetStore(mqtt.NewMemoryStore())
	o.SetAutoReconnect(false).SetConnectRetry(false)
	o.SetKeepAlive(keepAlive).SetPingTimeout(time.Hour) // the line watches better
	o.SetWriteTimeout(time.Second)                      // the line takes a packet at once
	o.SetAutoAckDisabled(true).SetOrderMatters(true)
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { s.arrive(m) })
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { s.ended <- err })
	return o
}

func (s *session) connect(ctx context.Context, l *guard.Line) error {
	token := s.client.Connect().(*mqtt.ConnectToken)
	err := s.within(ctx, token, "to CONNECT")
	if err != nil && finished(token) {
		return rejected(token.ReturnCode(), err, s.station)
	}
	if err != nil {
		l.Close()
		token.Wait() // the library was waiting for the line
	}
	return err
}

func (s *session) subscribe(ctx context.Context) error {
	topic := wire.Down(s.station.Name)
	token := s.client.Subscribe(topic, 1, nil).(*mqtt.SubscribeToken)
	if err := s.within(ctx, token, "to SUBSCRIBE"); err != nil {
		return unproven(err, s.station)
	}
	if granted := token.Result()[topic]; granted != 1 {
		return problem(nil, "the broker does not let this kiosk read its topic (answer %d)", granted)
	}
	return nil
}

// within waits for the broker's answer.
func (s *session) within(ctx context.Context, t mqtt.Token, what string) error {
	late := time.NewTimer(s.carrier.pace.connect)
	defer late.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-late.C:
		return problem(nil, "the broker does not answer %s", what)
	case err := <-s.ended:
		return err
	case <-t.Done():
		return t.Error()
	}
}

// publish hands a message to the library. Nothing is ever retained.
func (s *session) publish(data []byte) mqtt.Token {
	return s.client.Publish(wire.Up(s.station.Name), 1, false, data)
}

// arrive takes a message from the library, whose goroutine must not wait here: behind the message may be a sign of life.
func (s *session) arrive(m mqtt.Message) {
	var why string
	var one Drops
	switch {
	case m.Topic() != wire.Down(s.station.Name):
		why, one.Astray = "it is not for this kiosk", 1
	case m.Retained():
		why, one.Retained = "it was retained: it may be of any time", 1
	case len(m.Payload()) == 0:
		why, one.Empty = "it is empty", 1
	case len(m.Payload()) > wire.MaxMessage:
		why, one.Long = "it is too long", 1
	default:
		select {
		case s.arrived <- m:
			return
		default:
			why, one.Crowded = "too many wait already", 1
		}
	}
	s.carrier.dropped.tell(why, one)
	m.Ack()
}

// deliver brings the door one envelope after the other. It is confirmed to the broker after that, so that the broker keeps no more on the way than the
// door keeps up with. What is lost on the way headquarters sends again, when the kiosk's greeting shows that it is missing.
func (s *session) deliver(ctx context.Context) error {
	for {
		if err := s.brings.wait(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case m := <-s.arrived:
			err := s.carrier.door.Deliver(ctx, m.Payload())
			if gone := lost(ctx, err); gone != nil {
				return gone
			}
			if err != nil {
				s.carrier.dropped.tell(err.Error(), Drops{})
			}
			m.Ack()
		}
	}
}

// speak sends what the door has to say, one report after the other.
func (s *session) speak(ctx context.Context, reports <-chan []byte) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case data := <-reports:
			if len(data) > wire.MaxMessage {
				continue
			}
			if err := (flight{s.publish(data), time.Now()}).wait(ctx, s.carrier.pace); err != nil {
				return err
			}
		}
	}
}

// look ends the session when the door has a newer certificate, other authorities, or another broker.
func (s *session) look(ctx context.Context) error {
	tick := time.NewTicker(s.carrier.pace.restation)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		st, err := s.carrier.door.Station(ctx)
		if gone := lost(ctx, err); gone != nil {
			return gone
		}
		if err == nil && !s.station.same(st) {
			return problem(nil, "headquarters has moved, or one of the certificates is new")
		}
	}
}

// meter holds to a pace.
type meter struct {
	every time.Duration
	last  time.Time
}

func (m *meter) wait(ctx context.Context) error {
	if d := m.every - time.Since(m.last); d > 0 {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(d):
		}
	}
	m.last = time.Now()
	return nil
}
