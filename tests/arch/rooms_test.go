package arch

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var quoted = regexp.MustCompile("`([a-z0-9/…]+)`")

// TestRoomsAreTheFolders holds the table of rooms to the folders: each package stands in it, by its path or, in the row of the folder above it, by its name;
// and each path that it names is there. "…" stands for all that its row names, with what is below that.
func TestRoomsAreTheFolders(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "docs/ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Rooms\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string]string{} // what a row says, by path
	for _, line := range strings.Split(section, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, m := range quoted.FindAllStringSubmatch(cells[1], -1) {
			rows[m[1]] = cells[2]
			if !exists(t, strings.TrimSuffix(m[1], "/…")) {
				t.Errorf("docs/ARCHITECTURE.md names %s, which is not there", m[1])
			}
		}
	}
	said := func(row, name string) bool {
		return regexp.MustCompile(`(^|[^a-z-])` + regexp.QuoteMeta(name) + `([^a-z-]|$)`).MatchString(row)
	}
	for p := range list(t, "./...") {
		dir, ours := strings.CutPrefix(p, module)
		if _, named := rows[dir]; !ours || named || said(rows[path.Dir(dir)], path.Base(dir)) {
			continue
		}
		named := false
		for at := dir; at != "." && !named; at = path.Dir(at) {
			named = said(rows[path.Dir(at)+"/…"], path.Base(at))
		}
		if !named {
			t.Errorf("docs/ARCHITECTURE.md has no room for %s", dir)
		}
	}
}

// TestMakeHelpListsWhatManualsSay holds what the manuals have somebody type to what make help tells them.
func TestMakeHelpListsWhatManualsSay(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root(t), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	help := strings.Join(regexp.MustCompile(`(?m)^[a-z-]+:.*## .*$`).FindAllString(string(makefile), -1), "\n")
	manuals, err := filepath.Glob(filepath.Join(root(t), "docs/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, manual := range append(manuals, filepath.Join(root(t), "README.md")) {
		text, err := os.ReadFile(manual)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("`make ([a-z-]+)").FindAllStringSubmatch(string(text), -1) {
			if !regexp.MustCompile(`(?m)(^|[ (])` + m[1] + `:`).MatchString(help) {
				t.Errorf("%s has somebody type make %s, which make help does not list", filepath.Base(manual), m[1])
			}
		}
	}
}
