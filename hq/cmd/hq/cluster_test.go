//go:build !kiosk

package main

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/lintel-access/lintel/hq/authority"
)

// What hq cluster writes starts a server of the house, and hq serve gets to work with it.
func TestHousesOwnServers(t *testing.T) {
	s := newSite(t)
	at, hosts := s.file("c"), "127.0.0.1"
	s.refused("no key for a cluster", "serve", "-dir", s.dir, "-cluster", hosts)
	s.refused("name 1, 3 or 5", "cluster", "a", "b", "-out", s.file("no"), "-dir", s.dir)
	s.refused("named twice", "cluster", "a", "b", "a", "-out", s.file("no"), "-dir", s.dir)
	for _, name := range []string{s.file("no"), filepath.Join(s.dir, clusterKeyFile)} {
		if _, err := os.Stat(name); err == nil {
			t.Errorf("%s is made although what was said is refused", name)
		}
	}
	s.must("cluster", hosts, "-out", s.file("c"), "-at", filepath.Join(at, hosts), "-dir", s.dir)
	conf := filepath.Join(at, hosts, "nats.conf")
	first, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	s.must("cluster", hosts, "-out", s.file("again"), "-at", filepath.Join(at, hosts), "-dir", s.dir)
	if again, err := os.ReadFile(filepath.Join(s.file("again"), hosts, "nats.conf")); err != nil || string(again) != string(first) {
		t.Errorf("renewing certificates changes the settings: %v", err)
	}
	for _, name := range []string{conf, filepath.Join(at, hosts, "broker.key"), filepath.Join(s.dir, clusterKeyFile)} {
		if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	free := strings.NewReplacer(`0.0.0.0:4222"`, `127.0.0.1:-1"`, `0.0.0.0:8883"`, `127.0.0.1:-1"`).Replace(string(first))
	if err := os.WriteFile(conf, []byte(free), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := server.ProcessConfigFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	o.NoSigs, o.NoLog = true, true
	theirs, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	theirs.Start()
	defer func() { theirs.Shutdown(); theirs.WaitForShutdown() }()
	if !theirs.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server does not start")
	}
	keys, err := authority.LoadServer(s.dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	parts := served{options: serveOptions{dir: s.dir, cluster: theirs.Addr().String()}, log: slog.New(slog.DiscardHandler)}
	parts.keys.Store(keys)
	w, err := parts.way(nil)
	if err != nil {
		t.Fatal(err)
	}
	if end, ok := parts.until(); !ok || time.Until(end) < authority.LeafTerm-day {
		t.Errorf("the servers' certificates end %v, %v", end, ok)
	}
	w.close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "-dir", s.dir, "-cluster", theirs.Addr().String()}, io.Discard, io.Discard)
	}()
	reads := func() bool {
		j, err := theirs.Jsz(&server.JSzOptions{Account: "LINTEL"})
		return err == nil && j.Consumers == 1
	}
	for !reads() && ctx.Err() == nil {
		time.Sleep(50 * time.Millisecond)
	}
	if !reads() {
		t.Error("headquarters does not read what kiosks say there")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A server's certificate ends with the one that issued it, and hq cluster says that day.
func TestClusterSaysWhenItEnds(t *testing.T) {
	s := newSite(t)
	said := s.must("cluster", "a", "-name", "house", "-out", s.file("now"), "-dir", s.dir)
	pair, err := tls.LoadX509KeyPair(filepath.Join(s.file("now"), "a", "broker.crt"), filepath.Join(s.file("now"), "a", "broker.key"))
	if err != nil || !strings.Contains(said, "good until "+pair.Leaf.NotAfter.Format(time.DateOnly)) {
		t.Errorf("%v: it says %q", err, said)
	}
	late := time.Now().AddDate(3, 0, -30) // issuing certificates are good for three years
	keys, err := authority.LoadServer(s.dir, late)
	if err != nil {
		t.Fatal(err)
	}
	ends := keys.Broker().Issuing.NotAfter
	until, err := saveServers(keys, s.file("late"), []string{"a", "b", "c"}, "", []string{"", "", ""}, late)
	if left := ends.Sub(late); err != nil || left <= 0 || left >= authority.LeafTerm || !until.Equal(ends) {
		t.Errorf("%v: it says %v, of an issuing certificate that ends on %v", err, until, ends)
	}
}
