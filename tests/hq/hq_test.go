//go:build !kiosk

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

func TestClosingLine(t *testing.T) {
	good := scene{"good", func(*site) (string, error) { return "1 of 1", nil }}
	bad := scene{"bad", func(*site) (string, error) { return "", errors.New("it broke") }}
	for name, c := range map[string]struct {
		scenes []scene
		wanted []int
		last   string
		err    error
	}{
		"all pass":               {[]scene{good, good}, nil, "hq: 2 passed, 0 failed", nil},
		"one fails":              {[]scene{good, bad}, nil, "hq: 1 passed, 1 failed", errFailed},
		"nothing without a site": {[]scene{bad, good}, nil, "hq: 0 passed, 1 failed", errFailed},
		"some are wanted":        {[]scene{good, bad, good}, []int{3}, "hq: 2 passed, 0 failed", nil},
	} {
		ctx, end := context.WithCancel(t.Context())
		s := newSite(ctx, t.TempDir(), t.TempDir(), sizes{}, io.Discard)
		if name == "one fails" {
			end() // there is no site to be mended
		}
		var out strings.Builder
		if err := s.play(&out, c.scenes, c.wanted); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
		if !strings.HasSuffix(out.String(), c.last+"\n") {
			t.Errorf("%s: it says %q, want %q at its end", name, out.String(), c.last)
		}
		end()
	}
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{nil, {"-programs", "x", "more"}, {"-programs", "x", "-scenes", "one"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q is no error", args)
		}
	}
	if n, err := numbers("2,5"); err != nil || !slices.Equal(n, []int{2, 5}) {
		t.Errorf("2,5 is %v, %v", n, err)
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{wire.Up("+"), wire.Up("a"), true},
		{wire.Up("a"), wire.Up("a"), true},
		{wire.Up("a"), wire.Up("b"), false},
		{wire.Up("+"), wire.Down("a"), false},
		{wire.Up("+"), wire.Up("a/b"), false},
	} {
		if got := matches(c.filter, c.topic); got != c.want {
			t.Errorf("%q, %q: %t", c.filter, c.topic, got)
		}
	}
}

// A network that fails does so, or the scenes prove nothing.
func TestNetwork(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
	n, err := newNetwork(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	// echo returns what comes back within a moment.
	const soon = 300 * time.Millisecond // for what must not pass
	echo := func(c net.Conn, within time.Duration) error {
		c.SetDeadline(time.Now().Add(within))
		if _, err := c.Write([]byte("x")); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	}
	dial := func() net.Conn {
		c, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	c := dial()
	if err := echo(c, 10*time.Second); err != nil {
		t.Fatalf("fair: %v", err)
	}
	for name, w := range map[string]weather{"mute": {mute: true}, "deaf": {deaf: true}, "delayed": {delay: time.Second}, "slow": {bandwidth: 1}} {
		c := dial()
		n.be(w)
		if echo(c, soon) == nil {
			t.Errorf("%s: it passes", name)
		}
		n.be(weather{})
	}
	n.reset()
	if echo(c, soon) == nil {
		t.Error("a connection outlives its reset")
	}
	n.be(weather{refuse: true})
	if echo(dial(), soon) == nil {
		t.Error("refused: it passes")
	}
}

// The check that every scene ends with sees a command that is missing, that comes twice, and that comes too early.
func TestInOrder(t *testing.T) {
	record := func(detail string) []byte {
		data, err := wire.Marshal(access.Record{Version: access.RecordVersion, Event: access.EventCommandApplied, Detail: detail})
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, c := range map[string]struct {
		details []string
		ok      bool
	}{
		"in order": {[]string{"seq=1 link=a", "seq=2 link=b"}, true},
		"missing":  {[]string{"seq=1 link=a", "seq=3 link=b"}, false},
		"twice":    {[]string{"seq=1 link=a", "seq=1 link=a"}, false},
		"unread":   {[]string{"?"}, false},
		"for two":  {[]string{"seq=1 link=a", "seq=4 link=b before=2"}, true},
		"too few":  {[]string{"seq=1 link=a", "seq=5 link=b before=1 unsaid=2"}, false},
		"too many": {[]string{"seq=1 link=a", "seq=3 link=b before=2"}, false},
	} {
		var last uint64
		var err error
		for _, d := range c.details {
			err = errors.Join(err, inOrder(record(d), &last))
		}
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// References of one person are of one person by the doors' threshold, and those of two are not.
func TestPainter(t *testing.T) {
	r, err := rules()
	if err != nil {
		t.Fatal(err)
	}
	a, b := photoOf(1), photoOf(2)
	all, err := painter{}.References(t.Context(), [][]byte{a, a, b})
	if err != nil {
		t.Fatal(err)
	}
	dot := func(x, y []float32) (sum float32) {
		for i := range x {
			sum += x[i] * y[i]
		}
		return sum
	}
	if same := dot(all[0].Reference, all[1].Reference); same <= r.Same || same > 0.999 {
		t.Errorf("two of one person: %v, the threshold is %v", same, r.Same)
	}
	if other := dot(all[0].Reference, all[2].Reference); other >= r.Alike {
		t.Errorf("two people: %v, the threshold is %v", other, r.Alike)
	}
}

// What is looked for in the messages that passed is found wherever it lies.
func TestNeedles(t *testing.T) {
	secret := make([]byte, 2048)
	for i := range secret {
		secret[i] = byte(i*i>>3 + i)
	}
	n := needles{}
	n.add(secret)
	for at := 0; at+2*part-1 <= len(secret); at++ {
		message := slices.Concat([]byte("before"), secret[at:at+2*part-1], []byte("after"))
		if !n.in(message) {
			t.Fatalf("%d bytes from %d on are not found", 2*part-1, at)
		}
	}
	if n.in(make([]byte, 4096)) || n.in(secret[:part-1]) || n.in(nil) {
		t.Error("something is found where nothing is")
	}
}

// A record of a refusal says how many it stands for.
func TestUnrecorded(t *testing.T) {
	for detail, want := range map[string]int{
		"time: it answers no greeting, or too late":                            0,
		"command: it cannot be read; 12 more like it were not recorded before": 12,
		"3 more like it were not recorded before":                              3,
	} {
		if got := unrecorded(detail); got != want {
			t.Errorf("%q: %d, want %d", detail, got, want)
		}
	}
}

// So does a record of what link has dropped, of each cause; of the records that had no room it is not.
func TestUnseen(t *testing.T) {
	for detail, want := range map[string]int{
		unread + "1 empty":             1,
		unread + "2 empty, 3 too long": 5,
		unread + "3 retained; 12 more like it were not recorded before":        3,
		"command: it cannot be read; 12 more like it were not recorded before": 0,
	} {
		if got := unseen(detail); got != want {
			t.Errorf("%q: %d, want %d", detail, got, want)
		}
	}
}

// A moment is a write of somebody else, and none is invented.
func TestWrites(t *testing.T) {
	dir := t.TempDir()
	below := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(below, 0o700); err != nil {
		t.Fatal(err)
	}
	w, err := watchWrites(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.events.Close()
	if n, err := w.await(1, 50*time.Millisecond); n != 0 || err != nil {
		t.Errorf("%d writes where nobody writes: %v", n, err)
	}
	if err := os.WriteFile(filepath.Join(below, "file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := w.await(2, time.Second); n != 2 || err != nil { // the file, and what is in it
		t.Errorf("%d writes, want 2: %v", n, err)
	}
	if _, err := watchWrites(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there is watched")
	}
}
