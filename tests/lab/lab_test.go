//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a test program says, and what the report makes of it.
func TestReport(t *testing.T) {
	const m = mark
	said := []string{
		m + "=== RUN   TestGood", "    a_test.go:1: measured: 24.9 frames a second", m + "--- PASS: TestGood (0.10s)",
		m + "=== RUN   TestBad", "    a_test.go:2: level 1, want 0", m + "=== RUN   TestBad/relay", "no newline" + m + "    --- FAIL: TestBad/relay (0.01s)", m + "--- FAIL: TestBad (0.02s)",
		m + "=== RUN   TestAbsent", m + "--- SKIP: TestAbsent (0.00s)",
		m + "=== RUN   TestHalf", m + "=== RUN   TestHalf/one", m + "    --- SKIP: TestHalf/one (0.00s)", m + "--- PASS: TestHalf (0.00s)",
		m + "=== RUN   TestLost", "panic: gone",
	}
	var r record
	for _, line := range said {
		r.add(line)
	}
	var out bytes.Buffer
	verdicts := map[string]bool{}
	for _, test := range r.tests {
		test.print(&out)
		verdicts[test.name] = test.ok()
	}
	want := map[string]bool{"TestGood": true, "TestBad": false, "TestAbsent": false, "TestHalf": false, "TestLost": false}
	if len(verdicts) != len(want) {
		t.Fatalf("tests %v, want %v", verdicts, want)
	}
	for name, ok := range want {
		if verdicts[name] != ok {
			t.Errorf("%s passed: %v, want %v", name, verdicts[name], ok)
		}
	}
	for _, line := range []string{"ok   TestGood (0.10s)", "24.9 frames a second", "FAIL TestBad (0.02s)", "level 1, want 0", "no newline",
		"FAIL (skipped) TestAbsent", "FAIL (did not end) TestLost", "panic: gone"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("the report lacks %q:\n%s", line, &out)
		}
	}
}

func TestStatusOfTheProgramIsJudged(t *testing.T) {
	bad := record{tests: []test{{name: "TestBad", verdict: fail}}}
	for _, c := range []struct {
		status string
		record record
		ok     bool
	}{
		{"exit status 0", record{}, true},
		{"exit status 1", bad, true}, // its test says it all
		{"exit status 1", record{}, false},
		{"exit status 2", bad, false},
		{"killed after 1m0s", record{}, false},
		{"", record{}, false},
	} {
		if err := (ending{status: c.status}).judge(c.record); (err == nil) != c.ok {
			t.Errorf("%q: %v", c.status, err)
		}
	}
}

// What a machine says on the channel, and what the runner takes it for.
func TestListen(t *testing.T) {
	for _, c := range []struct {
		name, said string // an empty word in said: the machine is gone
		want       string // of the error; empty: none
		again      bool
	}{
		{"ended", "up 6.1 0.4|out x|beat |ended exit status 0", "", false},
		{"broken", "broken mount: no such device", "the machine: mount: no such device", false},
		{"gone at boot", "", "broke down", false},
		{"gone in the midst", "up 6.1 0.4|out x|", "broke down", false},
		{"begun anew unasked", "up 6.1 0.4|up 6.1 0.4", "broke down", false},
		{"cut", "up 6.1 0.4|cut 0", "", true},
		{"reset to its end", "up 6.1 0.4|reset 60000|", "", true},
		{"reset and begun anew", "up 6.1 0.4|reset 60000|up 6.1 0.4", "", true},
		{"no reset", "up 6.1 0.4|reset 1", "did not", false},
		{"nonsense", "up 6.1 0.4|sing", `said "sing"`, false},
		{"no time", "cut soon", `"soon"`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := make(chan string, 8)
			for line := range strings.SplitSeq(c.said, "|") {
				if line == "" {
					close(lines)
					break
				}
				lines <- line
			}
			end, err := (&machine{deadline: time.Minute}).listen(t.Context(), &record{}, lines)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || end.again != c.again {
				t.Errorf("%+v, %v", end, err)
			}
		})
	}
}

func TestListenCallsALateMachineLost(t *testing.T) {
	if _, err := (&machine{deadline: -grace}).listen(t.Context(), &record{}, nil); !errors.Is(err, errLost) {
		t.Error(err)
	}
}

func TestLosses(t *testing.T) {
	for _, c := range []struct {
		lost, boots int
		bad         bool
	}{{0, 1, false}, {1, 3, false}, {2, 3, true}, {2, 40, false}, {3, 40, true}} {
		if got := tooMany(c.lost, c.boots); got != c.bad {
			t.Errorf("%d of %d: %v", c.lost, c.boots, got)
		}
	}
}

func TestChoice(t *testing.T) {
	all := []suite{{name: "a"}, {name: "b"}, {name: "c"}}
	if got, err := choose(all, ""); err != nil || len(got) != 3 {
		t.Errorf("all: %v, %v", got, err)
	}
	if got, err := choose(all, "c,a"); err != nil || len(got) != 2 || got[0].name != "a" || got[1].name != "c" {
		t.Errorf("c,a: %v, %v", got, err)
	}
	for _, names := range []string{"d", "a,", "a,a"} {
		if got, err := choose(all, names); err == nil {
			t.Errorf("%q: %v", names, got)
		}
	}
}

func TestSuitesAreSound(t *testing.T) {
	var names []string
	for _, s := range suites() {
		if s.name == "" || s.about == "" || s.folder == "" || s.deadline <= 0 || slices.Contains(names, s.name) {
			t.Errorf("%+v", s)
		}
		names = append(names, s.name)
	}
}

func TestUsageAndMistakes(t *testing.T) {
	var help bytes.Buffer
	if err := run(context.Background(), []string{"-h"}, io.Discard, &help); err == nil || !strings.Contains(help.String(), "smoke") {
		t.Errorf("%v\n%s", err, &help)
	}
	for _, args := range [][]string{{"smoke"}, {"-suite", "none"}, {"-wrong"}} {
		if err := run(context.Background(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q went well", args)
		}
	}
}

func TestArchive(t *testing.T) {
	var a archive
	a.folder("lab")
	a.add("lab/x", 0o644, []byte("hello"))
	b := a.end()
	if len(b)%4 != 0 || bytes.Count(b, []byte("070701")) != 3 {
		t.Fatalf("%d bytes: %q", len(b), b)
	}
	second := b[112+4:] // header of 110, "lab\0", padding to 116
	if want := "000081A4"; string(second[14:22]) != want || string(second[54:62]) != "00000005" || string(second[94:102]) != "00000006" {
		t.Errorf("entry %q", second[:112])
	}
	if string(second[110:116]) != "lab/x\x00" || string(second[116:121]) != "hello" {
		t.Errorf("entry %q", second[:124])
	}
}

// A run clears away what killed runs left, and nothing of one that lives.
func TestOccupy(t *testing.T) {
	dir := t.TempDir()
	living, err := occupy(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer living.Close()
	dead, err := occupy(dir)
	if err != nil {
		t.Fatal(err)
	}
	dead.Close() // as its end by any signal does
	own, err := occupy(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	for _, c := range []struct {
		name  string
		there bool
	}{{living.Name(), true}, {dead.Name(), false}, {own.Name(), true}} {
		if _, err := os.Stat(c.name); (err == nil) != c.there {
			t.Errorf("%q: %v, want there: %v", c.name, err, c.there)
		}
	}
}
