package ort

import (
	"errors"
	"fmt"

	"github.com/lintel-access/lintel/inference/model"
)

// CPU is the name under which a Report speaks of the runtime's own provider, which is always the last resort.
const CPU = "CPU"

// Dropped is a provider that was tried and not kept.
type Dropped struct {
	Provider string
	Reason   string
}

// Report says what runs the networks and what was preferred but failed.
type Report struct {
	Provider string
	Dropped  []Dropped
}

// Degraded reports whether a preferred provider failed.
func (r Report) Degraded() bool { return len(r.Dropped) > 0 }

// Bundle is the sessions of a manifest, one a role.
type Bundle struct {
	Report   Report
	sessions map[model.Role]*Session
}

// Session returns the session of a role, or nil if the manifest has no model for it.
func (b *Bundle) Session(role model.Role) *Session { return b.sessions[role] }

// Close closes all sessions.
func (b *Bundle) Close() error {
	var errs []error
	for _, s := range b.sessions {
		errs = append(errs, s.Close())
	}
	b.sessions = nil
	return errors.Join(errs...)
}

// Load reads the files of a manifest from dir and creates a session of each, with that many threads, on the first provider that
// takes them all and gives the known answers. The CPU is tried last and is held to the answers too; if it fails, so does Load.
func (r *Runtime) Load(dir string, m *model.Manifest, providers []Provider, threads int) (*Bundle, error) {
	return r.load(dir, m, providers, threads, (*Session).Run)
}

// load takes what runs a session as an argument, so that a test can be a provider that answers wrongly.
func (r *Runtime) load(dir string, m *model.Manifest, providers []Provider, threads int, run func(*Session) error) (*Bundle, error) {
	files := map[model.Role][]byte{}
	for _, spec := range m.Specs {
		data, err := m.Load(dir, spec.Role)
		if err != nil {
			return nil, err
		}
		if len(m.Answers(spec.Role)) == 0 {
			return nil, fmt.Errorf("load %s model: no known answers", spec.Role)
		}
		files[spec.Role] = data
	}
	var dropped []Dropped
	for _, p := range providers {
		b, err := r.try(m, files, p, threads, run)
		if err == nil {
			b.Report = Report{Provider: p.Name, Dropped: dropped}
			return b, nil
		}
		dropped = append(dropped, Dropped{Provider: p.Name, Reason: err.Error()})
	}
	b, err := r.try(m, files, Provider{}, threads, run)
	if err != nil {
		return nil, fmt.Errorf("load bundle %q: %w", m.Name, err)
	}
	b.Report = Report{Provider: CPU, Dropped: dropped}
	return b, nil
}

// try creates all sessions on one provider, the CPU for the zero value, and compares their answers.
func (r *Runtime) try(m *model.Manifest, files map[model.Role][]byte, p Provider, threads int, run func(*Session) error) (*Bundle, error) {
	if err := r.register(p); err != nil {
		return nil, err
	}
	b := &Bundle{sessions: map[model.Role]*Session{}}
	for _, spec := range m.Specs {
		s, err := newSession(files[spec.Role], spec, p, threads)
		if err == nil {
			b.sessions[spec.Role] = s
			err = s.check(spec, m.Answers(spec.Role), p.Name == "", run)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", spec.Role, err), b.Close(), r.unregister(p))
		}
	}
	return b, nil
}
