package mishap

import (
	"errors"
	"image"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/health"
)

// comes lets a person walk up and be let in.
func (r *rig) comes(why string) {
	r.t.Helper()
	before := 0
	if r.locked(func() bool { before = r.released; return !r.present }) {
		r.stands(true)
	}
	r.until(20*time.Second, why, func() bool { return r.released > before })
}

// middle has something go wrong in the middle of a walk-up: three to six chips of its code have been shown.
func (r *rig) middle(m mishap) {
	r.t.Helper()
	r.stands(true)
	r.until(5*time.Second, "a session", func() bool { return r.session })
	time.Sleep(170 * time.Millisecond)
	r.locked(func() bool { r.mishap = m; return true })
}

// heals ends what goes wrong.
func (r *rig) heals() { r.locked(func() bool { r.mishap = mishap{}; return true }) }

// shut makes sure that nothing was opened.
func (r *rig) shut() {
	r.t.Helper()
	if r.locked(func() bool { return r.released > 0 }) {
		r.t.Error("the door was opened")
	}
}

// ended is the reason of the first session.
func (r *rig) ended() (reason access.Reason, event access.Event) {
	r.t.Helper()
	r.until(8*time.Second, "the session's end", func() bool {
		i := slices.IndexFunc(r.records, func(x access.Record) bool { return x.Session.Number == 1 })
		if i >= 0 {
			reason, event = r.records[i].Reason, r.records[i].Event
		}
		return i >= 0
	})
	return reason, event
}

func all(level byte) func(*frames.Frame) {
	return func(f *frames.Frame) {
		for i := range f.Image.Pix {
			f.Image.Pix[i] = level
		}
	}
}

func sized(w, h int) func(*frames.Frame) {
	return func(f *frames.Frame) { f.Image = image.NewGray(image.Rect(0, 0, w, h)) }
}

// frozen is a camera that goes on with the picture that it took last.
func frozen() func(*frames.Frame) {
	var kept []byte
	return func(f *frames.Frame) {
		if kept == nil {
			kept = slices.Clone(f.Image.Pix)
		}
		copy(f.Image.Pix, kept)
	}
}

// Whatever goes wrong with the camera in the middle of a walk-up opens nothing, ends the session with its reason and its record, is no alarm of an attack
// unless it could be one, and is over for the next person when it is over.
//
// Control: A17
func TestCameraFailsMidSession(t *testing.T) {
	retry := access.EventWalkupRetry
	for _, c := range []struct {
		name    string
		mishap  mishap
		reasons []access.Reason
		event   access.Event
		eye     string // why eye ends, if it does
		shown   string // to whoever goes on standing there
	}{
		// Frames that repeat a picture while the lamp changes are what an injected still looks like: this one is an alarm.
		{"the picture freezes", mishap{bend: frozen()}, []access.Reason{access.ReasonRepeated}, access.EventPresentationRefused, "", ""},
		{"no frame comes", mishap{fails: func() error { return frames.ErrStalled }}, []access.Reason{access.ReasonCameraStalled}, retry, "", ""},
		{"the clock jumps ahead", mishap{jump: time.Hour}, []access.Reason{access.ReasonEyeLost}, retry, "camera is not what it was", ""},
		{"the clock jumps far back", mishap{jump: -30 * time.Minute}, []access.Reason{access.ReasonEyeLost}, retry, "camera is not what it was", ""},
		{"the clock jumps back a little", mishap{jump: -200 * time.Millisecond}, []access.Reason{access.ReasonEyeLost}, retry, "camera is not what it was", ""},
		{"the count begins anew", mishap{bend: func(f *frames.Frame) { f.Seq = 1 }}, []access.Reason{access.ReasonEyeLost}, retry, "camera is not what it was", ""},
		{"smaller frames", mishap{bend: sized(320, 240)}, []access.Reason{access.ReasonEyeLost}, retry, "frames of (320,240) after (640,480)", ""},
		{"larger frames", mishap{bend: sized(1280, 960)}, []access.Reason{access.ReasonEyeLost}, retry, "frames of (1280,960) after (640,480)", ""},
		{"black frames", mishap{bend: all(0)}, []access.Reason{access.ReasonTrackLost}, retry, "", "More light, please"},
		{"white frames", mishap{bend: all(255)}, []access.Reason{access.ReasonTrackLost}, retry, "", "Too bright: shade the camera"},
		{"it is unplugged", mishap{fails: func() error { return io.EOF }}, []access.Reason{access.ReasonEyeLost}, retry, "EOF", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.middle(c.mishap)
				if reason, event := r.ended(); !slices.Contains(c.reasons, reason) || event != c.event {
					t.Errorf("ended with %v as %v, want %v as %v", reason, event, c.reasons, c.event)
				}
				if c.eye != "" {
					r.until(time.Second, "the end of eye", func() bool { return len(r.ends) > 0 && strings.Contains(r.ends[0], c.eye) })
				}
				if c.shown != "" {
					r.until(3*time.Second, "the hint "+c.shown, func() bool { return r.shown[len(r.shown)-1].Text == c.shown })
				}
				if c.mishap.fails != nil && c.eye == "" {
					r.until(3*time.Second, "that no frame comes is known", func() bool { return r.stalled })
				}
				r.shut()
				r.heals()
				r.comes("the next person is let in")
				r.stands(false)
				r.until(70*time.Second, "that frames come is known", func() bool { return !r.stalled })
			})
		})
	}
}

// A camera that is replaced in the middle of a walk-up ends it. The new one is measured before anybody is recognised by it.
func TestCameraIsReplacedMidSession(t *testing.T) {
	run(t, func(r *rig) {
		r.middle(mishap{fails: func() error { return io.EOF }})
		gauged := 0
		r.locked(func() bool { gauged, r.camera.Bus = r.gauges, "usb-2"; return true })
		if reason, event := r.ended(); reason != access.ReasonEyeLost || event != access.EventWalkupRetry {
			t.Errorf("ended with %v as %v", reason, event)
		}
		r.shut()
		r.heals()
		r.comes("the next person is let in")
		if r.locked(func() bool { return r.known == gauged }) {
			t.Error("the door was released before the new camera was measured")
		}
	})
}

// A lamp that fails in the middle of a walk-up opens nothing, nor does a covered lens. It is found out with nobody in view, is a fault of the kiosk from
// then on and no attack of whoever comes, and heals by itself.
//
// Control: A12
func TestLampFailsMidSession(t *testing.T) {
	for _, c := range []struct {
		name    string
		mishap  mishap
		reasons []access.Reason
	}{
		{"dark", mishap{lamp: func(bool) bool { return false }}, []access.Reason{access.ReasonTrackLost, access.ReasonNoAnswer, access.ReasonWrongAnswer, access.ReasonSpliced, access.ReasonUneven, access.ReasonTooBright}},
		{"always on", mishap{lamp: func(bool) bool { return true }}, []access.Reason{access.ReasonNoAnswer, access.ReasonWrongAnswer, access.ReasonSpliced, access.ReasonUneven, access.ReasonTooBright}},
		{"covered lens", mishap{bend: all(0)}, []access.Reason{access.ReasonTrackLost}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.middle(c.mishap) // the lamp was seen seconds ago: it is looked for a minute later, as late as can be
				reason, event := r.ended()
				spoilt := r.now()
				want := access.EventWalkupRetry
				if !reason.Again() {
					want = access.EventLampAnswerWrong
				}
				if !slices.Contains(c.reasons, reason) || event != want {
					t.Errorf("ended with %v as %v, want one of %v as %v", reason, event, c.reasons, want)
				}
				time.Sleep(3 * time.Second) // further tries
				r.stands(false)
				r.until(95*time.Second-(r.now()-spoilt), "the lamp counts as unseen", func() bool { return r.health.State(health.Lamp) == health.Missing })
				r.until(time.Second, "which is recorded", func() bool {
					return slices.ContainsFunc(r.records, func(x access.Record) bool { return x.Event == access.EventSelfTestFailed })
				})
				before := 0
				r.locked(func() bool { before = len(r.records); return true })
				r.stands(true)
				time.Sleep(6 * time.Second)
				if r.locked(func() bool { return len(r.records) > before }) {
					t.Error("somebody stood there, and a session was held against them")
				}
				r.shut()
				r.heals()
				r.comes("who went on standing there is let in") // a look every ten seconds
			})
		})
	}
}

// In the dark nobody is found by a dead lamp, and no session tells: it is looked at every hour.
func TestDeadLampIsFoundWithoutASession(t *testing.T) {
	run(t, func(r *rig) {
		r.locked(func() bool { r.mishap.lamp = func(bool) bool { return false }; return true })
		_, _ = (*lamp)(r).Set(true)
		r.until(70*time.Minute, "the lamp counts as unseen", func() bool { return r.health.State(health.Lamp) == health.Missing })
		r.heals()
		r.until(time.Minute, "it is seen again", func() bool { return r.health.State(health.Lamp) == health.Works })
	})
}

// A lamp whose line cannot be set is the kiosk's fault and nobody's attack; it is lit again as soon as it can be.
func TestLampLineFailsMidSession(t *testing.T) {
	run(t, func(r *rig) {
		r.middle(mishap{line: errors.New("line is gone")})
		if reason, event := r.ended(); reason != access.ReasonNotReady || event != access.EventWalkupDenied {
			t.Errorf("ended with %v as %v", reason, event)
		}
		r.shut()
		r.heals()
		r.comes("the next person is let in")
	})
}
