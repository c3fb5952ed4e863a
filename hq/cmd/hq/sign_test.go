//go:build !kiosk

package main

import (
	"bytes"
	"errors"
	"image"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/hq/draft"
	"github.com/lintel-access/lintel/hq/people"
	"github.com/lintel-access/lintel/sync/wire"
)

// elsewhere runs hq where nothing of headquarters is: no folder, no socket.
func elsewhere(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, progress bytes.Buffer
	err := run(t.Context(), args, &out, &progress)
	return out.String(), err
}

// An operator's key never comes to headquarters: what is drafted there is read and signed elsewhere, and handed in.
//
// Control: S10
func TestSignedElsewhere(t *testing.T) {
	h := newHouse(t)
	away := t.TempDir()
	for name, key := range h.keys { // the keys are not where headquarters is
		h.keys[name] = filepath.Join(away, name+".pem")
		if err := os.Rename(key, h.keys[name]); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name string) string { return filepath.Join(away, name) }
	// three takes a command through its three steps, and returns what was told to whoever signed.
	three := func(key, name string, args ...string) (told string, err error) {
		t.Helper()
		if out := h.must(append(args, "-draft", file(name))...); !strings.Contains(out, "nothing is done yet") {
			t.Fatalf("%v said %q", args, out)
		}
		if info, err := os.Stat(file(name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("the draft lies open: %v", err)
		}
		told, err = elsewhere(t, "sign", file(name), "-key", h.keys[key], "-yes")
		if err != nil {
			t.Fatalf("sign %s: %v", name, err)
		}
		_, err = h.run("hand", file(name+".signed"))
		return told, err
	}
	h.must("people", "privileged", "staff")
	enrol := []string{
		"enrol", "First Example", "-photo", h.photo("one.jpg", 5, image.Rect(300, 820, 640, 1240), 92), "-consent", "C-1", "-proofing", h.file("p.txt", []byte("seen")),
		"-valid-until", time.Now().AddDate(0, 6, 0).Format(time.DateOnly), "-group", "staff", "-bundle", filepath.Join(cache, "bundle"),
		"-library", filepath.Join(cache, "ort", "libonnxruntime.so.1"),
	}
	told, err := three("ann", "enrol", enrol...)
	if err != nil || !strings.Contains(told, "Enrols person") || !strings.Contains(told, `"staff"`) || !strings.Contains(told, `"First Example"; the signature does not`) {
		t.Fatalf("%v, told %q", err, told)
	}
	if _, err := h.run("hand", file("enrol.signed")); err == nil || !strings.Contains(err.Error(), "handed in already") {
		t.Errorf("handed in twice: %v", err)
	}
	order := regexp.MustCompile(`[0-9a-f]{64}`).FindString(h.must("approve"))
	if _, err := three("ann", "own", "approve", order); err == nil || !strings.Contains(err.Error(), "another operator's") {
		t.Errorf("approved one's own: %v", err)
	}
	if told, err := three("bob", "approve", "approve", order); err != nil || !strings.Contains(told, "Agrees") || !strings.Contains(told, `"staff"`) {
		t.Errorf("%v, told %q", err, told)
	}
	if _, err := three("ann", "suspend-ann", "suspend", "First Example"); err == nil || !strings.Contains(err.Error(), "may not sign") {
		t.Errorf("an enroller suspended: %v", err)
	}
	if told, err := three("root", "suspend", "suspend", "First Example"); err != nil || !strings.Contains(told, "Suspends") {
		t.Errorf("%v, told %q", err, told)
	}
	for _, again := range []string{"approve.signed", "suspend.signed"} { // hq hand may be run again
		h.must("hand", file(again))
	}
	if out := h.must("people", "list"); !strings.Contains(out, "suspended") {
		t.Errorf("list: %q", out)
	}
	if out := h.must("delete", "-ended", "30", "-draft", file("none")); !strings.Contains(out, "nobody's permission ended") {
		t.Errorf("delete -ended says %q", out)
	}
	if told, err := three("root", "delete", "delete", "First Example"); err != nil || !strings.Contains(told, "forgotten") {
		t.Errorf("%v, told %q", err, told)
	}
	if out := h.must("hand", file("delete.signed")); !strings.Contains(out, "nobody of this id is known here") {
		t.Errorf("run again it says %q", out)
	}
	if out := h.must("people", "list"); out != "" {
		t.Errorf("list: %q", out)
	}
	for want, args := range map[string][]string{
		"say whose word": {"delete", "x", "-key", "a", "-draft", "b"},
	} {
		if _, err := h.run(args...); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", args, err)
		}
	}
	if _, err := elsewhere(t, "sign", file("enrol.signed"), "-key", h.keys["ann"], "-yes"); !errors.Is(err, draft.ErrFile) {
		t.Errorf("what is signed was signed again: %v", err)
	}
	stdin := os.Stdin // nobody says yes there
	defer func() { os.Stdin = stdin }()
	if os.Stdin, err = os.Open(os.DevNull); err != nil {
		t.Fatal(err)
	}
	if _, err := elsewhere(t, "sign", file("delete"), "-key", h.keys["root"], "-out", file("not")); err == nil || !strings.Contains(err.Error(), "nothing was signed") {
		t.Errorf("signed though nobody agreed: %v", err)
	}
	if _, err := os.Stat(file("not")); err == nil {
		t.Error("there is a signature though nobody agreed")
	}
}

// Orders that are not about people are signed elsewhere as well, by a file or by headquarters' socket, as ssh brings it.
func TestSocketFromElsewhere(t *testing.T) {
	s := newSite(t)
	s.must("people", "init", "-dir", s.dir)
	s.serve()
	in, kiosk := s.introduction()
	s.must("kiosk", "add", in, "-dir", s.dir, "-broker", "hq.example:8883", "-out", s.file("told"))
	s.must("lockdown", "on", "-draft", s.file("lock"), "-dir", s.dir)
	if k := s.kiosks(); k[0].Head != 0 {
		t.Errorf("a draft was ordered: %+v", k)
	}
	if told := s.must("sign", s.file("lock"), "-key", s.file("ada"), "-yes"); !strings.Contains(told, "Locks the doors against everybody at every kiosk") {
		t.Errorf("told %q", told)
	}
	s.must("hand", s.file("lock.signed"), "-dir", s.dir)
	s.must("sign", s.file("lock"), "-key", s.file("eve"), "-out", s.file("eves"), "-yes")
	s.refused("may not sign", "hand", s.file("eves"), "-dir", s.dir)
	if k := s.kiosks(); k[0].Head != 1 {
		t.Errorf("%+v", k)
	}

	l, err := net.Listen("unix", s.file("s")) // as ssh -L listens
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", filepath.Join(s.dir, socketName))
			if err != nil {
				near.Close()
				return
			}
			go func() { io.Copy(far, near); far.Close() }()
			go func() { io.Copy(near, far); near.Close() }()
		}
	}()
	s.must("lockdown", "off", "-key", s.file("ada"), "-socket", s.file("s"))
	if k := s.kiosks(); k[0].Head != 2 {
		t.Errorf("%+v", k)
	}
	s.refused("not connected", "release", "front", "-key", s.file("ada"), "-socket", s.file("s"))
	s.refused("does not run", "release", "front", "-key", s.file("ada"), "-socket", s.file("nowhere"))

	// An enrolment at a kiosk: the enroller's key comes near headquarters neither when it is signed nor when it begins.
	live := func(name string, more ...string) []string {
		return append([]string{"enrol", name, "-consent", "C-1", "-proofing", write(t, s.base, "p.txt", "seen"), "-valid-until", time.Now().AddDate(0, 6, 0).Format(time.DateOnly), "-dir", s.dir}, more...)
	}
	s.refused(`no such kiosk: "back"`, live("Live Example", "-at", "back", "-group", "staff", "-draft", s.file("nobody"))...)
	said := s.must(live("Live Example", "-at", "front", "-group", "staff", "-draft", s.file("live"))...)
	if !strings.Contains(said, "attention: no policy is in force") {
		t.Errorf("where nobody is let in it says %q", said)
	}
	s.must("policy", "push", write(t, s.base, "site.toml", sitePolicy), "-yes", "-key", s.file("ada"), "-dir", s.dir)
	if told := s.must("sign", s.file("live"), "-key", s.file("eve"), "-yes"); !strings.Contains(told, "kiosk "+wire.Name(kiosk)+" alone") {
		t.Errorf("told %q", told)
	}
	// What is to be typed next is said as it can be typed.
	said = s.must(next(t, said, "hq hand ")...)
	person := regexp.MustCompile(`person ([0-9a-f]{32})`).FindStringSubmatch(said)[1]
	if words := next(t, said, "hq begin "); words[1] != person || words[len(words)-1] != s.dir || !strings.Contains(said, "kiosk "+wire.Name(kiosk)) {
		t.Errorf("it says %q", said)
	}
	if shown := s.must("people", "show", person, "-dir", s.dir); !strings.Contains(shown, "at kiosk "+wire.Name(kiosk)+" alone") {
		t.Errorf("shown %q", shown)
	}
	begin := []string{"begin", person, "-key", s.file("eve"), "-socket", s.file("s")}
	s.refused("not connected", begin...)
	begin[1] = strings.Repeat("ab", 16)
	s.refused("approve it first", begin...)
	begin[1] = "Live Example"
	s.refused("whole id", begin...)

	// Where a key signs at once, nobody reads for which kiosk: its whole name must have been said.
	for _, word := range []string{"front", wire.Name(kiosk)[:8]} {
		s.refused("nothing was signed", live("Other Example", "-at", word, "-group", "staff", "-key", s.file("eve"))...)
	}
	said = s.must(live("Other Example", "-at", wire.Name(kiosk), "-group", "staff", "-key", s.file("eve"))...)
	if strings.Contains(said, "attention") {
		t.Errorf("of somebody whom the door lets in it says %q", said)
	}
	s.refused("not connected", next(t, said, "hq begin ")...)
	s.must(live("Stray Example", "-at", "front", "-group", "staf", "-draft", s.file("stray"))...)
	s.must("sign", s.file("stray"), "-key", s.file("eve"), "-yes")
	if said := s.must("hand", s.file("stray.signed"), "-dir", s.dir); !strings.Contains(said, `attention: no rule of door "front" names "staf"`) {
		t.Errorf("of somebody whom no door lets in it says %q", said)
	}
	s.must("people", "privileged", "admins", "-dir", s.dir)
	move(t, filepath.Join(s.dir, masterFile), s.file("master"))
	said = s.must(live("Trusted Example", "-at", wire.Name(kiosk), "-group", "admins", "-key", s.file("eve"), "-master", s.file("master"))...)
	if approve := next(t, said, "hq approve "); strings.Contains(said, "hq begin") || len(approve) != 8 {
		t.Errorf("before anybody has agreed it says %q", said)
	} else if said := s.must(append(approve, "-key", s.file("ada"))...); !slices.Contains(next(t, said, "hq begin "), "KEY") || strings.Contains(said, s.file("ada")) { // an administrator may not begin it
		t.Errorf("once somebody has agreed it says %q", said)
	}
	s.must("kiosk", "remove", "front", "-dir", s.dir, "-why", "sold")
	s.refused("not in service", live("Third Example", "-at", wire.Name(kiosk), "-group", "staff", "-key", s.file("eve"))...)
}

// Whoever has enrolled somebody at a kiosk hears what to do next, or why that cannot be said; of photographs there is nothing to begin.
func TestNoBeginningIsLeftUnsaid(t *testing.T) {
	s := newSite(t)
	s.must("people", "init", "-dir", s.dir)
	o := office{dir: s.dir, master: filepath.Join(s.dir, masterFile), signing: signing{key: s.file("eve")}}
	p, err := o.open()
	if err != nil {
		t.Fatal(err)
	}
	by, err := o.operator()
	if err != nil {
		t.Fatal(err)
	}
	at := newPage("enrol", "", "", io.Discard)
	done, err := p.Enrol(t.Context(), people.Request{Name: "live", Groups: []string{"staff"}, Until: time.Now().Add(time.Hour), Consent: "C-1",
		Proofing: []byte("seen"), At: [32]byte{1}}, by, oneFace{}, people.Rules{Bundle: [32]byte{7}, Same: .5, Alike: .4})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := o.sayBegin(&out, p, s.enrol(p, 1, "staff"), "KEY"); err != nil || out.Len() > 0 {
		t.Errorf("from photographs: %v, %q", err, out.String())
	}
	if err := o.sayEnrolled(at, &out, done); err != nil || !strings.Contains(out.String(), "hq begin "+done.Person.String()) {
		t.Errorf("at a kiosk: %v, %q", err, out.String())
	}
	out.Reset()
	p.Hurry()
	other, err := os.Open(filepath.Join(s.dir, peopleFolder, "people.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX); err != nil { // as another hq holds it
		t.Fatal(err)
	}
	if err := o.sayEnrolled(at, &out, done); !errors.Is(err, people.ErrInUse) {
		t.Errorf("while the vault is in use: %v, %q", err, out.String())
	}
	if err := unix.Flock(int(other.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	s.must("suspend", done.Person.String(), "-key", s.file("ada"), "-dir", s.dir)
	if err := o.sayEnrolled(at, &out, done); err == nil || !strings.Contains(err.Error(), "is suspended") {
		t.Errorf("suspended: %v", err)
	}
}

// next is the command that a command says is to be typed next.
func next(t *testing.T, said, begins string) []string {
	t.Helper()
	_, line, found := strings.Cut(said, begins)
	if !found {
		t.Fatalf("no %q in %q", begins, said)
	}
	line, _, _ = strings.Cut(line, "\n")
	return strings.Fields(strings.TrimPrefix(begins, "hq ") + line)
}
