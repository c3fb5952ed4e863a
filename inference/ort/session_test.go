package ort

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/inference/model"
)

func TestRunAllocatesNothing(t *testing.T) {
	m := manifest(t)
	b, err := open(t).Load(artefact(t, "bundle"), m, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, spec := range m.Specs {
		s := b.Session(spec.Role)
		if n := testing.AllocsPerRun(20, func() {
			s.Input(0)[0] = 1
			if err := s.Run(); err != nil {
				t.Fatal(err)
			}
			_ = s.Output(0)[0]
		}); n != 0 {
			t.Errorf("%s: %g allocations a run", spec.Role, n)
		}
	}
}

func TestSessionRefusesOtherShapes(t *testing.T) {
	r, m := open(t), manifest(t)
	data := read(t, filepath.Join(artefact(t, "bundle"), "fr_landmark.onnx"))
	good, _ := m.Spec(model.Landmarks)
	for _, c := range []struct {
		name, want string
		data       []byte
		change     func(*model.Spec)
	}{
		{"input name", `no input "pixels"`, data, func(s *model.Spec) { s.Inputs = []model.Tensor{{Name: "pixels", Shape: s.Inputs[0].Shape}} }},
		{"input shape", `input "input" is`, data, func(s *model.Spec) { s.Inputs = []model.Tensor{{Name: "input", Shape: []int64{1, 1, 64, 63}}} }},
		{"output shape", `output "output" is`, data, func(s *model.Spec) { s.Outputs = []model.Tensor{{Name: "output", Shape: []int64{1, 135}}} }},
		{"outputs", "manifest says 2", data, func(s *model.Spec) { s.Outputs = append(s.Outputs[:1:1], s.Outputs...) }},
		{"no network", "read inputs and outputs", []byte("no network"), func(*model.Spec) {}},
		{"nothing", "read inputs and outputs", nil, func(*model.Spec) {}},
		{"cut off", "read inputs and outputs", data[:len(data)/2], func(*model.Spec) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := good
			c.change(&spec)
			s, err := r.NewSession(c.data, spec, 1)
			if err == nil {
				t.Fatal("created", s.Close())
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
		})
	}
}

func TestClosedSession(t *testing.T) {
	if err := new(Session).Run(); err == nil {
		t.Error("the zero session runs")
	}
	m := manifest(t)
	b, err := open(t).Load(artefact(t, "bundle"), m, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	s := b.Session(model.Detector)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(); err == nil {
		t.Error("a closed session runs")
	}
	if b.Session(model.Detector) != nil {
		t.Error("a closed bundle has sessions")
	}
}

// A bundle without known answers cannot be run: nothing would vouch for it.
func TestLoadWantsAnswers(t *testing.T) {
	m, err := model.Draft(read(t, "../model/manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(t).Load(artefact(t, "bundle"), m, nil, 1); err == nil || !strings.Contains(err.Error(), "no known answers") {
		t.Errorf("error is %v", err)
	}
}

func TestLoadWithoutFiles(t *testing.T) {
	if _, err := open(t).Load(t.TempDir(), manifest(t), nil, 1); err == nil || !strings.Contains(err.Error(), "fr_detect.onnx") {
		t.Errorf("error is %v", err)
	}
}
