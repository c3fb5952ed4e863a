package ort

import (
	"testing"

	"github.com/lintel-access/lintel/inference/model"
)

// The prepared networks beside the published ones, one thread, on a known pattern. The published ones hold denormal numbers, so
// that their time depends on the processor and on the pixels.
func BenchmarkNetworks(b *testing.B) {
	r, m := open(b), manifest(b)
	for _, c := range []struct {
		name, dir string
		manifest  *model.Manifest
	}{{"prepared", "bundle", m}, {"published", "origin", m.Unprepared()}} {
		bundle, err := r.Load(artefact(b, c.dir), c.manifest, nil, 1)
		if err != nil {
			b.Fatal(err)
		}
		for _, spec := range c.manifest.Specs {
			b.Run(c.name+"/"+string(spec.Role), func(b *testing.B) {
				s := bundle.Session(spec.Role)
				spec.Pixels.Pattern(1, s.Input(0))
				for b.Loop() {
					if err := s.Run(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		if err := bundle.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
