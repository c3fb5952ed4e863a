package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/draft"
	"github.com/lintel-access/lintel/hq/people"
	"github.com/lintel-access/lintel/sync/wire"
)

// lastDay is a Unix second that ends a day, as that day.
func lastDay(until int64) string { return time.Unix(until-1, 0).UTC().Format(time.DateOnly) }

const aboutChange = `%s. PERSON is an id, a number or a name, as hq people list shows them; for resume with -key, the id.

Example:
  hq %s 0123456789abcdef0123456789abcdef -key ada.pem -dir hq`

// change makes the command for one person that an operator signs.
func change(name, does string, drafted func(*people.People, access.PersonID) (draft.Draft, error)) command {
	return command{name, does, func(ctx context.Context, args []string, out, progress io.Writer) error {
		var o office
		fs := o.flags(name, "PERSON -key FILE|-draft FILE -dir DIR", fmt.Sprintf(aboutChange, strings.ToUpper(does[:1])+does[1:], name), progress)
		o.signing.flags(fs, "your")
		words, err := o.parse(fs, args, 1, 1)
		if err != nil {
			return err
		}
		if err := o.check(); err != nil {
			return err
		}
		p, err := o.open()
		if err != nil {
			return err
		}
		who, err := p.Find(words[0])
		if err != nil {
			return err
		}
		if name == "resume" && o.key != "" && who.ID.String() != words[0] { // it gives, and nobody reads what is signed
			return fmt.Errorf("headquarters takes that for %v: nothing was signed; say the id, if that is it, or -draft: %w", who.ID, errUsage)
		}
		d, err := drafted(p, who.ID)
		if err != nil {
			return err
		}
		return o.end(fs, []draft.Draft{d}, out, func(all []draft.Signed) error { return o.hand(ctx, fs, all, out, progress) })
	}}
}

const aboutDelete = `Has a person forgotten, here and at every kiosk, for good: references, name and all. PERSON is an id, a number or a name. With -ended DAYS
instead it is everybody whose permission ended so many days ago or longer: doors let them in no more, but their references are still kept. An id of
which headquarters knows nothing is taken, too: after a restore, kiosks may hold somebody whose deletion, or whose enrolment, was lost.

Example:
  hq delete "Ann Example" -key eve.pem -dir hq`

func deletePeople(ctx context.Context, args []string, out, progress io.Writer) error {
	var o office
	fs := o.flags("delete", "PERSON|-ended DAYS -key FILE|-draft FILE -dir DIR", aboutDelete, progress)
	o.signing.flags(fs, "your")
	ended := -1
	fs.Func("ended", "in place of a person, everybody whose permission ended so many `days` ago, or longer", func(s string) (err error) {
		if ended, err = strconv.Atoi(s); err == nil && ended < 0 {
			err = errors.New("want 0 or more")
		}
		return err
	})
	words, err := o.parse(fs, args, 0, 1)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	if (len(words) == 1) == (ended >= 0) {
		return fmt.Errorf("say one person, or -ended DAYS: %w", errUsage)
	}
	p, err := o.open()
	if err != nil {
		return err
	}
	var who []people.Listed
	if len(words) == 1 {
		one, err := p.Find(words[0])
		if id, not := access.ParsePersonID(words[0]); errors.Is(err, people.ErrUnknown) && not == nil {
			one, err = people.Listed{Person: people.Person{ID: id}}, nil
		}
		if err != nil {
			return err
		}
		who = append(who, one)
	} else if who, err = p.Ended(time.Duration(ended) * day); err != nil {
		return err
	}
	if len(who) == 0 {
		return say(out, nil, "nobody's permission ended that long ago\n")
	}
	var drafts []draft.Draft
	for _, l := range who {
		d, err := p.DraftDeletion(l.ID)
		if err != nil {
			return err
		}
		drafts = append(drafts, d)
	}
	return o.end(fs, drafts, out, func(all []draft.Signed) error { return o.hand(ctx, fs, all, out, progress) })
}

// peopleCommands are the commands about people, in the order of a person's life.
func peopleCommands() []command {
	to := func(s people.State) func(*people.People, access.PersonID) (draft.Draft, error) {
		return func(p *people.People, who access.PersonID) (draft.Draft, error) { return p.DraftState(who, s) }
	}
	return []command{
		{"people", "list or show who is enrolled; make the vault of people", showPeople},
		{"enrol", "enrol a person from photographs, or at a kiosk", enrol},
		{"bulk", "enrol the people of a table", bulk},
		{"approve", "agree, as a second operator, to enrolments that wait", approve},
		change("suspend", "take a permission until it is given back; for administrators", to(people.Suspended)),
		change("resume", "give a suspended permission back; for administrators", to(people.Active)),
		change("revoke", "take a permission for good; for administrators", to(people.Revoked)),
		{"delete", "have people forgotten, here and at every kiosk, for good", deletePeople},
	}
}

const aboutPeople = `list            everybody, a line each
show PERSON     all that is kept of one person, without references
proofing PERSON writes the proofing record to standard output
privileged      the groups whose members a second operator must approve; followed by groups: sets them ("none": no group)
init            makes the vault of people and its master key, once (-passphrase asks for one)

Example:
  hq people show "Ann Example" -dir hq`

func showPeople(ctx context.Context, args []string, out, progress io.Writer) error {
	var (
		o                  office
		asJSON, passphrase bool
	)
	fs := o.flags("people", "list|show PERSON|proofing PERSON|privileged [GROUP …]|init -dir DIR", aboutPeople, progress)
	fs.BoolVar(&asJSON, "json", false, "list and show: JSON")
	fs.BoolVar(&passphrase, "passphrase", false, "init: put the master key under a passphrase, which every command then asks for")
	words, err := o.parse(fs, args, 1, 64)
	if err != nil {
		return err
	}
	word := strings.Join(words[:min(1, len(words))], "")
	if word == "init" && len(words) == 1 {
		return o.init(passphrase, out)
	}
	p, err := o.open()
	if err != nil {
		return err
	}
	switch {
	case word == "list" && len(words) == 1:
		return listPeople(p, asJSON, out, progress)
	case word == "show" && len(words) == 2:
		who, err := p.Find(words[1])
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(out).Encode(jsonPerson(who))
		}
		showPerson(who, out)
		return nil
	case word == "proofing" && len(words) == 2:
		who, err := p.Find(words[1])
		if err != nil {
			return err
		}
		record, err := p.Proofing(who)
		if err == nil {
			_, err = out.Write(record)
		}
		return err
	case word == "privileged" && len(words) == 1:
		groups, err := p.Privileged()
		fmt.Fprintln(out, strings.Join(groups, "\n"))
		return err
	case word == "privileged":
		return o.setPrivileged(ctx, words[1:], out, progress)
	}
	return fmt.Errorf("say list, show PERSON, proofing PERSON, privileged or init: %w", errUsage)
}

// setPrivileged replaces the list of privileged groups, and says what it is now: an empty one would switch the second operator off unseen.
func (o *office) setPrivileged(ctx context.Context, groups []string, out, progress io.Writer) error {
	if len(groups) == 1 && groups[0] == "none" {
		groups = nil
	}
	if err := o.vault.SetPrivileged(groups); err != nil {
		return err
	}
	is, err := o.vault.Privileged()
	if err != nil {
		return err
	}
	if len(is) == 0 {
		return say(out, nil, "no group is privileged\n")
	}
	if err := say(out, nil, "%s\n", strings.Join(is, "\n")); err != nil {
		return err
	}
	o.sayUnnamed(ctx, progress, is)
	return nil
}

func (o *office) init(passphrase bool, out io.Writer) error {
	var secret string
	if passphrase {
		var err error
		if secret, err = askPassphrase(); err != nil {
			return err
		}
	}
	m, err := people.CreateMaster(o.master, secret)
	if err != nil {
		return err
	}
	if err := people.Create(o.folder(), m); err != nil {
		return errors.Join(err, os.Remove(o.master)) // a key of nothing would stand in the way
	}
	fmt.Fprintf(out, "master key %s: keep a copy where no backup of the vault goes\nvault      %s: hq backup copies it, but never people.keys\n", o.master, o.folder())
	return nil
}

func listPeople(p *people.People, asJSON bool, out, progress io.Writer) error {
	all, lost, err := p.List()
	if err != nil {
		return err
	}
	for _, l := range all {
		if asJSON {
			err = errors.Join(err, json.NewEncoder(out).Encode(jsonPerson(l)))
			continue
		}
		fmt.Fprintf(out, "%v  %-10s until %s  %s  %s\n", l.ID, standing(l), lastDay(l.Until), l.Name, strings.Join(l.Groups, ", "))
	}
	if lost > 0 {
		fmt.Fprintf(progress, "%d records do not open: people.db and people.keys are not of one time\n", lost)
	}
	return err
}

func standing(l people.Listed) string {
	switch {
	case l.Pending:
		return "waits"
	case l.State == people.Active && l.Until <= time.Now().Unix():
		return "ended"
	}
	return l.State.String()
}

func showPerson(l people.Listed, out io.Writer) {
	say := func(what, value string) {
		if value != "" {
			fmt.Fprintf(out, "%-12s%s\n", what, value)
		}
	}
	say("person", fmt.Sprintf("%v, generation %d", l.ID, l.Generation))
	say("name", l.Name)
	say("number", l.Number)
	say("groups", strings.Join(l.Groups, ", "))
	say("standing", standing(l)+", until "+lastDay(l.Until))
	say("consent", l.Consent)
	say("proofing", "record of SHA-256 "+hex.EncodeToString(l.Proofing[:]))
	if l.At != [32]byte{} {
		say("references", fmt.Sprintf("at kiosk %s alone", wire.Name(l.At)))
	} else {
		say("references", fmt.Sprintf("%d, of model bundle %x", l.Count, l.Bundle[:8]))
	}
	say("enrolled", fmt.Sprintf("by %s, key %x, on %s", l.Enroller.Name, l.Enroller.Key[:8], time.Unix(l.Issued, 0).UTC().Format(time.DateTime)))
	if l.Approver.Name != "" {
		say("approved", fmt.Sprintf("by %s, key %x", l.Approver.Name, l.Approver.Key[:8]))
	}
	say("batch", l.Batch)
	for _, a := range l.Alike {
		say("note", fmt.Sprintf("%s %v", likeness(a), a.Person))
	}
}

func jsonPerson(l people.Listed) any {
	return struct {
		ID         string   `json:"id"`
		Generation uint64   `json:"generation"`
		Name       string   `json:"name"`
		Number     string   `json:"number,omitempty"`
		Groups     []string `json:"groups"`
		Until      string   `json:"valid_until"`
		Standing   string   `json:"standing"`
		Consent    string   `json:"consent"`
		Proofing   string   `json:"proofing_sha256"`
		References int      `json:"references"`
		Enroller   string   `json:"enroller"`
		Approver   string   `json:"approver,omitempty"`
		Order      string   `json:"order"`
	}{
		l.ID.String(), l.Generation, l.Name, l.Number, l.Groups, lastDay(l.Until), standing(l), l.Consent, hex.EncodeToString(l.Proofing[:]), l.Count,
		l.Enroller.Name, l.Approver.Name, hex.EncodeToString(l.Order[:]),
	}
}
