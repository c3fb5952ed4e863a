//go:build !kiosk

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"image"
	"image/jpeg"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/firmware/twin"
	"github.com/lintel-access/lintel/inference"
	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/model"
)

// cache is what make deps fetched; without it these tests fail.
const cache = "../../../.lintel"

func engine(t *testing.T) *inference.Engine {
	t.Helper()
	m, err := model.Default()
	if err != nil {
		t.Fatal(err)
	}
	e, err := inference.Open(inference.Config{
		Library: filepath.Join(cache, "ort", "libonnxruntime.so.1"), Bundle: filepath.Join(cache, "bundle"),
		Manifest: m, Threads: 1, Limits: face.DefaultLimits(),
	})
	if err != nil {
		t.Fatalf("%v (run make deps)", err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func photograph(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(cache, "photos", name))
	if err != nil {
		t.Fatalf("%v (run make deps)", err)
	}
	return data
}

func names(c twin.Cast) (list []string) {
	for _, people := range [][]*twin.Person{c.Enrolled, c.Strangers} {
		for _, p := range people {
			list = append(list, p.Name)
		}
	}
	return list
}

// Two files of one name in two subfolders are two people: the desk knows the enrolled by these names.
func TestFilesOfOneNameAreDifferentPeople(t *testing.T) {
	e, dir := engine(t), t.TempDir()
	faces := portraits(t, e, 3)
	for i, sub := range []string{"alice", "bob", "carol"} {
		write(t, filepath.Join(dir, sub, "photo.jpg"), faces[i])
	}
	c, skipped, err := cast(dir, e, io.Discard)
	if err != nil || len(skipped) != 0 {
		t.Fatalf("cast: %v, skipped %v", err, skipped)
	}
	seen := map[string]bool{}
	for _, n := range names(c.Cast) {
		if seen[n] {
			t.Errorf("two people are called %q", n)
		}
		seen[n] = true
		if !strings.Contains(n, "/photo/") {
			t.Errorf("%q does not say which photograph it comes from", n)
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d people in three photographs", len(seen))
	}
}

// portraits cuts some faces out of the desk's photographs, each with nobody else on it and found again there.
func portraits(t *testing.T, e *inference.Engine, count int) (list [][]byte) {
	t.Helper()
	files, err := photographs(filepath.Join(cache, "photos"))
	if err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "one.jpg")
	for _, path := range files {
		faces, err := facesIn(path, path, e)
		if err != nil {
			t.Fatal(err)
		}
		photo, err := readGray(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range faces {
			p := f.points
			eyes, cx, cy := p[1][0]-p[0][0], (p[0][0]+p[1][0])/2, p[2][1]
			cut := image.Rect(int(cx-1.5*eyes), int(cy-1.8*eyes), int(cx+1.5*eyes), int(cy+1.6*eyes)).Intersect(photo.Rect)
			var buf bytes.Buffer
			if err := jpeg.Encode(&buf, photo.SubImage(cut), &jpeg.Options{Quality: 95}); err != nil {
				t.Fatal(err)
			}
			write(t, again, buf.Bytes())
			if found, err := facesIn(again, "one", e); err != nil || len(found) != 1 {
				continue
			}
			if list = append(list, buf.Bytes()); len(list) == count {
				return list
			}
		}
	}
	t.Fatalf("the photographs hold %d portraits, %d needed", len(list), count)
	return nil
}

// What cannot be a cast says so in one sentence.
func TestFoldersThatAreNoCast(t *testing.T) {
	e := engine(t)
	huge := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), make([]byte, 13+4)...)
	binary.BigEndian.PutUint32(huge[16:], 100_000)
	binary.BigEndian.PutUint32(huge[20:], 100_000)
	huge[24] = 8
	binary.BigEndian.PutUint32(huge[29:], crc32.ChecksumIEEE(huge[12:29]))
	one := portraits(t, e, 1)[0]
	for name, tt := range map[string]struct {
		files   map[string][]byte
		says    string
		skipped string
	}{
		"one person":       {files: map[string][]byte{"a.jpg": one}, says: "1 usable faces"},
		"one person twice": {files: map[string][]byte{"a.jpg": one, "sub/b.jpg": one}, says: "1 usable faces"},
		"huge":             {files: map[string][]byte{"sub/a.png": huge}, says: "0 usable faces", skipped: "sub/a.png: png of 100000x100000 pixels is too small or too large"},
		"a text":           {files: map[string][]byte{"a.txt": []byte("hello")}, says: "0 usable faces", skipped: "a.txt: not a JPEG or PNG photograph"},
		"hidden only":      {files: map[string][]byte{".a.jpg": one}, says: "the folder is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for f, data := range tt.files {
				write(t, filepath.Join(dir, f), data)
			}
			_, skipped, err := cast(dir, e, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one sentence with %q", err, tt.says)
			}
			if tt.skipped != "" && (len(skipped) != 1 || skipped[0] != tt.skipped) {
				t.Errorf("skipped %q, want %q", skipped, tt.skipped)
			}
		})
	}
}

func TestWrongWords(t *testing.T) {
	for _, args := range [][]string{{"word"}, {"-demo", "word"}, {"-nonsense"}} {
		if _, err := parse(args); !errors.Is(err, errUsage) {
			t.Errorf("desk %q: %v", args, err)
		}
	}
	if _, err := parse([]string{"-h"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("desk -h: %v", err)
	}
}

// Each folder of people has a door of its own: the strangers of one may be enrolled from another.
func TestStateBelongsToThePeople(t *testing.T) {
	state := func(args ...string) string {
		o, err := parse(args)
		if err != nil {
			t.Fatal(err)
		}
		return o.state
	}
	own, a, b := state(), state("-people", "a"), state("-people", "b")
	if own != filepath.Join(".lintel", "desk") || a == own || a == b || a != state("-people", "./a") {
		t.Errorf("state folders %q, %q, %q", own, a, b)
	}
	if s := state("-people", "a", "-state", "x"); s != "x" {
		t.Errorf("state folder %q, want the one that was asked for", s)
	}
	if s := state("-demo", "-people", "a"); s != "" {
		t.Errorf("the demo's state folder is %q, want a temporary one", s)
	}
}

func TestScenesThatTheCastCannotPlay(t *testing.T) {
	scenes, err := twin.Scenes()
	if err != nil {
		t.Fatal(err)
	}
	full := &bench{cast: twin.Cast{Enrolled: make([]*twin.Person, wantedEnrolled), Strangers: make([]*twin.Person, wantedStrangers)}}
	small := &bench{cast: twin.Cast{Enrolled: make([]*twin.Person, 1), Strangers: make([]*twin.Person, 1)}}
	left := 0
	for _, s := range scenes {
		if !full.playable(s) {
			t.Errorf("%q cannot be played by a full cast", s.Name)
		}
		if !small.playable(s) {
			left++
		}
	}
	if left == 0 || left == len(scenes) {
		t.Errorf("a cast of two plays %d of %d scenes", len(scenes)-left, len(scenes))
	}
}
