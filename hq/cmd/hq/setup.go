package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/bounded"
	"github.com/lintel-access/lintel/hq/hatch"
	"github.com/lintel-access/lintel/sync/wire"
)

const day = 24 * time.Hour

// initCommand sets headquarters up.
func initCommand(_ context.Context, args []string, out, progress io.Writer) error {
	p := newPage("init", "DIR [-offline FOLDER]", "Makes headquarters' keys: those of the fleet root and the authority in the folder offline, which belongs in a safe and off this machine as soon\n"+
		"as possible, and those that hq serve needs in DIR. Both folders must be empty or absent, and neither may lie in the other. Next: hq key, hq trust add, hq people init, hq serve.\n\n"+
		"Example:\n  hq init hq -offline safe", progress)
	offline := p.String("offline", "", "`folder` for the keys that belong in a safe (default DIR-offline)")
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' { // DIR may stand first, as the folder is what this is about
		args = append([]string{"-dir", args[0]}, args[1:]...)
	}
	if _, err := p.words(args, 0, 0); err != nil {
		return err
	}
	if *offline == "" {
		*offline = filepath.Clean(p.dir) + "-offline"
	}
	if err := authority.Create(p.dir, *offline, time.Now()); err != nil {
		return err
	}
	fmt.Fprintf(out, "headquarters stands in %s.\nPut %s in a safe: who has it decides who may enrol and open, and nobody can make it again.\n", p.dir, *offline)
	return nil
}

// keyCommand makes an operator's key.
func keyCommand(_ context.Context, args []string, out, progress io.Writer) error {
	fs := flag.NewFlagSet("hq key", flag.ContinueOnError)
	fs.SetOutput(progress)
	fs.Usage = func() {
		fmt.Fprint(progress, "usage: hq key FILE\n\nMakes an operator's key in the new file FILE (mode 0600), and its public half in FILE.pub, which hq trust add wants.\n"+
			"Run it on the operator's own machine: the key stays there, and only FILE.pub is carried away.\n\nExample:\n  hq key ada.pem\n")
	}
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return fmt.Errorf("say which file: %w", errUsage)
	}
	key, err := authority.CreateKey(fs.Arg(0))
	if err != nil {
		return err
	}
	if err := authority.SavePublic(fs.Arg(0)+".pub", &key.PublicKey); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s.pub may be shown to anybody; %s to nobody.\n", fs.Arg(0), fs.Arg(0))
	return nil
}

// certificateCommand makes the certificate of somebody else's broker.
func certificateCommand(_ context.Context, args []string, out, progress io.Writer) error {
	p := newPage("certificate", "HOST… -out FOLDER -dir DIR", "Makes key and certificate for a broker that is not hq serve's own, for these host names and addresses, in a new folder.\n"+
		"It is good for 90 days: make another one before. docs/HQ.md has the settings of such a broker.\n\nExample:\n  hq certificate mqtt.example -out broker -dir hq", progress)
	folder := p.String("out", "", "new `folder` for broker.key, broker.crt and authority.crt (required)")
	hosts, err := p.words(args, 1, 16)
	if err != nil {
		return err
	}
	if *folder == "" {
		return fmt.Errorf("say where to, -out FOLDER: %w", errUsage)
	}
	s, err := authority.LoadServer(p.dir, time.Now())
	if err != nil {
		return err
	}
	c, err := s.Broker().Server(hosts, time.Now())
	if err != nil {
		return err
	}
	if err := os.Mkdir(*folder, 0o700); err != nil {
		return err
	}
	if err := s.SaveBroker(*folder, c); err != nil {
		return err
	}
	return say(out, nil, "%s: good until %s\n", *folder, c.Leaf.NotAfter.Format(time.DateOnly))
}

const trustAbout = `Changes who may do what to the fleet, with the keys from the safe. Open it on a machine that is not headquarters', without -dir: add and remove
sign there, and headquarters takes what was signed. Kiosks that are connected hear of it at once, the others when they greet.

  hq trust show -dir DIR|-offline FOLDER       who may do what, by headquarters or by the safe
  hq trust add NAME -role ROLE -key FILE.pub   NAME has a role; -days how long. Who needs two roles is added twice
  hq trust remove NAME                         ends every role of that name: deletions, suspensions and lockdowns that NAME signed stand, enrolments and
                                               rules that have not arrived are refused, and must be signed by somebody else
  hq trust remove NAME -distrust               NAME's key was stolen: nothing that it ever signed is believed any more
  hq trust take FILE -dir DIR                  at headquarters: puts in force what was signed elsewhere, which is trust.cose of the safe, and
                                               says who is added, who ended and who is gone by it
These make keys of headquarters as well, and need -dir and -offline together:
  hq trust authority                           begins to replace the authority behind certificates
  hq trust drop-authority                      ends that: who still has a certificate of the old one is locked out
  hq trust issuing                             renews the issuing keys, every two years or so
  hq trust server                              renews the server's key, every four years or so, or when somebody has copied it
  hq trust restore                             puts the safe's trust back where DIR has another one

What a role may sign:
  enroller       enrols people, from photographs and at kiosks; approves what another one has enrolled; has people deleted
  administrator  puts the rules of the site in force; suspends, resumes, revokes and deletes people, and approves enrolments; lockdown, disable, decommission
  releaser       opens a door once from afar (hq release), and settles a walk-up that waits for an operator
Nobody has the server's role but hq serve: it says the time and what comes in which order, and can neither enrol nor open.

Example:
  hq trust add ada -role administrator -key ada.pem.pub -dir hq -offline safe`

// trustWords is what follows each verb of hq trust, besides flags.
var trustWords = map[string][]string{
	"show": nil, "add": {"NAME"}, "remove": {"NAME"}, "take": {"FILE"}, "authority": nil, "drop-authority": nil, "issuing": nil, "server": nil, "restore": nil,
}

// trustCommand changes the Trust.
func trustCommand(ctx context.Context, args []string, out, progress io.Writer) error {
	p := newPage("trust", "show|add|remove|take|authority|drop-authority|issuing|server|restore … [-dir DIR] [-offline FOLDER]", trustAbout, progress)
	offline := p.String("offline", "", "`folder` from the safe (required, but for show and take)")
	role := p.String("role", "", "of whom is added (required): enroller, administrator or releaser")
	key := p.String("key", "", "public key `file` of whom is added (required): what hq key wrote as FILE.pub")
	days := p.Int("days", 365, "for how many `days` somebody is added")
	distrust := p.Bool("distrust", false, "remove: believe nothing any more that this key ever signed")
	p.BoolVar(&p.json, "json", false, "show: as JSON")
	words, err := wordsOf(p.FlagSet, args)
	if err != nil {
		return err
	}
	if len(words) < 1 {
		return fmt.Errorf("say what; %s -h says which: %w", p.Name(), errUsage)
	}
	wanted, known := trustWords[words[0]]
	if !known {
		return fmt.Errorf("%q is nothing that can be done to trust: %w", words[0], errUsage)
	}
	if err := p.follow("trust "+words[0], words[1:], wanted); err != nil { // before the safe is opened: restore is done by that
		return err
	}
	now := time.Now()
	switch words[0] {
	case "show":
		t, err := trustOf(p.dir, *offline, now)
		if err != nil {
			return err
		}
		return showTrust(t, p.json, now, out)
	case "take":
		return takeTrust(ctx, p, words[1], out)
	}
	o, err := openSafe(words[0], p.dir, *offline)
	if err != nil {
		return err
	}
	switch words[0] { // restore is done
	case "add":
		err = admit(o, words[1], *role, *key, *days, now)
	case "remove":
		if *distrust {
			err = o.Change(now, authority.Dismiss(words[1]))
		} else {
			err = remove(o, words[1], now, out)
		}
	case "authority":
		err = o.AddAuthority(now)
	case "drop-authority":
		err = o.DropAuthority(now)
	case "issuing":
		err = o.RenewIssuing(now)
	case "server":
		err = o.RenewServer(now)
	}
	if err != nil {
		return err
	}
	if p.dir == "" {
		return say(out, nil, "trust is of version %d in the safe. Carry %s to headquarters, and there: hq trust take trust.cose -dir DIR\n", o.Trust.Version, filepath.Join(*offline, trustFile))
	}
	return tellTrust(ctx, p, o.Trust, out)
}

// remove ends an operator's roles. What an administrator took away stands, and so nobody would look whether what they gave back has arrived: it is said.
func remove(o *authority.Offline, name string, now time.Time, out io.Writer) error {
	gave := slices.ContainsFunc(o.Trust.Grants, func(g wire.Grant) bool { return g.Name == name && g.Role == wire.RoleAdministrator })
	if err := o.Change(now, authority.End(name, now)); err != nil || !gave {
		return err
	}
	return say(out, nil, "attention: a kiosk that has not heard yet of a lockdown or disabling that %q ended, or of somebody whom %[1]q resumed, refuses that now: somebody in office signs it anew\n", name)
}

// openSafe opens the safe, here or on headquarters' own machine.
func openSafe(verb, dir, offline string) (*authority.Offline, error) {
	if offline == "" {
		return nil, fmt.Errorf("say where the folder from the safe is, -offline FOLDER: %w", errUsage)
	}
	switch {
	case dir == "" && verb != "add" && verb != "remove":
		return nil, fmt.Errorf("say where headquarters' folder is, -dir FOLDER; without it the safe adds and removes operators: %w", errUsage)
	case dir == "":
		return authority.OpenSafe(offline)
	case verb == "restore":
		return authority.RestoreTrust(dir, offline)
	}
	return authority.OpenOffline(dir, offline)
}

// trustOf is the Trust of headquarters, or without it the safe's.
func trustOf(dir, offline string, now time.Time) (wire.Trust, error) {
	if dir == "" && offline == "" {
		return wire.Trust{}, fmt.Errorf("say where headquarters' folder is, -dir FOLDER, or on the safe's machine the safe, -offline FOLDER: %w", errUsage)
	}
	if dir == "" {
		o, err := authority.OpenSafe(offline)
		if err != nil {
			return wire.Trust{}, err
		}
		return o.Trust, nil
	}
	s, err := authority.LoadServer(dir, now)
	if err != nil {
		return wire.Trust{}, err
	}
	return s.Trust, nil
}

// takeTrust puts in force what was signed elsewhere.
func takeTrust(ctx context.Context, p *page, file string, out io.Writer) error {
	if p.dir == "" {
		return fmt.Errorf("say where headquarters' folder is, -dir FOLDER: %w", errUsage)
	}
	data, err := bounded.File(file, maxTrust)
	if err != nil {
		return err
	}
	before, t, err := authority.TakeTrust(p.dir, data, time.Now())
	if err != nil {
		return err
	}
	tellGrants(before, t, out)
	return tellTrust(ctx, p, t, out)
}

// tellGrants says who is added by a Trust, who ended and who is gone: it may have been signed in a copy of the safe that missed what another one signed.
func tellGrants(before, after wire.Trust, out io.Writer) {
	same := func(g wire.Grant) func(wire.Grant) bool {
		return func(o wire.Grant) bool {
			return o.Role == g.Role && o.Name == g.Name && o.From == g.From && string(o.Key) == string(g.Key)
		}
	}
	for _, g := range after.Grants {
		until := time.Unix(g.Until, 0).Format(time.DateOnly)
		if i := slices.IndexFunc(before.Grants, same(g)); i < 0 {
			fmt.Fprintf(out, "added: %v %q, until %s\n", g.Role, g.Name, until)
		} else if g.Until < before.Grants[i].Until {
			fmt.Fprintf(out, "ended: %v %q, on %s\n", g.Role, g.Name, until)
		}
	}
	for _, g := range before.Grants {
		if !slices.ContainsFunc(after.Grants, same(g)) {
			fmt.Fprintf(out, "gone: %v %q, and nothing counts that was signed as such\n", g.Role, g.Name)
		}
	}
}

// tellTrust has a running hq serve look at the Trust.
func tellTrust(ctx context.Context, p *page, t wire.Trust, out io.Writer) error {
	fmt.Fprintf(out, "trust is of version %d\n", t.Version)
	if _, err := ask[hatch.Nothing](ctx, p, verbTrust, hatch.Nothing{}); !errors.Is(err, hatch.ErrClosed) {
		return err
	}
	_, err := fmt.Fprintln(out, "hq serve does not run here: kiosks hear of it when it does")
	return err
}

func admit(o *authority.Offline, name, role, file string, days int, now time.Time) error {
	roles := map[string]wire.Role{}
	for _, r := range []wire.Role{wire.RoleEnroller, wire.RoleAdministrator, wire.RoleReleaser} {
		roles[r.String()] = r
	}
	r, ok := roles[role]
	if !ok || file == "" || days < 1 {
		return fmt.Errorf("say -role enroller, administrator or releaser, -key FILE.pub, and -days of at least 1: %w", errUsage)
	}
	public, err := authority.LoadPublic(file)
	if err != nil {
		return err
	}
	return o.Change(now, authority.Admit(r, name, public, now, time.Duration(days)*day))
}

func showTrust(t wire.Trust, asJSON bool, now time.Time, out io.Writer) error {
	if asJSON {
		return printJSON(out, t)
	}
	fmt.Fprintf(out, "version %d of %s, %d authorities\n", t.Version, time.Unix(t.Issued, 0).Format(time.DateOnly), len(t.Authorities))
	for _, g := range t.Grants {
		state := "until " + time.Unix(g.Until, 0).Format(time.DateOnly)
		if g.Until <= now.Unix() {
			state = "ended " + time.Unix(g.Until, 0).Format(time.DateOnly)
		}
		fmt.Fprintf(out, "  %-13s %-24s %s\n", g.Role, g.Name, state)
	}
	return nil
}
