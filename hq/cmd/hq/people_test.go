package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/sync/wire"
)

const cache = "../../../.lintel"

// house is a headquarters with operators: ann and bob enrol, root administers.
type house struct {
	t    *testing.T
	dir  string
	keys map[string]string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	base := t.TempDir()
	h := &house{t, filepath.Join(base, "hq"), map[string]string{}}
	offline, now := filepath.Join(base, "offline"), time.Now()
	if err := authority.Create(h.dir, offline, now); err != nil {
		t.Fatal(err)
	}
	safe, err := authority.OpenOffline(h.dir, offline)
	if err != nil {
		t.Fatal(err)
	}
	for name, role := range map[string]wire.Role{"ann": wire.RoleEnroller, "bob": wire.RoleEnroller, "root": wire.RoleAdministrator} {
		h.keys[name] = filepath.Join(base, name+".pem")
		key, err := authority.CreateKey(h.keys[name])
		if err != nil {
			t.Fatal(err)
		}
		if err := safe.Change(now, authority.Admit(role, name, &key.PublicKey, now, 24*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	h.must("people", "init")
	return h
}

func (h *house) run(args ...string) (out string, err error) {
	var o, progress bytes.Buffer
	err = run(h.t.Context(), append(args, "-dir", h.dir), &o, &progress)
	if both := o.String() + progress.String(); args[0] != "people" && args[0] != "approve" && strings.Contains(both+fmt.Sprint(err), "Example") {
		h.t.Errorf("%v says a name: %s %v", args, both, err)
	}
	return o.String(), err
}

func (h *house) must(args ...string) string {
	h.t.Helper()
	out, err := h.run(args...)
	if err != nil {
		h.t.Fatalf("hq %v: %v\n%s", args, err, out)
	}
	return out
}

// photo cuts a rectangle out of one of the desk's group photographs into a file.
func (h *house) photo(name string, n int, r image.Rectangle, quality int) string {
	h.t.Helper()
	data, err := os.ReadFile(filepath.Join(cache, "photos", fmt.Sprintf("sample%d.jpg", n)))
	if err != nil {
		h.t.Fatalf("%v (run make deps)", err)
	}
	src, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		h.t.Fatal(err)
	}
	out := image.NewRGBA(image.Rect(0, 0, r.Dx(), r.Dy()))
	draw.Draw(out, out.Rect, src, r.Min, draw.Src)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, out, &jpeg.Options{Quality: quality}); err != nil {
		h.t.Fatal(err)
	}
	return h.file(name, b.Bytes())
}

func (h *house) file(name string, data []byte) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// Enrolment from photographs, with the models of the kiosk, as operators type it.
func TestEnrolFromPhotographs(t *testing.T) {
	h := newHouse(t)
	models := []string{"-bundle", filepath.Join(cache, "bundle"), "-library", filepath.Join(cache, "ort", "libonnxruntime.so.1")}
	proofing := h.file("proofing.txt", []byte("passport seen"))
	until := time.Now().AddDate(0, 6, 0).Format(time.DateOnly)
	enrol := func(name, key string, more ...string) (string, error) {
		args := append([]string{"enrol", name, "-key", h.keys[key], "-consent", "C-1", "-proofing", proofing, "-valid-until", until, "-group", "staff"}, models...)
		return h.run(append(args, more...)...)
	}
	one := h.photo("one.jpg", 5, image.Rect(300, 820, 640, 1240), 92)
	out, err := enrol("First Example", "ann", "-photo", one)
	if err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`person ([0-9a-f]{32})`).FindStringSubmatch(out)
	if id == nil {
		t.Fatalf("enrol said %q", out)
	}
	for name, tt := range map[string]struct {
		key, want string
		more      []string
	}{
		"the same person":  {"ann", id[1], []string{"-photo", h.photo("again.jpg", 5, image.Rect(290, 800, 660, 1240), 60)}},
		"two faces":        {"ann", "several faces", []string{"-photo", h.photo("two.jpg", 5, image.Rect(740, 60, 1340, 500), 92)}},
		"not a photograph": {"ann", "not a JPEG or PNG", []string{"-photo", proofing}},
		"no consent":       {"ann", "no consent", []string{"-photo", one, "-consent", ""}},
		"no proofing":      {"ann", "proofing record", []string{"-photo", one, "-proofing", ""}},
		"not an enroller":  {"root", "may not sign", []string{"-photo", one}},
		"no photograph":    {"ann", "no photograph", nil},
		"no such file":     {"ann", "no such file", []string{"-photo", "absent.jpg"}},
	} {
		if out, err := enrol("Other Example", tt.key, tt.more...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %q, %v, want %q", name, out, err, tt.want)
		}
	}
	if data, err := os.ReadFile(one); err != nil {
		t.Fatal(err)
	} else {
		h.file("cut.jpg", data[:len(data)/2])
	}

	h.photo("second.jpg", 6, image.Rect(1080, 220, 1460, 680), 92)
	table := "name,groups,valid_until,consent,proofing,photos\n"
	for _, photo := range []string{"second.jpg", "two.jpg", "cut.jpg", "again.jpg"} {
		table += fmt.Sprintf("Example %s,staff,%s,C-2,proofing.txt,%s\n", photo, until, photo)
	}
	csv := h.file("people.csv", []byte(table))
	bulk := append([]string{"bulk", csv, "-folder", h.dir, "-key", h.keys["ann"]}, models...)
	out, err = h.run(bulk...)
	if err == nil || !strings.Contains(err.Error(), "3 lines") {
		t.Errorf("bulk: %v", err)
	}
	for i, want := range []string{"enrolled as", "several faces", "damaged", "enrolled already"} {
		if lines := strings.Split(out, "\n"); len(lines) < 4 || !strings.HasPrefix(lines[i], fmt.Sprintf("line %d: ", i+2)) || !strings.Contains(lines[i], want) {
			t.Errorf("bulk said %q, want %q in line %d", out, want, i+2)
		}
	}
	waiting := h.must("approve")
	batch := regexp.MustCompile(`batch ([0-9a-f]{16})`).FindStringSubmatch(waiting)
	if batch == nil {
		t.Fatalf("approve lists %q", waiting)
	}
	// A corrected table is another one, and who was done with the first waits under that.
	h.file("people.csv", []byte(table[:strings.LastIndex(table, "Example again.jpg")]))
	var said, told bytes.Buffer
	if err := run(t.Context(), append(bulk, "-dir", h.dir), &said, &told); err == nil || !strings.Contains(said.String(), "line 2: was done before, and waits in batch "+batch[1]) ||
		!strings.Contains(told.String(), "bulk: 1 of them wait for a second operator: hq approve "+batch[1]+" -key KEY -dir "+h.dir+"\n") {
		t.Errorf("%v, %q, %q", err, said.String(), told.String())
	}
	h.file("people.csv", nil)
	told.Reset()
	if err := run(t.Context(), append(bulk, "-dir", h.dir), &said, &told); err == nil || strings.Contains(err.Error(), "run it again") || strings.Contains(told.String(), "0 enrolled") {
		t.Errorf("an empty table: %v, %q", err, told.String())
	}
	order := regexp.MustCompile(`[0-9a-f]{64}`).FindString(waiting)
	if !strings.Contains(waiting, "second.jpg") || !strings.Contains(waiting, "bulk") {
		t.Errorf("approve lists %q", waiting)
	}
	if _, err := h.run("approve", order, "-key", h.keys["ann"]); err == nil || !strings.Contains(err.Error(), "another operator's") {
		t.Errorf("approved one's own: %v", err)
	}
	h.must("approve", order, "-key", h.keys["bob"])

	h.must("suspend", "First Example", "-key", h.keys["root"])
	if out := h.must("people", "list"); strings.Count(out, "\n") != 2 || !strings.Contains(out, "suspended") || !strings.Contains(out, "active") {
		t.Errorf("list: %q", out)
	}
	if _, err := h.run("resume", "First Example", "-key", h.keys["root"]); !errors.Is(err, errUsage) {
		t.Errorf("a permission was given back to whoever is called so: %v", err)
	}
	var shown struct{ Name, Approver, Standing string }
	if err := json.Unmarshal([]byte(h.must("people", "show", "Example second.jpg", "-json")), &shown); err != nil || shown.Approver != "bob" {
		t.Errorf("%+v, %v", shown, err)
	}
	if got := h.must("people", "proofing", id[1]); got != "passport seen" {
		t.Errorf("proofing record %q", got)
	}
	if _, err := h.run("resume", "First Example", "-key", h.keys["root"]); err == nil || !strings.Contains(err.Error(), "nothing was signed") {
		t.Errorf("somebody was resumed by a name that headquarters looked up: %v", err)
	}
	h.must("resume", id[1], "-key", h.keys["root"])
	h.must("suspend", id[1], "-key", h.keys["root"])
	if _, err := h.run("delete", id[1], "-key", h.keys["ann"]); err == nil {
		t.Error("an enroller had somebody forgotten whom an administrator has suspended")
	}
	h.must("delete", id[1], "-key", h.keys["root"])
	if _, err := h.run("people", "show", "First Example"); err == nil {
		t.Error("who was deleted is still there")
	}
	if _, err := enrol("First Example", "ann", "-photo", one); err != nil {
		t.Errorf("who was deleted cannot be enrolled anew: %v", err)
	}
	if out, err := enrol("Live Example", "ann", "-at", "front"); err == nil || !strings.Contains(err.Error(), "-at: hq serve does not run") {
		t.Errorf("at a kiosk that nobody knows: %q, %v", out, err)
	}
	for who, want := range map[string]string{"somebody": "whole id", id[1]: "does not run"} {
		if _, err := h.run("begin", who, "-key", h.keys["ann"]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("begun for %q: %v, want %q", who, err, want)
		}
	}
}

// A word that a shell lost does not switch the second operator off.
func TestPrivileged(t *testing.T) {
	h := newHouse(t)
	if out := h.must("people", "privileged", "vault", "admins"); out != "admins\nvault\n" {
		t.Errorf("it says %q", out)
	}
	for _, word := range []string{"", "Bad Group!"} {
		if out, err := h.run("people", "privileged", word); err == nil {
			t.Errorf("%q: %q", word, out)
		}
	}
	if out := h.must("people", "privileged"); out != "admins\nvault\n" {
		t.Errorf("after what was refused it is %q", out)
	}
	if out := h.must("people", "privileged", "none"); out != "no group is privileged\n" {
		t.Errorf("it says %q", out)
	}
}

func TestInitTwice(t *testing.T) {
	h := newHouse(t)
	other := filepath.Join(h.dir, "other.master")
	if _, err := h.run("people", "init", "-master", other); err == nil {
		t.Error("made anew over a vault")
	}
	if _, err := os.Stat(other); err == nil {
		t.Error("a master key of nothing is left")
	}
	h.must("people", "list")
}

func TestHelp(t *testing.T) {
	for _, c := range peopleCommands() {
		var out, progress bytes.Buffer
		if err := c.run(t.Context(), []string{"-h"}, &out, &progress); err == nil || !strings.Contains(progress.String(), "usage: hq "+c.name) {
			t.Errorf("%s -h: %v %q", c.name, err, progress.String())
		}
		if err := c.run(t.Context(), nil, &out, &progress); err == nil || !strings.Contains(err.Error(), "-dir") {
			t.Errorf("%s without a folder: %v", c.name, err)
		}
	}
}
