package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

const sitePolicy = `format = 1
site = "Test"
zone = "Europe/Berlin"
groups.staff = {}
schedules.office = { week.mon-fri = ["07:00-19:00"] }
doors.front = { exit = "rex", rules = [{ groups = ["staff"], schedule = "office" }] }
`

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// both runs hq and returns all that it wrote.
func both(args ...string) (string, error) {
	out, progress, err := hq(args...)
	return out + progress, err
}

func TestPolicyCommands(t *testing.T) {
	dir := t.TempDir()
	good := write(t, dir, "good.toml", sitePolicy)
	longer := write(t, dir, "longer.toml", strings.Replace(sitePolicy, "19:00", "20:00", 1))
	trap := write(t, dir, "trap.toml", strings.Replace(sitePolicy, `"rex"`, `"none"`, 1))
	people := write(t, dir, "people.csv", "person,groups\nAda,staff\n")
	tests := []struct {
		name  string
		args  []string
		want  string // part of what is said
		fails string // part of the error; "" when there is none
	}{
		{"check", []string{"check", good}, "front, from outside to front. Anybody can leave by it at any time.", ""},
		{"check with people, flags behind", []string{"check", good, "-people", people, "-on", "2026-11-23"}, "staff (1 person) may pass Monday to Friday 07:00–19:00", ""},
		{"check a trap", []string{"check", trap}, trap + `:6: error: who is let in as staff cannot leave "front" at any time`, "may come into force"},
		{"diff", []string{"diff", good, longer}, "front, staff: gains 5 h a week (Monday to Friday 19:00–20:00)", ""},
		{"diff with people", []string{"diff", "-people", people, good, longer}, "front, Ada: gains 5 h a week", ""},
		{"diff of a trap that was in force", []string{"diff", trap, longer}, "gains 5 h a week", ""},
		{"diff of what says nothing", []string{"diff", people, longer}, "", "hq policy check says why"},
		{"diff against a trap", []string{"diff", good, trap}, "error", "may come into force"},
		{"no file", []string{"check", filepath.Join(dir, "none.toml")}, "", "no such file"},
		{"no people", []string{"check", good, "-people", good}, "", "read people"},
		{"a date", []string{"check", good, "-on", "tomorrow"}, "", "want a date"},
		{"one file to compare", []string{"diff", good}, "", "1 files, want 2"},
		{"nowhere to compile to", []string{"compile", good}, "", "-o FILE"},
		{"people twice", []string{"check", good, "-people", people, "-dir", dir}, "", "not from both"},
		{"no such order", []string{"burn"}, "", "is no command"},
	}
	for _, tt := range tests {
		said, err := both(append([]string{"policy"}, tt.args...)...)
		if !strings.Contains(said, tt.want) || (err == nil) != (tt.fails == "") || err != nil && !strings.Contains(err.Error(), tt.fails) {
			t.Errorf("%s: %v, said\n%s", tt.name, err, said)
		}
	}
	if _, err := both("policy", "diff", good); !errors.Is(err, errUsage) {
		t.Errorf("a missing file: %v, want a question of usage", err)
	}
}

// What cannot come into force replaces nothing, and leaves nothing behind.
func TestCompiledPolicyStaysUntilAValidOneComes(t *testing.T) {
	dir := t.TempDir()
	good, out := write(t, dir, "good.toml", sitePolicy), filepath.Join(dir, "site.policy")
	if said, err := both("policy", "compile", good, "-o", out); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	first, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var s access.Site
	if err := wire.Unmarshal(first, &s); err != nil || s.Validate() != nil || len(s.Doors) != 1 {
		t.Fatalf("what was written is no site: %v, %+v", err, s)
	}
	for name, text := range map[string]string{
		"trap": strings.Replace(sitePolicy, `"rex"`, `"none"`, 1), "syntax": "format = ", "weak": sitePolicy + "doors.side = { exit = \"rex\", false-match-rate = 0.1 }\n",
	} {
		if said, err := both("policy", "compile", write(t, dir, "bad.toml", text), "-o", out); err == nil {
			t.Errorf("%s: compiled: %s", name, said)
		}
		if now, err := os.ReadFile(out); err != nil || !bytes.Equal(now, first) {
			t.Errorf("%s: it replaced what was there (%v)", name, err)
		}
	}
	empty := write(t, dir, "empty.toml", "")
	if said, err := both("policy", "check", empty); err == nil || !strings.Contains(said, empty+":1: error: ") {
		t.Errorf("an empty file: %v: %s", err, said)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".policy-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
