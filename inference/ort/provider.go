package ort

import (
	"errors"
	"fmt"

	onnx "github.com/yalue/onnxruntime_go"

	"github.com/lintel-access/lintel/inference/model"
)

// Provider is one way to run the networks: an execution provider of ONNX Runtime, by name and options, with the plugin library that
// has it when the runtime itself has not. The board's data lists them in the order of preference.
type Provider struct {
	Name    string
	Options map[string]string
	Library string     // path of a plugin library, or empty
	SHA256  model.Hash // of the plugin library; it runs in this process, so one without a hash is refused
}

// register loads the plugin library of a provider, once.
func (r *Runtime) register(p Provider) error {
	if p.Library == "" {
		return nil
	}
	environment.Lock()
	defer environment.Unlock()
	if hash, ok := r.plugins[p.Name]; ok {
		if hash != p.SHA256 {
			return fmt.Errorf("register plugin %q: the provider %q has another one", p.Library, p.Name)
		}
		return nil
	}
	path, err := seal(p.Library, p.SHA256)
	if err != nil {
		return fmt.Errorf("register plugin: %w", err)
	}
	if err := onnx.RegisterExecutionProviderLibrary(p.Name, path); err != nil {
		return fmt.Errorf("register plugin %q: %w", p.Library, err)
	}
	r.plugins[p.Name] = p.SHA256
	return nil
}

func (r *Runtime) unregister(p Provider) error {
	if _, ok := r.plugins[p.Name]; !ok {
		return nil
	}
	delete(r.plugins, p.Name)
	if err := onnx.UnregisterExecutionProviderLibrary(p.Name); err != nil {
		return fmt.Errorf("unregister plugin of %q: %w", p.Name, err)
	}
	return nil
}

// errAnswer says that a network answers otherwise than the published one did on the CPU.
var errAnswer = errors.New("wrong answer")

// check runs the known answers. The CPU has to keep the tolerance of the proof, another provider its own.
func (s *Session) check(spec model.Spec, answers []model.Answer, cpu bool, run func(*Session) error) error {
	for _, a := range answers {
		spec.Pixels.Pattern(a.Seed, s.Input(0))
		if err := run(s); err != nil {
			return err
		}
		for i, want := range a.Outputs {
			limit := want.Provider
			if cpu {
				limit = want.Proof
			}
			if d := want.Distance(s.Output(i)); d > limit {
				return fmt.Errorf("%w: %q is off by %g for pattern %d, at most %g is allowed", errAnswer, spec.Outputs[i].Name, d, a.Seed, limit)
			}
		}
	}
	return nil
}
