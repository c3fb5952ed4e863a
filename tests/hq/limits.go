//go:build !kiosk

package main

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/lintel-access/lintel/hq/authority"
)

// newcomer is a new kiosk at a site with many people.
func newcomer(s *site) (string, error) {
	began := time.Now()
	before := len(s.staff)
	if more := s.size.people - before; more > 0 {
		for range more {
			p, err := s.enter(person{})
			if err != nil {
				return "", err
			}
			s.staff = append(s.staff, p)
		}
	}
	signed := time.Since(began)
	if err := s.tell(); err != nil {
		return "", err
	}
	patience := time.Minute + time.Duration(len(s.staff)/10)*time.Second
	if err := s.agree(patience); err != nil {
		return "", err
	}
	all := time.Since(began) - signed
	k, err := s.build("late", "late")
	if k != nil {
		s.kiosks = append(s.kiosks, k)
	}
	if err != nil {
		return "", err
	}
	if err := k.join(); err != nil {
		return "", err
	}
	began = time.Now()
	if err := k.start(); err != nil {
		return "", err
	}
	if err := s.agree(patience); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d people x %d references: %.1f s from its first start; %d new ones signed in %.1f s and at %d other kiosks %.1f s later",
		len(s.staff), photos, time.Since(began).Seconds(), len(s.staff)-before, signed.Seconds(), len(s.kiosks)-1, all.Seconds()), nil
}

// refused is what must be refused with a clear sentence, and costs nothing.
func refused(s *site) (string, error) {
	if err := s.own(); err != nil {
		return "", err
	}
	if err := s.settle(); err != nil {
		return "", err
	}
	other := filepath.Join(s.base, "other")
	if _, err := s.hq("init", other, "-offline", other+"-safe"); err != nil {
		return "", err
	}
	foreign, err := authority.LoadServer(other, time.Now())
	if err != nil {
		return "", err
	}
	another, err := foreign.Broker().Server([]string{host}, time.Now())
	if err != nil {
		return "", err
	}
	if err := s.turnedAway(another, "not of headquarters' authority"); err != nil {
		return "", fmt.Errorf("a broker of another authority: %w", err)
	}
	expired, err := s.expired()
	if err != nil {
		return "", err
	}
	if err := s.turnedAway(expired, "is good from"); err != nil {
		return "", fmt.Errorf("a broker whose certificate has expired: %w", err)
	}
	if err := s.impostor(); err != nil {
		return "", fmt.Errorf("a client under a kiosk's name: %w", err)
	}
	full, err := s.fullDisk()
	if err != nil {
		return "", fmt.Errorf("full disk: %w", err)
	}
	if err := s.settle(); err != nil {
		return "", err
	}
	records := uint64(0)
	for _, k := range s.kiosks {
		n, err := k.complete(2 * time.Minute)
		if err != nil {
			return "", fmt.Errorf("%s: %w", k.door, err)
		}
		records += n
	}
	return fmt.Sprintf("other authority, expired certificate: a sentence each of link; another's name, another's key: a sentence each of hq serve, and let in under its own; %s; %d records of all scenes: lost 0, twice 0", full, records), nil
}

// expired is a broker's certificate of headquarters' own authority that ended yesterday. No command makes one: hq believes no clock that is wrong.
func (s *site) expired() (c tls.Certificate, err error) {
	keys, err := authority.LoadServer(s.dir(), time.Now())
	if err != nil {
		return c, err
	}
	c, err = keys.Broker().Server([]string{host}, time.Now())
	if err != nil {
		return c, err
	}
	der, err := s.past(*c.Leaf, keys.Broker().Issuing)
	c.Certificate[0], c.Leaf = der, nil
	return c, err
}

// past is a certificate as it is when it ended yesterday.
func (s *site) past(c x509.Certificate, by *x509.Certificate) ([]byte, error) {
	issuing, err := filepath.Glob(filepath.Join(s.dir(), "issuing-*.pem"))
	if err != nil || len(issuing) != 1 {
		return nil, fmt.Errorf("%d issuing keys, want 1: %w", len(issuing), err)
	}
	key, err := authority.LoadKey(issuing[0])
	if err != nil {
		return nil, err
	}
	c.NotBefore, c.NotAfter = time.Now().AddDate(0, 0, -90), time.Now().AddDate(0, 0, -1)
	return x509.CreateCertificate(rand.Reader, &c, by, c.PublicKey, key)
}

// turnedAway leads a kiosk to a broker that it must not believe, until link says so.
func (s *site) turnedAway(certificate tls.Certificate, says string) error {
	l, err := tls.Listen("tcp", host+":0", &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAnyClientCert})
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadAll(io.LimitReader(conn, 1<<10)) // the handshake; nothing else is to come
			conn.Close()
		}
	}()
	k := s.kiosks[0]
	k.link.said.clear()
	k.lead(l.Addr().String())
	err = s.await(40*time.Second, "link says why", func() error {
		if !k.link.said.has(says) {
			return fmt.Errorf("link says %q", k.link.said.last(2))
		}
		return nil
	})
	l.Close()
	k.lead(s.way.ends...)
	<-ended
	return errors.Join(err, s.settle())
}

// tight is how much room the disk has beyond what headquarters' state takes, and roomy the same when somebody has made room, bytes. hq serve ends with
// 8 MB left.
const (
	tight = 9 << 20
	roomy = 200 << 20
)

// fullDisk has headquarters' disk fill up: it ends with a sentence that says so, and with room again nothing is missing.
func (s *site) fullDisk() (string, error) {
	if os.Getuid() != 0 {
		return "NOT TRIED: full disk, which takes root to mount one", nil
	}
	s.serve.stop()
	state, away := filepath.Join(s.dir(), "state"), s.file("state")
	if err := os.Rename(state, away); err != nil {
		return "", err
	}
	if err := os.Mkdir(state, 0o700); err != nil {
		return "", err
	}
	size, err := folderSize(away)
	if err != nil {
		return "", err
	}
	if err := syscall.Mount("tmpfs", state, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size+tight)); err != nil {
		return "NOT TRIED: full disk: " + err.Error(), errors.Join(os.Remove(state), os.Rename(away, state), s.restart())
	}
	s.closes = append(s.closes, func() { _ = syscall.Unmount(state, syscall.MNT_DETACH) })
	if out, err := exec.Command("cp", "-a", away+"/.", state).CombinedOutput(); err != nil {
		return "", fmt.Errorf("copy the state: %w: %s", err, out)
	}
	ballast := filepath.Join(state, "ballast") // what else fills a disk
	if err := s.start(); err == nil {
		if err := s.enrol(3); err != nil {
			return "", err
		}
		if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); err != nil && !errors.Is(err, syscall.ENOSPC) {
			return "", err
		}
	}
	err = s.await(30*time.Second, "hq serve ends with a sentence about the disk", func() error {
		if said := s.serve.said.last(20); !strings.Contains(said, "full") {
			return errors.New(said)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if err := s.enrol(2); err != nil { // the vault of people lies on another disk
		return "", err
	}
	if err := syscall.Mount("", state, "", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", size+roomy)); err != nil {
		return "", err
	}
	if err := s.await(40*time.Second, "hq serve is there again", func() error { _, err := s.list(); return err }); err != nil {
		return "", err
	}
	if err := s.settle(); err != nil {
		return "", err
	}
	return "full disk: a sentence, and nothing missing with room again", nil
}

func (s *site) restart() error {
	s.way = s.home()
	return s.start()
}

func folderSize(dir string) (size int64, err error) {
	err = filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			size += (info.Size() + 4095) &^ 4095
		}
		return err
	})
	return size, err
}
