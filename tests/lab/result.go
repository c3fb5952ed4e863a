//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
)

// test is one top-level test and what became of it.
type test struct {
	name, time string
	verdict    verdict
	output     []string // of its subtests too
}

type verdict uint8

const (
	unended verdict = iota // it began, and the program ended before it did
	pass
	fail
	skip
)

func (t test) ok() bool { return t.verdict == pass }

// print prints the test's line; what it measured; and, unless it passed, all that it said.
func (t test) print(w io.Writer) {
	word := map[verdict]string{unended: "FAIL (did not end)", pass: "ok", fail: "FAIL", skip: "FAIL (skipped)"}[t.verdict]
	fmt.Fprintf(w, "%-4s %s %s\n", word, t.name, t.time)
	for _, line := range t.output {
		if _, measured, ok := strings.Cut(line, "measured: "); ok && t.ok() {
			fmt.Fprintf(w, "       %s\n", measured)
		} else if !t.ok() {
			fmt.Fprintf(w, "     | %s\n", line)
		}
	}
}

// record makes tests of the lines that a test program says with -test.v=test2json.
type record struct {
	tests   []test
	current int      // index of the test that lines belong to
	rest    []string // what belongs to none: a panic, a race, a fatal error of the runtime
}

const (
	// mark stands before what the testing package says itself; see cmd/internal/test2json.
	mark = "\x16"
	// kept is how many lines without a test are remembered.
	kept = 40
)

// add takes the next line.
func (r *record) add(line string) {
	text, marked, ok := strings.Cut(line, mark)
	if text != "" || !ok {
		r.say(text)
	}
	if ok {
		r.event(strings.TrimSpace(marked))
	}
}

// event takes what the testing package said: "=== RUN   TestX/sub", "--- PASS: TestX (0.01s)".
func (r *record) event(s string) {
	if what, ok := strings.CutPrefix(s, "=== "); ok {
		verb, name, _ := strings.Cut(what, " ")
		name, sub, isSub := strings.Cut(strings.TrimSpace(name), "/")
		if verb == "RUN" && !isSub {
			r.tests = append(r.tests, test{name: name})
		}
		r.current = r.find(name)
		if verb == "RUN" && isSub {
			r.say("-- " + sub)
		}
		return
	}
	what, ok := strings.CutPrefix(s, "--- ")
	if !ok {
		return
	}
	word, rest, _ := strings.Cut(what, ": ")
	name, took, _ := strings.Cut(rest, " ")
	v := map[string]verdict{"PASS": pass, "FAIL": fail, "SKIP": skip}[word]
	name, sub, isSub := strings.Cut(name, "/")
	i := r.find(name)
	switch {
	case i < 0:
	case !isSub && r.tests[i].verdict != skip: // a subtest that skipped stays so
		r.tests[i].verdict, r.tests[i].time = v, took
	case !isSub:
		r.tests[i].time = took
	default:
		r.current = i
		r.say(fmt.Sprintf("-- %s: %s %s", sub, strings.ToLower(word), took))
		if v == skip {
			r.tests[i].verdict = skip
		}
	}
}

func (r *record) find(name string) int {
	for i := range r.tests {
		if r.tests[i].name == name {
			return i
		}
	}
	return -1
}

func (r *record) say(line string) {
	if len(r.tests) > 0 && r.current >= 0 && r.tests[r.current].verdict == unended {
		r.tests[r.current].output = append(r.tests[r.current].output, line)
		return
	}
	if len(r.rest) < kept {
		r.rest = append(r.rest, line)
	}
}

// failed are the tests that ended and did not pass.
func (r *record) failed() (f []test) {
	for _, t := range r.tests {
		if t.verdict == fail || t.verdict == skip {
			f = append(f, t)
		}
	}
	return f
}
