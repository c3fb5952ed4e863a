//go:build !kiosk

package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/extract"
	"github.com/lintel-access/lintel/hq/hatch"
	"github.com/lintel-access/lintel/hq/ledger"
	"github.com/lintel-access/lintel/hq/people"
	"github.com/lintel-access/lintel/sync/wire"
)

// oneFace makes of a photograph a reference that is along the axis of its first byte.
type oneFace struct{}

func (oneFace) References(_ context.Context, photos [][]byte) (all []extract.Result, err error) {
	for _, p := range photos {
		r := make([]float32, wire.ReferenceBytes/4)
		r[p[0]] = 1
		all = append(all, extract.Result{Outcome: extract.Extracted, Reference: r, Quality: 1})
	}
	return all, nil
}

// enrol enrols somebody without photographs, as eve.
func (s *site) enrol(p *people.People, n byte, groups ...string) access.PersonID {
	s.t.Helper()
	by, err := (&office{dir: s.dir, signing: signing{key: s.file("eve")}}).operator()
	if err != nil {
		s.t.Fatal(err)
	}
	done, err := p.Enrol(s.t.Context(), people.Request{Name: fmt.Sprint("person ", n), Groups: groups, Until: time.Now().Add(time.Hour), Consent: "C-1",
		Proofing: []byte("seen"), Photos: [][]byte{{n}}}, by, oneFace{}, people.Rules{Bundle: [32]byte{7}, Same: .5, Alike: .4})
	if err != nil {
		s.t.Fatal(err)
	}
	return done.Person
}

// records puts a ledger of these records of a kiosk in the place of what headquarters has, and returns the kiosk's public key as a file.
func (s *site) records(id [32]byte, list ...access.Record) string {
	s.t.Helper()
	dir := s.t.TempDir()
	l, err := ledger.Open(filepath.Join(dir, ledger.Folder), ledger.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	keep(s.t, l, id, list)
	l.Close()
	place := filepath.Join(s.dir, ledger.Folder, wire.Name(id))
	if err := os.RemoveAll(place); err != nil {
		s.t.Fatal(err)
	}
	if err := os.CopyFS(place, os.DirFS(filepath.Join(dir, ledger.Folder, wire.Name(id)))); err != nil {
		s.t.Fatal(err)
	}
	return filepath.Join(place, "audit.pub")
}

// Whom a kiosk holds, and whom it has forgotten, is what it has signed for, and nothing else.
//
// Control: S6
// Control: P13
func TestRosterAndWhoIsForgotten(t *testing.T) {
	s := newSite(t)
	s.must("people", "init", "-dir", s.dir)
	s.serve()
	file, id := s.introduction()
	s.must("kiosk", "add", file, "-dir", s.dir, "-broker", "hq.example:8883", "-out", s.file("told"))
	s.must("policy", "push", write(t, s.base, "good.toml", sitePolicy), "-yes", "-key", s.file("ada"), "-dir", s.dir)
	o := office{dir: s.dir, master: filepath.Join(s.dir, masterFile)}
	p, err := o.open()
	if err != nil {
		t.Fatal(err)
	}
	db := filepath.Join(s.dir, peopleFolder, "people.db")
	older, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	stays, goes, other := s.enrol(p, 1, "staff"), s.enrol(p, 2, "staff"), s.enrol(p, 3, "visitors")
	p2 := &page{dir: s.dir}
	head := func(want uint64) (all []commandAt) {
		t.Helper()
		for range 200 {
			o.tell(t.Context(), os.Stderr)
			got, err := ask[commandPage](t.Context(), p2, verbCommands, commandsRequest{Kiosk: wire.Name(id)})
			if err != nil {
				t.Fatal(err)
			}
			if all = got.Commands; uint64(len(all)) == want {
				return all
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatalf("the stream has %d commands, want %d", len(all), want)
		return nil
	}
	all := head(2)
	if len(all[1].Orders) != 2 || !all[0].Policy || fmt.Sprint(all[0].Admits) != "[staff]" {
		t.Fatalf("%+v", all)
	}
	applied := func(c commandAt, refused int) access.Record {
		return access.Record{Event: access.EventCommandApplied, Detail: fmt.Sprintf("seq=%d link=%x orders=%d changed=0 refused=%d", c.Seq, c.Link, len(c.Orders), refused)}
	}
	refusal := func(detail string) access.Record {
		return access.Record{Event: access.EventOrderRefused, Detail: detail}
	}
	diff := func(want ...string) string {
		t.Helper()
		said := s.must("roster", "diff", "front", "-dir", s.dir)
		for _, w := range want {
			if !strings.Contains(said, w) {
				t.Errorf("it does not say %q:\n%s", w, said)
			}
		}
		if strings.Contains(said, other.String()) {
			t.Errorf("it speaks of somebody whom the door does not let in:\n%s", said)
		}
		return said
	}
	diff("command 0 of 2", "2 people differ", stays.String()+"  is not held; should be generation 1, active")
	s.records(id, applied(all[0], 0), applied(all[1], 0))
	if said := diff("command 2 of 2", "0 people differ"); strings.Contains(said, "nobody whom this vault knows") {
		t.Errorf("it says\n%s", said)
	}
	if err := os.Rename(db, db+".newer"); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(db), "people.db", string(older))
	diff("2 orders of its stream are of nobody whom this vault knows", "0 people held")
	if err := os.Rename(db+".newer", db); err != nil {
		t.Fatal(err)
	}
	s.records(id, applied(all[0], 0), refusal("command 2, order 2: no room"), applied(all[1], 1))
	diff("1 people differ", goes.String()+"  is not held")
	if said := s.must("roster", "diff", "front", "-mend", "-dir", s.dir); !strings.Contains(said, "1 orders are given to it again") {
		t.Errorf("it says\n%s", said)
	}
	all = head(3)
	s.records(id, applied(all[0], 0), refusal("command 2, order 2: no room"), applied(all[1], 1), applied(all[2], 0))
	diff("command 3 of 3", "0 people differ")
	s.records(id, refusal("command 2, order 1: no room, order 2: no room"), applied(all[1], 2))
	diff("command 2 of 3", "2 people differ")
	s.records(id, applied(all[1], 2))
	diff("command 2: 2 orders were refused of which the records do not say which")
	s.records(id, applied(all[0], 0), applied(all[2], 0)) // what became of command 2 no record says, as when its content was withheld
	diff("command 3 of 3", "1 people differ", stays.String()+"  is not held")
	for before, differ := range []string{"1 people differ", "0 people differ"} {
		r := applied(all[2], 0)
		r.Detail += fmt.Sprintf(" before=%d", before)
		s.records(id, applied(all[0], 0), r)
		diff(differ)
	}
	forged := all[2]
	forged.Link[0] ^= 1
	s.records(id, applied(forged, 0))
	s.refused("somebody else has commanded it", "roster", "diff", "front", "-dir", s.dir)
	s.records(id, applied(commandAt{Seq: 9, Link: forged.Link}, 0))
	s.refused("never gave it", "roster", "diff", "front", "-dir", s.dir)

	// Somebody is deleted.
	forgotten := func(want string, more ...string) string {
		t.Helper()
		said := s.must(append([]string{"forgotten", goes.String(), "-dir", s.dir}, more...)...)
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
		return said
	}
	s.refused("no deletion", "forgotten", goes.String(), "-dir", s.dir)
	if older, err = os.ReadFile(db); err != nil {
		t.Fatal(err)
	}
	s.must("delete", goes.String(), "-key", s.file("eve"), "-dir", s.dir)
	c := head(4)[3]
	s.records(id, applied(all[0], 0), applied(all[1], 0), applied(all[2], 0))
	forgotten("1 of 1 kiosks may still hold " + goes.String())
	diff("1 people differ", goes.String()+"  is generation 1, active; should be not held")
	key := s.records(id, applied(c, 0))
	forgotten("0 of 1 kiosks", "-out", s.file("proofs"))
	forgotten("0 of 1 kiosks")
	proof := filepath.Join(s.file("proofs"), wire.Name(id)+".deletion")
	if said := s.must("verify-receipt", "-key", key, "-operator", s.file("eve")+".pub", proof); !strings.Contains(said, "has forgotten person "+goes.String()) || !strings.Contains(said, "proof holds") {
		t.Errorf("it says %s", said)
	}
	s.refused("does not hold", "verify-receipt", "-key", key, "-operator", s.file("ada")+".pub", proof)
	s.refused("is a proof of hq forgotten: name by -operator", "verify-receipt", "-key", key, proof)
	whole, err := os.ReadFile(proof)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(whole); i += 7 {
		if i == len(whole)-3 {
			continue // the last letter of a signature in base64 may have bits that mean nothing
		}
		spoilt := append([]byte(nil), whole...)
		spoilt[i] ^= 1
		if _, err := s.do("verify-receipt", "-key", key, "-operator", s.file("eve")+".pub", write(t, s.base, "spoilt", string(spoilt))); err == nil {
			t.Fatalf("with byte %d changed it holds", i)
		}
	}
	s.records(id, refusal("command 4, order 1: not granted"), applied(c, 1))
	forgotten(`REFUSED the deletion (record 1): "not granted"`)
	s.records(id, refusal("command 4, order 7: not granted"), applied(c, 1))
	forgotten("0 of 1 kiosks")
	s.records(id, applied(c, 1))
	forgotten("has not said what became of command 4")
	if err := os.Truncate(filepath.Join(s.dir, ledger.Folder, wire.Name(id), strings.Repeat("0", 20)+".seg"), 30); err != nil {
		t.Fatal(err)
	}
	forgotten("nobody can tell: read records of kiosk " + wire.Name(id) + ": ledger is damaged: record 0 cannot be read\n1 of 1 kiosks may still hold")
	a, err := answered(&ledger.Reader{}, shown{}, inForce{}, nil)
	if err != nil || a.Damaged != "" {
		t.Errorf("of a kiosk that has recorded nothing: %+v, %v", a, err)
	}
	r, err := ledger.Inspect(filepath.Join(s.dir, ledger.Folder))
	if err != nil {
		t.Fatal(err)
	}
	if a, err = answered(r, shown{Kiosk: wire.Name(id)}, inForce{}, nil); err != nil || !strings.Contains(a.sentence(), "nobody can tell: ") || !strings.Contains(a.sentence(), "ledger is damaged") {
		t.Errorf("of one whose records are damaged: %+v, %v", a, err)
	}
	s.records(id, refusal("command 4, order 3: expired, order 1: not granted, and 1 more"), applied(all[2], 0), applied(c, 3))
	forgotten(`REFUSED the deletion (record 2): "not granted"`)
	standsFor := func(link [32]byte, before int) access.Record {
		return access.Record{Event: access.EventCommandApplied, Detail: fmt.Sprintf("seq=7 link=%x orders=1 changed=0 refused=0 before=%d", link, before)}
	}
	s.records(id, applied(all[2], 0), standsFor(c.Link, 3)) // of a stream that headquarters lost: there is no command 7
	forgotten("HAS APPLIED ANOTHER COMMAND 4")
	s.records(id, applied(all[2], 0), standsFor([32]byte{}, 3))
	forgotten("HAS APPLIED ANOTHER COMMAND 4")
	for range 3 {
		if _, err := ask[hatch.Nothing](t.Context(), p2, verbAppend, appendRequest{wire.Name(id), all[0].Orders}); err != nil {
			t.Fatal(err)
		}
	}
	seventh := head(7)[6]
	s.records(id, applied(all[2], 0), standsFor(c.Link, 3))
	forgotten("HAS APPLIED ANOTHER COMMAND 4")
	s.records(id, applied(all[2], 0), standsFor(seventh.Link, 3))
	forgotten("0 of 1 kiosks")
	if said := forgotten("no proof", "-out", s.file("none")); !strings.Contains(said, "0 of 1 kiosks") {
		t.Errorf("it says\n%s", said)
	}
	s.records(id, applied(all[2], 0), standsFor(seventh.Link, 2))
	forgotten("has not said what became of command 4")
	s.records(id, applied(c, 0), applied(commandAt{Seq: 9, Link: c.Link}, 0))
	forgotten("0 of 1 kiosks")
	s.records(id, applied(commandAt{Seq: c.Seq, Link: sha256.Sum256(nil), Orders: c.Orders}, 0))
	forgotten("HAS APPLIED ANOTHER COMMAND 4")
	s.records(id, access.Record{Event: access.EventCommandApplied, Detail: fmt.Sprintf("seq=4 link=%x found at the start", c.Link)})
	forgotten("1 of 1 kiosks")
	s.records(id, applied(commandAt{Seq: c.Seq, Link: c.Link}, 0)) // its content was withheld
	forgotten("1 of 1 kiosks")

	// The deletion is lost with an older people.db, and the kiosk has not had it: it is ordered anew, by the id.
	if err := os.WriteFile(db, older, 0o600); err != nil {
		t.Fatal(err)
	}
	s.records(id, applied(all[0], 0), applied(all[1], 0))
	diff("1 people differ", goes.String()+"  is generation 1, active; should be not held")
	master := s.file("master")
	move(t, filepath.Join(s.dir, masterFile), master) // what is to be typed next says where it is
	again := next(t, s.must("roster", "diff", "front", "-dir", s.dir, "-master", master), "hq delete ")
	again[slices.Index(again, "KEY")] = s.file("eve")
	if said := s.must(again...); !strings.Contains(said, "nobody of this id is known here") {
		t.Errorf("it says\n%s", said)
	}
	move(t, master, filepath.Join(s.dir, masterFile))
	if said := s.must("roster", "diff", "front", "-mend", "-dir", s.dir); !strings.Contains(said, "1 orders are given to it again") || strings.Contains(said, "hq delete") {
		t.Errorf("it says\n%s", said)
	}
	s.refused("no person is called so", "delete", "Nobody Example", "-key", s.file("eve"), "-dir", s.dir)
}
