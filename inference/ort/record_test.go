package ort

import (
	"crypto/sha256"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lintel-access/lintel/inference/model"
)

var record = flag.Bool("record", false, "write inference/model/answers.json anew from the published networks")

const (
	seeds  = 3
	whole  = 512 // outputs up to this size are kept whole
	sparse = 96  // of larger ones that many evenly spaced values and as many of the largest
)

// TestRecord makes the known answers. It is run by hand with -record when the bundle changes, and otherwise checks that the answers
// in the tree are those of the published networks, on whatever processor it runs on.
func TestRecord(t *testing.T) {
	data, err := os.ReadFile("../model/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Draft(data)
	if err != nil {
		t.Fatal(err)
	}
	m = m.Unprepared()
	r := open(t)
	file := model.AnswerFile{Version: 1}
	for _, spec := range m.Specs {
		data, err := m.Load(artefact(t, "origin"), spec.Role)
		if err != nil {
			t.Fatal(err)
		}
		s, err := r.NewSession(data, spec, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for seed := range uint32(seeds) {
			spec.Pixels.Pattern(seed, s.Input(0))
			if err := s.Run(); err != nil {
				t.Fatal(err)
			}
			a := model.Answer{Role: spec.Role, Origin: spec.SHA256, Seed: seed}
			for i := range spec.Outputs {
				a.Outputs = append(a.Outputs, sample(s.Output(i)))
			}
			file.Answers = append(file.Answers, a)
		}
	}
	if *record {
		text, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("../model/answers.json", append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Fatalf("recorded; now set answers_sha256 in manifest.json to %x", sha256.Sum256(append(text, '\n')))
	}
	known, err := model.Default()
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range file.Answers {
		i := slices.IndexFunc(known.Answers(got.Role), func(a model.Answer) bool { return a.Seed == got.Seed })
		if i < 0 {
			t.Fatalf("%s: pattern %d has no known answer", got.Role, got.Seed)
		}
		for o, want := range known.Answers(got.Role)[i].Outputs {
			worst := 0.
			for j := range want.Values {
				worst = max(worst, math.Abs(float64(want.Values[j]-got.Outputs[o].Values[j])))
			}
			if worst > float64(want.Proof) {
				t.Errorf("%s: output %d is off by %g for pattern %d", got.Role, o, worst, got.Seed)
			}
		}
	}
}

// sample keeps an output or a fixed part of it. The tolerances follow its largest value: rounding by the order of additions stays
// below 2e-5 of it, that of 16-bit floats below 2e-2.
func sample(output []float32) model.Sample {
	var s model.Sample
	if len(output) > whole {
		order := make([]int, len(output))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int {
			if output[a] == output[b] {
				return 0
			}
			if output[a] > output[b] {
				return -1
			}
			return 1
		})
		s.Indices = slices.Clone(order[:sparse])
		for i := range sparse {
			s.Indices = append(s.Indices, i*len(output)/sparse)
		}
		slices.Sort(s.Indices)
		s.Indices = slices.Compact(s.Indices)
		for _, i := range s.Indices {
			s.Values = append(s.Values, output[i])
		}
	} else {
		s.Values = slices.Clone(output)
	}
	var top float32
	for _, v := range output {
		top = max(top, float32(math.Abs(float64(v))))
	}
	s.Proof, s.Provider = top*2e-5, top*2e-2
	return s
}

// artefact is a path below .lintel at the root of the tree. What is absent there is a failure, not a reason to skip.
func artefact(t testing.TB, path string) string {
	t.Helper()
	path = filepath.Join("..", "..", ".lintel", path)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make deps", err)
	}
	return path
}

func open(t testing.TB) *Runtime {
	t.Helper()
	r, err := Open(artefact(t, "ort/libonnxruntime.so.1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}
