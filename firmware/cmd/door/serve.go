package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// server speaks to the other programs. One client of each role is served at a time: a second eye would be somebody else.
type server struct {
	door *kiosk
	log  func(format string, args ...any)

	mu     sync.Mutex
	closed bool
	peers  map[ipc.Role]*ipc.Conn
	held   []*ipc.Listener
	work   sync.WaitGroup
}

// listen opens the sockets. The desk's is opened on a lab board alone.
func (s *server) listen(run string, uids map[ipc.Role]int) error {
	s.peers = make(map[ipc.Role]*ipc.Conn)
	for _, role := range []ipc.Role{ipc.Eye, ipc.Link, ipc.Desk} {
		uid, wanted := uids[role]
		if !wanted {
			continue
		}
		l, err := ipc.Listen(run+"/"+role.Socket(), role, uid)
		if err != nil {
			return errors.Join(err, s.close())
		}
		s.held = append(s.held, l)
	}
	return nil
}

func (s *server) close() error {
	var errs []error
	for _, l := range s.held {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// serve takes clients until ctx ends.
func (s *server) serve(ctx context.Context) error {
	failed := make(chan error, len(s.held))
	for _, l := range s.held {
		s.work.Go(func() { failed <- s.accept(ctx, l) })
	}
	var err error
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case err = <-failed:
	}
	s.mu.Lock()
	s.closed = true
	for _, c := range s.peers {
		c.Close()
	}
	s.mu.Unlock()
	err = errors.Join(err, s.close())
	s.work.Wait()
	return err
}

func (s *server) accept(ctx context.Context, l *ipc.Listener) error {
	for {
		conn, err := l.Accept(ctx)
		if refused := new(ipc.Violation); errors.As(err, &refused) {
			s.door.noteComing(&s.door.strangers, access.EventStrangerRefused)
			continue
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			conn.Close()
			return context.Canceled
		}
		if old := s.peers[conn.Role()]; old != nil {
			// The supervisor starts a program only after the one before it has ended, so the newer one is the living one.
			old.Close()
		}
		s.peers[conn.Role()] = conn
		s.mu.Unlock()
		s.work.Go(func() {
			defer conn.Close()
			var err error
			switch conn.Role() {
			case ipc.Eye:
				err = s.eye(ctx, conn)
			case ipc.Link:
				err = s.link(ctx, conn)
			case ipc.Desk:
				err = s.desk(ctx, conn)
			}
			s.mu.Lock()
			if s.peers[conn.Role()] == conn {
				delete(s.peers, conn.Role())
			}
			s.mu.Unlock()
			s.log("%v is gone: %v", conn.Role(), err)
		})
	}
}

// newest tells whether no other connection of its role has come after this one.
func (s *server) newest(conn *ipc.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.peers[conn.Role()]
	return now == nil || now == conn
}

// eyeConn is eye as the walk-up sees it.
type eyeConn struct{ *ipc.Conn }

func (e eyeConn) Observe(o ipc.Observe) error   { return e.Send(ipc.KindObserve, 0, o) }
func (e eyeConn) Conclude(c ipc.Conclude) error { return e.Send(ipc.KindConclude, 0, c) }
func (e eyeConn) Abort(a ipc.Abort) error       { return e.Send(ipc.KindAbort, 0, a) }
func (e eyeConn) Gauge(g ipc.Gauge) error       { return e.Send(ipc.KindGauge, 0, g) }
func (e eyeConn) Timing(t ipc.Timing) error     { return e.Send(ipc.KindTiming, 0, t) }
func (e eyeConn) Seal(s ipc.Seal) error         { return e.Send(ipc.KindSeal, 0, s) }

// silence is how long eye may say nothing before it counts as hung: it speaks at least once a second.
const silence = 3 * time.Second

// eye serves the connection of eye: first Hello, then sightings and evidence.
func (s *server) eye(ctx context.Context, conn *ipc.Conn) error {
	first, cancel := context.WithTimeout(ctx, silence)
	m, err := conn.Recv(first)
	cancel()
	if err != nil {
		return err
	}
	var hello ipc.Hello
	if m.Kind != ipc.KindHello {
		return fmt.Errorf("%v before hello", m.Kind)
	}
	if err := ipc.Decode(m, &hello); err != nil {
		return err
	}
	if hello.Blind != ipc.Sees {
		s.door.test.blind(hello.Blind)
		return fmt.Errorf("it is blind, the camera: %v", hello.Blind)
	}
	if hello.Camera.Interval < 5*time.Millisecond || hello.Camera.Interval > 5*time.Second {
		return fmt.Errorf("a camera with a frame every %v is not usable", hello.Camera.Interval)
	}
	if err := s.door.admits(hello.Camera); err != nil {
		s.door.test.exchanged(err)
		return err
	}
	eye := eyeConn{conn}
	if s.door.closed == "" { // otherwise nobody can be recognised, and eye is heard for nothing but its life
		s.door.walkup.EyeUp(ctx, eye, hello, hello.Camera.Identity())
	}
	s.door.noteComing(&s.door.eyes, access.EventEyeBack)
	s.door.test.eyeUp(hello)
	s.door.evidence.eyeUp(conn, eye.Seal)
	defer func() {
		s.door.evidence.eyeDown(conn)
		s.door.walkup.EyeDown(ctx, eye)
		if s.newest(conn) {
			s.door.test.eyeDown()
		}
		s.door.noteComing(&s.door.eyes, access.EventEyeLost)
	}()
	for {
		wait, cancel := context.WithTimeout(ctx, silence)
		m, err := conn.Recv(wait)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return fmt.Errorf("said nothing for %v", silence)
		}
		if err != nil {
			return err
		}
		switch m.Kind {
		case ipc.KindApproach:
			var a ipc.Approach
			if err := ipc.Decode(m, &a); err != nil {
				return err
			}
			s.door.walkup.Saw(ctx, eye, a)
		case ipc.KindPresentation:
			p := new(access.Presentation)
			err := ipc.Decode(m, p)
			clear(m.Body) // it holds a probe
			if err != nil {
				return err
			}
			s.door.walkup.Presented(ctx, eye, p)
		case ipc.KindGauged:
			var g ipc.Gauged
			if err := ipc.Decode(m, &g); err != nil {
				return err
			}
			s.door.walkup.Gauged(ctx, eye, g.Frames)
		case ipc.KindSealed:
			var part ipc.Sealed
			if err := ipc.Decode(m, &part); err != nil {
				return err
			}
			s.door.evidence.took(part)
		case ipc.KindPulse:
		default:
			return fmt.Errorf("%v has no place here", m.Kind)
		}
	}
}

// link serves the connection of link: how far the outbox is, where headquarters is, and what comes and goes there.
func (s *server) link(ctx context.Context, conn *ipc.Conn) error {
	s.door.linked.Store(true)
	s.door.test.link(true)
	s.door.noteComing(&s.door.links, access.EventLinkBack)
	defer s.door.hq.attach(conn)()
	defer func() {
		if s.newest(conn) {
			s.door.linked.Store(false)
			s.door.test.link(false)
		}
		s.door.noteComing(&s.door.links, access.EventLinkLost)
	}()
	for {
		m, err := conn.Recv(ctx)
		if err != nil {
			return err
		}
		switch m.Kind {
		case ipc.KindOutboxHead:
			err = conn.Send(ipc.KindOutbox, m.ID, s.door.outbox())
		case ipc.KindPulse:
			err = conn.Send(ipc.KindOK, m.ID, nil)
		case ipc.KindSignTLS:
			err = s.signTLS(conn, m)
		case ipc.KindStation:
			err = conn.Send(ipc.KindStationed, m.ID, s.door.hq.station())
		case ipc.KindOnline, ipc.KindEnvelope, ipc.KindDropped, ipc.KindFetch:
			err = s.carry(ctx, conn, m)
		default:
			err = conn.Refuse(m.ID, "not understood") // link must not wait
		}
		if err != nil {
			return err
		}
	}
}

// carry answers what link brings from headquarters, and what it fetches for it.
func (s *server) carry(ctx context.Context, conn *ipc.Conn, m ipc.Message) error {
	kind, body, err := ipc.KindOK, any(nil), error(nil)
	switch m.Kind {
	case ipc.KindOnline:
		var o ipc.Online
		if err = ipc.Decode(m, &o); err == nil {
			s.door.hq.reach(o)
		}
	case ipc.KindEnvelope:
		var e ipc.Envelope
		if err = ipc.Decode(m, &e); err == nil {
			if err = s.door.hq.take(ctx, e.Data); err != nil {
				err = errors.New(phrase(err)) // link carries strangers' words, and is told none of them
			}
		}
	case ipc.KindDropped:
		var d ipc.Dropped
		if err = ipc.Decode(m, &d); err == nil {
			s.door.hq.dropped(d)
		}
	case ipc.KindFetch:
		var f ipc.Fetch
		if err = ipc.Decode(m, &f); err == nil {
			kind = ipc.KindFetched
			body, err = s.door.hq.fetch(f.From)
		}
	}
	if err != nil {
		return conn.Refuse(m.ID, clip(err.Error(), maxSentence))
	}
	return conn.Send(kind, m.ID, body)
}

// signTLS signs link's part of a TLS handshake, and nothing else.
func (s *server) signTLS(conn *ipc.Conn, m ipc.Message) error {
	var req ipc.SignTLS
	err := ipc.Decode(m, &req)
	if err == nil && s.door.root == nil {
		err = errors.New("there is no TPM")
	}
	if err == nil {
		var signature []byte
		if signature, err = s.door.root.SignTLS(req.Message); err == nil {
			return conn.Send(ipc.KindSignature, m.ID, ipc.Signature{Signature: signature})
		}
	}
	return conn.Refuse(m.ID, err.Error())
}

// statusEvery is the longest time between two statuses; statusSoonest the shortest.
const (
	statusEvery   = 500 * time.Millisecond
	statusSoonest = 40 * time.Millisecond
)

// desk serves the bench operator of a lab board.
func (s *server) desk(ctx context.Context, conn *ipc.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var calls sync.WaitGroup
	defer calls.Wait()
	defer cancel()
	calls.Go(func() {
		defer cancel()
		soonest, latest := time.NewTimer(statusSoonest), time.NewTimer(statusEvery)
		defer soonest.Stop()
		defer latest.Stop()
		for ctx.Err() == nil {
			changed := s.door.watch()
			if conn.Send(ipc.KindStatus, 0, s.door.status()) != nil {
				return
			}
			soonest.Reset(statusSoonest)
			latest.Reset(statusEvery)
			select {
			case <-ctx.Done():
			case <-soonest.C:
			}
			select {
			case <-ctx.Done():
			case <-changed:
			case <-latest.C:
			}
		}
	})
	var busy atomic.Int32
	for {
		m, err := conn.Recv(ctx)
		if err != nil {
			return err
		}
		if busy.Load() >= 4 {
			if err := conn.Refuse(m.ID, "too many requests at once"); err != nil {
				return err
			}
			continue
		}
		busy.Add(1)
		calls.Go(func() {
			defer busy.Add(-1)
			s.answer(ctx, conn, m)
		})
	}
}

// answer carries out one request of the bench and says how it went.
func (s *server) answer(ctx context.Context, conn *ipc.Conn, m ipc.Message) {
	kind, body, err := ipc.KindOK, any(nil), error(nil)
	switch m.Kind {
	case ipc.KindEnrol:
		var req ipc.Enrol
		if err = ipc.Decode(m, &req); err == nil && s.door.closed != "" {
			err = errors.New(closedBecause + s.door.closed)
		} else if err == nil {
			kind = ipc.KindEnrolled
			body, err = s.door.walkup.Enrol(ctx, req)
		}
	case ipc.KindRevoke:
		var req ipc.Revoke
		if err = ipc.Decode(m, &req); err == nil {
			err = s.door.revoke(req.Person)
		}
	case ipc.KindSuspend:
		var req ipc.Suspend
		if err = ipc.Decode(m, &req); err == nil {
			err = s.door.suspend(req.Person)
		}
	case ipc.KindResume:
		var req ipc.Resume
		if err = ipc.Decode(m, &req); err == nil {
			err = s.door.resume(req.Person)
		}
	case ipc.KindDelete:
		var req ipc.Delete
		if err = ipc.Decode(m, &req); err == nil {
			kind = ipc.KindDeleted
			body, err = s.door.delete(req.Person)
		}
	case ipc.KindConfirm:
		var req ipc.Confirm
		if err = ipc.Decode(m, &req); err == nil {
			err = s.door.walkup.Confirm(ctx, req.Session, req.Person, "")
		}
	case ipc.KindReview:
		var req ipc.Review
		if err = ipc.Decode(m, &req); err == nil {
			err = s.door.review(req.Order)
		}
	case ipc.KindRekey:
		err = s.door.rekey()
	case ipc.KindLockdown:
		var req ipc.Lockdown
		if err = ipc.Decode(m, &req); err == nil {
			err = s.door.lockdown(ctx, req.On)
		}
	case ipc.KindPulse:
	}
	if err != nil {
		err = conn.Refuse(m.ID, err.Error())
	} else {
		err = conn.Send(kind, m.ID, body)
	}
	if err != nil && ctx.Err() == nil {
		s.log("answer %v: %v", m.Kind, err)
	}
}

// user is the uid of a program; 0 in a board file means that of the supervisor, which is ours.
func user(uid int) int {
	if uid == 0 {
		return os.Geteuid()
	}
	return uid
}
