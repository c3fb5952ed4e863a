package ipc

import (
	"errors"
	"fmt"
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// Bounds of what a message may say. The packet's size bounds memory; these bound meaning.
const (
	maxName     = 64              // bytes of a name
	maxSentence = 200             // bytes of a text for the operator
	maxDropped  = 8               // execution providers
	maxDegraded = 24              // degraded modes in one Status
	maxOutcomes = 16              // in one Status
	maxPixels   = 1 << 13         // largest coordinate of a box; the camera has 640
	maxEnrol    = 2 * time.Minute // an enrolment session nobody walks up to must not stay open
	maxLevel    = 255             // of an 8-bit gray level
	maxReceipt  = 128             // bytes; a receipt of vault has fewer than 60
	maxReview   = 224             // bytes of a signed review; one has at most 150
	maxProof    = 128             // bytes of a signature; ECDSA P-256 in ASN.1 has at most 72
	maxVerify   = 64 + 34 + 48    // bytes of a CertificateVerify's content: padding, context, transcript hash
	// maxSignature is ECDSA P-256 in ASN.1.
	maxSignature = 72
	maxSealed    = 32 << 20         // bytes of the encrypted frames of a session, as in firmware/abuse
	maxTiming    = 20 * time.Second // of exposure and delay; three frames of the slowest camera that door takes are 15 s
)

// Decode reads the body of m into v, a pointer to the message of that kind, and checks its bounds; a nil v wants a body that says
// nothing. After an error v holds nothing of the packet.
func Decode(m Message, v any) error {
	if v == nil {
		v = new(struct{})
	}
	if err := wire.Unmarshal(m.Body, v); err != nil {
		return fmt.Errorf("decode %v: %w", m.Kind, err)
	}
	if err := validate(v); err != nil {
		forget(v)
		return fmt.Errorf("decode %v: %w", m.Kind, err)
	}
	return nil
}

// forget zeroes the message that v points to, with what it refers to if that is to be wiped.
func forget(v any) {
	if w, ok := v.(interface{ Wipe() }); ok {
		w.Wipe()
	}
	reflect.ValueOf(v).Elem().SetZero()
}

// validate checks the bounds of a message, given as value or pointer. A type without bounds is no message.
func validate(v any) error {
	switch v := v.(type) {
	case interface{ Validate() error }:
		return v.Validate()
	case access.Presentation:
		return ValidatePresentation(&v)
	case *access.Presentation:
		return ValidatePresentation(v)
	case struct{}, *struct{}:
		return nil
	}
	return fmt.Errorf("%T is no message", v)
}

// Validate checks the bounds of a message to be signed; what it says is the signer's to judge.
func (s SignTLS) Validate() error { return atMost("bytes to sign", len(s.Message), maxVerify) }

// Validate checks the bounds of a signature.
func (s Signature) Validate() error {
	return atMost("bytes of signature", len(s.Signature), maxSignature)
}

// MaxEnvelope is the largest message of headquarters, bytes.
const MaxEnvelope = wire.MaxMessage

// Validate bounds where headquarters is said to be.
func (s Stationed) Validate() error {
	err := errors.Join(texts("broker", maxSentence, s.Broker), texts("name", maxName, s.Server, s.Name))
	for _, list := range [][][]byte{s.Certificate, s.Authorities} {
		err = errors.Join(err, atMost("certificates", len(list), MaxCertificates))
		for _, c := range list {
			err = errors.Join(err, atMost("bytes of a certificate", len(c), wire.MaxCertificate))
		}
	}
	return err
}

// Validate bounds the sentence.
func (o Online) Validate() error { return texts("reason", maxSentence, o.Why) }

// Validate wants that something was dropped.
func (d Dropped) Validate() error {
	if d == (Dropped{}) {
		return errors.New("nothing was dropped")
	}
	return nil
}

// Validate bounds the message; what it says is for its signature to vouch for.
func (e Envelope) Validate() error {
	if len(e.Data) == 0 {
		return errors.New("empty envelope")
	}
	return atMost("bytes of an envelope", len(e.Data), MaxEnvelope)
}

// Validate bounds the message.
func (r Report) Validate() error {
	if len(r.Data) == 0 {
		return errors.New("empty report")
	}
	return atMost("bytes of a report", len(r.Data), 16<<10-16)
}

// Validate accepts every sequence.
func (f Fetch) Validate() error { return nil }

// Validate bounds the message.
func (f Fetched) Validate() error { return atMost("bytes of records", len(f.Report), MaxEnvelope) }

// Validate checks the bounds of what eye says it sees with.
func (h Hello) Validate() error {
	return errors.Join(
		atMost("blindness", int(h.Blind), blindnessEnd-1),
		texts("camera", maxName, h.Camera.Driver, h.Camera.Card, h.Camera.Bus, h.Camera.Format, h.Camera.Port, h.Camera.Device, h.Camera.Release, h.Camera.Serial),
		durations(h.Camera.Interval),
		texts("bundle", maxName, h.Name),
		atMost("dropped providers", len(h.Degraded), maxDropped),
		texts("dropped provider", maxSentence, h.Degraded...),
		texts("provider", maxName, h.Provider),
	)
}

// Validate checks the bounds of a sighting.
func (a Approach) Validate() error {
	return errors.Join(durations(a.Stamp, a.First, a.Process, a.Exposure), box(a.Box), hint(a.Hint), levels(a.Level))
}

// Validate checks the bounds of an order to open a session.
func (o Observe) Validate() error {
	return errors.Join(durations(o.Deadline), atMost("reviewers", len(o.Reviewers), access.MaxReviewers), texts("reviewer", access.RecipientBytes, o.Reviewers...))
}

// Validate checks the bounds of what is asked for.
func (s Seal) Validate() error { return atMost("bytes before the part", int(s.From), maxSealed) }

// Validate wants a part that lies within the whole.
func (s Sealed) Validate() error {
	if uint64(s.From)+uint64(len(s.Part)) > uint64(s.Size) || s.Size > 0 && len(s.Part) == 0 {
		return fmt.Errorf("%d bytes from %d on of %d", len(s.Part), s.From, s.Size)
	}
	return errors.Join(atMost("bytes of frames", int(s.Size), maxSealed), atMost("bytes of a part", len(s.Part), MaxPart))
}

// Validate checks the bounds of an order to present.
func (c Conclude) Validate() error { return durations(c.Until) }

// Validate checks the bounds of an order to measure.
func (g Gauge) Validate() error { return durations(g.Until) }

// Validate checks the bounds of what eye measured.
func (g Gauged) Validate() error {
	errs := []error{atMost("glimpses", len(g.Frames), access.MaxGlimpses)}
	for _, f := range g.Frames {
		errs = append(errs, durations(f.Stamp), levels(f.Level))
	}
	return errors.Join(errs...)
}

// Validate wants what a camera can be.
func (t Timing) Validate() error {
	if t.Delay < -maxTiming || t.Delay > maxTiming || t.Exposure <= 0 || t.Exposure > maxTiming {
		return fmt.Errorf("delay %v and exposure %v are not within %v", t.Delay, t.Exposure, maxTiming)
	}
	return nil
}

// Validate accepts every session.
func (a Abort) Validate() error { return nil }

// Validate wants a person, a bounded time and no lease of before time began.
func (e Enrol) Validate() error {
	if e.Until < 0 {
		return errors.New("lease ends before 1970")
	}
	if e.Within <= 0 || e.Within > maxEnrol {
		return fmt.Errorf("enrolment within %v, want more than 0 and at most %v", e.Within, maxEnrol)
	}
	return person(e.Person)
}

// Validate wants a person.
func (e Enrolled) Validate() error { return person(e.Person) }

// Validate wants a person.
func (r Revoke) Validate() error { return person(r.Person) }

// Validate wants a session and a person.
func (c Confirm) Validate() error {
	if c.Session == (access.SessionID{}) {
		return errors.New("no session")
	}
	return person(c.Person)
}

// Validate wants a person.
func (s Suspend) Validate() error { return person(s.Person) }

// Validate wants a person.
func (r Resume) Validate() error { return person(r.Person) }

// Validate wants a person.
func (d Delete) Validate() error { return person(d.Person) }

// Validate wants a receipt, and bounds both.
func (d Deleted) Validate() error {
	if len(d.Receipt) == 0 {
		return errors.New("no receipt")
	}
	return errors.Join(atMost("bytes of receipt", len(d.Receipt), maxReceipt), atMost("bytes of signature", len(d.Signature), maxProof))
}

// Validate bounds the order; what it says is door's to judge.
func (r Review) Validate() error {
	if len(r.Order) == 0 {
		return errors.New("no order")
	}
	return atMost("bytes of order", len(r.Order), maxReview)
}

// Validate accepts both.
func (l Lockdown) Validate() error { return nil }

// Validate wants a cursor that is not ahead of the log.
func (o Outbox) Validate() error {
	if o.Cursor > o.Records {
		return fmt.Errorf("cursor %d is ahead of the log's %d records", o.Cursor, o.Records)
	}
	return nil
}

// Validate bounds the text.
func (f Failure) Validate() error { return texts("failure", maxSentence, f.Message) }

// Validate checks the bounds of what the bench is shown.
func (s Status) Validate() error {
	err := errors.Join(
		durations(s.Stamp, s.Pending.Until, s.Afar.Since),
		texts("indication", access.MaxText, s.Indication.Text),
		s.Sighting.Validate(),
		atMost("degraded modes", len(s.Degraded), maxDegraded),
		texts("degraded mode", maxSentence, s.Degraded...),
		atMost("decisions", len(s.Decisions), maxOutcomes),
		atMost("recurrences", len(s.Waiting), MaxRecurrences),
	)
	for _, r := range s.Waiting {
		err = errors.Join(err, durations(r.First, r.Last), texts("materials", maxName, r.Materials))
	}
	for _, o := range s.Decisions {
		err = errors.Join(err, durations(o.First, o.Decided, o.Released))
	}
	return err
}

// ValidatePresentation checks the bounds of eye's evidence: what it says is judged elsewhere, that it can be judged is settled here.
func ValidatePresentation(p *access.Presentation) error {
	err := errors.Join(atMost("frames", len(p.Frames), access.MaxFrames), probe(p), hint(p.Hint))
	if len(p.Reflected) != 0 {
		err = errors.Join(err, unit(p.Reflected))
	}
	if !(p.Sway >= 0 && p.Sway <= access.MaxMotion && p.Flex >= 0 && p.Flex <= access.MaxMotion) {
		err = errors.Join(err, errors.New("movement out of range"))
	}
	if p.Liveness != -1 && (p.Liveness < 0 || p.Liveness > 1) {
		err = errors.Join(err, errors.New("liveness is neither 0..1 nor absent"))
	}
	for i := range p.Frames {
		f := &p.Frames[i]
		err = errors.Join(err, durations(f.Stamp, f.Exposure), box(f.Box), hint(f.Hint), levels(f.Level[:]...), levels(f.Edge[:]...), levels(f.Ring, f.Texture, f.Taken, max(f.Restless, 0), f.EyePeak, f.EyeLevel))
		if f.Restless < 0 && f.Restless != -1 {
			err = errors.Join(err, errors.New("restless is neither a level nor absent"))
		}
		if err != nil {
			return err // one broken frame is enough: 64 sentences would fill the log
		}
	}
	return err
}

// probe wants none, or one of length 1: the comparison score of a longer vector could pass any threshold. Its numbers stay out of
// the error text.
func probe(p *access.Presentation) error {
	if len(p.Probe) == 0 {
		if p.ProbeFrom != 0 {
			return errors.New("frames are named for a probe that is absent")
		}
		return nil
	}
	if p.ProbeFrom == 0 || p.ProbeFrom > access.MaxFrames {
		return fmt.Errorf("probe from %d frames", p.ProbeFrom)
	}
	return unit(p.Probe)
}

// unit wants a vector of length 1.
func unit(v []float32) error {
	if len(v) != access.ProbeSize {
		return fmt.Errorf("probe of %d components", len(v))
	}
	var squares float64
	for _, x := range v {
		squares += float64(x) * float64(x)
	}
	const slack = 1e-3 // float32 normalisation errs by 1e-6
	if !(squares > 1-slack && squares < 1+slack) {
		return errors.New("probe is not normalised")
	}
	return nil
}

func box(b access.Box) error {
	for _, x := range [...]float32{b.X0, b.Y0, b.X1, b.Y1} {
		if !(x >= -maxPixels && x <= maxPixels) { // negated, so that NaN is refused
			return errors.New("box out of range")
		}
	}
	if b.X1 < b.X0 || b.Y1 < b.Y0 {
		return errors.New("box is inside out")
	}
	return nil
}

func levels(values ...float32) error {
	for _, x := range values {
		if !(x >= 0 && x <= maxLevel) {
			return errors.New("gray level out of range")
		}
	}
	return nil
}

func hint(h access.Hint) error {
	if h > access.HintSeveral {
		return fmt.Errorf("hint %d is unknown", uint8(h))
	}
	return nil
}

func durations(ds ...time.Duration) error {
	for _, d := range ds {
		if d < 0 {
			return errors.New("negative time")
		}
	}
	return nil
}

func person(p access.PersonID) error {
	if p.IsZero() {
		return errors.New("no person named")
	}
	return nil
}

func texts(what string, most int, values ...string) error {
	for _, s := range values {
		if len(s) > most || !utf8.ValidString(s) {
			return fmt.Errorf("%s: text of %d bytes, want UTF-8 of at most %d", what, len(s), most)
		}
	}
	return nil
}

func atMost(what string, n, most int) error {
	if n > most {
		return fmt.Errorf("%d %s, at most %d", n, what, most)
	}
	return nil
}
