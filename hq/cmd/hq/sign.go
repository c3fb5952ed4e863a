package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/draft"
	"github.com/lintel-access/lintel/hq/hatch"
	"github.com/lintel-access/lintel/hq/people"
	"github.com/lintel-access/lintel/sync/wire"
)

// signing is where an order gets its signature: here, by a key that is at hand, or elsewhere, by way of a draft.
type signing struct {
	key, draft string // files
}

func (g *signing) flags(p *page, whose string) {
	p.StringVar(&g.key, "key", "", whose+" key `file`, mode 0600: signs and hands in at once")
	p.StringVar(&g.draft, "draft", "", "instead of a key, a new `file` for the draft: hq sign signs it on the operator's own machine, hq hand takes it here")
}

// check wants a key or a draft.
func (g signing) check() error {
	if (g.key == "") == (g.draft == "") {
		return fmt.Errorf("say whose word this is: -key FILE, or -draft FILE to have it signed elsewhere: %w", errUsage)
	}
	return nil
}

// end has drafts signed here and handed in, or writes them to be signed elsewhere.
func (g signing) end(p *page, drafts []draft.Draft, out io.Writer, hand func([]draft.Signed) error) error {
	if g.draft != "" {
		if err := writeNew(g.draft, func(f io.Writer) error { return draft.Write(f, drafts) }); err != nil {
			return err
		}
		return say(out, nil, "nothing is done yet. On the operator's machine: hq sign %s -key KEY; then here: hq hand %s%s\n",
			shellWord(g.draft), shellWord(g.draft+".signed"), p.where())
	}
	key, err := authority.LoadKey(g.key)
	if err != nil {
		return err
	}
	var all []draft.Signed
	for _, d := range drafts {
		s, err := d.Sign(key)
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	return hand(all)
}

// writeNew writes a file that does not exist yet and that its owner alone may read, since a draft has references: durably, or it leaves none.
func writeNew(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = errors.Join(write(f), f.Sync(), f.Close()); err == nil {
		err = authority.SyncFolder(path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

const signAbout = `Signs, with your key, what headquarters has drafted. It needs neither headquarters' folder nor a network: take FILE to your own machine,
where your key is, read what it says, and take FILE.signed back to headquarters, where hq hand takes it. A draft of an enrolment holds references:
delete it when you have signed.

Example:
  hq sign ann -key ada.pem`

// signCommand signs drafts on a machine that has nothing of headquarters'.
func signCommand(_ context.Context, args []string, out, progress io.Writer) error {
	fs := flag.NewFlagSet("hq sign", flag.ContinueOnError)
	fs.SetOutput(progress)
	fs.Usage = func() {
		fmt.Fprintf(progress, "usage: hq sign FILE -key FILE [-out FILE] [-yes]\n\n%s\n\n", signAbout)
		fs.PrintDefaults()
	}
	key := fs.String("key", "", "your key `file`, mode 0600 (required)")
	to := fs.String("out", "", "new `file` for what is signed (default FILE.signed)")
	yes := fs.Bool("yes", false, "sign without being asked")
	words, err := wordsOf(fs, args)
	if err != nil {
		return err
	}
	if len(words) != 1 || *key == "" {
		return fmt.Errorf("say which file, and whose key, -key FILE: %w", errUsage)
	}
	if *to == "" {
		*to = words[0] + ".signed"
	}
	f, err := os.Open(words[0])
	if err != nil {
		return err
	}
	defer f.Close()
	drafts, err := draft.Read(f)
	if err != nil {
		return fmt.Errorf("%q: %w", words[0], err)
	}
	signer, err := authority.LoadKey(*key)
	if err != nil {
		return err
	}
	var all []draft.Signed
	for _, d := range drafts { // told first: what cannot be told is not signed
		if err := d.Tell(out); err != nil {
			return err
		}
		s, err := d.Sign(signer)
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	if !*yes {
		fmt.Fprintf(progress, "Your key signs the above, %d in all. Type yes to agree: ", len(drafts))
		if line, _ := bufio.NewReader(io.LimitReader(os.Stdin, 1<<10)).ReadString('\n'); strings.TrimSpace(line) != "yes" {
			return errors.New("nothing was signed")
		}
	}
	if err := writeNew(*to, func(f io.Writer) error { return draft.WriteSigned(f, all) }); err != nil {
		return err
	}
	return say(out, nil, "signed. At headquarters: hq hand %s -dir DIR\n", shellWord(*to))
}

const handAbout = `Takes in what hq sign has signed. It is judged as kiosks will judge it: a draft that was changed, that has been overtaken, or that is signed by
somebody who may not, is refused. Nothing takes effect twice: run it again after an interruption; what was taken before is told as taken or handed in
already, and the rest goes on.

Example:
  hq hand ann.signed -dir hq`

// handCommand takes signed orders in.
func handCommand(ctx context.Context, args []string, out, progress io.Writer) error {
	var o office
	p := o.flags("hand", "FILE.signed -dir DIR", handAbout, progress)
	words, err := o.parse(p, args, 1, 1)
	if err != nil {
		return err
	}
	f, err := os.Open(words[0])
	if err != nil {
		return err
	}
	defer f.Close()
	all, err := draft.ReadSigned(f)
	if err != nil {
		return fmt.Errorf("%q: %w", words[0], err)
	}
	return o.hand(ctx, p, all, out, progress)
}

// hand takes signed orders in, each by itself, and says what became of it.
func (o *office) hand(ctx context.Context, p *page, all []draft.Signed, out, progress io.Writer) error {
	var failed []error
	var taken []draft.Signed
	told := false
	for n, s := range all {
		kind, err := kindOf(s)
		switch {
		case err != nil:
		case !people.About(kind):
			err = submit(ctx, p, s, out)
		default:
			told = true
			if err = o.handPerson(p, s, out); err == nil {
				taken = append(taken, s)
			}
		}
		if err != nil && len(all) > 1 {
			err = fmt.Errorf("number %d: %w", n+1, err)
		}
		failed = append(failed, err)
	}
	if told {
		o.sayUnplaced(ctx, out, placings(taken))
		o.tell(ctx, progress)
	}
	return errors.Join(failed...)
}

func kindOf(s draft.Signed) (wire.Kind, error) {
	if len(s.Envelopes) == 0 {
		return 0, errors.New("there is no order")
	}
	claim, err := wire.Peek(s.Envelopes[len(s.Envelopes)-1])
	return claim.Kind, err
}

func (o *office) handPerson(p *page, s draft.Signed, out io.Writer) error {
	vault, err := o.open()
	if err != nil {
		return err
	}
	trust, err := o.trust()
	if err != nil {
		return err
	}
	rules, err := o.rules()
	if err != nil {
		return err
	}
	h, err := vault.Hand(s, trust, rules)
	if err != nil {
		return err
	}
	switch h.Kind {
	case wire.KindStanding:
		fmt.Fprintf(out, "%v %v\n", h.Person, map[people.State]string{people.Suspended: "suspended", people.Active: "resumed", people.Revoked: "revoked"}[h.State])
	case wire.KindDeletion:
		text := "%v deleted\n"
		if h.Stranger {
			text = "%v deleted: nobody of this id is known here, and every kiosk that knows them is told\n"
		}
		fmt.Fprintf(out, text, h.Person)
	case wire.KindApproval:
		fmt.Fprintf(out, "%x approved\n", h.Order)
		return o.sayBegin(out, vault, h.Person, "KEY") // whoever approved need be no enroller
	default:
		return o.sayEnrolled(p, out, h.Enrolled)
	}
	return nil
}

// submit hands an order that is not about a person to hq serve.
func submit(ctx context.Context, p *page, s draft.Signed, out io.Writer) error {
	if len(s.Envelopes) != 1 {
		return fmt.Errorf("%d orders, want one", len(s.Envelopes))
	}
	kiosk, where := "", "every kiosk"
	if s.Audience != wire.Fleet() {
		kiosk = wire.Name(s.Audience)
		where = "kiosk " + kiosk
	}
	if _, err := ask[hatch.Nothing](ctx, p, verbOrder, orderRequest{kiosk, s.Envelopes[0]}); err != nil {
		return err
	}
	return say(out, nil, "taken: %s is told as soon as it is connected\n", where)
}

// order drafts one order for all kiosks or, with a name, for one, and has it signed.
func (g signing) order(ctx context.Context, p *page, kiosk string, body wire.Body, out io.Writer) error {
	if err := g.check(); err != nil {
		return err
	}
	audience := wire.Fleet()
	if kiosk != "" {
		k, err := ask[named](ctx, p, verbFind, kioskRequest{kiosk})
		if err != nil {
			return err
		}
		if err := meant(kiosk, k.ID); err != nil {
			return err
		}
		audience = k.ID
	}
	o, err := draft.New(audience, body)
	if err != nil {
		return err
	}
	return g.end(p, []draft.Draft{{Orders: []draft.Order{o}}}, out, func(all []draft.Signed) error { return submit(ctx, p, all[0], out) })
}
