// Package arch keeps the house as docs/ARCHITECTURE.md draws it: who may import whom, each ban with its reason.
package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/lintel-access/lintel/"

type pkg struct {
	ImportPath string
	Dir        string
	Standard   bool
	Imports    []string
	CgoFiles   []string
	GoFiles    []string
}

// A ban forbids the packages under From to import, themselves or through our own packages, those under To.
// A pattern ending in / means everything below; "std-only" means anything but the standard library.
type ban struct {
	from, to string
	except   []string // of what is under To
	reason   string
}

var bans = []ban{
	{"access", "std-only", nil, "the pure core decides; what it imports decides with it"},
	{"access", "os", nil, "the core touches nothing: every decision can be replayed in a test"},
	{"access", "net", nil, "the core touches nothing"},
	{"access", "log", nil, "the core says what happened by returning it"},
	{"access/match", "os", nil, "the comparison kernel sees templates and must have nowhere to put them"},
	{"access/match", "net", nil, "the comparison kernel sees templates and must have nowhere to send them"},
	{"sync/wire", "os", nil, "a codec that parses hostile bytes holds nothing worth stealing"},
	{"sync/wire", "net", nil, "a codec that parses hostile bytes holds nothing worth stealing"},
	{"sync/roster", "os", nil, "what judges commands touches nothing: every judgement can be replayed in a test"},
	{"sync/roster", "net", nil, "what judges commands touches nothing"},
	{"access/", "firmware/", nil, "no floor climbs: the core does not know its programs"},
	{"access/", "inference/", nil, "the decision must not depend on how the evidence was made"},
	{"access/", "drivers/", nil, "the decision must not depend on a device"},
	{"sync/", "access/vault", nil, "what talks to strangers holds no templates"},
	{"sync/", "firmware/", nil, "no floor climbs: headquarters speaks the same words"},
	{"inference/", "access/", nil, "eye measures; it must not be able to decide"},
	{"inference/", "firmware/", nil, "no floor climbs"},
	{"inference/", "drivers/", nil, "drivers and inference never meet: frames are images by then"},
	{"board", "lintel/", nil, "a board is data"},
	{"drivers/", "lintel/", nil, "a driver is replaceable alone"},
	{"firmware/portal", "access/vault", nil, "the door's electrics need no templates"},
	{"firmware/portal", "inference/", nil, "the door's electrics need no models"},
	{"firmware/twin", "access/", nil, "the simulated board knows no policy: it is what the policy is tried on"},
	{"firmware/cmd/eye", "access/vault", nil, "eye parses what an attacker holds before the lens: no templates there"},
	{"firmware/cmd/eye", "access/match", nil, "eye measures; it must not be able to compare"},
	{"firmware/cmd/eye", "firmware/portal", nil, "eye has no relay"},
	{"firmware/watch", "access/vault", nil, "what looks at an attacker's pictures holds no templates"},
	{"firmware/watch", "access/match", nil, "what measures must not be able to compare"},
	{"firmware/watch", "firmware/portal", nil, "what measures has no relay"},
	{"firmware/watch", "drivers/", nil, "what measures is given its frames: a laboratory draws them"},
	{"firmware/abuse", "access/vault", nil, "a bundle holds no template of anybody"},
	{"firmware/abuse", "inference/", nil, "door makes bundles, and parses no image"},
	{"firmware/retrial", "access/vault", nil, "what is tried again is the evidence; the gallery stays at the door"},
	{"firmware/cmd/replay", "firmware/portal", nil, "whatever a bundle comes to, nothing opens"},
	{"firmware/cmd/door", "inference/ort", nil, "door is pure Go and parses no image"},
	{"firmware/cmd/door", "firmware/retrial", nil, "door decides once; trying again is for reviewers, elsewhere"},
	{"firmware/cmd/door", "net/http", nil, "door has no network"},
	{"firmware/cmd/eye", "drivers/tpm", nil, "eye has no keys"},
	{"firmware/cmd/eye", "firmware/root", nil, "eye has no keys"},
	{"firmware/cmd/link", "drivers/tpm", nil, "link talks to strangers: it has door sign its handshakes, and nothing else"},
	{"firmware/cmd/link", "firmware/root", nil, "link talks to strangers: no keys there"},
	{"firmware/cmd/link", "access/vault", nil, "link talks to strangers: no templates there"},
	{"firmware/cmd/link", "firmware/portal", nil, "link has no relay"},
	{"firmware/cmd/link", "inference/ort", nil, "link has no camera and no models"},
	{"firmware/", "hq/", nil, "a kiosk obeys headquarters and is no part of it"},
	{"access/", "hq/", nil, "a kiosk obeys headquarters and is no part of it"},
	{"sync/", "hq/", nil, "a kiosk obeys headquarters and is no part of it"},
	{"hq/", "firmware/", []string{"firmware/confine"}, "headquarters knows a kiosk by what it says on the wire; its child that parses photographs is confined as a kiosk's programs are"},
	{"hq/", "access/vault", nil, "headquarters has a vault of its own: a kiosk's is turned by a secret that only it has"},
	{"hq/broker", "hq/fleet", nil, "a broker carries bytes and knows nothing of what they mean"},
	{"hq/fleet", "inference/", nil, "what talks to kiosks looks at no photograph"},
	{"hq/fleet", "hq/people", nil, "what talks to kiosks is handed signed orders; it opens no vault"},
	{"hq/draft", "hq/", nil, "who signs elsewhere needs nothing of headquarters'"},
	{"hq/draft", "net", nil, "what is signed elsewhere is read without a network"},
	{"hq/people", "inference/", nil, "what holds everybody's references parses no photograph"},
	{"hq/people", "firmware/", nil, "headquarters is no kiosk"},
	{"hq/people", "net", nil, "what holds everybody's references talks to nobody"},
	{"hq/extract/", "hq/people", nil, "what parses photographs has no names, keys or references of others"},
	{"hq/extract/", "hq/authority", nil, "what parses photographs has no keys"},
	{"hq/extract/worker", "net", nil, "what parses photographs talks to headquarters alone"},
}

// cgoRooms are the only packages that may hold C code on the kiosk.
var cgoRooms = []string{"inference/ort", "drivers/camera"}

func list(t *testing.T, args ...string) map[string]pkg {
	t.Helper()
	lookAtSources(t)
	cmd := exec.Command("go", append([]string{"list", "-deps", "-json=ImportPath,Dir,Standard,Imports,CgoFiles,GoFiles"}, args...)...)
	cmd.Dir = root(t)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	all := map[string]pkg{}
	for d := json.NewDecoder(out); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("list packages: %v", err)
	}
	return all
}

// lookAtSources makes go's test cache know what is judged here: it sees the files that a test looks at, not those that a go command
// started by it reads, and would go on to show yesterday's result.
func lookAtSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(root(t), func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root(t):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go") || strings.HasPrefix(d.Name(), "go."):
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func root(t *testing.T) string {
	t.Helper()
	d, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func in(path, room string) bool {
	path = strings.TrimPrefix(path, module)
	if strings.HasSuffix(room, "/") {
		return strings.HasPrefix(path+"/", room)
	}
	return path == room
}

// deps is everything that p reaches, itself left out.
func deps(all map[string]pkg, p string, seen map[string]bool) map[string]bool {
	for _, i := range all[p].Imports {
		if !seen[i] {
			seen[i] = true
			deps(all, i, seen)
		}
	}
	return seen
}

func TestNobodyImportsWhatItMustNot(t *testing.T) {
	all := list(t, "./...")
	used := make([]bool, len(bans))
	for path := range all {
		if !strings.HasPrefix(path, module) {
			continue
		}
		for i, b := range bans {
			if !in(path, b.from) {
				continue
			}
			used[i] = true
			for _, direct := range all[path].Imports {
				if b.to == "std-only" && !all[direct].Standard || b.to == "lintel/" && strings.HasPrefix(direct, module) {
					t.Errorf("%s imports %s: %s", path, direct, b.reason)
				}
			}
			for d := range deps(all, path, map[string]bool{}) {
				// The standard library reaches os and net by itself (fmt does); for its names only our own direct imports count.
				standard := all[d].Standard
				if slices.Contains(b.except, strings.TrimPrefix(d, module)) {
					continue
				}
				if (in(d, b.to) && strings.HasPrefix(d, module)) || (standard && d == b.to && reachedByUs(all, path, d)) {
					t.Errorf("%s reaches %s: %s", path, d, b.reason)
				}
			}
		}
	}
	for i, b := range bans {
		if !used[i] && exists(t, b.from) {
			t.Errorf("the ban %s -> %s matched no package: a rule that guards nothing", b.from, b.to)
		}
	}
}

// reachedByUs reports whether target is imported directly by path or by one of our packages below it.
func reachedByUs(all map[string]pkg, path, target string) bool {
	reach := deps(all, path, map[string]bool{})
	reach[path] = true
	for d := range reach {
		if !strings.HasPrefix(d, module) {
			continue
		}
		for _, i := range all[d].Imports {
			if i == target {
				return true
			}
		}
	}
	return false
}

func exists(t *testing.T, room string) bool {
	_, err := os.Stat(filepath.Join(root(t), strings.TrimSuffix(room, "/")))
	return err == nil
}

func TestCgoStaysInItsRooms(t *testing.T) {
	for path, p := range list(t, "./...") {
		if !strings.HasPrefix(path, module) || len(p.CgoFiles) == 0 {
			continue
		}
		ok := false
		for _, r := range cgoRooms {
			ok = ok || in(path, r)
		}
		if !ok {
			t.Errorf("%s holds C code: only %v may", path, cgoRooms)
		}
	}
}

// The programs that decide, store and talk are pure Go: no C code of ours or of a library is in them.
func TestDoorAndLinkArePureGo(t *testing.T) {
	lookAtSources(t)
	for _, prog := range []string{"./firmware/cmd/door", "./firmware/cmd/link"} {
		cmd := exec.Command("go", "build", "-o", os.DevNull, prog)
		cmd.Dir = root(t)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s does not build without cgo: %v\n%s", prog, err, out)
		}
	}
}

// What only a desk or a lab may do is not in the product: built with the tag that images use, no program knows the twin.
func TestKioskBuildHasNoTwin(t *testing.T) {
	for path, p := range list(t, "-tags", "kiosk", "./firmware/cmd/door", "./firmware/cmd/eye", "./firmware/cmd/link") {
		if in(path, "firmware/twin") && len(p.GoFiles) > 1 {
			t.Errorf("built with the tag kiosk, %s is still in the product: %v", path, p.GoFiles)
		}
	}
}

// Folders hold rooms: an empty one, or one with no Go file, misleads whoever looks for something.
func TestNoEmptyRooms(t *testing.T) {
	for _, top := range []string{"firmware", "drivers", "inference", "access", "sync", "ota", "board", "tests", "gokrazy", "hq"} {
		dir := filepath.Join(root(t), top)
		if _, err := os.Stat(dir); err != nil {
			continue // not built yet
		}
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			entries, err := os.ReadDir(path)
			if err == nil && len(entries) == 0 {
				t.Errorf("%s is empty", path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
