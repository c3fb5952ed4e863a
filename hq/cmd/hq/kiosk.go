package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/bounded"
	"github.com/lintel-access/lintel/sync/wire"
)

const kioskAbout = `The life of a kiosk. hq serve must run on DIR. A KIOSK is its name as hq kiosk list shows it, the beginning of that name, or its door; where a key
signs (decommission), the whole name.

  hq kiosk add FILE -door NAME -broker HOST:PORT -out FOLDER   make it known by FILE, which door identity wrote at the kiosk and you have carried here
  hq kiosk list [-json]                                        all there are; greeted "1h ago or less": not since hq serve was started, and before that to the hour
  hq kiosk quarantine KIOSK -why TEXT                          tell it nothing more, and hear what it has recorded
  hq kiosk lift KIOSK                                          end that, and those alarms that do not end by themselves; of a removed one the alarms alone
  hq kiosk adopt KIOSK                                         carry on from where it stands, after hq restore; it is given everything again
  hq kiosk replace OLD NEW                                     NEW, which has been added, gets the door and the orders of OLD, which is barred
  hq kiosk decommission KIOSK -key|-draft FILE                 an administrator has it forget everything; then remove it
  hq kiosk remove KIOSK -why TEXT                              bar it; what it holds, it keeps

A new kiosk for a door that has one: "add -replaces OLD" does both steps at once, and nothing else will do where the same kiosk was provisioned anew (its TPM
is known under the old name). "add" under the same door and "replace" later is for a kiosk that is to be tried first.

A kiosk takes one name for its door, and keeps it as long as it is provisioned: "add" and "replace" refuse it another one once it has greeted. For another
door it is provisioned anew, and added after "remove" of what it was. Before it has greeted, "add" again with another -door mends a slip.

A kiosk that was offline for more than 90 days cannot connect any more, because its certificate has ended. Adding it again with the same FILE and the same
-door gives it a new one and changes nothing else: carry FOLDER to it and run door headquarters again, as "add" prints it.

Example:
  hq kiosk add front.kiosk -door front -broker hq.example:8883 -out front -dir hq`

type kioskOptions struct {
	*page
	signing
	door, broker, out, why, replaces string
}

// kioskWords is what follows each verb of hq kiosk, besides flags.
var kioskWords = map[string][]string{
	"add": {"FILE"}, "list": nil, "quarantine": {"KIOSK"}, "lift": {"KIOSK"}, "adopt": {"KIOSK"}, "replace": {"OLD", "NEW"}, "decommission": {"KIOSK"}, "remove": {"KIOSK"},
}

// kioskCommand is the life of a kiosk.
func kioskCommand(ctx context.Context, args []string, out, progress io.Writer) error {
	o := kioskOptions{page: newPage("kiosk", "add|list|quarantine|lift|adopt|replace|decommission|remove … -dir DIR", kioskAbout, progress)}
	o.StringVar(&o.door, "door", "", "add: `name` of the door in the rules of the site (default: that of the kiosk it replaces, or what it says itself)")
	o.StringVar(&o.broker, "broker", "", "add (required): `address` at which the kiosk finds headquarters, host:port")
	o.StringVar(&o.out, "out", "", "add (required): new `folder` for what the kiosk is to be told")
	o.StringVar(&o.replaces, "replaces", "", "add: the `kiosk` in whose place it comes, which is barred")
	o.StringVar(&o.why, "why", "", "quarantine, remove (required): `reason`, for whoever reads the list later")
	o.signing.flags(o.page, "decommission: an administrator's")
	o.reaches()
	o.BoolVar(&o.json, "json", false, "list: as JSON")
	words, err := o.words(args, 1, 3)
	if err != nil {
		return err
	}
	verb, of := words[0], words[1:]
	wanted, known := kioskWords[verb]
	if !known {
		return fmt.Errorf("%q is nothing that can be done with a kiosk: %w", verb, errUsage)
	}
	if err := o.follow("kiosk "+verb, of, wanted); err != nil {
		return err
	}
	texts := [][2]string{{"-why", o.why}, {"-door", o.door}, {"-replaces", o.replaces}}
	if verb != "add" { // whose word is a path
		texts = append(texts, [2]string{"the name of a kiosk", strings.Join(of, " ")})
	}
	for _, t := range texts {
		if !utf8.ValidString(t[1]) {
			return fmt.Errorf("%s is not UTF-8: %w", t[0], errUsage)
		}
	}
	switch verb {
	case "add":
		return o.add(ctx, of[0], out)
	case "list":
		return o.list(ctx, out)
	case "replace":
		k, err := ask[named](ctx, o.page, verbReplace, replaceRequest{of[0], of[1]})
		return say(out, err, "kiosk %s has the door and is being told\n", k.Kiosk)
	case "decommission":
		return o.decommission(ctx, of[0], out)
	}
	if (verb == "quarantine" || verb == "remove") && o.why == "" {
		return fmt.Errorf("say why, -why TEXT: %w", errUsage)
	}
	k, err := ask[named](ctx, o.page, verbState, stateRequest{of[0], verb, o.why})
	return say(out, err, "kiosk %s: done\n", k.Kiosk)
}

func say(out io.Writer, err error, format string, args ...any) error {
	if err == nil {
		_, err = fmt.Fprintf(out, format, args...)
	}
	return err
}

// add makes a kiosk known, and writes what it must be told.
func (o kioskOptions) add(ctx context.Context, file string, out io.Writer) error {
	if o.broker == "" || o.out == "" || o.dir == "" {
		return fmt.Errorf("say -broker HOST:PORT, -out FOLDER and -dir DIR: %w", errUsage)
	}
	host, err := split(o.broker)
	if err != nil {
		return err
	}
	introduction, err := bounded.File(file, int64(wire.KindIntroduction.Most()))
	if err != nil {
		return err
	}
	if _, err := wire.Read[wire.Introduction](introduction); err != nil {
		return fmt.Errorf("%q is no introduction, which door identity writes", file)
	}
	if err := os.Mkdir(o.out, 0o755); err != nil {
		return err
	}
	a, err := ask[added](ctx, o.page, verbAdd, addRequest{introduction, o.door, o.replaces})
	if err != nil {
		return errors.Join(err, os.Remove(o.out))
	}
	root, err := os.ReadFile(filepath.Join(o.dir, "root.pub"))
	if err != nil {
		return err
	}
	var chain []byte
	for _, c := range a.Chain {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
	}
	for name, data := range map[string][]byte{"root.pub": root, "trust.cose": a.Trust, "certificate.pem": chain} {
		if err := authority.Replace(filepath.Join(o.out, name), data, 0o644); err != nil {
			return err
		}
	}
	return say(out, nil, "kiosk %s is known. On the kiosk, with %s beside it:\n  door headquarters -state STATE -root-key root.pub -broker %s -server %s -trust trust.cose -certificate certificate.pem -door %s\n",
		a.Kiosk, o.out, o.broker, host, a.Door)
}

func allKiosks(ctx context.Context, p *page) ([]shown, error) {
	all := []shown{}
	for more := true; more; {
		l, err := ask[listed](ctx, p, verbList, listRequest{len(all)})
		if err != nil {
			return nil, err
		}
		all, more = append(all, l.Kiosks...), l.More
	}
	return all, nil
}

func (o kioskOptions) list(ctx context.Context, out io.Writer) error {
	all, err := allKiosks(ctx, o.page)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(out, all)
	}
	now := time.Now()
	fmt.Fprintf(out, "%-24s %-32s %-12s %-18s %-14s %s\n", "DOOR", "KIOSK", "STATE", "LAST GREETING", "COMMANDS", "TRUST/POLICY")
	for _, k := range all {
		state := k.State
		if state == "active" && k.Online == 0 {
			state = "offline"
		}
		fmt.Fprintf(out, "%-24s %-32s %-12s %-18s %-14s %d/%d\n", k.Door, k.Kiosk, state, greeted(k.Seen, k.Since, now), fmt.Sprintf("%d of %d", k.Seq, k.Head), k.Trust, k.Policy)
		if k.OwnSeq != k.Seq || k.OwnTrust != k.Trust { // for a minute that is in order: records follow
			fmt.Fprintf(out, "    says it has command %d and trust %d; its records do not, yet\n", k.OwnSeq, k.OwnTrust)
		}
		for _, a := range k.Alarms {
			fmt.Fprintf(out, "    ALARM %s\n", a)
		}
		if k.Why != "" {
			fmt.Fprintf(out, "    %s\n", k.Why)
		}
	}
	return nil
}

func (o kioskOptions) decommission(ctx context.Context, kiosk string, out io.Writer) error {
	if err := o.order(ctx, o.page, kiosk, wire.Decommission{Issued: time.Now().Unix()}, out); err != nil || o.draft != "" {
		return err
	}
	return say(out, nil, "kiosk %q forgets everything when it is told so; its record of it is the proof. Then: hq kiosk remove\n", kiosk)
}

// meant refuses to sign for another kiosk than the operator named: hq serve, which looks it up, is not to say for whom somebody's key signs.
func meant(word string, kiosk [32]byte) error {
	if word != wire.Name(kiosk) {
		return fmt.Errorf("headquarters takes %q for kiosk %s: nothing was signed; say its whole name, if that is it: %w", word, wire.Name(kiosk), errUsage)
	}
	return nil
}
