//go:build !kiosk

package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	hqbroker "github.com/lintel-access/lintel/hq/broker"
)

// cluster has three stock NATS servers, set up by hq cluster, carry everything, and fail.
func cluster(s *site) (string, error) {
	servers, w, err := s.servers()
	for _, k := range servers {
		defer k.drop()
	}
	if err != nil {
		return "", err
	}
	if err := s.use(w); err != nil {
		return "", err
	}
	if err := s.settle(); err != nil {
		return "", fmt.Errorf("at three servers: %w", err)
	}
	err = s.life(15*time.Second, func(step int) error {
		if n := step / 6; step%6 == 1 && n < len(servers) {
			servers[n].kill()
		}
		return nil
	})
	if err == nil {
		err = s.settle()
	}
	if err != nil {
		return "", fmt.Errorf("after servers were killed: %w", err)
	}
	servers[0].drop()
	if err := s.withoutOne(); err != nil {
		return "", fmt.Errorf("with one of three servers gone: %w", err)
	}
	return "three stock servers; SIGKILL of each in turn, and of hq serve; with one gone for good enrolments, a release and the end of a removed kiosk's connection pass all the same", s.own()
}

// withoutOne is what two servers must carry alone: people who come, a release, headquarters that comes back, a kiosk that goes for good.
func (s *site) withoutOne() error {
	if err := s.enrol(2); err != nil {
		return err
	}
	if err := s.settle(); err != nil {
		return err
	}
	k := s.kiosks[0]
	before := k.releases()
	if _, err := s.order(k); err != nil {
		return err
	}
	if err := s.await(5*time.Second, "the door opens", func() error { return k.released(before, 1) }); err != nil {
		return err
	}
	s.serve.kill()
	if err := s.settle(); err != nil {
		return fmt.Errorf("after SIGKILL of hq serve: %w", err)
	}
	goes, err := s.another("spare-clustered")
	if err != nil {
		return err
	}
	stands := goes.net.standing()
	if _, err := s.at("kiosk", "remove", goes.name, "-why", "it came and goes"); err != nil {
		return err
	}
	err = s.await(10*time.Second, "its connection ends", func() error {
		if maps.Equal(stands, goes.net.standing()) {
			return errors.New("it stands")
		}
		return nil
	})
	if err == nil {
		err = s.barred(goes, "removed")
	}
	goes.rest()
	return err
}

// servers are three of the very version of NATS that headquarters has inside, each with the files that hq cluster wrote for it. As the house would they take
// these as they are, but for the addresses: here all lie on one machine.
func (s *site) servers() (all []*keeper, w way, err error) {
	program := s.file("nats-server")
	if out, err := exec.CommandContext(s.ctx, "go", "build", "-trimpath", "-o", program, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		return nil, w, fmt.Errorf("build nats-server: %w: %s", err, bytes.TrimSpace(out))
	}
	hosts := []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}
	ports := map[int]string{hqbroker.PortNATS: "", hqbroker.PortMQTT: "", hqbroker.PortRoute: ""}
	taken := map[string]bool{"": true}
	for p := range ports {
		for taken[ports[p]] {
			address, err := free()
			if err != nil {
				return nil, w, err
			}
			_, ports[p], _ = net.SplitHostPort(address)
		}
		taken[ports[p]] = true
	}
	var clients []string
	for i, h := range hosts {
		folder := s.file("cluster" + strconv.Itoa(i+1))
		at := filepath.Join(folder, h)
		if _, err := s.at(append([]string{"cluster", "-name", host, "-out", folder, "-at", at}, hosts...)...); err != nil {
			return all, w, err
		}
		settings := filepath.Join(at, "nats.conf")
		text, err := os.ReadFile(settings)
		if err != nil {
			return all, w, err
		}
		moved := strings.ReplaceAll(string(text), "0.0.0.0", h)
		for from, to := range ports {
			moved = strings.ReplaceAll(moved, fmt.Sprintf(`:%d"`, from), fmt.Sprintf(`:%s"`, to))
		}
		if err := os.WriteFile(settings, []byte(moved), 0o600); err != nil {
			return all, w, err
		}
		all = append(all, keep(func() *exec.Cmd { return exec.Command(program, "-c", settings) }))
		clients = append(clients, net.JoinHostPort(h, ports[hqbroker.PortNATS]))
		w.ends = append(w.ends, net.JoinHostPort(h, ports[hqbroker.PortMQTT]))
	}
	w.flags = []string{"-cluster", strings.Join(clients, ",")}
	for i, k := range all {
		err := s.await(20*time.Second, hosts[i]+" listens", func() error {
			if !reachable(w.ends[i]) {
				return errors.New(k.said.last(3))
			}
			return nil
		})
		if err != nil {
			return all, w, err
		}
	}
	return all, w, nil
}
