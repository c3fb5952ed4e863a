package ipc

import (
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/sync/wire"
)

func unitProbe() []float32 {
	p := make([]float32, access.ProbeSize)
	for i := range p {
		p[i] = 0.044194173 // 1/sqrt(512): needs all 32 bits
	}
	return p
}

// fullPresentation is the largest that eye may send.
func fullPresentation() access.Presentation {
	p := access.Presentation{
		Session: access.SessionID{Boot: 1<<64 - 1, Number: 1<<64 - 1}, Probe: unitProbe(), ProbeFrom: access.MaxFrames,
		Liveness: 0.123456, Hint: access.HintSeveral, Reflected: unitProbe(), Sway: 0.1, Flex: 0.1,
	}
	for range access.MaxFrames {
		p.Frames = append(p.Frames, access.FrameEvidence{
			Seq: 1<<64 - 1, Stamp: 1<<63 - 1, Exposure: 1<<63 - 1, Chain: [32]byte{31: 1}, Track: 1<<32 - 1,
			Box: access.Box{X0: -0.1, Y0: -0.1, X1: 0.1, Y1: 0.1}, Level: [access.Patches]float32{0.1, 0.1, 0.1, 0.1, 0.1},
			Edge: [access.Edges]float32{0.1, 0.1, 0.1, 0.1, 0.1}, Ring: 0.1, Texture: 0.1, Taken: 0.1, Quality: 0.1, Hint: access.HintSeveral, Faces: 255, Pixels: access.PixelHash{1},
			Restless: 0.1, EyePeak: 0.1, EyeLevel: 0.1,
		})
	}
	return p
}

func repeated(s string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = s
	}
	return list
}

// largest is the largest valid message of every kind, so that the table's sizes are neither too small nor careless.
func largest() map[Kind]any {
	const most, moment = 1<<64 - 1, time.Duration(1<<63 - 1)
	name, sentence := strings.Repeat("n", maxName), strings.Repeat("s", maxSentence)
	session := access.SessionID{Boot: most, Number: most}
	sighting := Approach{moment, moment, 1<<32 - 1, access.Box{X1: 0.1, Y1: 0.1, X0: -0.1, Y0: -0.1}, access.HintSeveral, 255, 0.1, moment, moment, true}
	status := Status{
		Stamp: moment, Door: 255, Walkup: 255, Indication: access.Indication{Text: strings.Repeat("t", access.MaxText)}, Sighting: sighting,
		Degraded: repeated(sentence, maxDegraded), People: 1<<32 - 1, Records: most, Cursor: most, Lockdown: true, Closed: true, Tested: true,
		Pending: Pending{session, access.PersonID{1}, access.PersonID{2}, moment}, Afar: Afar{true, true, moment, 1<<63 - 1, most},
	}
	for range maxOutcomes {
		status.Decisions = append(status.Decisions, Outcome{Session: session, Verdict: 255, Reason: 1<<16 - 1, First: moment, Decided: moment, Released: moment})
	}
	for range MaxRecurrences {
		status.Waiting = append(status.Waiting, Recurrence{access.CorrelationID{1}, moment, moment, 1<<32 - 1, name})
	}
	var certificates [][]byte
	for range MaxCertificates {
		certificates = append(certificates, make([]byte, wire.MaxCertificate))
	}
	var brightest Gauged
	for range access.MaxGlimpses {
		brightest.Frames = append(brightest.Frames, access.Glimpse{Stamp: moment, Level: 0.1})
	}
	return map[Kind]any{
		KindError: Failure{sentence}, KindOK: nil, KindPulse: nil, KindRekey: nil, KindOutboxHead: nil,
		KindHello: Hello{
			Camera: frames.Camera{
				Driver: name, Card: name, Bus: name, Format: name, Interval: moment, Virtual: true, Port: name, Device: name, Release: name, Serial: name,
			},
			Name: name, Degraded: repeated(sentence, maxDropped), Provider: name, Held: true, Blind: blindnessEnd - 1,
		},
		KindApproach: sighting, KindPresentation: fullPresentation(), KindObserve: Observe{session, [16]byte{}, 1<<32 - 1, moment, repeated(strings.Repeat("r", access.RecipientBytes), access.MaxReviewers)},
		KindSeal: Seal{session, maxSealed}, KindSealed: Sealed{session, maxSealed - MaxPart, maxSealed, make([]byte, MaxPart)},
		KindConclude: Conclude{session, moment}, KindGauge: Gauge{moment}, KindGauged: brightest, KindTiming: Timing{-maxTiming, maxTiming}, KindAbort: Abort{session}, KindOutbox: Outbox{most, most},
		KindEnrol: Enrol{access.PersonID{1}, maxEnrol, 1<<63 - 1}, KindEnrolled: Enrolled{access.PersonID{1}, 1<<32 - 1, 1<<16 - 1, access.PersonID{2}},
		KindSuspend: Suspend{access.PersonID{1}}, KindResume: Resume{access.PersonID{1}}, KindDelete: Delete{access.PersonID{1}},
		KindConfirm: Confirm{session, access.PersonID{1}}, KindReview: Review{make([]byte, maxReview)},
		KindSignTLS: SignTLS{make([]byte, maxVerify)}, KindSignature: Signature{make([]byte, maxSignature)},
		KindStation: nil, KindStationed: Stationed{sentence, name, name, certificates, certificates}, KindOnline: Online{true, sentence},
		KindEnvelope: Envelope{make([]byte, MaxEnvelope)}, KindReport: Report{make([]byte, 16<<10-16)}, KindFetch: Fetch{most}, KindDropped: Dropped{1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1}, KindFetched: Fetched{make([]byte, MaxEnvelope), most},
		KindDeleted: Deleted{make([]byte, maxReceipt), make([]byte, maxProof)},
		KindRevoke:  Revoke{access.PersonID{1}}, KindLockdown: Lockdown{true}, KindStatus: status,
	}
}

// decoded is a place to decode each kind into.
func decoded(k Kind) any {
	switch k {
	case KindError:
		return new(Failure)
	case KindHello:
		return new(Hello)
	case KindApproach:
		return new(Approach)
	case KindPresentation:
		return new(access.Presentation)
	case KindObserve:
		return new(Observe)
	case KindGauge:
		return new(Gauge)
	case KindGauged:
		return new(Gauged)
	case KindTiming:
		return new(Timing)
	case KindSeal:
		return new(Seal)
	case KindSealed:
		return new(Sealed)
	case KindConclude:
		return new(Conclude)
	case KindAbort:
		return new(Abort)
	case KindOutbox:
		return new(Outbox)
	case KindStationed:
		return new(Stationed)
	case KindOnline:
		return new(Online)
	case KindEnvelope:
		return new(Envelope)
	case KindReport:
		return new(Report)
	case KindDropped:
		return new(Dropped)
	case KindFetch:
		return new(Fetch)
	case KindFetched:
		return new(Fetched)
	case KindEnrol:
		return new(Enrol)
	case KindEnrolled:
		return new(Enrolled)
	case KindRevoke:
		return new(Revoke)
	case KindLockdown:
		return new(Lockdown)
	case KindSuspend:
		return new(Suspend)
	case KindResume:
		return new(Resume)
	case KindDelete:
		return new(Delete)
	case KindConfirm:
		return new(Confirm)
	case KindReview:
		return new(Review)
	case KindSignTLS:
		return new(SignTLS)
	case KindSignature:
		return new(Signature)
	case KindDeleted:
		return new(Deleted)
	case KindStatus:
		return new(Status)
	}
	return nil
}

// Every role, every direction, every kind: what the table names passes at its largest, all else is refused at both ends.
//
// Control: C16
// Control: C17
func TestTableIsTheWholeTruth(t *testing.T) {
	bodies := largest()
	for _, role := range []Role{0, Eye, Link, Desk, 4} {
		for _, way := range []direction{toDoor, fromDoor} {
			sender, receiver := &Conn{role: role, in: toDoor + fromDoor - way}, &Conn{role: role, in: way}
			for k := range Kind(80) {
				r, allowed := lookup(role, way, k)
				packet, err := sender.pack(k, 7, bodies[k])
				if (err == nil) != allowed {
					t.Errorf("%v way %d %v: allowed %v, pack: %v", role, way, k, allowed, err)
				}
				if !allowed {
					packet, err = wire.Marshal(envelope{Version: version, Kind: k, ID: 7, Body: wire.Raw{0xa0}})
					if err != nil {
						t.Fatal(err)
					}
				}
				m, err := receiver.admit(packet, 0, time.Time{})
				if (err == nil) != allowed {
					t.Errorf("%v way %d %v: allowed %v, admit: %v", role, way, k, allowed, err)
				}
				if !allowed {
					continue
				}
				if r.why == "" {
					t.Errorf("%v %v has no reason", role, k)
				}
				if n := len(m.Body); n > r.max || n*3 < r.max {
					t.Errorf("%v %v: the largest has %d bytes, the cap is %d", role, k, n, r.max)
				}
				if err := Decode(m, decoded(k)); err != nil {
					t.Error(err)
				}
			}
		}
	}
}
