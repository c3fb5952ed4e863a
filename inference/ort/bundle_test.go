package ort

import (
	"testing"

	"github.com/lintel-access/lintel/inference/model"
)

// The rewrites of the preparation are proven here: the prepared networks against the stored answers of the published ones.
func TestPreparedNetworksKeepTheirAnswers(t *testing.T) {
	m := manifest(t)
	b, err := open(t).Load(artefact(t, "bundle"), m, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, spec := range m.Specs {
		s := b.Session(spec.Role)
		for _, a := range m.Answers(spec.Role) {
			spec.Pixels.Pattern(a.Seed, s.Input(0))
			if err := s.Run(); err != nil {
				t.Fatal(err)
			}
			for i, want := range a.Outputs {
				t.Logf("%s, pattern %d, %s: off by %.1e of %.1e", spec.Role, a.Seed, spec.Outputs[i].Name, want.Distance(s.Output(i)), want.Proof)
			}
		}
	}
}

func manifest(t testing.TB) *model.Manifest {
	t.Helper()
	m, err := model.Default()
	if err != nil {
		t.Fatal(err)
	}
	return m
}
