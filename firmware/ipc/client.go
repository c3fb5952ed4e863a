package ipc

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// maxCalls bounds the calls that wait at once on one connection.
const maxCalls = 16

// ErrRefused is wrapped by the error of a call that door answered with a Failure.
var ErrRefused = errors.New("refused by door")

// Client calls door and takes what door pushes, on one connection.
type Client struct {
	conn *Conn
	push func(Message)

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan Message
	ended   error // why Run returned
	done    chan struct{}
}

// NewClient makes a client of conn. push takes every message that answers no call, from Run's goroutine; it must return soon.
func NewClient(conn *Conn, push func(Message)) *Client {
	return &Client{conn: conn, push: push, waiting: make(map[uint64]chan Message), done: make(chan struct{})}
}

// Run receives until ctx or the connection ends, closes the connection and returns why. It must run, once, for Call to return.
func (c *Client) Run(ctx context.Context) error {
	defer c.conn.Close()
	defer close(c.done)
	for {
		m, err := c.conn.Recv(ctx)
		if err != nil {
			c.mu.Lock()
			c.ended = err
			c.mu.Unlock()
			return err
		}
		if answer := c.forget(m.ID); answer != nil {
			answer <- m
		} else if m.ID == 0 {
			c.push(m)
		}
	}
}

// Send writes a message that nobody answers.
func (c *Client) Send(kind Kind, body any) error { return c.conn.Send(kind, 0, body) }

// Call sends a request and decodes its answer into resp; a nil resp wants an answer that says nothing. A Failure is an error that
// wraps ErrRefused.
func (c *Client) Call(ctx context.Context, kind Kind, req, resp any) error {
	answer, id, err := c.remember()
	if err != nil {
		return fmt.Errorf("call %v: %w", kind, err)
	}
	defer c.forget(id)
	if err := c.conn.Send(kind, id, req); err != nil {
		return err
	}
	select {
	case m := <-answer:
		return conclude(m, kind, resp)
	case <-c.done:
		c.mu.Lock()
		defer c.mu.Unlock()
		return fmt.Errorf("call %v: connection ended: %w", kind, c.ended)
	case <-ctx.Done():
		return fmt.Errorf("call %v: %w", kind, ctx.Err())
	}
}

func conclude(m Message, asked Kind, resp any) error {
	if m.Kind == KindError {
		var f Failure
		if err := Decode(m, &f); err != nil {
			return fmt.Errorf("call %v: %w", asked, err)
		}
		return fmt.Errorf("call %v: %w: %q", asked, ErrRefused, f.Message)
	}
	if m.Kind != asked.answer() {
		return fmt.Errorf("call %v: answered by %v", asked, m.Kind)
	}
	return Decode(m, resp)
}

func (c *Client) remember() (chan Message, uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) >= maxCalls {
		return nil, 0, fmt.Errorf("%d calls are waiting already", maxCalls)
	}
	c.last++
	answer := make(chan Message, 1)
	c.waiting[c.last] = answer
	return answer, c.last, nil
}

// forget takes a call off the list and returns its channel, nil when no such call waits.
func (c *Client) forget(id uint64) chan Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer := c.waiting[id]
	delete(c.waiting, id)
	return answer
}
