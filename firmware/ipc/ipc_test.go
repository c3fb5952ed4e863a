package ipc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/sync/wire"
)

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func serve(t *testing.T, role Role, wantUID int) (*Listener, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", role.Socket())
	l, err := Listen(path, role, wantUID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, path
}

// pair connects a client of role to door; both are closed with the test.
func pair(t *testing.T, role Role) (client, door *Conn) {
	t.Helper()
	l, path := serve(t, role, os.Getuid())
	client, err := Dial(within(t), path, role, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	door, err = l.Accept(within(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); door.Close() })
	return client, door
}

func unitProbe() []float32 {
	p := make([]float32, access.ProbeSize)
	for i := range p {
		p[i] = 0.044194173 // 1/sqrt(512): needs all 32 bits
	}
	return p
}

// fullPresentation is the largest that eye may send.
func fullPresentation() access.Presentation {
	p := access.Presentation{
		Session: access.SessionID{Boot: 1<<64 - 1, Number: 1<<64 - 1}, Probe: unitProbe(), ProbeFrom: access.MaxFrames,
		Liveness: 0.123456, Hint: access.HintSeveral,
	}
	for range access.MaxFrames {
		p.Frames = append(p.Frames, access.FrameEvidence{
			Seq: 1<<64 - 1, Stamp: 1<<63 - 1, Exposure: 1<<63 - 1, Chain: [32]byte{31: 1}, Track: 1<<32 - 1,
			Box: access.Box{X0: -0.1, Y0: -0.1, X1: 0.1, Y1: 0.1}, Level: [access.Patches]float32{0.1, 0.1, 0.1, 0.1, 0.1},
			Ring: 0.1, Texture: 0.1, Quality: 0.1, Hint: access.HintSeveral, Faces: 255,
		})
	}
	return p
}

func repeated(s string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = s
	}
	return list
}

// largest is the largest valid message of every kind, so that the table's sizes are neither too small nor careless.
func largest() map[Kind]any {
	const most, moment = 1<<64 - 1, time.Duration(1<<63 - 1)
	name, sentence := strings.Repeat("n", maxName), strings.Repeat("s", maxSentence)
	session := access.SessionID{Boot: most, Number: most}
	sighting := Approach{moment, moment, 1<<32 - 1, access.Box{X1: 0.1, Y1: 0.1, X0: -0.1, Y0: -0.1}, access.HintSeveral, 255, 0.1, moment, moment}
	status := Status{
		Stamp: moment, Door: 255, Walkup: 255, Indication: access.Indication{Text: strings.Repeat("t", access.MaxText)}, Sighting: sighting,
		Degraded: repeated(sentence, maxDegraded), People: 1<<32 - 1, Records: most,
	}
	for range maxOutcomes {
		status.Decisions = append(status.Decisions, Outcome{Session: session, Verdict: 255, Reason: 1<<16 - 1, First: moment, Decided: moment, Released: moment})
	}
	return map[Kind]any{
		KindError: Failure{sentence}, KindOK: nil, KindPulse: nil, KindOutboxHead: nil,
		KindHello: Hello{
			Camera: frames.Camera{Driver: name, Card: name, Bus: name, Format: name, Interval: moment},
			Name:   name, Degraded: repeated(sentence, maxDropped), Provider: name,
		},
		KindApproach: sighting, KindPresentation: fullPresentation(), KindObserve: Observe{session, [16]byte{}, 1<<32 - 1, moment},
		KindConclude: Conclude{session, moment}, KindAbort: Abort{session}, KindOutbox: Outbox{most, most},
		KindEnrol: Enrol{access.PersonID{1}, maxEnrol}, KindEnrolled: Enrolled{access.PersonID{1}, 1<<32 - 1, 1<<16 - 1},
		KindRevoke: Revoke{access.PersonID{1}}, KindLockdown: Lockdown{true}, KindStatus: status,
	}
}

// decoded is a place to decode each kind into.
func decoded(k Kind) any {
	switch k {
	case KindError:
		return new(Failure)
	case KindHello:
		return new(Hello)
	case KindApproach:
		return new(Approach)
	case KindPresentation:
		return new(access.Presentation)
	case KindObserve:
		return new(Observe)
	case KindConclude:
		return new(Conclude)
	case KindAbort:
		return new(Abort)
	case KindOutbox:
		return new(Outbox)
	case KindEnrol:
		return new(Enrol)
	case KindEnrolled:
		return new(Enrolled)
	case KindRevoke:
		return new(Revoke)
	case KindLockdown:
		return new(Lockdown)
	case KindStatus:
		return new(Status)
	}
	return nil
}

// Every role, every direction, every kind: what the table names passes at its largest, all else is refused at both ends.
//
// Control: C16
// Control: C17
func TestTableIsTheWholeTruth(t *testing.T) {
	bodies := largest()
	for _, role := range []Role{0, Eye, Link, Desk, 4} {
		for _, way := range []direction{toDoor, fromDoor} {
			sender, receiver := &Conn{role: role, in: toDoor + fromDoor - way}, &Conn{role: role, in: way}
			for k := range Kind(80) {
				r, allowed := lookup(role, way, k)
				packet, err := sender.pack(k, 7, bodies[k])
				if (err == nil) != allowed {
					t.Errorf("%v way %d %v: allowed %v, pack: %v", role, way, k, allowed, err)
				}
				if !allowed {
					packet, err = wire.Marshal(envelope{Version: version, Kind: k, ID: 7, Body: wire.Raw{0xa0}})
					if err != nil {
						t.Fatal(err)
					}
				}
				m, err := receiver.admit(packet, 0, time.Time{})
				if (err == nil) != allowed {
					t.Errorf("%v way %d %v: allowed %v, admit: %v", role, way, k, allowed, err)
				}
				if !allowed {
					continue
				}
				if r.why == "" {
					t.Errorf("%v %v has no reason", role, k)
				}
				if n := len(m.Body); n > r.max || n*3 < r.max {
					t.Errorf("%v %v: the largest has %d bytes, the cap is %d", role, k, n, r.max)
				}
				if err := Decode(m, decoded(k)); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// Control: C15
// Control: I8
func TestSocketModesAndPeers(t *testing.T) {
	l, path := serve(t, Desk, os.Getuid())
	for name, want := range map[string]os.FileMode{path: os.ModeSocket | 0o600, filepath.Dir(path): os.ModeDir | 0o700} {
		info, err := os.Lstat(name)
		if err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, want %v (%v)", name, info.Mode(), want, err)
		}
	}
	client, err := Dial(within(t), path, Desk, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	door, err := l.Accept(within(t))
	if err != nil {
		t.Fatal(err)
	}
	defer door.Close()
	if p := door.Peer(); p.PID != os.Getpid() || p.UID != os.Getuid() || p != client.Peer() {
		t.Errorf("peer of door %+v, of client %+v", door.Peer(), client.Peer())
	}
}

// Control: C15
func TestWrongUser(t *testing.T) {
	l, path := serve(t, Eye, os.Getuid()+1)
	var v *Violation
	if _, err := Dial(within(t), path, Eye, os.Getuid()+1); !errors.As(err, &v) {
		t.Errorf("client took a stranger for door: %v", err)
	}
	if _, err := l.Accept(within(t)); !errors.As(err, &v) {
		t.Errorf("door took a stranger for eye: %v", err)
	}
	client, err := Dial(within(t), path, Eye, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := l.Accept(within(t)); !errors.As(err, &v) {
		t.Errorf("door took a stranger for eye: %v", err)
	}
	if _, err := client.Recv(within(t)); err != io.EOF {
		t.Errorf("refused client still connected: %v", err)
	}
}

func TestListenRefuses(t *testing.T) {
	_, alive := serve(t, Eye, os.Getuid())
	if _, err := Listen(alive, Eye, os.Getuid()); !errors.Is(err, ErrInUse) {
		t.Errorf("second instance: %v", err)
	}
	file := filepath.Join(filepath.Dir(alive), "file")
	if err := os.WriteFile(file, []byte("keep me"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file, Eye, os.Getuid()); err == nil {
		t.Error("replaced a file")
	}
	if b, _ := os.ReadFile(file); string(b) != "keep me" {
		t.Error("the file is gone")
	}
	if _, err := Listen(filepath.Join(t.TempDir(), strings.Repeat("x", maxPath)), Eye, os.Getuid()); err == nil {
		t.Error("path too long for a socket")
	}
	open := t.TempDir()
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(filepath.Join(open, "s"), Eye, os.Getuid()); err == nil {
		t.Error("folder that others may enter")
	}
	link := filepath.Join(filepath.Dir(alive), "..", "link")
	if err := os.Symlink(filepath.Dir(alive), link); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(filepath.Join(link, "s"), Eye, os.Getuid()); err == nil {
		t.Error("folder that is a symbolic link")
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "eye.sock")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	dead, err := net.ListenUnix(network, &net.UnixAddr{Name: path, Net: network})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false) // as a killed process leaves it
	dead.Close()
	l, err := Listen(path, Eye, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := Dial(within(t), path, Eye, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestPresentationCrosses(t *testing.T) {
	eye, door := pair(t, Eye)
	sent := fullPresentation()
	if err := eye.Send(KindPresentation, 0, &sent); err != nil {
		t.Fatal(err)
	}
	m, err := door.Recv(within(t))
	if err != nil {
		t.Fatal(err)
	}
	var got access.Presentation
	if err := Decode(m, &got); err != nil {
		t.Fatal(err)
	}
	a, _ := wire.Marshal(sent)
	b, _ := wire.Marshal(got)
	if !bytes.Equal(a, b) || len(a) < 10_000 {
		t.Fatalf("%d bytes sent, %d came", len(a), len(b))
	}
}

// What a hostile client may write into the socket: each ends its connection, and none is decoded.
//
// Control: C17
func TestHostilePackets(t *testing.T) {
	good := func(e envelope) []byte {
		b, err := wire.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	empty := wire.Raw{0xa0}
	tests := []struct {
		name, want string
		packet     []byte
		oob        []byte
	}{
		{"zero length", "EOF", nil, nil},
		{"garbage", "decode", []byte("GET / HTTP/1.1"), nil},
		{"two messages", "decode", append(good(envelope{Version: 1, Kind: KindPulse, Body: empty}), 0), nil},
		{"not canonical", "deterministic", []byte{0x84, 0x01, 0x19, 0x00, byte(KindPulse), 0x00, 0xa0}, nil},
		{"too few fields", "decode", []byte{0x83, 0x01, 0x18, byte(KindPulse), 0x00}, nil},
		{"version", "version 2", good(envelope{Version: 2, Kind: KindPulse, Body: empty}), nil},
		{"unknown kind", "no rule", good(envelope{Version: 1, Kind: 9999, Body: empty}), nil},
		{"another role's kind", "no rule", good(envelope{Version: 1, Kind: KindEnrol, Body: empty}), nil},
		{"door's own kind", "no rule", good(envelope{Version: 1, Kind: KindObserve, Body: empty}), nil},
		{"body over its cap", "at most", good(envelope{Version: 1, Kind: KindPulse, Body: wire.Raw{0xa1, 0, 0}}), nil},
		{"packet over the cap", "longer than", make([]byte, MaxPacket+1), nil},
		{"far over the cap", "longer than", make([]byte, 3*MaxPacket), nil},
		{"file descriptor", "file descriptors", good(envelope{Version: 1, Kind: KindPulse, Body: empty}), unix.UnixRights(int(os.Stdin.Fd()))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, door := pair(t, Eye)
			if _, _, err := client.sock.WriteMsgUnix(tt.packet, tt.oob, nil); err != nil {
				t.Fatal(err)
			}
			_, err := door.Recv(within(t))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			var v *Violation
			if tt.want != "EOF" && !errors.As(err, &v) {
				t.Fatalf("%v is no Violation", err)
			}
			if tt.want != "EOF" {
				if _, err := client.Recv(within(t)); err != io.EOF {
					t.Fatalf("connection lives on: %v", err)
				}
			}
		})
	}
}

func TestPace(t *testing.T) {
	client, door := pair(t, Desk)
	_, burst := Desk.pace()
	var v *Violation
	n := 0
	for {
		if err := client.Send(KindPulse, 0, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := door.Recv(within(t)); err != nil {
			if !errors.As(err, &v) {
				t.Fatal(err)
			}
			break
		}
		if n++; n > 10*int(burst) {
			t.Fatal("no pace kept")
		}
	}
	if n < int(burst) {
		t.Fatalf("closed after %d packets, the burst is %v", n, burst)
	}

	start := time.Unix(0, 0)
	b := newBucket(10, 2, start)
	for i, step := range []struct {
		at   time.Duration
		want bool
	}{
		{0, true},
		{0, true},
		{0, false},
		{50 * time.Millisecond, false},
		{100 * time.Millisecond, true},
		{99 * time.Millisecond, false}, // a clock that steps back gives nothing
		{time.Hour, true},
		{time.Hour, true},
		{time.Hour, false},
	} {
		if got := b.take(start.Add(step.at)); got != step.want {
			t.Errorf("step %d: got %v", i, got)
		}
	}
	if rate, burst := Role(9).pace(); newBucket(rate, burst, start).take(start) {
		t.Error("a role without a pace passes packets")
	}
}

// A peer that stops reading holds door for no more than sendWithin, once.
func TestPeerThatDoesNotRead(t *testing.T) {
	eye, door := pair(t, Eye)
	start := time.Now()
	var err error
	for err == nil && time.Since(start) < 5*time.Second {
		err = door.Send(KindOK, 0, nil)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if err := door.Send(KindOK, 0, nil); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("second send: %v", err)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Fatalf("held for %v", d)
	}
	eye.Close()
}

func TestContextEndsReceiving(t *testing.T) {
	client, door := pair(t, Link)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := door.Recv(ctx); err != context.DeadlineExceeded {
		t.Fatalf("got %v", err)
	}
	if _, err := door.Recv(ctx); err != context.DeadlineExceeded {
		t.Fatalf("ended before: %v", err)
	}
	if err := client.Send(KindPulse, 3, nil); err != nil {
		t.Fatal(err)
	}
	if m, err := door.Recv(within(t)); err != nil || m.Kind != KindPulse || m.ID != 3 {
		t.Fatalf("the connection did not live on: %+v, %v", m, err)
	}
	client.Close()
	if _, err := door.Recv(within(t)); err != io.EOF {
		t.Fatalf("peer gone: %v", err)
	}
	if err := door.Send(KindOK, 0, nil); err == nil {
		t.Fatal("sent to nobody")
	}

	l, _ := serve(t, Link, os.Getuid())
	ctx, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := l.Accept(ctx); err != context.DeadlineExceeded {
		t.Fatalf("accept: %v", err)
	}
}

func TestCall(t *testing.T) {
	conn, door := pair(t, Desk)
	pushed := make(chan Message, 1)
	client := NewClient(conn, func(m Message) { pushed <- m })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	served := make(chan error, 1)
	go func() { served <- bench(ctx, door) }()

	who := access.PersonID{1}
	var got Enrolled
	if err := client.Call(within(t), KindEnrol, Enrol{who, time.Second}, &got); err != nil || got.References != 3 || got.Person != who {
		t.Fatalf("enrol: %+v, %v", got, err)
	}
	if m := <-pushed; m.Kind != KindStatus {
		t.Fatalf("pushed %v", m.Kind)
	}
	if err := client.Call(within(t), KindLockdown, Lockdown{true}, nil); err != nil {
		t.Fatalf("lockdown: %v", err)
	}
	if err := client.Call(within(t), KindRevoke, Revoke{who}, nil); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), `"not enrolled"`) {
		t.Fatalf("revoke: %v", err)
	}
	if err := client.Call(within(t), KindObserve, Observe{}, nil); err == nil {
		t.Fatal("called what the desk may not")
	}
	short, stop := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer stop()
	if err := client.Call(short, KindPulse, nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("unanswered: %v", err)
	}
	door.Close()
	if err := <-ended; err != io.EOF {
		t.Fatalf("run: %v", err)
	}
	if err := client.Call(within(t), KindPulse, nil, nil); err == nil {
		t.Fatal("called a closed connection")
	}
	cancel()
	<-served
	if len(client.waiting) != 0 {
		t.Fatalf("%d calls left over", len(client.waiting))
	}
}

// bench plays door for the desk: it answers all but a pulse, and pushes a Status before an Enrolled.
func bench(ctx context.Context, door *Conn) error {
	for {
		m, err := door.Recv(ctx)
		if err != nil {
			return err
		}
		switch m.Kind {
		case KindEnrol:
			var e Enrol
			if err := Decode(m, &e); err != nil {
				return err
			}
			err = errors.Join(door.Send(KindStatus, 0, Status{}), door.Send(KindEnrolled, m.ID, Enrolled{Person: e.Person, References: 3}))
		case KindRevoke:
			err = door.Refuse(m.ID, "not enrolled")
		case KindLockdown:
			err = door.Send(KindOK, m.ID, nil)
		}
		if err != nil {
			return err
		}
	}
}

func TestRefuseCutsLongTexts(t *testing.T) {
	client, door := pair(t, Desk)
	if err := door.Refuse(1, strings.Repeat("ü", maxSentence)+"\xff"); err != nil {
		t.Fatal(err)
	}
	m, err := client.Recv(within(t))
	if err != nil {
		t.Fatal(err)
	}
	var f Failure
	if err := Decode(m, &f); err != nil || len(f.Message) != maxSentence {
		t.Fatalf("%d bytes, %v", len(f.Message), err)
	}
}
