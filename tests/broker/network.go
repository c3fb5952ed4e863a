package broker

import (
	"net"
	"sync"
	"testing"
	"time"
)

// Network is a TCP proxy: it can cut what passes, swallow it, and slow it down.
type Network struct {
	Addr string

	listener net.Listener
	work     sync.WaitGroup

	mu    sync.Mutex
	to    string
	conns map[net.Conn]bool
	hole  bool
	delay time.Duration
	came  int
}

// NewNetwork puts a network in front of a broker.
func NewNetwork(t testing.TB, to string) *Network {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &Network{Addr: l.Addr().String(), listener: l, to: to, conns: make(map[net.Conn]bool)}
	n.work.Go(n.accept)
	t.Cleanup(func() {
		l.Close()
		n.Cut()
		n.work.Wait()
	})
	return n
}

func (n *Network) accept() {
	for {
		near, err := n.listener.Accept()
		if err != nil {
			return
		}
		n.mu.Lock()
		to := n.to
		n.came++
		n.mu.Unlock()
		far, err := net.Dial("tcp", to)
		if err != nil {
			near.Close()
			continue
		}
		n.mu.Lock()
		n.conns[near], n.conns[far] = true, true
		n.mu.Unlock()
		n.work.Go(func() { n.carry(near, far) })
		n.work.Go(func() { n.carry(far, near) })
	}
}

// carry copies one way. In a hole it reads nothing, so that the sender's kernel goes on to believe in the connection.
func (n *Network) carry(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	b := make([]byte, 4<<10)
	for {
		n.mu.Lock()
		hole, delay, alive := n.hole, n.delay, n.conns[from]
		n.mu.Unlock()
		if !alive {
			return
		}
		if hole {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		// A short deadline, so that a hole that opens meanwhile is seen before the next byte is taken.
		from.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		k, err := from.Read(b)
		if t, ok := err.(net.Error); ok && t.Timeout() {
			err = nil
		}
		time.Sleep(delay)
		if _, werr := to.Write(b[:k]); err != nil || werr != nil {
			return
		}
	}
}

// Cut ends all connections, in mid-word.
func (n *Network) Cut() {
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

// Hole swallows everything from now on, in both directions, or ends that.
func (n *Network) Hole(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hole = on
}

// Slow delays every 4 KiB, in both directions.
func (n *Network) Slow(by time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delay = by
}

// Lead has new connections go to another broker.
func (n *Network) Lead(to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.to = to
}

// Came is how many connections were made.
func (n *Network) Came() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.came
}
