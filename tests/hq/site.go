//go:build !kiosk

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/ledger"
	"github.com/lintel-access/lintel/hq/people"
)

// host is by which name kiosks know headquarters, and every broker that stands in for its own.
const host = "127.0.0.1"

// site is one headquarters, its operators, and its kiosks.
type site struct {
	ctx      context.Context
	base     string // folder of everything
	programs string
	size     sizes
	progress io.Writer

	listen string  // of hq serve's own broker
	serve  *keeper // hq serve; nil while nobody runs it
	way    way     // what messages go by now
	kiosks []*kiosk
	gone   []*kiosk // out of service
	middle *broker  // the broker that does what we tell it; nil until it is needed
	closes []func() // what else must end

	office   *people.People
	enroller people.Operator
	rules    people.Rules
	staff    []person // who is enrolled now
	named    int      // people that had a name so far
}

func newSite(ctx context.Context, base, programs string, size sizes, progress io.Writer) *site {
	return &site{ctx: ctx, base: base, programs: programs, size: size, progress: progress}
}

func (s *site) file(name string) string { return filepath.Join(s.base, name) }
func (s *site) dir() string             { return s.file("hq") }
func (s *site) safe() string            { return s.file("safe") }
func (s *site) key(role string) string  { return s.file(role + ".pem") }

// close ends all that runs.
func (s *site) close() (err error) {
	for _, k := range slices.Concat(s.kiosks, s.gone) {
		err = errors.Join(err, k.close())
	}
	s.serve.drop()
	for _, end := range s.closes {
		end()
	}
	return err
}

// hq runs a command of headquarters.
func (s *site) hq(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.programs, "hq"), args...)
	cmd.Env = []string{}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("hq %s: %w: %s", strings.Join(args[:min(2, len(args))], " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// at is hq on the site's folder.
func (s *site) at(args ...string) (string, error) { return s.hq(append(args, "-dir", s.dir())...) }

// found makes headquarters and its operators, and starts it.
func (s *site) found() error {
	if _, err := s.hq("init", s.dir(), "-offline", s.safe()); err != nil {
		return err
	}
	for _, role := range []string{"administrator", "enroller", "releaser"} {
		if _, err := s.hq("key", s.key(role)); err != nil {
			return err
		}
		if _, err := s.at("trust", "add", "the "+role, "-offline", s.safe(), "-role", role, "-key", s.key(role)+".pub"); err != nil {
			return err
		}
	}
	if _, err := s.at("people", "init"); err != nil {
		return err
	}
	if err := s.openOffice(); err != nil {
		return err
	}
	listen, err := free()
	if err != nil {
		return err
	}
	s.listen = listen
	s.way = s.home()
	if err := s.start(); err != nil {
		return err
	}
	return s.rule()
}

// rule has an administrator put a policy in force: everybody who is enrolled may pass every door.
func (s *site) rule() error {
	text := "format = 1\nsite = \"Test\"\nzone = \"UTC\"\ngroups.staff = {}\n"
	for _, door := range s.doors() {
		text += fmt.Sprintf("doors.%s = { exit = \"rex\", rules = [{ groups = [\"staff\"], schedule = \"always\" }] }\n", door)
	}
	file := s.file("policy.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	if _, err := s.hq("policy", "check", file); err != nil {
		return err
	}
	_, err := s.at("policy", "push", file, "-key", s.key("administrator"), "-yes")
	return err
}

// doors are the names of all doors that there will be, the last two of kiosks that come late and of those that come and go.
func (s *site) doors() (list []string) {
	for n := range s.size.kiosks {
		list = append(list, fmt.Sprintf("door%d", n+1))
	}
	return append(list, "late", spare)
}

// spare is the door of kiosks that come and go.
const spare = "spare"

// way is what messages go by between headquarters and kiosks.
type way struct {
	flags []string // of hq serve
	ends  []string // of the kiosks' networks: any of them will do
}

// home is headquarters' own broker.
func (s *site) home() way { return way{[]string{"-listen", s.listen}, []string{s.listen}} }

// through is somebody else's broker.
func through(address string) way { return way{[]string{"-broker", address}, []string{address}} }

// start runs hq serve, and waits until it answers.
func (s *site) start() error {
	s.serve.stop()
	args := append([]string{"serve", "-dir", s.dir(), "-name", host}, s.way.flags...)
	s.serve = keep(func() *exec.Cmd {
		cmd := exec.Command(filepath.Join(s.programs, "hq"), args...)
		cmd.Env = []string{}
		return cmd
	})
	if err := s.await(30*time.Second, "hq serve answers", func() error { _, err := s.list(); return err }); err != nil {
		return fmt.Errorf("%w; it said: %s", err, s.serve.said.last(5))
	}
	return nil
}

// free is an address at which nobody listens.
func free() (string, error) {
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// await looks until there is no error, or time is over.
func (s *site) await(most time.Duration, what string, look func() error) error {
	err := look()
	for end := time.Now().Add(most); err != nil; err = look() {
		if time.Now().After(end) {
			return fmt.Errorf("%s: not after %v: %w", what, most, err)
		}
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// listed is a kiosk as hq kiosk list shows it.
type listed struct {
	Kiosk  string   `json:"kiosk"`
	Door   string   `json:"door"`
	State  string   `json:"state"`
	Online int64    `json:"onlineSince"`
	Seq    uint64   `json:"commandApplied"`
	Says   *uint64  `json:"saysCommand"` // what the kiosk claims, where that is told apart from what its records vouch for, which is a checkpoint later
	Head   uint64   `json:"commandNewest"`
	Trust  uint64   `json:"trustVersion"`
	Alarms []string `json:"alarms"`
}

func (s *site) list() (map[string]listed, error) {
	out, err := s.at("kiosk", "list", "-json")
	if err != nil {
		return nil, err
	}
	var all []listed
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		return nil, err
	}
	list := map[string]listed{}
	for _, l := range all {
		if l.Says != nil {
			l.Seq = max(l.Seq, *l.Says)
		}
		list[l.Kiosk] = l
	}
	return list, nil
}

// agreed says what keeps these kiosks from agreeing with headquarters: who is not connected, who lacks commands, who holds more or fewer people than are
// enrolled. Whether it is those people checked asks.
func (s *site) agreed(kiosks []*kiosk) error {
	list, err := s.list()
	if err != nil {
		return err
	}
	for _, k := range kiosks {
		l := list[k.name]
		now := k.status()
		switch people := int(now.People); {
		case l.State != "active":
			return fmt.Errorf("%s is %q: %v", k.door, l.State, l.Alarms)
		case l.Online == 0 || !now.Afar.Online: // headquarters' word alone may be of a greeting that it got before it was killed
			return fmt.Errorf("%s is not connected; link: %s", k.door, k.link.said.last(2))
		case l.Seq != l.Head:
			return fmt.Errorf("%s has applied %d of %d commands, and %d by its own log", k.door, l.Seq, l.Head, k.applied())
		case people != len(s.staff):
			return fmt.Errorf("%s holds %d people, and %d are enrolled", k.door, people, len(s.staff))
		}
	}
	return nil
}

// agree waits until all kiosks agree with headquarters.
func (s *site) agree(most time.Duration) error {
	return s.await(most, "all kiosks agree with headquarters", func() error { return s.agreed(s.kiosks) })
}

// settle is agree, for what is usual.
func (s *site) settle() error { return s.agree(100 * time.Second) }

// mend is for after a failure: fair weather, headquarters' own broker, everything running.
func (s *site) mend() error {
	if s.middle != nil {
		s.middle.twist(nil)
	}
	if err := s.own(); err != nil {
		return err
	}
	for _, k := range s.kiosks {
		k.net.be(weather{})
		if err := k.start(); err != nil {
			return err
		}
	}
	return s.settle()
}

// own leads headquarters and kiosks back to headquarters' own broker.
func (s *site) own() error {
	if slices.Equal(s.way.flags, s.home().flags) && s.serve.pid() != 0 {
		return nil
	}
	return s.use(s.home())
}

// use leads headquarters and kiosks to another way, each kiosk to another one of its ends first.
func (s *site) use(w way) error {
	s.way = w
	if err := s.start(); err != nil {
		return err
	}
	for i, k := range s.kiosks {
		first := i % len(w.ends)
		k.lead(slices.Concat(w.ends[first:], w.ends[:first])...)
	}
	return nil
}

// books is headquarters' ledger, as anybody may read it.
func (s *site) books() (*ledger.Reader, error) {
	return ledger.Inspect(filepath.Join(s.dir(), ledger.Folder))
}

// openOffice opens the vault of people as hq's commands do, for the enroller.
func (s *site) openOffice() error {
	m, err := people.LoadMaster(filepath.Join(s.dir(), "people.master"), func() (string, error) { return "", errors.New("there is no passphrase") })
	if err != nil {
		return err
	}
	if s.office, err = people.Open(filepath.Join(s.dir(), "people"), m); err != nil {
		return err
	}
	key, err := authority.LoadKey(s.key("enroller"))
	if err != nil {
		return err
	}
	root, err := authority.LoadPublic(filepath.Join(s.dir(), "root.pub"))
	if err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(s.dir(), "trust.cose"))
	if err != nil {
		return err
	}
	trust, err := authority.OpenTrust(data, root)
	if err != nil {
		return err
	}
	if s.enroller, err = people.NewOperator(key, trust); err != nil {
		return err
	}
	s.rules, err = rules()
	return err
}
