//go:build !kiosk

package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/hq/hatch"
)

// listening are the ports at which this process hears somebody, by its own sockets in the kernel's tables: TCP that listens, and any UDP.
func listening(t *testing.T) map[string]bool {
	t.Helper()
	mine := map[string]bool{}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		to, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if inode, ok := strings.CutPrefix(to, "socket:["); err == nil && ok {
			mine[strings.TrimSuffix(inode, "]")] = true
		}
	}
	ports := map[string]bool{}
	for table, state := range map[string]string{"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"} {
		data, err := os.ReadFile("/proc/self/net/" + table)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != state || !mine[f[9]] {
				continue
			}
			port, err := strconv.ParseUint(f[1][strings.IndexByte(f[1], ':')+1:], 16, 16)
			if err != nil {
				t.Fatal(err)
			}
			ports[table[:3]+" "+strconv.FormatUint(port, 10)] = true
		}
	}
	return ports
}

// heard runs hq serve in this process, and returns where it listens beyond what was there, while it runs.
func (s *site) heard(do func(said string, more []string), args ...string) {
	s.t.Helper()
	before := listening(s.t)
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, append([]string{"serve", "-dir", s.dir}, args...), w, io.Discard)
		w.CloseWithError(io.EOF)
		ended <- err
	}()
	said, _ := bufio.NewReader(r).ReadString('\n')
	for ctx.Err() == nil { // until all of it runs
		if _, err := hatch.Call[listed](ctx, filepath.Join(s.dir, socketName), verbList, listRequest{}); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	var more []string
	for p := range listening(s.t) {
		if !before[p] {
			more = append(more, p)
		}
	}
	do(strings.TrimSpace(said), more)
	cancel()
	if err := <-ended; err != nil {
		s.t.Errorf("hq serve ended with %v", err)
	}
}

// A running headquarters listens at the port for kiosks alone, which says nothing to who speaks no TLS.
//
// Control: S1
func TestOnePortAndNoPlainOne(t *testing.T) {
	s := newSite(t)
	s.heard(func(said string, more []string) {
		address := said[strings.LastIndexByte(said, ' ')+1:]
		_, port, err := net.SplitHostPort(address)
		if err != nil || len(more) != 1 || more[0] != "tcp "+port {
			t.Fatalf("it says %q and listens at %q, %v", said, more, err)
		}
		connect := []byte{0x10, 18, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 30, 0, 6, 'l', 'i', 'n', 't', 'e', 'l'}
		for what, words := range map[string][]byte{"MQTT": connect, "NATS": []byte("CONNECT {}\r\nPING\r\n"), "HTTP": []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")} {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			c.SetDeadline(time.Now().Add(15 * time.Second))
			if _, err := c.Write(words); err != nil {
				t.Error(err)
			}
			answer, _ := io.ReadAll(c)
			if c.Close(); len(answer) > 0 && (answer[0] != 21 || bytes.Contains(answer, []byte("INFO"))) { // 21: an alert of TLS
				t.Errorf("without TLS %s is answered with %q", what, answer)
			}
		}
	}, "-name", "127.0.0.1", "-listen", "127.0.0.1:0")
	s.heard(func(said string, more []string) {
		if len(more) != 0 {
			t.Errorf("it says %q and listens at %q: kiosks use another's broker", said, more)
		}
	}, "-broker", "127.0.0.1:1")
}
