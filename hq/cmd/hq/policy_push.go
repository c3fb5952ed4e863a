package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/hatch"
	"github.com/lintel-access/lintel/hq/ledger"
	"github.com/lintel-access/lintel/hq/policy"
	"github.com/lintel-access/lintel/sync/wire"
)

const pushAbout = `Puts the rules of a site in force at every kiosk. It checks them as hq policy check -dir does, says what changes against what is in force, and for
whom, asks, and signs with an administrator's key. Kiosks that are offline hear of it when they come back. From then on each kiosk is given those whom its
door's rules let in, and lets go of the others. hq policy show says which kiosks have it in force.

With -socket those who are enrolled are out of reach, and so is whether one of them, in three groups or more, would be locked in: check that at headquarters
with hq policy check -dir, or give a -people.

Example:
  hq policy push site.toml -key ada.pem -dir hq`

// inForce is the policy that headquarters has last put in force. Version 0: none.
type inForce struct {
	Version  uint64 `cbor:"1,keyasint"`
	Taken    int64  `cbor:"2,keyasint"`
	By       string `cbor:"3,keyasint"`
	Document []byte `cbor:"4,keyasint"`
	Text     []byte `cbor:"5,keyasint"`
	// Order is the SHA-256 of its envelope.
	Order [32]byte `cbor:"6,keyasint"`
}

type textRequest struct {
	Text []byte `cbor:"1,keyasint"`
}

// site is the document as kiosks read it.
func (f inForce) site() (s access.Site, err error) {
	if err = wire.Unmarshal(f.Document, &s); err == nil {
		err = s.Validate()
	}
	return s, err
}

func (s *served) inForce(ctx context.Context, _ hatch.Nothing) (any, error) {
	p, order, text, err := s.fleet.Load().InForce(ctx)
	return inForce{p.Version, p.Taken, p.By, p.Document, text, order}, err
}

func (s *served) keepText(ctx context.Context, q textRequest) (any, error) {
	return nil, s.fleet.Load().KeepText(ctx, q.Text)
}

func pushPolicy(ctx context.Context, args []string, out, progress io.Writer) error {
	var at office
	p := at.flags("policy push", "FILE -key FILE|-draft FILE [-yes] [-people CSV] -dir DIR", pushAbout, progress)
	p.reaches()
	at.signing.flags(p, "an administrator's")
	yes := p.Bool("yes", false, "do not ask")
	table := p.String("people", "", "`CSV` of people and their groups, in place of those who are enrolled")
	words, err := at.parse(p, args, 1, 1)
	if err != nil {
		return err
	}
	if err := at.check(); err != nil {
		return err
	}
	if err := at.mayPush(time.Now()); err != nil {
		return err
	}
	o := policyOrder{now: time.Now()}
	if o.people, err = at.concerned(p, *table, out); err != nil {
		return err
	}
	b, err := buildPolicy(words[0], o, out)
	if err != nil {
		return err
	}
	was, err := ask[inForce](ctx, p, verbPolicy, hatch.Nothing{})
	if err != nil {
		return err
	}
	if was.Version == 0 {
		b.Document.Explain(out, b.Site, o.people)
	} else if before, err := was.site(); err != nil {
		return fmt.Errorf("read the policy in force: %w", err)
	} else {
		policy.Diff(out, before, b.Site, o.people, b.Today)
	}
	kiosks, err := allKiosks(ctx, p)
	if err != nil {
		return err
	}
	fmt.Fprint(out, strangers(b.Site, kiosks))
	if !*yes && at.draft == "" {
		if err := agree(progress, "Put this in force at every kiosk?"); err != nil {
			return err
		}
	}
	if _, err := ask[hatch.Nothing](ctx, p, verbText, textRequest{b.Text}); err != nil {
		return err
	}
	version := max(uint64(time.Now().UnixMilli()), was.Version+1)
	err = at.order(ctx, p, "", wire.Policy{Version: version, Document: b.Encoded, Issued: time.Now().Unix()}, out)
	done := "is signed and handed in: kiosks that are connected are told now"
	if at.draft != "" {
		done = "waits to be signed and handed in: kiosks that are connected are told then"
	}
	return say(out, err, "version %d of %q %s, the others when they come back\n", version, b.Site.Name, done)
}

// mayPush refuses, before anything is asked or said, a key that may not sign rules. Over a socket there is no trust to look at, and hq serve refuses it.
func (o *office) mayPush(now time.Time) error {
	if o.key == "" || o.dir == "" {
		return nil
	}
	key, err := authority.LoadKey(o.key)
	if err != nil {
		return err
	}
	id, err := wire.IDOf(key.Public())
	if err != nil {
		return err
	}
	trust, err := o.trust()
	if err == nil {
		_, err = trust.Grant(id, wire.KindPolicy, now.Unix())
	}
	return err
}

// concerned are the people by whom rules are checked before they are put in force: those of a table, or those who are enrolled. Over a socket there is no
// vault to read, and that is said: groups that are harmless two by two may lock somebody in who has three.
func (o *office) concerned(p *page, table string, out io.Writer) ([]policy.Person, error) {
	if table != "" {
		return readPeople(table)
	}
	if p.sock != "" {
		return nil, say(out, nil, "attention: who is enrolled was not looked at, since -socket does not reach them: hq policy check FILE -dir DIR does, at headquarters\n")
	}
	if _, err := os.Stat(o.folder()); errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nobody was ever enrolled
	}
	return o.members()
}

// agree asks at the terminal, and takes nothing but yes for an answer.
func agree(out io.Writer, question string) error {
	fmt.Fprintf(out, "%s Type yes: ", question)
	line, err := bufio.NewReader(io.LimitReader(os.Stdin, 1<<10)).ReadString('\n')
	if strings.TrimSpace(line) == "yes" {
		return nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return errors.New("nothing was done: it was not agreed to (-yes does not ask)")
}

// strangers are kiosks whose doors the site does not know, and doors of the site that no kiosk has.
func strangers(s access.Site, kiosks []shown) string {
	var b strings.Builder
	known := map[string]bool{}
	for _, k := range kiosks {
		if k.State != "active" && k.State != "quarantined" {
			continue
		}
		known[k.Door] = true
		if !slices.ContainsFunc(s.Doors, func(d access.SiteDoor) bool { return d.Name == k.Door }) {
			fmt.Fprintf(&b, "attention: kiosk %s is at door %q, of which this says nothing: it will refuse it, and headquarters gives it nobody\n", k.Kiosk, k.Door)
		}
	}
	for _, d := range s.Doors {
		if !known[d.Name] {
			fmt.Fprintf(&b, "attention: no kiosk is at door %q\n", d.Name)
		}
	}
	return b.String()
}

const showAbout = `Says which rules are in force, and which kiosks have put them in force or refused them by their own signed records; -text writes the document
instead, for hq policy diff.

Example:
  hq policy show -text -dir hq > old.toml`

func showPolicy(ctx context.Context, args []string, out, progress io.Writer) error {
	p := newPage("policy show", "[-text] [-json] -dir DIR", showAbout, progress)
	text := p.Bool("text", false, "write the document as it was pushed")
	p.BoolVar(&p.json, "json", false, "as JSON")
	if _, err := p.words(args, 0, 0); err != nil {
		return err
	}
	now, err := ask[inForce](ctx, p, verbPolicy, hatch.Nothing{})
	if err == nil && now.Version == 0 {
		err = errors.New("no policy is in force: hq policy push puts one in force")
	}
	if err != nil {
		return err
	}
	if *text {
		_, err = out.Write(now.Text)
		return err
	}
	s, err := now.site()
	if err != nil {
		return err
	}
	kiosks, err := allKiosks(ctx, p)
	if err != nil {
		return err
	}
	r, err := ledger.Inspect(filepath.Join(p.dir, ledger.Folder))
	if err != nil {
		return err
	}
	var all []answer
	for _, k := range kiosks {
		if k.State != "active" && k.State != "quarantined" {
			continue
		}
		in, err := ask[placed](ctx, p, verbPlaced, placedRequest{k.Kiosk, now.Order})
		if err != nil {
			return err
		}
		a, err := answered(r, k, now, in.Commands)
		if err != nil {
			return err
		}
		all = append(all, a)
	}
	if p.json {
		return printJSON(out, struct {
			Version uint64   `json:"version"`
			Site    string   `json:"site"`
			Text    string   `json:"textSHA256"`
			Taken   int64    `json:"taken"`
			By      string   `json:"by"`
			Kiosks  []answer `json:"kiosks"`
		}{now.Version, s.Name, fmt.Sprintf("%x", s.Text), now.Taken, now.By, all})
	}
	fmt.Fprintf(out, "version %d of %q, signed by %s and taken on %s\ndocument with SHA-256 %x\n%s", now.Version, s.Name, now.By,
		time.Unix(now.Taken, 0).UTC().Format(time.DateTime), s.Text, strangers(s, kiosks))
	for _, a := range all {
		fmt.Fprintf(out, "%-24s %s  %s\n", a.Door, a.Kiosk, a.sentence())
	}
	return nil
}

// answer is what a kiosk has made of a policy, by records that it vouches for.
type answer struct {
	Kiosk   string `json:"kiosk"`
	Door    string `json:"door"`
	InForce bool   `json:"inForce"`
	Refused string `json:"refused,omitempty"` // why
	Record  uint64 `json:"record,omitempty"`  // that says so
	Damaged string `json:"damaged,omitempty"` // why nobody can tell
	Seen    int64  `json:"lastGreeting"`
	Since   bool   `json:"greetedSinceStart"`
}

func (a answer) sentence() string {
	switch {
	case a.InForce:
		return fmt.Sprintf("in force (record %d)", a.Record)
	case a.Damaged != "":
		return "nobody can tell: " + a.Damaged
	case a.Refused != "":
		return fmt.Sprintf("REFUSED (record %d): %q", a.Record, a.Refused)
	}
	return "has not answered; last greeting " + greeted(a.Seen, a.Since, time.Now())
}

// answered looks for a kiosk's word about a policy among what it recorded since that was taken; in are the commands that brought it.
func answered(r *ledger.Reader, k shown, p inForce, in []commandAt) (answer, error) {
	a := answer{Kiosk: k.Kiosk, Door: k.Door, Seen: k.Seen, Since: k.Since}
	err := r.Back(k.Kiosk, func(e ledger.Event) bool {
		if e.Arrived.Unix() < p.Taken {
			return false
		}
		var version uint64
		switch rec := e.Decoded; rec.Event {
		case access.EventPolicyChanged:
			_, of, _ := strings.Cut(rec.Detail, "document of ")
			if n, _ := fmt.Sscanf(of, "version %d", &version); n == 1 && version == p.Version {
				a.InForce, a.Refused, a.Record = true, "", e.Index
				return false
			}
		case access.EventPolicyRefused:
			var command uint64
			n, _ := fmt.Sscanf(rec.Detail, "command %d:", &command)
			if about := n == 1 && slices.ContainsFunc(in, func(c commandAt) bool { return c.Seq == command }); about && a.Refused == "" {
				a.Refused, a.Record = rec.Detail, e.Index
			}
		}
		return true
	})
	if errors.Is(err, os.ErrNotExist) {
		return a, nil // it has recorded nothing yet
	}
	if errors.Is(err, ledger.ErrDamaged) {
		return answer{Kiosk: k.Kiosk, Door: k.Door, Seen: k.Seen, Since: k.Since, Damaged: err.Error()}, nil
	}
	return a, err
}
