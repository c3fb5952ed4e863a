//go:build !kiosk

package twin

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/lintel-access/lintel/board"
)

const (
	answerWithin = time.Second // the board answers in microseconds; beyond this it is not working
	edgeBacklog  = 256         // edges that may wait for their reader
)

// Lines drives the simulated board's wiring from the door's process. Its methods may be called from several goroutines.
// Hanging up, by Close or by dying, turns all outputs off.
type Lines struct {
	conn    *net.UnixConn
	edges   chan board.Edge
	answers chan report
	done    chan struct{} // closed when receive has returned

	mu    sync.Mutex // one request at a time
	tag   uint32
	timer *time.Timer
}

// DialLines connects to a board and makes sure that it answers. A board serves one controller: a second one waits until the
// first is gone and gives up after a second.
func DialLines(path string) (*Lines, error) {
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("dial board: %w", err)
	}
	l := &Lines{
		conn: conn, timer: time.NewTimer(answerWithin),
		edges: make(chan board.Edge, edgeBacklog), answers: make(chan report, 1), done: make(chan struct{}),
	}
	go l.receive()
	if _, err := l.Level(board.Relay); err != nil {
		l.Close()
		return nil, fmt.Errorf("dial board %q: silent or in use: %w", path, err)
	}
	return l, nil
}

// Set drives an output and returns when the board did it, on CLOCK_MONOTONIC.
func (l *Lines) Set(line board.Line, on bool) (time.Duration, error) {
	if !output(line) {
		return 0, fmt.Errorf("set %q: not an output", line)
	}
	r, err := l.ask(line, request{kind: kindSet, on: on})
	if err != nil {
		return 0, fmt.Errorf("set %q: %w", line, err)
	}
	return r.stamp, nil
}

// Level reads any line, outputs too.
func (l *Lines) Level(line board.Line) (bool, error) {
	r, err := l.ask(line, request{kind: kindLevel})
	if err != nil {
		return false, fmt.Errorf("read %q: %w", line, err)
	}
	return r.on, nil
}

// Edges delivers every change of an input in order and is closed when the board is gone. Who does not read for 256 changes
// loses the connection rather than a change.
func (l *Lines) Edges() <-chan board.Edge { return l.edges }

// Close hangs up.
func (l *Lines) Close() error {
	err := l.conn.Close()
	<-l.done
	return err
}

func (l *Lines) ask(line board.Line, r request) (report, error) {
	n, ok := lineNumber(line)
	if !ok {
		return report{}, errors.New("the board has no such line")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tag++
	r.line, r.tag = n, l.tag
	var p [requestSize]byte
	r.put(p[:])
	if _, err := l.conn.Write(p[:]); err != nil {
		return report{}, err
	}
	l.timer.Reset(answerWithin)
	defer l.timer.Stop()
	select {
	case a := <-l.answers:
		if a.tag != r.tag || a.line != r.line {
			l.conn.Close() // an answer to something else: nothing this board says can be trusted
			return report{}, errors.New("the board answered another request")
		}
		return a, nil
	case <-l.done:
		return report{}, errors.New("the board is gone")
	case <-l.timer.C:
		l.conn.Close() // a late answer would be taken for that of the next request
		return report{}, errors.New("no answer from the board")
	}
}

// receive sorts reports until the board is gone, breaks the format, or its edges are not read.
func (l *Lines) receive() {
	defer close(l.done)
	defer close(l.edges)
	defer l.conn.Close()
	var p [reportSize + 1]byte
	for {
		n, err := l.conn.Read(p[:])
		if err != nil {
			return
		}
		r, err := parseReport(p[:n])
		if err != nil {
			return
		}
		if r.kind == kindAnswer {
			select {
			case l.answers <- r:
			default:
				return // an answer that nobody asked for
			}
			continue
		}
		select {
		case l.edges <- board.Edge{Line: lines[r.line], On: r.on, Stamp: r.stamp}:
		default:
			return
		}
	}
}
