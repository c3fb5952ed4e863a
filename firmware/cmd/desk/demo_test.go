//go:build !kiosk

package main

import (
	"context"
	"errors"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/twin"
)

// A scene ends early with the outcome that it expects; where a refusal is expected a retry is not the end.
func TestSettles(t *testing.T) {
	for _, c := range []struct {
		want twin.Outcome
		v    access.Verdict
		ends bool
	}{
		{twin.Granted, access.Granted, true}, {twin.Granted, access.Denied, false}, {twin.Granted, access.Retry, false},
		{twin.Retry, access.Retry, true}, {twin.Refused, access.Retry, false}, {twin.Refused, access.Denied, true},
		{twin.Refused, access.Uncertain, true}, {twin.Refused, access.Granted, false}, {twin.Shut, access.Denied, true},
		{twin.Shut, access.Granted, false}, {twin.Nothing, access.Denied, false},
	} {
		if settles(c.want, c.v) != c.ends {
			t.Errorf("%v after %v is the end: %v", c.want, c.v, !c.ends)
		}
	}
}

func TestSummarise(t *testing.T) {
	session := func(n uint64) access.SessionID { return access.SessionID{Boot: 1, Number: n} }
	outcome := func(n uint64, v access.Verdict, r access.Reason) ipc.Outcome {
		return ipc.Outcome{Session: session(n), Verdict: v, Reason: r}
	}
	before := outcome(1, access.Granted, access.ReasonAllowed)
	tests := []struct {
		name   string
		newest []ipc.Outcome // newest first, as door reports them
		want   string
		reason string
		lost   bool
	}{
		{"nothing new", nil, "nothing", "", false},
		{"what was before the scene does not count", []ipc.Outcome{before}, "nothing", "", false},
		{"granted after a lost frame", []ipc.Outcome{outcome(3, access.Granted, access.ReasonAllowed), outcome(2, access.Retry, access.ReasonFewFrames), before}, "granted", "allowed", false},
		{"a denial is not forgiven by a later retry", []ipc.Outcome{outcome(3, access.Retry, access.ReasonTrackLost), outcome(2, access.Denied, access.ReasonUnknown), before}, "denied", "unknown", false},
		{"a grant after a denial shows", []ipc.Outcome{outcome(3, access.Granted, access.ReasonAllowed), outcome(2, access.Denied, access.ReasonUnknown), before}, "granted", "allowed", false},
		{"the first of two denials", []ipc.Outcome{outcome(3, access.Denied, access.ReasonFlat), outcome(2, access.Denied, access.ReasonNoAnswer), before}, "denied", "no answer to the lamp", false},
		{"too bright outweighs lost frames", []ipc.Outcome{outcome(3, access.Retry, access.ReasonTooBright), outcome(2, access.Retry, access.ReasonFewFrames), before}, "retry", "too bright", false},
		{"only lost frames", []ipc.Outcome{outcome(2, access.Retry, access.ReasonFewFrames), before}, "retry", "too few frames", true},
		{"eye was too slow", []ipc.Outcome{outcome(2, access.Retry, access.ReasonEyeLost), before}, "retry", "eye lost", true},
		{"a denial for the same reason stands", []ipc.Outcome{outcome(2, access.Denied, access.ReasonDeadline), before}, "denied", "deadline", false},
		{"a grant after it is not forgotten", []ipc.Outcome{outcome(3, access.Retry, access.ReasonDeadline), outcome(2, access.Granted, access.ReasonAllowed), before}, "granted", "allowed", false},
		{"an unknown verdict is not forgiven", []ipc.Outcome{outcome(2, 99, access.ReasonDeadline), before}, "denied (verdict 99)", "deadline", false},
		{"an unknown verdict denies nobody and grants nobody", []ipc.Outcome{outcome(2, 99, access.ReasonNone), before}, "denied (verdict 99)", "none", false},
	}
	for _, tt := range tests {
		if w := summarise(tt.newest, before); w.outcome != tt.want || w.reason != tt.reason || w.lost != tt.lost {
			t.Errorf("%s: %s because of %q, lost %v; want %s, %q, %v", tt.name, w.outcome, w.reason, w.lost, tt.want, tt.reason, tt.lost)
		}
	}
}

// What an act has changed is put back, also when it could be prepared in part alone; what both come to is told.
func TestActIsPutBack(t *testing.T) {
	b := &bench{centre: &centre{}}
	cut, prepare, rejoin := false, errors.New("not cut off in time"), errors.New("not back in time")
	_, _, err := b.performAct(t.Context(), act{
		prepare: func(context.Context) error { cut = true; return prepare },
		happen:  func(context.Context) (walked, error) { t.Error("it was played"); return walked{}, nil },
		after:   func(context.Context) error { cut = false; return rejoin },
	})
	if cut || !errors.Is(err, prepare) || !errors.Is(err, rejoin) {
		t.Errorf("cut off: %t; %v", cut, err)
	}
	w, _, err := b.performAct(t.Context(), act{happen: func(context.Context) (walked, error) { return walked{outcome: "released"}, nil }})
	if err != nil || w.outcome != "released" {
		t.Errorf("%q, %v", w.outcome, err)
	}
}
