//go:build !kiosk

package tpm

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// occurrences counts a pattern, given inverted, in this process's writable memory.
func occurrences(t *testing.T, inverted []byte) int {
	t.Helper()
	const largest = 256 << 20 // the heap's arenas are of 64 MB; what is larger is the race detector's shadow
	maps := string(must(os.ReadFile("/proc/self/maps"))(t))
	mem := must(os.Open("/proc/self/mem"))(t)
	defer mem.Close()
	pattern := make([]byte, len(inverted))
	found := 0
	for line := range strings.Lines(maps) {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || !strings.HasPrefix(mode, "rw") || to-from > largest {
			continue
		}
		region := make([]byte, to-from)
		n, _ := mem.ReadAt(region, from) // a region that has gone since reads as nothing
		for i := range inverted {
			pattern[i] = ^inverted[i]
		}
		found += bytes.Count(region[:n], pattern)
		clear(pattern)
		clear(region)
	}
	return found
}

func invert(b []byte) []byte {
	out := bytes.Clone(b)
	for i := range out {
		out[i] = ^out[i]
	}
	return out
}

// Control: C30
func TestOpenedSecretsLeaveNoCopyOnceWiped(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	good := b.approve(tp, 1)
	exchange := must(tp.ExchangeKey(must(tp.CreateKey(Exchange))(t), good))(t)
	remote := must(ecdh.P256().GenerateKey(rand.Reader))(t)
	secret := make([]byte, 32)
	rand.Read(secret)
	inverted := invert(secret)
	sealed := must(tp.Seal(secret))(t)
	if occurrences(t, inverted) == 0 {
		t.Fatal("the search finds nothing where there is something")
	}
	clear(secret)
	shared := must(exchange.ECDH(remote.PublicKey()))(t)
	agreed := invert(shared)
	clear(shared)
	before, beforeShared := occurrences(t, inverted), occurrences(t, agreed)
	for range 20 {
		opened := must(tp.Unseal(sealed, good))(t)
		if !bytes.Equal(invert(opened), inverted) {
			t.Fatal("opened something else")
		}
		clear(opened)
		clear(must(exchange.ECDH(remote.PublicKey()))(t))
	}
	runtime.KeepAlive(tp)
	if after := occurrences(t, inverted); after > before {
		t.Errorf("%d copies before, %d after opening twenty times", before, after)
	}
	if after := occurrences(t, agreed); after > beforeShared || beforeShared > 0 {
		t.Errorf("shared secret: %d copies after agreeing once, %d after twenty times more", beforeShared, after)
	}
	t.Logf("sealing itself left %d copies", before)
}
