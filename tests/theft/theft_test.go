package main

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"
)

// All attacks that need no programs end as they should.
//
// Control: A30
func TestAttacksEndAsExpected(t *testing.T) {
	var out strings.Builder
	if err := run(nil, &out, io.Discard); err != nil {
		t.Errorf("%v", err)
	}
	last := regexp.MustCompile(`theft: (\d+) rows, (\d+) as expected\n$`).FindStringSubmatch(out.String())
	if last == nil || last[1] != last[2] || len(last[1]) < 2 {
		t.Error("closing line is not the one that was promised")
	}
	numbers := map[string]bool{}
	for _, line := range strings.Split(out.String(), "\n") {
		if strings.HasSuffix(line, "UNEXPECTED") {
			t.Error(line)
		}
		number, _, _ := strings.Cut(line, " ")
		if number != "" && number != "theft:" && numbers[number] {
			t.Errorf("two rows have the number %s", number)
		}
		numbers[number] = true
	}
}

func TestRowsAreJudged(t *testing.T) {
	due, other := errors.New("due: do this"), errors.New("other")
	yields := func(found string, err error) func() (string, error) {
		return func() (string, error) { return found, err }
	}
	for name, c := range map[string]struct {
		row  row
		want string
	}{
		"refused as is due":       {row{"1", "a", due, yields("", due)}, "refused: due"},
		"opens as is due":         {row{"1", "a", nil, yields("OPENS", nil)}, "OPENS"},
		"opens":                   {row{"1", "a", due, yields("OPENS", nil)}, "UNEXPECTED"},
		"refused otherwise":       {row{"1", "a", due, yields("", other)}, "UNEXPECTED"},
		"refused where it opened": {row{"1", "a", nil, yields("", due)}, "UNEXPECTED"},
	} {
		var out strings.Builder
		all, expected := (&theft{}).print(&out, []row{c.row})
		if all != 1 || (expected == 1) != (c.want != "UNEXPECTED") || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: %d of %d, %s", name, expected, all, out.String())
		}
	}
}

// Each form in which something may lie on a disk is found, at any offset, and nothing is found where it is not.
func TestScansSee(t *testing.T) {
	p := newPerson()
	p.turned, p.content = p.templates, []byte("0123456789abcdefghijklmnopqrstuv")
	w := newWanted()
	w.addPerson("somebody", p)
	w.addText("name", "Nadezhda Quillfeather")
	var wide []byte
	for _, u := range utf16.Encode([]rune("nadezhda quillfeather")) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	for name, hidden := range map[string][]byte{
		"id": p.id[:], "half a key": p.content[7:23], "id in hex": []byte(p.id.String()), "id in upper hex": []byte(strings.ToUpper(p.id.String())),
		"key in hex": []byte("key=" + hex.EncodeToString(p.content)), "id in base64": []byte(base64.StdEncoding.EncodeToString(p.id[:])),
		"id in url base64": []byte(`"` + base64.RawURLEncoding.EncodeToString(p.id[:]) + `"`), "name": []byte("NADEZHDA quillfeather"), "wide name": wide,
	} {
		for lead := range 3 {
			found := findings{}
			b := append([]byte("\x00\x01\x02"[:lead]+"\x00"), hidden...)
			b = append(b, 0, 0)
			w.raw(b, found)
			w.strings(b, found)
			if len(found) == 0 {
				t.Errorf("%s behind %d bytes is not seen", name, lead+1)
			}
		}
	}
	found := findings{}
	other := newPerson()
	for _, b := range [][]byte{other.id[:], make([]byte, 4096), []byte("Nadezhda"), p.id[:15], []byte(other.id.String())} {
		w.raw(b, found)
		w.strings(b, found)
	}
	if len(found) != 0 {
		t.Errorf("found %s where it is not", found.list())
	}
}

// A copy is a copy: contents, holes and modes.
func TestCopyTree(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	content := append(append([]byte("head"), make([]byte, 200<<10)...), "tail"...)
	if err := os.Mkdir(filepath.Join(from, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"folder/file": content, "empty": nil} {
		if err := os.WriteFile(filepath.Join(from, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := copyTree(to, from); err != nil {
		t.Fatal(err)
	}
	count := 0
	if err := files(to, func(path string, b []byte) error {
		count++
		info, err := os.Stat(path)
		if err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if filepath.Base(path) == "file" && string(b) != string(content) {
			t.Error("another content")
		}
		return err
	}); err != nil || count != 2 {
		t.Errorf("%d files, %v", count, err)
	}
}

func TestUsage(t *testing.T) {
	var said strings.Builder
	if err := run([]string{"-h"}, io.Discard, &said); err == nil || !strings.Contains(said.String(), "usage: theft") || !strings.Contains(said.String(), "-programs") {
		t.Errorf("%v: %s", err, said.String())
	}
	if err := run([]string{"surplus"}, io.Discard, io.Discard); err == nil {
		t.Error("a surplus argument was taken")
	}
}
