package deadman

import (
	"strings"
	"testing"
	"time"
)

// Every state and every event, as the drawing has it.
func TestNext(t *testing.T) {
	type to struct {
		state  State
		effect Effect
	}
	table := map[State][events]to{ // Fed, Ready, Ended, SilenceOver, GraceOver
		Waiting:   {{Starting, RenewSilence}, {Living, RenewSilence}, {Waiting, 0}, {Waiting, 0}, {Condemned, 0}},
		Starting:  {{Starting, RenewSilence}, {Living, RenewSilence}, {Waiting, 0}, {Condemned, 0}, {Condemned, 0}},
		Living:    {{Living, RenewSilence}, {Living, RenewSilence}, {Waiting, RenewGrace}, {Condemned, 0}, {Living, 0}},
		Condemned: {{Condemned, 0}, {Condemned, 0}, {Condemned, 0}, {Condemned, 0}, {Condemned, 0}},
	}
	for s := Waiting; s <= Condemned; s++ {
		row, ok := table[s]
		if !ok || strings.HasPrefix(s.String(), "state") {
			t.Fatalf("%v is not in the table, or has no name", s)
		}
		for e := range Event(events) {
			if next, effect := s.Next(e); (to{next, effect}) != row[e] {
				t.Errorf("%v, event %d: %v, effect %d; want %v, %d", s, e, next, effect, row[e].state, row[e].effect)
			}
		}
	}
	// What nobody knows changes nothing, and condemns nobody.
	if s, f := State(99).Next(GraceOver); s != 99 || f != NoEffect || s.String() != "state 99" {
		t.Errorf("an unknown state goes to %v, effect %d", s, f)
	}
	if s, f := Living.Next(99); s != Living || f != NoEffect {
		t.Errorf("an unknown event leads to %v, effect %d", s, f)
	}
}

func TestDefaultLimits(t *testing.T) {
	l := DefaultLimits()
	if err := l.validate(); err != nil || l.Silence != 5*time.Second || l.Grace != time.Minute {
		t.Errorf("%+v: %v", l, err)
	}
	if (Limits{}).validate() == nil || (Limits{Silence: 2, Grace: 1}).validate() == nil {
		t.Error("limits without sense are taken")
	}
}

// script is a life of a program against a clock that is ours: at each step so much time passes, then something happens.
type script struct {
	passes time.Duration
	event  Event
}

const nothing = Event(99)

func TestJudge(t *testing.T) {
	limits := Limits{Silence: 5 * time.Second, Grace: time.Minute}
	s := time.Second
	for _, c := range []struct {
		name  string
		life  []script
		want  State
		cause Event
	}{
		{"nobody ever starts", []script{{60 * s, nothing}}, Condemned, GraceOver},
		{"not yet", []script{{59 * s, nothing}}, Waiting, 0},
		{"ready in time", []script{{59 * s, Ready}, {4 * s, nothing}}, Living, 0},
		{"silent", []script{{1 * s, Ready}, {5 * s, nothing}}, Condemned, SilenceOver},
		{"fed at the last moment", []script{{1 * s, Ready}, {4900 * time.Millisecond, Ready}, {4900 * time.Millisecond, nothing}}, Living, 0},
		{"silent long after its grace", []script{{1 * s, Ready}, {4 * s, Ready}, {300 * s, nothing}}, Condemned, SilenceOver},
		{"silent before it is ready", []script{{1 * s, Fed}, {5 * s, nothing}}, Condemned, SilenceOver},
		{"feeds and never gets ready", feeding(70, Fed), Condemned, GraceOver},
		{"feeds and is ready for an hour", feeding(3600, Ready), Living, 0},
		{"crashes and comes back", []script{{30 * s, Ready}, {1 * s, Ended}, {59 * s, Ready}}, Living, 0},
		{"crashes and stays away", []script{{30 * s, Ready}, {1 * s, Ended}, {60 * s, nothing}}, Condemned, GraceOver},
		{"crashes again and again before it is ready", crashing(20), Condemned, GraceOver},
		{"hangs and is killed in time by somebody else", []script{{1 * s, Ready}, {4 * s, Ended}, {10 * s, nothing}}, Waiting, 0},
		{"a condemned program speaks again", []script{{1 * s, Ready}, {5 * s, nothing}, {1 * s, Ready}, {1 * s, Ended}}, Condemned, SilenceOver},
	} {
		j := judge{limits: limits}
		for _, step := range c.life {
			for left := step.passes; left > 0; left -= 100 * time.Millisecond {
				j.pass(min(left, 100*time.Millisecond))
			}
			if step.event != nothing {
				j.hear(step.event)
			}
		}
		if j.state != c.want || j.cause != c.cause {
			t.Errorf("%s: %v, cause %d; want %v, %d", c.name, j.state, j.cause, c.want, c.cause)
		}
	}
}

func feeding(seconds int, e Event) (life []script) {
	for range seconds {
		life = append(life, script{time.Second, e})
	}
	return life
}

func crashing(times int) (life []script) {
	for range times {
		life = append(life, script{2 * time.Second, Fed}, script{2 * time.Second, Ended})
	}
	return life
}

// A machine that stood still for a minute condemns nobody for it; and time that runs backwards is none.
func TestJudgeForgivesAStandstill(t *testing.T) {
	j := judge{limits: Limits{Silence: 5 * time.Second, Grace: time.Minute}}
	j.hear(Ready)
	j.pass(time.Minute)
	j.pass(-time.Hour)
	if j.state != Living || j.quiet != longestStep {
		t.Errorf("%v after a standstill, quiet for %v", j.state, j.quiet)
	}
	for range 4 {
		j.pass(time.Minute)
	}
	if j.state != Condemned {
		t.Errorf("%v though nothing was heard in five looks", j.state)
	}
}
