//go:build !kiosk

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/ledger"
	"github.com/lintel-access/lintel/hq/people"
	"github.com/lintel-access/lintel/sync/wire"
)

func TestPolicyIsPutInForce(t *testing.T) {
	s := newSite(t)
	end := s.serve()
	file, _ := s.introduction()
	s.must("kiosk", "add", file, "-dir", s.dir, "-broker", "hq.example:8883", "-out", s.file("told"))
	good := write(t, s.base, "good.toml", sitePolicy)
	longer := write(t, s.base, "longer.toml", strings.NewReplacer("19:00", "20:00", "doors.front", "doors.back = { exit = \"rex\", rules = [] }\ndoors.front").Replace(sitePolicy))
	trap := write(t, s.base, "trap.toml", strings.Replace(sitePolicy, `"rex"`, `"none"`, 1))

	s.refused("no policy is in force", "policy", "show", "-dir", s.dir)
	s.refused("may come into force", "policy", "push", trap, "-yes", "-key", s.file("ada"), "-dir", s.dir)
	s.refused("agreed", "policy", "push", good, "-key", s.file("ada"), "-dir", s.dir)
	if said, err := s.do("policy", "push", good, "-yes", "-key", s.file("eve"), "-dir", s.dir); err == nil || !strings.Contains(err.Error(), `enroller "eve" may not sign this: policy`) || said != "" {
		t.Errorf("by an enroller: %q, %v", said, err)
	}
	if said, err := s.do("policy", "push", good, "-yes", "-key", s.file("eve"), "-socket", filepath.Join(s.dir, socketName)); err == nil || !strings.Contains(err.Error(), "may not sign") || strings.Contains(said, "version") {
		t.Errorf("by an enroller, elsewhere: %q, %v", said, err)
	}
	s.refused("whose word", "policy", "push", good, "-yes", "-dir", s.dir)
	if k := s.kiosks(); k[0].Head != 0 {
		t.Errorf("something was handed on: %+v", k)
	}
	if said := s.must("policy", "push", good, "-yes", "-key", s.file("ada"), "-dir", s.dir); !strings.Contains(said, "staff may pass Monday to Friday 07:00–19:00") ||
		!strings.Contains(said, "is signed") || strings.Contains(said, "attention") {
		t.Errorf("it says\n%s", said)
	}
	if said := s.must("policy", "push", longer, "-yes", "-key", s.file("ada"), "-dir", s.dir); !strings.Contains(said, "front, staff: gains 5 h a week") ||
		!strings.Contains(said, `no kiosk is at door "back"`) {
		t.Errorf("it says\n%s", said)
	}
	end(9)
	s.serve()
	if k := s.kiosks(); k[0].Head != 2 {
		t.Errorf("%+v", k)
	}
	text, err := os.ReadFile(longer)
	if err != nil || s.must("policy", "show", "-text", "-dir", s.dir) != string(text) {
		t.Errorf("the text in force is another one, %v", err)
	}
	if said := s.must("policy", "show", "-dir", s.dir); !strings.Contains(said, `of "Test", signed by ada`) || !strings.Contains(said, "has not answered; last greeting never") {
		t.Errorf("it says\n%s", said)
	}
	var shown struct{ Kiosks []answer }
	if err := json.Unmarshal([]byte(s.must("policy", "show", "-json", "-dir", s.dir)), &shown); err != nil || len(shown.Kiosks) != 1 || shown.Kiosks[0].InForce {
		t.Errorf("%+v, %v", shown, err)
	}
}

// What a kiosk made of a policy is read from records that it has signed for, the newest that are about it.
func TestKiosksAnswerToAPolicy(t *testing.T) {
	dir := t.TempDir()
	l, err := ledger.Open(filepath.Join(dir, ledger.Folder), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	changed := func(detail string) access.Record {
		return access.Record{Event: access.EventPolicyChanged, Detail: detail}
	}
	refused := access.Record{Event: access.EventPolicyRefused, Detail: "command 4: another door"}
	elsewhere := access.Record{Event: access.EventPolicyRefused, Detail: "command 44: another door"}
	for n, tt := range []struct {
		name    string
		records []access.Record
		taken   int64
		want    answer
	}{
		{"in force", []access.Record{changed("document of version 7"), {Event: access.EventBooted}}, 1, answer{InForce: true, Record: 0}},
		{"an older one", []access.Record{changed("document of version 6")}, 1, answer{}},
		{"by a longer number", []access.Record{changed("document of version 70")}, 1, answer{}},
		{"in other words", []access.Record{changed("command 9: document of version 7, from 00 to 11")}, 1, answer{InForce: true}},
		{"refused", []access.Record{changed("document of version 6"), refused}, 1, answer{Refused: "command 4: another door", Record: 1}},
		{"another one refused", []access.Record{elsewhere}, 1, answer{}},
		{"refused, and another one before", []access.Record{refused, elsewhere}, 1, answer{Refused: "command 4: another door"}},
		{"refused and then taken", []access.Record{refused, changed("document of version 7")}, 1, answer{InForce: true, Record: 1}},
		{"taken, another one refused since", []access.Record{changed("document of version 7"), refused}, 1, answer{InForce: true, Record: 0}},
		{"before it was pushed", []access.Record{refused}, time.Now().Add(time.Hour).Unix(), answer{}},
	} {
		id := [32]byte{byte(n + 1)}
		keep(t, l, id, tt.records)
		r, err := ledger.Inspect(filepath.Join(dir, ledger.Folder))
		if err != nil {
			t.Fatal(err)
		}
		tt.want.Kiosk = wire.Name(id)
		if got, err := answered(r, shown{Kiosk: wire.Name(id)}, inForce{Version: 7, Taken: tt.taken}, []commandAt{{Seq: 9}, {Seq: 4}}); err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
	}
	r, err := ledger.Inspect(filepath.Join(dir, ledger.Folder))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := answered(r, shown{Kiosk: strings.Repeat("ab", 16)}, inForce{Version: 7}, nil); err != nil || got.InForce {
		t.Errorf("of a kiosk without records: %+v, %v", got, err)
	}
}

// For whom rules change, headquarters' own people say: those who are enrolled and not stopped for good, by name.
func TestPolicyForThoseWhoAreEnrolled(t *testing.T) {
	s := newSite(t)
	s.must("people", "init", "-dir", s.dir)
	o := office{dir: s.dir, master: filepath.Join(s.dir, masterFile)}
	p, err := o.open()
	if err != nil {
		t.Fatal(err)
	}
	one := s.enrol(p, 1, "staff")
	s.enrol(p, 2, "visitors")
	s.must("revoke", s.enrol(p, 3, "staff").String(), "-key", s.file("ada"), "-dir", s.dir)
	by, err := (&office{dir: s.dir, signing: signing{key: s.file("eve")}}).operator()
	if err != nil {
		t.Fatal(err)
	}
	namesake, err := p.Enrol(t.Context(), people.Request{Name: "person 1", Groups: []string{"main staff"}, Until: time.Now().Add(time.Hour), Consent: "C-1",
		Proofing: []byte("seen"), Photos: [][]byte{{4}}}, by, oneFace{}, people.Rules{Bundle: [32]byte{7}, Same: .5, Alike: .4})
	if err != nil {
		t.Fatal(err)
	}
	old := write(t, s.base, "old.toml", sitePolicy)
	longer := write(t, s.base, "longer.toml", strings.Replace(sitePolicy, "19:00", "20:00", 1))
	said := s.must("policy", "diff", old, longer, "-dir", s.dir)
	if !strings.Contains(said, "front, person 1 ("+one.String()[:8]+"): gains 5 h a week") || strings.Contains(said, "person 2") || strings.Contains(said, "person 3") ||
		strings.Contains(said, namesake.Person.String()[:8]) {
		t.Errorf("it says\n%s", said)
	}
	if said := s.must("policy", "check", old, "-dir", s.dir); !strings.Contains(said, "staff (1 person) may pass") || !strings.Contains(said, `1 person in group "visitors", which is not among the groups`) {
		t.Errorf("it says\n%s", said)
	}
	s.refused("no such file", "policy", "check", old, "-dir", s.file("nowhere"))
}

// What hq policy check refuses because of somebody who is enrolled, push does not put in force, while hq serve runs as well. Over a socket, where they are
// out of reach, it says so.
func TestPushLooksAtWhoIsEnrolled(t *testing.T) {
	s := newSite(t)
	s.must("people", "init", "-dir", s.dir)
	s.serve()
	p, err := (&office{dir: s.dir, master: filepath.Join(s.dir, masterFile)}).open()
	if err != nil {
		t.Fatal(err)
	}
	s.enrol(p, 1, "a", "b", "c")
	deep := write(t, s.base, "deep.toml", `format = 1
site = "Test"
zone = "UTC"
groups = { a = {}, b = {}, c = {} }
doors.one = { to = "z1", exit = "rex", rules = [{ groups = ["a"], schedule = "always" }] }
doors.two = { from = "z1", to = "z2", exit = "rex", rules = [{ groups = ["b"], schedule = "always" }] }
doors.three = { from = "z2", to = "z3", exit = "none", rules = [{ groups = ["c"], schedule = "always" }] }
`)
	push := []string{"policy", "push", deep, "-yes", "-key", s.file("ada")}
	s.refused("may come into force", "policy", "check", deep, "-dir", s.dir)
	s.refused("may come into force", append(push, "-dir", s.dir)...)
	s.refused("load master key", append(push, "-dir", s.dir, "-master", s.file("no"))...)
	harmless := write(t, s.base, "people.csv", "person,groups\nAda,a b\n")
	if said := s.must(append(push, "-dir", s.dir, "-people", harmless)...); !strings.Contains(said, "a (1 person) may pass") {
		t.Errorf("by a list it says\n%s", said)
	}
	over := append(push, "-socket", filepath.Join(s.dir, socketName))
	if said := s.must(over...); !strings.Contains(said, "attention: who is enrolled was not looked at") || !strings.Contains(said, "is signed") {
		t.Errorf("over a socket it says\n%s", said)
	}
	if said := s.must(append(over, "-people", harmless)...); strings.Contains(said, "attention: who is enrolled") {
		t.Errorf("over a socket, by a list, it says\n%s", said)
	}
}
