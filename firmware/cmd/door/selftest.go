package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/health"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/portal"
)

// selfTest keeps what was found of the kiosk's parts, at the start and ever after. Whoever found something, the portal's loop among them, does not wait
// for what follows from it: that is run's.
type selfTest struct {
	found   *health.Findings
	board   board.Board
	note    func(access.Event, string)
	changed func()
	began   time.Duration
	news    chan struct{} // there is something to record

	mu      sync.Mutex
	waiting []health.Transition
	contact health.ContactWatch
	clock   health.ClockWatch
	passed  bool          // it was recorded, and nothing has failed since
	camera  frames.Camera // of the newest eye
}

// slowest is the longest that another program takes to come.
const slowest = 30 * time.Second

func newSelfTest(b board.Board, note func(access.Event, string), changed func()) *selfTest {
	return &selfTest{found: health.New(b), board: b, note: note, changed: changed, began: frames.Now(), news: make(chan struct{}, 1)}
}

// judge says how a part was found.
func (s *selfTest) judge(p health.Part, state health.State, detail string) {
	s.mu.Lock()
	s.waiting = append(s.waiting, s.found.Set(p, state, detail)...)
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// run records the modes that come and go, once there is a log, until ctx ends.
func (s *selfTest) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.news:
			s.tell()
			s.changed()
		}
	}
}

// tell records what waits, and that the test was passed, once for each time that it is.
func (s *selfTest) tell() {
	s.mu.Lock()
	list := s.waiting
	s.waiting = nil
	was := s.passed
	s.passed = s.found.Passed()
	news := s.passed && !was
	s.mu.Unlock()
	for _, t := range list {
		if toldElsewhere(t.Mode) {
			continue
		}
		s.note(t.Event(), t.String())
		if t.Entered {
			fmt.Fprintln(os.Stderr, "degraded:", t.Mode.Sentence(t.Detail))
		} else {
			fmt.Fprintln(os.Stderr, "no longer degraded:", t.Mode)
		}
	}
	if news {
		p := s.found.Profile()
		s.note(access.EventSelfTestPassed, fmt.Sprintf("recognised: %v; alarms: %v; recorded: %v", p.Assurance, p.Alarms, p.Recording))
	}
}

// sentences say the modes that nobody else says. Where the ground lets nobody be recognised, what was not looked at is not waited for.
func (s *selfTest) sentences(closed bool) (list []string) {
	for _, m := range s.found.Modes() {
		// Of an indicator that failed the portal makes the record, and no sentence.
		if (!toldElsewhere(m) || m == health.IndicatorDead) && !(closed && m == health.SelfTest) {
			list = append(list, s.found.Sentence(m))
		}
	}
	return list
}

// shown is what people see while nobody is recognised.
func (s *selfTest) shown() access.Indication {
	for _, m := range s.found.Modes() { // the most restrictive first
		if m != health.SelfTest {
			return m.Shown()
		}
	}
	return health.SelfTest.Shown()
}

// toldElsewhere are modes that whoever finds them records and says, with more than we know.
func toldElsewhere(m health.Mode) bool {
	switch m {
	case health.EmergencyOnly, health.HistoryDamaged, health.NoMemory, health.MemoryUnlocked, health.VaultImpaired, health.LooselyConfined:
		return true
	case health.EyeAway, health.LinkAway, health.TPMAbsent, health.TPMSilent, health.ImageRefused, health.VaultRefused, health.NothingRecorded,
		health.StorageLow, health.Unsigned, health.IndicatorDead:
		return true
	}
	return false
}

// stands judges the ground.
func (s *selfTest) stands(g *ground) {
	works := func(p health.Part, does bool) {
		if does {
			s.judge(p, health.Works, "")
		}
	}
	works(health.TPM, g.root != nil)
	works(health.Measurements, g.vault != nil) // its key opens in an approved state alone
	works(health.Vault, g.vault != nil)
	works(health.AuditLog, g.log != nil && !g.emergency)
	works(health.Signing, g.root != nil && !g.emergency)
	works(health.Memory, g.release != nil && g.locked)
	if g.release != nil && !g.locked {
		s.judge(health.Memory, health.Impaired, "")
	}
	if n := len(g.recovery.Damage) + len(g.recovery.Notes); n > 0 {
		s.judge(health.History, health.Impaired, fmt.Sprintf("%d places", n))
	} else {
		s.judge(health.History, health.Works, "")
	}
	if g.emergency && g.root != nil {
		s.judge(health.Signing, health.Missing, "the emergency log is not signed")
	}
	if g.emergency && g.log != nil {
		s.judge(health.AuditLog, health.Impaired, "")
	}
	for i, f := range g.found {
		p, state := missingBy(f.event)
		if i == 0 {
			f.detail = g.closed // the manual's sentence of the first, where it has one
		}
		s.judge(p, state, f.detail)
	}
}

// missingBy is the part that the ground lacks when it found this.
func missingBy(e access.Event) (health.Part, health.State) {
	switch e {
	case access.EventTPMSilent:
		return health.TPM, health.Missing
	case access.EventMeasurementsDiffer:
		return health.Measurements, health.Missing
	case access.EventVaultRefused:
		return health.Vault, health.Missing
	case access.EventAuditWriteFailed:
		return health.AuditLog, health.Missing
	case access.EventAuditCutOff, access.EventStorageLow:
		return health.AuditLog, health.Impaired
	case access.EventDegradedEntered:
		return health.Memory, health.Missing
	}
	return 0, health.Unknown
}

// readBack hears what the relay's line reads after it was set.
func (s *selfTest) readBack(want, have bool, err error) {
	state, why := health.JudgeRelay(want, have, err)
	s.judge(health.Relay, state, why)
}

// saw hears what the portal records.
func (s *selfTest) saw(e portal.Entry) {
	switch e.Event {
	case access.EventPortalStarted: // it has read every input and set every output
		s.judge(health.REX, health.Works, "")
		if s.found.State(health.Indicator) == health.Unknown { // it may have failed already
			s.judge(health.Indicator, health.Works, "")
		}
		if s.board.Has(board.Tamper) {
			s.judge(health.Tamper, health.Works, "")
		}
		if s.board.Has(board.Fire) {
			s.judge(health.Fire, health.Works, "")
		}
	case access.EventIndicatorFailed:
		s.judge(health.Indicator, health.Impaired, "")
	}
	s.mu.Lock()
	s.contact = s.contact.Next(e.Event, e.Stamp)
	s.mu.Unlock()
	s.watchContact(e.Stamp)
}

func (s *selfTest) watchContact(now time.Duration) {
	s.mu.Lock()
	state, why := s.contact.Judge(now)
	s.mu.Unlock()
	s.judge(health.Contact, state, why)
}

// eyeUp hears what eye sees with. eye refuses a camera without the evidence of infrared that the board wants, and
// models that give wrong answers: an eye that is there has both.
func (s *selfTest) eyeUp(h ipc.Hello) {
	s.judge(health.Eye, health.Works, "")
	s.mu.Lock()
	s.camera = h.Camera
	s.mu.Unlock()
	s.stalled(false)
	if s.board.Camera.Infrared {
		s.judge(health.Infrared, health.Works, "")
	}
	if h.Held {
		s.judge(health.Exposure, health.Works, "")
	} else {
		s.judge(health.Exposure, health.Missing, "")
	}
	if list := s.board.Inference.Providers; len(list) > 0 && h.Provider != list[0].Name {
		s.judge(health.Models, health.Impaired, fmt.Sprintf("on %.32q instead of %q", h.Provider, list[0].Name))
	} else {
		s.judge(health.Models, health.Works, "")
	}
}

// stalled hears that frames come no more, or again.
func (s *selfTest) stalled(yes bool) {
	s.mu.Lock()
	state, why := health.JudgeCamera(s.camera, s.board.Camera)
	s.mu.Unlock()
	if yes && state != health.Missing {
		state, why = health.Impaired, "no frame comes"
	}
	s.judge(health.Camera, state, why)
}

// blind hears why eye has no camera: then it ends, and looks for one again when it is started again. What it cannot look at is as it was before
// anybody looked.
func (s *selfTest) blind(why ipc.Blindness) {
	s.eyeDown()
	missing, unseen := health.Camera, health.Infrared
	if why == ipc.ColourCamera && s.board.Camera.Infrared {
		missing, unseen = health.Infrared, health.Camera
	}
	if s.board.Camera.Infrared {
		s.judge(unseen, health.Unknown, "")
	}
	s.judge(missing, health.Missing, why.String())
}

// eyeDown hears that eye is gone, or did not come in time after the start.
func (s *selfTest) eyeDown() { s.judge(health.Eye, health.Missing, "") }

// absent judges a program of which nothing was heard.
func (s *selfTest) absent(p health.Part) {
	if s.found.State(p) == health.Unknown {
		s.judge(p, health.Missing, "it did not come")
	}
}

// link hears whether link is there.
func (s *selfTest) link(up bool) {
	if up {
		s.judge(health.Link, health.Works, "")
	} else {
		s.judge(health.Link, health.Missing, "")
	}
}

// gauged hears how the camera answers the lamp.
func (s *selfTest) gauged(r access.Response, found bool) {
	interval := time.Second / time.Duration(s.board.Camera.FPS)
	lamp, delay, why := health.JudgeLamp(r, found, interval)
	s.judge(health.Lamp, lamp, why)
	s.judge(health.LampDelay, delay, why)
}

// supports judges what the machine lends: whether the kernel confines, and whether somebody ends a door that hangs.
func (s *selfTest) supports(unconfined []string, deadman bool) {
	if len(unconfined) > 0 {
		s.judge(health.Confinement, health.Impaired, unconfined[0])
	} else {
		s.judge(health.Confinement, health.Works, "")
	}
	if deadman {
		s.judge(health.Watchdog, health.Works, "")
	} else if s.board.Watchdog.Device != "" {
		s.judge(health.Watchdog, health.Missing, "")
	}
}

// suffers judges a part by an error that comes and goes: the vault's, the log's signatures', the TPM's.
func (s *selfTest) suffers(p health.Part, err error) {
	if err != nil {
		s.judge(p, health.Impaired, err.Error())
	} else {
		s.judge(p, health.Works, "")
	}
}

// often judges what changes by itself. at is the time of day, floor what it cannot be before.
func (s *selfTest) often(at, floor time.Time, vouched bool, space health.Space, err error) {
	now := frames.Now()
	s.mu.Lock()
	s.clock = s.clock.Next(health.Reading{Wall: at, Stamp: now}, floor, vouched)
	state, why := s.clock.Judge(vouched)
	s.mu.Unlock()
	s.judge(health.Clock, state, why)
	if state, why = health.JudgeStorage(space); err != nil {
		state, why = health.Missing, err.Error()
	}
	s.judge(health.Storage, state, why)
	s.watchContact(now)
	if now-s.began > slowest {
		s.absent(health.Eye)
		s.absent(health.Link)
	}
}
