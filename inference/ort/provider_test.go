package ort

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/inference/model"
)

// generic is a provider that this build of the runtime accepts by name beside its own last resort: the nearest to an accelerator
// that exists here.
const generic = "CPUExecutionProvider"

// What a board may list goes wrong in many ways. Each leaves a kiosk that works on the CPU and says why.
func TestProvidersThatFail(t *testing.T) {
	r := open(t)
	text, textHash := put(t, "plugin.so", []byte("not a plugin, not a library, not even binary"))
	clib, clibHash := libc(t)
	ort := artefact(t, library)
	ortHash := model.Hash(sha256.Sum256(read(t, ort)))
	for _, c := range []struct {
		name     string
		provider Provider
		want     string // in the reason
	}{
		{"unknown name", Provider{Name: "Abacus"}, "Abacus"},
		{"not in this build", Provider{Name: "XNNPACK"}, "not supported in this build"},
		{"missing library", Provider{Name: "NPU", Library: "nowhere/npu.so", SHA256: textHash}, "no such file"},
		{"broken library", Provider{Name: "NPU", Library: text, SHA256: textHash}, "not a shared library"},
		{"library without a hash", Provider{Name: "NPU", Library: clib}, "sha256"},
		{"library that is no plugin", Provider{Name: "NPU", Library: clib, SHA256: clibHash}, "register plugin"},
		{"the runtime as a plugin", Provider{Name: "NPU", Library: ort, SHA256: ortHash}, "register plugin"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := r.Load(artefact(t, "bundle"), manifest(t), []Provider{c.provider}, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if b.Report.Provider != CPU || !b.Report.Degraded() || len(b.Report.Dropped) != 1 {
				t.Fatalf("report is %+v", b.Report)
			}
			d := b.Report.Dropped[0]
			if d.Provider != c.provider.Name || !strings.Contains(d.Reason, c.want) {
				t.Errorf("dropped %q because %q, want a reason with %q", d.Provider, d.Reason, c.want)
			}
			if err := b.Session(model.Extractor).Run(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestProvidersInOrder(t *testing.T) {
	r := open(t)
	b, err := r.Load(artefact(t, "bundle"), manifest(t), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	if b.Report.Provider != CPU || b.Report.Degraded() {
		t.Errorf("without a list the report is %+v", b.Report)
	}
	b.Close()

	b, err = r.Load(artefact(t, "bundle"), manifest(t), []Provider{{Name: "Abacus"}, {Name: generic}, {Name: "Slide rule"}}, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Report.Provider != generic || len(b.Report.Dropped) != 1 || b.Report.Dropped[0].Provider != "Abacus" {
		t.Errorf("report is %+v, want the second of three", b.Report)
	}
}

// A provider that runs but answers wrongly is worse than none: it is dropped, too, even if only one output of one network is off.
func TestWrongAnswers(t *testing.T) {
	r, m := open(t), manifest(t)
	var extractors int
	for _, c := range []struct {
		name  string
		spoil func(s *Session)
		want  string
	}{
		{"another probe", func(s *Session) { s.Output(0)[100] += .05 }, "off by"},
		{"not a number", func(s *Session) { zero := s.Output(0)[0] * 0; s.Output(0)[100] = zero / zero }, "off by"},
		{"nothing", func(s *Session) { clear(s.Output(0)) }, "off by"},
	} {
		t.Run(c.name, func(t *testing.T) {
			extractors = 0
			run := func(s *Session) error {
				err := s.Run()
				if len(s.outputs) == 1 && len(s.Output(0)) == 512 {
					// The first provider's extractor is the first to come here; the CPU's has to stay untouched.
					if extractors++; extractors == 1 {
						c.spoil(s)
					}
				}
				return err
			}
			b, err := r.load(artefact(t, "bundle"), m, []Provider{{Name: generic}}, 1, run)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if b.Report.Provider != CPU || len(b.Report.Dropped) != 1 || !strings.Contains(b.Report.Dropped[0].Reason, c.want) {
				t.Errorf("report is %+v", b.Report)
			}
		})
	}
	t.Run("run fails", func(t *testing.T) {
		broken := errors.New("device lost")
		calls := 0
		b, err := r.load(artefact(t, "bundle"), m, []Provider{{Name: generic}}, 1, func(s *Session) error {
			if calls++; calls == 1 {
				return broken
			}
			return s.Run()
		})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if len(b.Report.Dropped) != 1 || !strings.Contains(b.Report.Dropped[0].Reason, "device lost") {
			t.Errorf("report is %+v", b.Report)
		}
	})
	t.Run("CPU as well", func(t *testing.T) {
		_, err := r.load(artefact(t, "bundle"), m, nil, 1, func(s *Session) error {
			err := s.Run()
			s.Output(0)[0] += 1
			return err
		})
		if !errors.Is(err, errAnswer) {
			t.Errorf("error is %v, want a refusal", err)
		}
	})
}

// A network of the right shape with other weights is stopped by its answers, even when the manifest vouches for its bytes.
func TestChangedNetwork(t *testing.T) {
	r := open(t)
	data := read(t, filepath.Join(artefact(t, "bundle"), "fr_feature.onnx"))
	for i := len(data) / 2; i < len(data)/2+4000; i++ {
		data[i] = 0
	}
	m := manifest(t)
	dir := t.TempDir()
	spec, _ := m.Spec(model.Extractor)
	spec.SHA256 = sha256.Sum256(data)
	m.Specs = []model.Spec{spec}
	if err := os.WriteFile(filepath.Join(dir, spec.File), data, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Load(dir, m, nil, 1); !errors.Is(err, errAnswer) {
		t.Errorf("error is %v, want a refusal", err)
	}
}
