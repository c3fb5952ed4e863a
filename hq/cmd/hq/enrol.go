package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/bounded"
	"github.com/lintel-access/lintel/hq/draft"
	"github.com/lintel-access/lintel/hq/extract"
	"github.com/lintel-access/lintel/hq/people"
)

const aboutEnrol = `Enrols one person: from photographs, of which references are made and which are not kept, or at a kiosk (-at), where somebody who
knows the person stands by; then no photograph is taken and the references stay in that kiosk. The enrolment is signed with your key. It is
refused without a consent or other legal basis, a proofing record (a file: who checked the person's identity, and by what) and an end.
Privileged groups wait for hq approve.

A group is one that the rules of the site name (hq policy show -text): a door lets in nobody whose groups none of its rules names.

At a kiosk nothing happens by this alone. Within eight hours the person goes there with somebody who knows them, and you run hq begin, which
has the kiosk enrol who stands before it. hq enrol needs hq serve then, to know which kiosk is meant.

Examples:
  hq enrol "Ann Example" -photo a.jpg -photo b.jpg -group staff -consent C-2041 -proofing id-check.pdf -valid-until 2027-06-30 -key eve.pem -dir hq
  hq enrol "Ann Example" -at front -group staff -consent C-2041 -proofing id-check.pdf -valid-until 2027-06-30 -draft ann -dir hq`

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
	fs := o.flags("enrol", `"NAME" -photo FILE …|-at KIOSK -group GROUP … -consent REFERENCE -proofing FILE -valid-until DATE -key FILE|-draft FILE -dir DIR`, aboutEnrol, progress)
	o.signing.flags(fs, "an enroller's")
	o.looks(fs)
	fs.Var(&photos, "photo", "`file` of a photograph, JPEG or PNG, of this person alone; may stand several times, three are good (required, unless there is -at)")
	fs.Var(&groups, "group", "a `group` that the rules of the site name; may stand several times, and without one no door lets the person in")
	fs.StringVar(&r.Number, "number", "", "staff or badge `number`, if there is one")
	fs.StringVar(&r.Consent, "consent", "", "`reference` to the consent or other legal basis (required)")
	fs.StringVar(&proofing, "proofing", "", "`file` of the proofing record (required)")
	fs.StringVar(&until, "valid-until", "", "last `day` of the permission, as 2027-06-30, within ten years (required)")
	fs.BoolVar(&r.Extended, "extended", false, "the person needs the door's longer times")
	fs.StringVar(&at, "at", "", "`kiosk` that enrols the person, in place of photographs: its name as hq kiosk list shows it, the beginning of that, or its door; with -key its whole name")
	fs.StringVar(&again, "again", "", "`id` of a person who is enrolled and gets new photographs, groups or dates")
	fs.BoolVar(&r.Duplicate, "duplicate-ok", false, "it is another person than the one they look like; a second operator must agree")
	words, err := o.parse(fs, args, 1, 1)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
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
		if r.At, err = o.atKiosk(ctx, at); err != nil {
			return err
		}
	}
	if proofing != "" {
		if r.Proofing, err = bounded.File(proofing, people.MaxProofing); err != nil {
			return fmt.Errorf("-proofing: %w", err)
		}
	}
	for _, name := range photos {
		photo, err := bounded.File(name, extract.MaxPhoto)
		if err != nil {
			return fmt.Errorf("-photo: %w", err)
		}
		r.Photos = append(r.Photos, photo)
	}
	take, err := o.enroller()
	if err != nil {
		return err
	}
	done, err := take.enrol(ctx, r)
	if err != nil {
		return err
	}
	o.sayUnplaced(ctx, out, take.placed)
	if o.draft != "" {
		return o.end(fs, take.drafts, out, nil)
	}
	o.tell(ctx, progress)
	return o.sayEnrolled(fs, out, done)
}

// enroller enrols people at once, or gathers drafts of it.
type enroller struct {
	office *office
	people *people.People
	host   *extract.Host
	rules  people.Rules
	by     people.Operator // unless it drafts
	drafts []draft.Draft
	placed []placing // of those who were enrolled, or drafted
}

func (o *office) enroller() (*enroller, error) {
	host, err := o.extractor()
	if err != nil {
		return nil, err
	}
	rules, err := o.rules()
	if err != nil {
		return nil, err
	}
	var by people.Operator
	if o.draft == "" {
		if by, err = o.operator(); err != nil {
			return nil, err
		}
	}
	p, err := o.open()
	return &enroller{office: o, people: p, host: host, rules: rules, by: by}, err
}

func (e *enroller) enrol(ctx context.Context, r people.Request) (done people.Enrolled, err error) {
	if e.office.draft == "" {
		done, err = e.people.Enrol(ctx, r, e.by, e.host, e.rules)
	} else {
		err = e.draft(ctx, r)
	}
	if err == nil {
		e.placed = append(e.placed, placing{r.Groups, r.At})
	}
	return done, err
}

func (e *enroller) draft(ctx context.Context, r people.Request) error {
	if len(e.drafts) == draft.MaxItems {
		return fmt.Errorf("one file holds no more than %d drafts", draft.MaxItems)
	}
	d, err := e.people.DraftEnrolment(ctx, r, e.host, e.rules)
	if err == nil {
		e.drafts = append(e.drafts, d)
	}
	return err
}

// sayEnrolled says who was enrolled, and what is to be typed next where this alone does nothing.
func (o *office) sayEnrolled(at *page, out io.Writer, done people.Enrolled) error {
	fmt.Fprintf(out, "person %v\norder  %x\n", done.Person, done.Order)
	for _, l := range done.Alike {
		fmt.Fprintf(out, "%s %v\n", likeness(l), l.Person)
	}
	if done.Pending != "" {
		return say(out, nil, "waits for a second operator (%s): hq approve %x -key KEY%s\n", done.Pending, done.Order, at.where())
	}
	p, err := o.open()
	if err != nil {
		return err
	}
	key := "KEY"
	if o.key != "" {
		key = shellWord(o.key)
	}
	return o.sayBegin(out, p, done.Person, key)
}

func likeness(l people.Likeness) string {
	if l.Same {
		return "the doors cannot tell this person from"
	}
	return "looks like"
}
