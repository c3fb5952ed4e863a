// Package ort runs the networks of a bundle on ONNX Runtime. It is the only room of inference with cgo.
//
//	Open(library) ─► Runtime ─ Load(dir, manifest, providers, threads) ─► Bundle ─ Session(role) ─► Input(0), Run(), Output(0)
//	                                      │
//	                                      └─ each provider in order: register, create all sessions, known answers ─► kept or Dropped
//
// Nothing is parsed or mapped before its hash was checked: the library is copied into a sealed memory file and loaded from there, a
// network is created from the bytes that were hashed.
package ort

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	onnx "github.com/yalue/onnxruntime_go"

	"github.com/lintel-access/lintel/inference/model"
)

// Runtime is ONNX Runtime, loaded once a process. It is not safe for concurrent use; sessions of one runtime may run in parallel.
type Runtime struct {
	version string
	plugins map[string]model.Hash // registered plugin libraries, by provider
}

// The C library keeps one environment a process and the binding keeps it in globals; this guards them.
var environment struct {
	sync.Mutex
	open   bool
	sealed []int // descriptors of the libraries in use
}

// Open loads the build of ONNX Runtime that is pinned for this architecture.
func Open(library string) (*Runtime, error) {
	pin, err := model.LibraryFor(runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	return OpenPinned(library, pin.SHA256)
}

// OpenPinned loads another build of ONNX Runtime, such as a board vendor's, whose SHA-256 the caller vouches for. A process can
// have one Runtime at a time.
func OpenPinned(library string, pin model.Hash) (*Runtime, error) {
	environment.Lock()
	defer environment.Unlock()
	if environment.open {
		return nil, errors.New("open ONNX Runtime: it is open already")
	}
	path, err := seal(library, pin)
	if err != nil {
		return nil, fmt.Errorf("open ONNX Runtime: %w", err)
	}
	onnx.SetSharedLibraryPath(path)
	if err := onnx.InitializeEnvironment(onnx.WithLogLevelFatal()); err != nil {
		return nil, fmt.Errorf("open ONNX Runtime: load %q: %w", library, err)
	}
	environment.open = true
	return &Runtime{version: onnx.GetVersion(), plugins: map[string]model.Hash{}}, nil
}

// Version is the version that the library reports, such as "1.30.0".
func (r *Runtime) Version() string { return r.version }

// Close releases the environment. All bundles and sessions must be closed before.
func (r *Runtime) Close() error {
	environment.Lock()
	defer environment.Unlock()
	if !environment.open {
		return errors.New("close ONNX Runtime: it is not open")
	}
	environment.open = false
	var errs []error
	for name := range r.plugins {
		errs = append(errs, r.unregister(Provider{Name: name}))
	}
	return errors.Join(append(errs, onnx.DestroyEnvironment(), retire())...)
}
