package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDefaultBundle(t *testing.T) {
	m, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(defaultManifest); m.Hash() != want {
		t.Errorf("hash is %x, want %x", m.Hash(), want)
	}
	for _, role := range []Role{Detector, Landmarks, Extractor, PAD} {
		s, ok := m.Spec(role)
		if !ok {
			t.Fatalf("no model for %q", role)
		}
		if s.SHA256 == s.Origin.SHA256 {
			t.Errorf("%s: prepared and published file are the same", role)
		}
		u, _ := m.Unprepared().Spec(role)
		if u.SHA256 != s.Origin.SHA256 || u.Inputs[0].Len() != s.Pixels.Width*s.Pixels.Height*s.Origin.Channels {
			t.Errorf("%s: unprepared is %s with %d values", role, u.SHA256, u.Inputs[0].Len())
		}
		if len(m.Answers(role)) < 3 {
			t.Errorf("%s: %d known answers, want 3", role, len(m.Answers(role)))
		}
	}
	if u := m.Unprepared(); u.Hash() == m.Hash() {
		t.Error("unprepared bundle has the hash of the prepared one")
	}
}

// edited returns the default manifest with one change to what it decodes to.
func edited(t *testing.T, change func(top map[string]any, models []any)) []byte {
	t.Helper()
	var top map[string]any
	if err := json.Unmarshal(defaultManifest, &top); err != nil {
		t.Fatal(err)
	}
	change(top, top["models"].([]any))
	data, err := json.Marshal(top)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParseRefuses(t *testing.T) {
	set := func(i int, key string, value any) func(map[string]any, []any) {
		return func(_ map[string]any, models []any) { models[i].(map[string]any)[key] = value }
	}
	for _, c := range []struct {
		name, want string
		change     func(map[string]any, []any)
	}{
		{"unknown field", "unknown field", set(0, "colour", "red")},
		{"foreign version", "format version 2", func(top map[string]any, _ []any) { top["version"] = 2 }},
		{"no name", "no name", func(top map[string]any, _ []any) { top["name"] = "" }},
		{"path as file", "not a plain name", set(0, "file", "../fr_detect.onnx")},
		{"no hash", "a hash is absent", set(0, "sha256", strings.Repeat("0", 64))},
		{"short hash", "digits", set(0, "sha256", "abcd")},
		{"huge file", "size is out of bounds", set(0, "size", 1<<40)},
		{"no decoder", "decoder or licence", set(0, "decoder", "")},
		{"unknown role", "unknown role", set(3, "role", "colour")},
		{"two of a role", "two models", set(1, "role", "detector")},
		{"no extractor", "no model for the role", func(top map[string]any, models []any) { top["models"] = models[:2] }},
		{"template of four", "template of 4", set(2, "template", [][2]float32{{1, 2}, {3, 4}, {5, 6}, {7, 8}})},
		{"threshold", "threshold", set(0, "threshold", 1.5)},
		{"bona fide class", "bona fide", set(3, "bona_fide", 3)},
		{"shape and pixels", "pixels say", set(2, "inputs", []Tensor{{"input", []int64{1, 3, 112, 112}}})},
		{"dimension", "dimension -1", set(2, "outputs", []Tensor{{"output", []int64{1, -1}}})},
		{"huge tensor", "too large", set(2, "outputs", []Tensor{{"output", []int64{1 << 20, 1 << 20}}})},
		{"other answers", "known answers: sha256", func(top map[string]any, _ []any) { top["answers_sha256"] = strings.Repeat("1", 64) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(edited(t, c.change), defaultAnswers)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
	if _, err := Parse(append(bytes.Clone(defaultManifest), '{'), defaultAnswers); err == nil {
		t.Error("bytes after the end are accepted")
	}
}

// Another bundle is another manifest: no PAD model, another detector, another size of probe, and no line of code.
func TestAnotherBundle(t *testing.T) {
	data := edited(t, func(top map[string]any, models []any) {
		models[0].(map[string]any)["decoder"] = "yunet"
		models[2].(map[string]any)["outputs"] = []Tensor{{"embedding", []int64{1, 128}}}
		top["models"] = models[:3]
	})
	m, err := Draft(data)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Spec(PAD); ok {
		t.Error("a PAD model came from nowhere")
	}
	if s, _ := m.Spec(Detector); s.Decoder != "yunet" {
		t.Errorf("decoder is %q", s.Decoder)
	}
}

func FuzzDraft(f *testing.F) {
	f.Add(defaultManifest)
	f.Add([]byte(`{"name":"x","version":1,"models":[]}`))
	f.Add([]byte(`{"models":[{"inputs":[{"shape":[9223372036854775807,2]}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Draft(data)
		if err != nil {
			return
		}
		for _, s := range m.Specs {
			if n := s.Inputs[0].Len(); n <= 0 || n > maxValues {
				t.Errorf("accepted an input of %d values", n)
			}
		}
	})
}

// small is a manifest whose detector is the given bytes and whose extractor is others of the same size.
func small(t *testing.T, detector, extractor []byte) (*Manifest, string) {
	t.Helper()
	dir := t.TempDir()
	m := &Manifest{Name: "small"}
	for _, f := range []struct {
		role Role
		file string
		data []byte
	}{{Detector, "detector.onnx", detector}, {Extractor, "extractor.onnx", extractor}} {
		m.Specs = append(m.Specs, Spec{Role: f.role, File: f.file, SHA256: sha256.Sum256(f.data), Size: int64(len(f.data))})
		put(t, filepath.Join(dir, f.file), f.data)
	}
	return m, dir
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLoad(t *testing.T) {
	a, b := bytes.Repeat([]byte{1, 2}, 5000), bytes.Repeat([]byte{3, 4}, 5000)
	hashes := []string{Hash(sha256.Sum256(a)).String(), Hash(sha256.Sum256(b)).String()}
	for _, c := range []struct {
		name   string
		role   Role
		change func(dir string)
		want   []string // in the error
	}{
		{"in place", Detector, func(string) {}, nil},
		{"missing", Detector, func(dir string) { os.Remove(filepath.Join(dir, "detector.onnx")) }, []string{"detector.onnx", "no such file"}},
		{"truncated", Detector, func(dir string) { put(t, filepath.Join(dir, "detector.onnx"), a[:9999]) }, []string{"detector.onnx", "cut off", "9999", "10000"}},
		{"empty", Detector, func(dir string) { put(t, filepath.Join(dir, "detector.onnx"), nil) }, []string{"cut off"}},
		{"longer", Detector, func(dir string) { put(t, filepath.Join(dir, "detector.onnx"), append(bytes.Clone(a), 0)) }, []string{"longer"}},
		{"one bit", Detector, func(dir string) {
			flipped := bytes.Clone(a)
			flipped[7777] ^= 1
			put(t, filepath.Join(dir, "detector.onnx"), flipped)
		}, []string{"detector.onnx", hashes[0], "manifest says"}},
		{"swapped", Extractor, func(dir string) { put(t, filepath.Join(dir, "extractor.onnx"), a) }, append([]string{"extractor.onnx"}, hashes...)},
		{"no such role", PAD, func(string) {}, []string{"pad"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, dir := small(t, a, b)
			c.change(dir)
			data, err := m.Load(dir, c.role)
			if c.want == nil {
				if err != nil || !bytes.Equal(data, a) {
					t.Errorf("error is %v", err)
				}
				return
			}
			if err == nil || data != nil {
				t.Fatal("accepted")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
		})
	}
}

func TestPatternIsTheSameEverywhere(t *testing.T) {
	p := Pixels{Width: 64, Height: 48, Channels: 3, Mean: 127, Scale: 1. / 128}
	values := make([]float32, 3*64*48)
	p.Pattern(2, values)
	h := sha256.New()
	for _, v := range values {
		h.Write([]byte{byte(math.Round(float64(v)*128 + 127))})
	}
	const want = "dc2e1424957343758a8ff87e0d5e07bed93d40d49fa801b860cefa1896dbebde"
	if got := Hash(h.Sum(nil)).String(); got != want {
		t.Errorf("pattern 2 is %s, want %s", got, want)
	}
}

func TestDistance(t *testing.T) {
	s := Sample{Indices: []int{3, 1}, Values: []float32{1, 2}}
	if d := s.Distance([]float32{9, 2.5, 9, 1}); d != .5 {
		t.Errorf("distance is %g, want .5", d)
	}
	nan := float32(math.NaN())
	if d := s.Distance([]float32{0, nan, 0, 1}); !math.IsInf(float64(d), 1) {
		t.Errorf("distance to what is no number is %g", d)
	}
}
