//go:build !kiosk

package cable

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	header = 5                // bytes before each TLS record: its type, a version, its length (RFC 8446, 5.1)
	most   = 1<<14 + 256      // bytes of a record, by the same
	small  = 64               // bytes: MQTT's signs of life and confirmations are shorter, whatever says something is longer
	within = 10 * time.Second // to reach the far end, which is on this machine
)

// Cable carries connections from where it listens to one address.
type Cable struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	cut   bool
	since time.Time // when it was cut or joined last
	slow  [2]time.Duration
	open  map[net.Conn]bool
}

// Lay listens at a loopback address, port 0 for any, and will connect to another.
func Lay(at, to string) (*Cable, error) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return nil, err
	}
	return &Cable{listener: l, to: to, since: time.Now(), open: map[net.Conn]bool{}}, nil
}

// Address is where it listens.
func (c *Cable) Address() string { return c.listener.Addr().String() }

// Run carries until ctx ends.
func (c *Cable) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	var carried sync.WaitGroup
	defer carried.Wait()
	defer stop()
	defer context.AfterFunc(ctx, func() { c.listener.Close(); c.drop() })()
	for {
		near, err := c.listener.Accept()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			select { // such as no descriptors left: others may give some back
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		carried.Go(func() { c.carry(ctx, near) })
	}
}

// Cut ends what is connected, and lets nothing connect until Join.
func (c *Cable) Cut() { c.set(true); c.drop() }

// Join ends Cut.
func (c *Cable) Join() { c.set(false) }

func (c *Cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut != cut {
		c.cut, c.since = cut, time.Now()
	}
}

// Whole reports whether the cable is whole, and since when it is so or not.
func (c *Cable) Whole() (whole bool, since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.cut, c.since
}

// Hold keeps back, once, the next record that the kiosk sends and that says something, for up; and after it the next such that comes down, for down.
// What is sent behind a record waits with it.
func (c *Cable) Hold(up, down time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow = [2]time.Duration{up, down}
}

func (c *Cable) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		conn.Close()
	}
}

// keep remembers a connection to be dropped; false when nothing may connect.
func (c *Cable) keep(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.cut {
		c.open[conn] = true
	}
	return !c.cut
}

func (c *Cable) forget(conn net.Conn) {
	conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

// carry brings one connection to the far end, and back, until either end, or the cable, gives it up.
func (c *Cable) carry(ctx context.Context, near net.Conn) {
	defer c.forget(near)
	if !c.keep(near) {
		return
	}
	dialer := net.Dialer{Timeout: within}
	far, err := dialer.DialContext(ctx, "tcp", c.to)
	if err != nil {
		return // nobody answers there: neither does anybody here
	}
	defer c.forget(far)
	if !c.keep(far) {
		return
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 2)
	go func() { ended <- c.pass(ctx, far, near, 0) }()
	go func() { ended <- c.pass(ctx, near, far, 1) }()
	<-ended
	stop()
	near.Close()
	far.Close()
	<-ended
}

// pass carries records one way: 0 is up, 1 down.
func (c *Cable) pass(ctx context.Context, to io.Writer, from io.Reader, way int) error {
	in := bufio.NewReader(from)
	record := make([]byte, header+most)
	for {
		if _, err := io.ReadFull(in, record[:header]); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint16(record[header-2:]))
		if n > most {
			return fmt.Errorf("carry record: %d bytes, which no record of TLS has", n)
		}
		if _, err := io.ReadFull(in, record[header:header+n]); err != nil {
			return err
		}
		if n > small {
			if err := c.wait(ctx, way); err != nil {
				return err
			}
		}
		if _, err := to.Write(record[:header+n]); err != nil {
			return err
		}
	}
}

// wait takes the time for which a record is to be held.
func (c *Cable) wait(ctx context.Context, way int) error {
	c.mu.Lock()
	d := c.slow[way]
	if d == 0 || way == 1 && c.slow[0] != 0 { // down waits for up
		c.mu.Unlock()
		return nil
	}
	c.slow[way] = 0
	c.mu.Unlock()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
