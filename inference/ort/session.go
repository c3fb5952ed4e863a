package ort

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	onnx "github.com/yalue/onnxruntime_go"

	"github.com/lintel-access/lintel/inference/model"
)

// Session is one network with its own input and output buffers. It is not safe for concurrent use. The zero value has no network:
// its Run is an error.
type Session struct {
	session         *onnx.AdvancedSession
	inputs, outputs []*onnx.Tensor[float32]
	pins            runtime.Pinner
}

// NewSession creates a network from its ONNX bytes and checks that its inputs and outputs are the ones that spec says. It runs on
// the CPU with that many threads, at least 1.
func (r *Runtime) NewSession(data []byte, spec model.Spec, threads int) (*Session, error) {
	return newSession(data, spec, Provider{}, threads)
}

func newSession(data []byte, spec model.Spec, provider Provider, threads int) (*Session, error) {
	options, err := sessionOptions(provider, threads)
	if err != nil {
		return nil, err
	}
	defer options.Destroy()
	if err := checkShapes(data, spec); err != nil {
		return nil, err
	}
	s := new(Session)
	var in, out []onnx.Value
	for _, t := range spec.Inputs {
		v, err := s.tensor(t)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.inputs, in = append(s.inputs, v), append(in, v)
	}
	for _, t := range spec.Outputs {
		v, err := s.tensor(t)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.outputs, out = append(s.outputs, v), append(out, v)
	}
	s.session, err = onnx.NewAdvancedSessionWithONNXData(data, names(spec.Inputs), names(spec.Outputs), in, out, options)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create session: %w", err), s.Close())
	}
	return s, nil
}

// tensor makes a buffer that C may keep a pointer to: it is pinned until Close.
func (s *Session) tensor(t model.Tensor) (*onnx.Tensor[float32], error) {
	data := make([]float32, t.Len())
	s.pins.Pin(&data[0])
	v, err := onnx.NewTensor(onnx.NewShape(t.Shape...), data)
	if err != nil {
		return nil, fmt.Errorf("create tensor %q: %w", t.Name, err)
	}
	return v, nil
}

func sessionOptions(provider Provider, threads int) (*onnx.SessionOptions, error) {
	o, err := onnx.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("create session options: %w", err)
	}
	err = errors.Join(
		o.SetIntraOpNumThreads(max(threads, 1)),
		o.SetInterOpNumThreads(1),
		o.SetExecutionMode(onnx.ExecutionModeSequential),
		o.SetGraphOptimizationLevel(onnx.GraphOptimizationLevelEnableAll),
		// A waiting thread that spins burns a core that the rest of the kiosk needs.
		o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
	)
	if err == nil && provider.Name != "" {
		err = o.AppendExecutionProvider(provider.Name, provider.Options)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set session options: %w", err), o.Destroy())
	}
	return o, nil
}

func checkShapes(data []byte, spec model.Spec) error {
	in, out, err := onnx.GetInputOutputInfoWithONNXData(data)
	if err != nil {
		return fmt.Errorf("read inputs and outputs: %w", err)
	}
	if err := checkTensors("input", in, spec.Inputs); err != nil {
		return err
	}
	return checkTensors("output", out, spec.Outputs)
}

func checkTensors(kind string, got []onnx.InputOutputInfo, want []model.Tensor) error {
	if len(got) != len(want) {
		return fmt.Errorf("check model: %d %ss, manifest says %d", len(got), kind, len(want))
	}
	for _, w := range want {
		i := slices.IndexFunc(got, func(g onnx.InputOutputInfo) bool { return g.Name == w.Name })
		if i < 0 {
			return fmt.Errorf("check model: no %s %q", kind, w.Name)
		}
		if g := got[i]; g.DataType != onnx.TensorElementDataTypeFloat || !slices.Equal([]int64(g.Dimensions), w.Shape) {
			return fmt.Errorf("check model: %s %q is %s of shape %v, manifest says float32 of %v", kind, w.Name, g.DataType, g.Dimensions, w.Shape)
		}
	}
	return nil
}

func names(tensors []model.Tensor) []string {
	var n []string
	for _, t := range tensors {
		n = append(n, t.Name)
	}
	return n
}

// Input is the buffer of an input, in the manifest's order. It belongs to the session and stays valid until Close.
func (s *Session) Input(i int) []float32 { return s.inputs[i].GetData() }

// Output is the buffer of an output, in the manifest's order. Run overwrites it.
func (s *Session) Output(i int) []float32 { return s.outputs[i].GetData() }

// Run computes the outputs from what the inputs hold. It allocates nothing in Go.
func (s *Session) Run() error {
	if s.session == nil {
		return errors.New("run model: session is closed")
	}
	return s.session.Run()
}

// Close frees the network and its buffers.
func (s *Session) Close() error {
	var errs []error
	if s.session != nil {
		errs = append(errs, s.session.Destroy())
		s.session = nil
	}
	for _, t := range slices.Concat(s.inputs, s.outputs) {
		errs = append(errs, t.Destroy())
	}
	s.inputs, s.outputs = nil, nil
	s.pins.Unpin()
	return errors.Join(errs...)
}
