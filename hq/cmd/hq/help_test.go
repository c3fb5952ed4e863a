package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pages are all that explains itself with -h: the commands, and those of their words that take flags of their own.
func pages() (list [][]string) {
	for _, c := range commands() {
		list = append(list, []string{c.name})
	}
	for _, word := range slices.Sorted(maps.Keys(policyWords)) {
		list = append(list, []string{"policy", word})
	}
	return list
}

// explains is what a command says of itself, after these words. It does nothing: -h stands last.
func explains(t *testing.T, words ...string) (string, error) {
	t.Helper()
	var out, progress bytes.Buffer
	err := run(t.Context(), append(slices.Clone(words), "-h"), &out, &progress)
	if err == nil {
		t.Fatalf("hq %s -h does something", strings.Join(words, " "))
	}
	return out.String() + progress.String(), err
}

// everyFlag is the name of every flag that the source of this program makes.
func everyFlag(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	made := regexp.MustCompile(`\.(?:String|Bool|Int|Int64|Duration)(?:Var\([^,]+, |\()"([a-z-]+)", |\.(?:Func\(|Var\([^,]+, )"([a-z-]+)", `)
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range made.FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1]+m[2])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Every word of hq policy stands in its -h, with how it is said and what it does.
func TestPolicyNamesItsWords(t *testing.T) {
	said, _ := explains(t, "policy")
	for word := range policyWords {
		if !strings.Contains(said, " hq policy "+word+" ") || !strings.Contains(said, "\n  "+word+" ") {
			t.Errorf("hq policy -h does not say what %s is: %s", word, said)
		}
	}
}

// A stranger finds in -h every flag that a command takes, none that it does not take, and a line that can be typed.
func TestEveryCommandExplainsItself(t *testing.T) {
	flags := everyFlag(t)
	if len(flags) < 40 || !slices.Contains(flags, "valid-until") || !slices.Contains(flags, "name") || !slices.Contains(flags, "photo") {
		t.Fatalf("the source makes these flags: %q", flags)
	}
	typed := regexp.MustCompile(` -([a-z][a-z-]*)`)
	for _, words := range pages() {
		name := "hq " + strings.Join(words, " ")
		said, _ := explains(t, words...)
		about, list, _ := strings.Cut(said, "\n  -") // the flags stand last
		list = "\n  -" + list
		takes := func(flag string) bool {
			heard, err := explains(t, append(slices.Clone(words), "-"+flag+"=1")...) // a value that does not fit is refused as such
			return !strings.Contains(heard+err.Error(), "not defined: -"+flag) && !strings.Contains(err.Error(), "is no command")
		}
		for _, f := range flags {
			told := strings.Contains(list, "\n  -"+f+" ") || strings.Contains(list, "\n  -"+f+"\n")
			if takes(f) != told {
				t.Errorf("%s takes -%s: %v, says so: %v", name, f, takes(f), told)
			}
		}
		_, examples, _ := strings.Cut(about, "xample")
		found := false
		for _, line := range strings.FieldsFunc(examples, func(r rune) bool { return r == '\n' || r == ';' }) {
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, name+" ") {
				continue
			}
			found = true
			for _, m := range typed.FindAllStringSubmatch(line, -1) {
				if name != "hq policy" && !takes(m[1]) {
					t.Errorf("%s -h has an example with -%s, which it does not take", name, m[1])
				}
			}
		}
		if !found {
			t.Errorf("%s -h has no example: %q", name, about)
		}
	}
}
