package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// A row of docs/VERIFY.md: | A14 | what it is here | `package` `TestName` |
	verifyRow    = regexp.MustCompile("^\\| ([A-Z][0-9]{1,2}) \\| [^|]+ \\| (.+) \\|$")
	verifyProof  = regexp.MustCompile("`([a-z/]+)` `((?:Test|Fuzz)[A-Za-z0-9_]+)`")
	anyProof     = regexp.MustCompile("`(?:Test|Fuzz)[A-Za-z0-9_]+")
	controlMark  = regexp.MustCompile(`^// Control: ([A-Z][0-9]{1,2})$`)
	isTestOrFuzz = regexp.MustCompile(`^(Test|Fuzz)[A-Z]`)
)

// proofs finds every test in the tree that is marked with the control it proves: id → "package TestName".
func proofs(t *testing.T) (marked map[string]map[string]bool, tests map[string]bool) {
	t.Helper()
	marked, tests = map[string]map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir(root(t), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root(t) {
			if d != nil && d.IsDir() && err == nil {
				return filepath.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root(t), filepath.Dir(path))
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !isTestOrFuzz.MatchString(f.Name.Name) {
				continue
			}
			name := filepath.ToSlash(rel) + " " + f.Name.Name
			tests[name] = true
			var comments []*ast.Comment
			if f.Doc != nil {
				comments = f.Doc.List
			}
			for _, group := range file.Comments {
				if group.Pos() > f.Body.Pos() && group.End() < f.Body.End() {
					comments = append(comments, group.List...)
				}
			}
			for _, c := range comments {
				if m := controlMark.FindStringSubmatch(strings.TrimSpace(c.Text)); m != nil {
					if marked[m[1]] == nil {
						marked[m[1]] = map[string]bool{}
					}
					marked[m[1]][name] = true
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return marked, tests
}

// Every claimed control names a living test that is marked with it, and every mark is claimed.
func TestClaimedControlsHaveLivingTests(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root(t), "docs/VERIFY.md"))
	if err != nil {
		t.Fatal(err)
	}
	marked, tests := proofs(t)
	claimed := map[string]bool{}
	for n, line := range strings.Split(string(data), "\n") {
		row := verifyRow.FindStringSubmatch(line)
		if row == nil {
			if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| id ") && !strings.HasPrefix(line, "| --") {
				t.Errorf("docs/VERIFY.md:%d is no row that can be checked: %s", n+1, line)
			}
			continue
		}
		id := row[1]
		claimed[id] = true
		found := verifyProof.FindAllStringSubmatch(row[2], -1)
		if len(found) == 0 {
			t.Errorf("docs/VERIFY.md:%d claims %s without a test", n+1, id)
		}
		if len(anyProof.FindAllString(row[2], -1)) != len(found) {
			t.Errorf("docs/VERIFY.md:%d names a test of %s without its package before it", n+1, id)
		}
		for _, p := range found {
			name := p[1] + " " + p[2]
			if !tests[name] {
				t.Errorf("docs/VERIFY.md:%d: %s rests on %s, which does not exist", n+1, id, name)
			} else if !marked[id][name] {
				t.Errorf("docs/VERIFY.md:%d: %s is not marked with // Control: %s", n+1, name, id)
			}
		}
	}
	if len(claimed) == 0 {
		t.Fatal("docs/VERIFY.md claims nothing")
	}
	for id, by := range marked {
		if !claimed[id] {
			t.Errorf("tests %v are marked with %s, which docs/VERIFY.md does not claim", by, id)
		}
	}
}
