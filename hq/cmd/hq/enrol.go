package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/extract"
	"github.com/lintel-access/lintel/hq/people"
)

const aboutEnrol = `enrols one person: from photographs, of which references are made and which are not kept, or at a kiosk
(-at), where somebody who knows the person stands by; then no photograph is taken and the references stay in that
kiosk. The enrolment is signed with your key. It is refused without a consent or other legal basis, a proofing
record (a file: who checked the person's identity, and by what) and an end. Privileged groups wait for hq approve.`

// texts is a flag that may stand several times.
type texts []string

func (t *texts) String() string     { return strings.Join(*t, ", ") }
func (t *texts) Set(s string) error { *t = append(*t, s); return nil }

func enrol(ctx context.Context, args []string, out, progress io.Writer) error {
	var (
		o                          office
		r                          people.Request
		photos, groups             texts
		until, proofing, at, again string
	)
	fs := o.flags("enrol", `"NAME" -photo FILE … -group GROUP … -consent REFERENCE -proofing FILE -valid-until DATE -key FILE -dir FOLDER`, aboutEnrol, progress)
	o.signs(fs)
	o.looks(fs)
	fs.Var(&photos, "photo", "a photograph, JPEG or PNG, of this person alone; may stand several times, three are good")
	fs.Var(&groups, "group", "a group of the policy; may stand several times")
	fs.StringVar(&r.Number, "number", "", "staff or badge number, if there is one")
	fs.StringVar(&r.Consent, "consent", "", "reference to the consent or other legal basis")
	fs.StringVar(&proofing, "proofing", "", "file of the proofing record")
	fs.StringVar(&until, "valid-until", "", "last day of the permission, as 2027-06-30")
	fs.BoolVar(&r.Extended, "extended", false, "the person needs the door's longer times")
	fs.StringVar(&at, "at", "", "id of the kiosk that enrols the person instead, 64 digits")
	fs.StringVar(&again, "again", "", "id of a person who is enrolled and gets new photographs, groups or dates")
	fs.BoolVar(&r.Duplicate, "duplicate-ok", false, "it is another person than the one they look like; a second operator must agree")
	words, err := o.parse(fs, args)
	if err != nil {
		return err
	}
	if len(words) != 1 {
		return fmt.Errorf("say one person's name, in quotes: %w", errUsage)
	}
	r.Name, r.Groups = words[0], groups
	if r.Until, err = people.ParseUntil(until); err != nil {
		return fmt.Errorf("-valid-until: %w", err)
	}
	if again != "" {
		if r.Again, err = access.ParsePersonID(again); err != nil {
			return err
		}
	}
	if at != "" {
		if r.At, err = parseHash("-at", at); err != nil {
			return err
		}
	}
	if proofing != "" {
		if r.Proofing, err = readBounded(proofing, people.MaxProofing); err != nil {
			return fmt.Errorf("-proofing: %w", err)
		}
	}
	for _, name := range photos {
		photo, err := readBounded(name, extract.MaxPhoto)
		if err != nil {
			return fmt.Errorf("-photo: %w", err)
		}
		r.Photos = append(r.Photos, photo)
	}
	by, err := o.operator()
	if err != nil {
		return err
	}
	host, rules, err := o.extractor()
	if err != nil {
		return err
	}
	p, err := o.open()
	if err != nil {
		return err
	}
	done, err := p.Enrol(ctx, r, by, host, rules)
	if err != nil {
		return err
	}
	o.tell(ctx, progress)
	fmt.Fprintf(out, "person %v\norder  %x\n", done.Person, done.Order)
	if done.Pending != "" {
		fmt.Fprintf(out, "waits for a second operator (%s): hq approve %x\n", done.Pending, done.Order)
	}
	for _, l := range done.Alike {
		fmt.Fprintf(out, "%s %v\n", likeness(l), l.Person)
	}
	return nil
}

func likeness(l people.Likeness) string {
	if l.Same {
		return "the doors cannot tell this person from"
	}
	return "looks like"
}
