package main

import (
	"strings"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// Whoever is let in nowhere is said, with what to do about it; whoever is let in somewhere is not.
func TestUnplaced(t *testing.T) {
	front, back := [32]byte{1}, [32]byte{2}
	kiosks := []shown{{Kiosk: wire.Name(front), Door: "front"}, {Kiosk: wire.Name(back), Door: "back"}}
	rule := func(places ...int) access.Rule {
		var r access.Rule
		for _, p := range places {
			r.Groups = r.Groups.Add(p)
		}
		return r
	}
	site := access.Site{
		Groups: []string{"admins", "fitters", "staff"},
		Doors:  []access.SiteDoor{{Name: "back", Rules: []access.Rule{rule(0)}}, {Name: "front", Rules: []access.Rule{rule(2)}}},
	}
	for name, tt := range map[string]struct {
		list []placing
		want []string
	}{
		"one group of two":         {[]placing{{groups: []string{"fitters", "staff"}}}, nil},
		"at any door":              {[]placing{{groups: []string{"admins"}}}, nil},
		"at its door":              {[]placing{{[]string{"staff"}, front}}, nil},
		"at another door":          {[]placing{{[]string{"staff"}, back}}, []string{`no rule of door "back" names "staff"`, "hq policy push"}},
		"no rule":                  {[]placing{{groups: []string{"fitters"}}}, []string{`no rule of the policy in force names "fitters": no door lets this person in`}},
		"no such group":            {[]placing{{groups: []string{"Staff", "staf"}}}, []string{`names "Staff" or "staf"`, "hq enrol -again"}},
		"no group at all":          {[]placing{{}}, []string{"no -group was given"}},
		"two of three":             {[]placing{{groups: []string{"x"}}, {groups: []string{"staff"}}, {groups: []string{"x"}}}, []string{"2 of these people"}},
		"a kiosk that was removed": {[]placing{{[]string{"staff"}, [32]byte{9}}}, []string{"no rule of its door"}},
	} {
		said := unplaced(site, kiosks, tt.list)
		if (said == "") != (tt.want == nil) {
			t.Errorf("%s: %q", name, said)
		}
		for _, want := range tt.want {
			if !strings.Contains(said, want) {
				t.Errorf("%s: %q, want %q", name, said, want)
			}
		}
	}
}

// A privileged group that no rule names is a slip, most of the time.
func TestUnnamed(t *testing.T) {
	site := access.Site{Groups: []string{"admins", "staff"}}
	for want, groups := range map[string][]string{"": {"admins", "staff"}, "attention: the rules in force name no group \"admin\" or \"vault\"\n": {"admin", "staff", "vault"}} {
		if said := unnamed(site, groups); said != want {
			t.Errorf("%v: %q, want %q", groups, said, want)
		}
	}
}

// A word that a command says is to be typed is one word for the shell.
func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{"": "''", "/srv/hq-1": "/srv/hq-1", "a b": "'a b'", "it's": `'it'\''s'`, "$HOME;rm": "'$HOME;rm'", "Müller.pem": "Müller.pem"} {
		if got := shellWord(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
