package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/bounded"
	"github.com/lintel-access/lintel/hq/broker"
)

const clusterAbout = `Writes what the house's own NATS servers (2.15 or later) need to carry between headquarters and kiosks, for each HOST (1, 3 or 5) in FOLDER/HOST: settings,
key, certificate (good for 90 days at most) and authorities. Copy each to its machine, as the folder that -at names, and start nats-server -c AT/nats.conf there.
Then: hq serve -cluster HOST,HOST,HOST. Headquarters tells these servers who may connect, kiosk by kiosk; while it does not run they let nobody in who is new.
Said again later it renews certificates; the settings stay the same.

Example:
  hq cluster nats1.example nats2.example nats3.example -name house -out cluster -dir hq`

const clusterKeyFile = "cluster.key"

// clusterCommand makes the files of somebody else's NATS servers.
func clusterCommand(_ context.Context, args []string, out, progress io.Writer) error {
	p := newPage("cluster", "HOST [HOST HOST] -name NAME -out FOLDER -dir DIR", clusterAbout, progress)
	folder := p.String("out", "", "new `folder` for a folder of each server (required)")
	at := p.String("at", "/var/lib/lintel-broker", "`folder` where the files will lie on each machine, and in it what the server stores")
	name := p.String("name", "", "`name` with the addresses of all of them, by which kiosks know them (-broker of hq kiosk add); without it each kiosk knows one HOST alone")
	hosts, err := p.words(args, 1, 5)
	if err != nil {
		return err
	}
	if *folder == "" {
		return fmt.Errorf("say where to, -out FOLDER: %w", errUsage)
	}
	keys, err := authority.LoadServer(p.dir, time.Now())
	if err != nil {
		return err
	}
	key, err := clusterKey(p.dir)
	fresh := errors.Is(err, fs.ErrNotExist)
	if fresh {
		key, err = broker.NewClusterKey(), nil
	}
	if err != nil {
		return err
	}
	settings, err := broker.Settings(key, hosts, *at)
	if err == nil && fresh {
		err = authority.Replace(filepath.Join(p.dir, clusterKeyFile), []byte(hex.EncodeToString(key[:])+"\n"), 0o600)
	}
	if err != nil {
		return err
	}
	until, err := saveServers(keys, *folder, hosts, *name, settings, time.Now())
	return say(out, err, "%s: good until %s\n", *folder, until.Format(time.DateOnly))
}

// saveServers writes a new folder with one of each server, and says when the first of their certificates ends.
func saveServers(keys *authority.Server, folder string, hosts []string, name string, settings []string, now time.Time) (until time.Time, err error) {
	if err := os.Mkdir(folder, 0o700); err != nil {
		return until, err
	}
	for i, host := range hosts {
		names := []string{host}
		if name != "" {
			names = append(names, name)
		}
		ends, err := saveServer(keys, filepath.Join(folder, filepath.Base(host)), names, settings[i], now)
		if err != nil {
			return until, err
		}
		if i == 0 || ends.Before(until) {
			until = ends
		}
	}
	return until, nil
}

// saveServer writes the files of one server into a new folder, and says until when its certificate is good: the one that issued it may end before a
// whole term does.
func saveServer(keys *authority.Server, folder string, names []string, settings string, now time.Time) (until time.Time, err error) {
	if err := os.Mkdir(folder, 0o700); err != nil {
		return until, err
	}
	c, err := keys.Broker().Peer(names, now)
	if err != nil {
		return until, err
	}
	if err := keys.SaveBroker(folder, c); err != nil {
		return until, err
	}
	return c.Leaf.NotAfter, authority.Replace(filepath.Join(folder, "nats.conf"), []byte(settings), 0o600)
}

// clusterKey reads what headquarters shows to the servers.
func clusterKey(dir string) (k broker.ClusterKey, err error) {
	data, err := bounded.File(filepath.Join(dir, clusterKeyFile), 100)
	if err != nil {
		return k, err
	}
	if n, err := hex.Decode(k[:], []byte(strings.TrimSuffix(string(data), "\n"))); err != nil || n != len(k) {
		return broker.ClusterKey{}, fmt.Errorf("%s holds no key", clusterKeyFile)
	}
	return k, nil
}

// join connects to the house's own servers.
func (s *served) join() (*broker.Cluster, error) {
	key, err := clusterKey(s.options.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("this headquarters has no key for a cluster: hq cluster makes it, and what the servers need")
	}
	if err != nil {
		return nil, err
	}
	var servers []string
	for _, a := range strings.Split(s.options.cluster, ",") {
		if _, _, err := net.SplitHostPort(a); err != nil {
			a = net.JoinHostPort(strings.Trim(a, "[]"), strconv.Itoa(broker.PortNATS))
		}
		servers = append(servers, a)
	}
	return broker.Join(broker.ClusterConfig{Servers: servers, Key: key, Certificate: s.certificate, Roots: s.roots, Admit: s.admit, Log: s.log})
}
