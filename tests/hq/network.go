//go:build !kiosk

package main

import (
	"maps"
	"net"
	"sync"
	"time"
)

// weather is how a network is. The zero one is fair.
type weather struct {
	refuse    bool          // whoever connects is sent away
	mute      bool          // nothing passes, though connections stand and are taken
	deaf      bool          // what kiosks say passes, what they are told does not: a half-open connection
	delay     time.Duration // of each piece, in both directions
	bandwidth int           // bytes a second in each direction; 0: unbounded
}

// network is what lies between one kiosk and its broker. The kiosk knows its address alone.
type network struct {
	addr     string
	listener net.Listener
	work     sync.WaitGroup

	mu    sync.Mutex
	to    []string // as a name with several addresses: the first that answers
	now   weather
	conns map[net.Conn]bool
}

func newNetwork(to ...string) (*network, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &network{addr: l.Addr().String(), listener: l, to: to, conns: map[net.Conn]bool{}}
	n.work.Go(n.accept)
	return n, nil
}

func (n *network) close() {
	n.listener.Close()
	n.reset()
	n.work.Wait()
}

func (n *network) accept() {
	for {
		near, err := n.listener.Accept()
		if err != nil {
			return
		}
		n.mu.Lock()
		to, refuse := n.to, n.now.refuse
		n.mu.Unlock()
		if refuse {
			near.Close()
			continue
		}
		far, err := reach(to)
		if err != nil {
			near.Close()
			continue
		}
		n.mu.Lock()
		n.conns[near], n.conns[far] = true, true
		n.mu.Unlock()
		n.work.Go(func() { n.carry(near, far, true) })
		n.work.Go(func() { n.carry(far, near, false) })
	}
}

func reach(to []string) (c net.Conn, err error) {
	for _, address := range to {
		if c, err = net.Dial("tcp", address); err == nil {
			break
		}
	}
	return c, err
}

// carry copies one way. While nothing may pass it reads nothing, so that the sender's kernel goes on to believe in the connection.
func (n *network) carry(from, to net.Conn, up bool) {
	defer n.forget(from, to)
	b := make([]byte, 4<<10)
	for {
		n.mu.Lock()
		w, alive := n.now, n.conns[from]
		n.mu.Unlock()
		if !alive {
			return
		}
		if w.mute || w.deaf && !up {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		// A short deadline, so that weather that turns is seen before the next byte is taken.
		from.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		k, err := from.Read(b)
		if t, ok := err.(net.Error); ok && t.Timeout() {
			err = nil
		}
		if k > 0 {
			for { // weather that turned meanwhile holds what was just taken
				n.mu.Lock()
				w, alive = n.now, n.conns[from]
				n.mu.Unlock()
				if !alive {
					return
				}
				if !w.mute && !(w.deaf && !up) {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(w.delay)
			if w.bandwidth > 0 {
				time.Sleep(time.Duration(k) * time.Second / time.Duration(w.bandwidth))
			}
			if _, werr := to.Write(b[:k]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (n *network) forget(conns ...net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(n.conns, c)
	}
}

// standing are the connections that there are now.
func (n *network) standing() map[net.Conn]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.conns)
}

// be turns the weather.
func (n *network) be(w weather) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = w
}

// reset ends all connections with RST, in mid-word.
func (n *network) reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		c.Close()
	}
	clear(n.conns)
}

// lead has new connections go to another broker, and ends those that there are.
func (n *network) lead(to ...string) {
	n.mu.Lock()
	n.to = to
	n.mu.Unlock()
	n.reset()
}
