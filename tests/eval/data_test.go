package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestReadSet(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "index.tsv"), []byte("path\tperson\trole\tsha256\na/1.jpg\ta\tenrol\tx\na/2.jpg\ta\tmated\tx\nb.pgm\tb\tnonmated\tx\n"))
	s, err := readSet(dir)
	if err != nil || len(s.photos) != 3 || len(s.people) != 2 || s.photos[1] != (photo{"a/2.jpg", 0, roleMated}) || s.photos[2].person != 1 {
		t.Fatalf("%v, %+v", err, s)
	}
	for name, index := range map[string]string{
		"two columns": "a.jpg\ta\n", "unknown role": "a.jpg\ta\tfriend\n", "above": "../a.jpg\ta\tenrol\n", "absolute": "/etc/passwd\ta\tenrol\n",
		"nothing": "path\tperson\trole\n", "a very long line": strings.Repeat("x", 1<<17),
	} {
		write(t, filepath.Join(dir, "index.tsv"), []byte(index))
		if _, err := readSet(dir); err == nil {
			t.Errorf("%s: was read", name)
		}
	}
	if _, err := readSet(filepath.Join(dir, "absent")); err == nil {
		t.Error("a folder that is not there was read")
	}
}

func TestReadFolders(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"ann/2.jpg", "ann/1.JPG", "ann/notes.txt", "ben/x.pgm", "top.jpg"} {
		write(t, filepath.Join(dir, path), nil)
	}
	s, err := readSet(dir)
	if err != nil || len(s.photos) != 3 {
		t.Fatalf("%v, %+v", err, s)
	}
	for i, want := range []photo{{"ann/1.JPG", 0, roleEnrol}, {"ann/2.jpg", 0, roleMated}, {"ben/x.pgm", 1, roleNonmated}} {
		if s.photos[i] != want {
			t.Errorf("%+v, want %+v", s.photos[i], want)
		}
	}
}

func TestDecodePGM(t *testing.T) {
	img, err := decodePGM([]byte("P5\n# a comment\n2 # another\n3\n255\nabcdef"))
	if err != nil || img.Rect != image.Rect(0, 0, 2, 3) || img.GrayAt(1, 2).Y != 'f' {
		t.Fatalf("%v, %+v", err, img)
	}
	for _, bad := range []string{"P5", "P5 2 3 255", "P5 2 3 255 abcde", "P5 2 3 65535 abcdefghijkl", "P5 -2 3 255 abcdef", "P5 0 3 255 ", "P5 99999 99999 255 x",
		"P5 2 x 255 abcdef", "P5 #", "P5 2 3 255#abcdef"[:14]} {
		if _, err := decodePGM([]byte(bad)); err == nil {
			t.Errorf("%q was decoded", bad)
		}
	}
}

func FuzzDecodePGM(f *testing.F) {
	f.Add([]byte("P5\n# c\n2 3\n255\nabcdef"))
	f.Add([]byte("P5 4096 4096 255\n"))
	f.Add([]byte("P5####\n1\n1\n255\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 2 {
			return
		}
		if img, err := decodePGM(data); err == nil {
			img.GrayAt(img.Rect.Max.X-1, img.Rect.Max.Y-1)
			if len(img.Pix) != img.Rect.Dx()*img.Rect.Dy() || img.Rect.Empty() {
				t.Fatalf("%v of %d bytes", img.Rect, len(img.Pix))
			}
		}
	})
}

func TestColourBecomesGray(t *testing.T) {
	img := image.NewRGBA(image.Rect(5, 5, 7, 6))
	img.Set(5, 5, color.RGBA{200, 100, 50, 255})
	img.Set(6, 5, color.RGBA{255, 255, 255, 255})
	g := toGray(img)
	if g.Rect != image.Rect(0, 0, 2, 1) || g.Pix[0] != 124 || g.Pix[1] != 255 { // 59.8 + 58.7 + 5.7
		t.Errorf("%v %v", g.Rect, g.Pix)
	}
}

// TestRunOnPhotographs evaluates a small folder made of the desk's photographs, with a file that is no photograph and one without a face.
func TestRunOnPhotographs(t *testing.T) {
	const cache = "../../.lintel"
	dir := t.TempDir()
	for i, name := range []string{"sample1.jpg", "sample6.jpg"} {
		data, err := os.ReadFile(filepath.Join(cache, "photos", name))
		if err != nil {
			t.Fatalf("%v (run make deps)", err)
		}
		img, err := jpeg.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		person := []string{"ann", "ben"}[i]
		write(t, filepath.Join(dir, person, "1.jpg"), data)
		var cut bytes.Buffer
		if err := jpeg.Encode(&cut, toGray(img).SubImage(img.Bounds().Inset(25)), nil); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, person, "2.jpg"), cut.Bytes())
	}
	write(t, filepath.Join(dir, "broken", "1.jpg"), []byte("not a photograph"))
	write(t, filepath.Join(dir, "nobody", "1.pgm"), append([]byte("P5 64 64 255\n"), make([]byte, 64*64)...))

	var out, progress bytes.Buffer
	if err := run(context.Background(), []string{"-data", dir, "-cache", cache, "-format", "json"}, &out, &progress); err != nil {
		t.Fatal(err)
	}
	var e evaluation
	if err := json.Unmarshal(out.Bytes(), &e); err != nil {
		t.Fatalf("%v in %s", err, out.Bytes())
	}
	if e.Photographs != 6 || e.People != 4 || len(e.Unreadable) != 1 || e.NotAcquired != 2 || e.Verification.Genuine != 2 || e.Verification.Impostor != 13 {
		t.Errorf("%s", out.Bytes())
	}
	if len(e.Identification) != 1 || e.Identification[0].Mated != 2 || e.Identification[0].Rank1.Value != 1 {
		t.Errorf("%+v", e.Identification)
	}
	if !strings.Contains(progress.String(), "6 of 6") {
		t.Errorf("progress %q", progress.String())
	}
	table := filepath.Join(dir, "calibration.json")
	if err := run(context.Background(), []string{"-data", dir, "-cache", cache, "-calibration", table}, &out, &progress); err == nil {
		t.Error("thirteen impostor pairs made a calibration")
	}
	if _, err := os.Stat(table); err == nil {
		t.Error("a calibration was written all the same")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := run(ctx, []string{"-data", dir, "-cache", cache}, &out, &progress); err == nil {
		t.Error("ran though it was to stop")
	}
}
