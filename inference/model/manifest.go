// Package model says what a bundle of networks is: which files, of which bytes, with which inputs and outputs, from where and under
// which licence. Nothing here runs a network, and nothing here is code of one bundle: another bundle is another manifest.
//
//	manifest.json ─ Parse ─► Manifest ─ Load(dir, role) ─► the bytes that were hashed ─► inference/ort
//	                            ├─ Hash ──► calibration.json (false-match rate → threshold, measured for this bundle)
//	                            └─ Spec(role) ──► decoder, pixels, template: inference/face and inference/pad
package model

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

//go:embed manifest.json
var defaultManifest []byte

// Role is what a network is for.
type Role string

// The four roles of a bundle. A bundle has at most one network a role; PAD may be absent.
const (
	Detector  Role = "detector"
	Landmarks Role = "landmarks"
	Extractor Role = "extractor"
	PAD       Role = "pad"
)

// Hash is a SHA-256, in JSON 64 lower-case hexadecimal digits.
type Hash [sha256.Size]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes the 64 digits.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads exactly 64 digits.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(h)) {
		return fmt.Errorf("read hash: %d digits, want %d", len(text), hex.EncodedLen(len(h)))
	}
	_, err := hex.Decode(h[:], bytes.ToLower(text))
	return err
}

// Tensor is one input or output: float32, of a fixed shape.
type Tensor struct {
	Name  string  `json:"name"`
	Shape []int64 `json:"shape"`
}

// Len is the number of values.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= int(d)
	}
	return n
}

// Pixels says how an input is filled from gray levels 0..255: planes of Height rows of Width values (level-Mean)*Scale. A network
// with three channels gets the same plane three times, so the order of its colours does not matter.
type Pixels struct {
	Width    int     `json:"width"`
	Height   int     `json:"height"`
	Channels int     `json:"channels"`
	Mean     float32 `json:"mean"`
	Scale    float32 `json:"scale"`
}

// Origin is where a file comes from, and what it was before it was prepared.
type Origin struct {
	Package  string `json:"package"` // npm
	Version  string `json:"version"`
	Member   string `json:"member"` // path within the package's tarball
	SHA256   Hash   `json:"sha256"`
	Size     int64  `json:"size"`     // bytes
	Channels int    `json:"channels"` // of its first input, before the rewrite for gray
	Licence  string `json:"licence"`
}

// Spec is one network of a bundle.
type Spec struct {
	Role     Role     `json:"role"`
	File     string   `json:"file"`
	SHA256   Hash     `json:"sha256"` // of the prepared file
	Size     int64    `json:"size"`   // bytes of the prepared file
	Origin   Origin   `json:"origin"`
	Decoder  string   `json:"decoder"` // how inference/face or inference/pad reads the outputs
	Pixels   Pixels   `json:"pixels"`
	Inputs   []Tensor `json:"inputs"`
	Outputs  []Tensor `json:"outputs"`
	Rewrites []string `json:"rewrites"` // what the preparation did, in order; see docs/MODELS.md

	Threshold float32      `json:"threshold,omitempty"` // detector: a detection's score is above this
	Overlap   float32      `json:"overlap,omitempty"`   // detector: intersection over union above which the weaker one goes
	Template  [][2]float32 `json:"template,omitempty"`  // extractor: where the five points go in its input, pixels
	Crop      float32      `json:"crop,omitempty"`      // pad: side of the square crop, in sides of the detector's box
	BonaFide  int          `json:"bona_fide,omitempty"` // pad: index of the output that means a living person
}

// Manifest is a bundle. The zero value has no network.
type Manifest struct {
	Name    string `json:"name"`
	Version int    `json:"version"` // of this format, 1
	Specs   []Spec `json:"models"`

	AnswersSHA256 Hash `json:"answers_sha256"` // of the file with the known answers, so that Hash covers it

	hash    Hash
	answers []Answer
}

// Default is the bundle that the product ships with.
func Default() (*Manifest, error) { return Parse(defaultManifest, defaultAnswers) }

// Parse reads a manifest and its known answers, and checks that they are complete and plausible. Unknown fields and trailing bytes
// are errors.
func Parse(manifest, answers []byte) (*Manifest, error) {
	m, err := Draft(manifest)
	if err != nil {
		return nil, err
	}
	if err := m.attach(answers); err != nil {
		return nil, fmt.Errorf("read manifest %q: %w", m.Name, err)
	}
	return m, nil
}

// Draft reads a manifest whose answers are yet to be recorded. Nothing can be run with it: inference/ort wants answers.
func Draft(manifest []byte) (*Manifest, error) {
	m := new(Manifest)
	if err := decodeStrict(manifest, m); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("read manifest %q: %w", m.Name, err)
	}
	m.hash = sha256.Sum256(manifest)
	return m, nil
}

// Hash is the SHA-256 of the manifest's bytes. It stands for the whole bundle, since they hold the hash of every file.
func (m *Manifest) Hash() [sha256.Size]byte { return m.hash }

// Spec returns the network of a role.
func (m *Manifest) Spec(role Role) (Spec, bool) {
	for _, s := range m.Specs {
		if s.Role == role {
			return s, true
		}
	}
	return Spec{}, false
}

// Unprepared is the same bundle before the preparation: the origin's files, hashes and channels. Benchmarks and the proof of the
// rewrites compare against it.
func (m *Manifest) Unprepared() *Manifest {
	o := &Manifest{Name: m.Name + " as published", Version: m.Version, AnswersSHA256: m.AnswersSHA256, answers: m.answers}
	for _, s := range m.Specs {
		s.SHA256, s.Size, s.Rewrites = s.Origin.SHA256, s.Origin.Size, nil
		s.Pixels.Channels = s.Origin.Channels
		s.Inputs = []Tensor{{Name: s.Inputs[0].Name, Shape: s.Pixels.shape()}}
		o.Specs = append(o.Specs, s)
	}
	o.hash = sha256.Sum256(append([]byte("unprepared"), m.hash[:]...))
	return o
}

func (p Pixels) shape() []int64 {
	return []int64{1, int64(p.Channels), int64(p.Height), int64(p.Width)}
}

func decodeStrict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("bytes after its end")
	}
	return nil
}

// Bounds of what a manifest may claim. The largest known model of this class is 180 MB, the largest input 640x640.
const (
	maxFile   = 256 << 20 // bytes
	maxValues = 1 << 24   // a tensor
	maxSide   = 1024      // pixels
)

func (m *Manifest) check() error {
	if m.Version != 1 {
		return fmt.Errorf("format version %d, want 1", m.Version)
	}
	if m.Name == "" {
		return errors.New("no name")
	}
	seen := map[Role]bool{}
	for i := range m.Specs {
		s := &m.Specs[i]
		if seen[s.Role] {
			return fmt.Errorf("two models for the role %q", s.Role)
		}
		seen[s.Role] = true
		if err := s.check(); err != nil {
			return fmt.Errorf("%s: %w", s.Role, err)
		}
	}
	for _, r := range []Role{Detector, Landmarks, Extractor} {
		if !seen[r] {
			return fmt.Errorf("no model for the role %q", r)
		}
	}
	return nil
}

func (s *Spec) check() error {
	if s.File == "" || s.File != filepath.Base(s.File) || s.File == "." || s.File == ".." {
		return fmt.Errorf("file %q is not a plain name", s.File)
	}
	if s.SHA256 == (Hash{}) || s.Origin.SHA256 == (Hash{}) {
		return errors.New("a hash is absent")
	}
	if s.Size <= 0 || s.Size > maxFile || s.Origin.Size <= 0 || s.Origin.Size > maxFile {
		return errors.New("a size is out of bounds")
	}
	if s.Decoder == "" || s.Origin.Licence == "" {
		return errors.New("decoder or licence is absent")
	}
	p := s.Pixels
	if p.Width < 8 || p.Width > maxSide || p.Height < 8 || p.Height > maxSide || !channels(p.Channels) || !channels(s.Origin.Channels) || p.Scale == 0 {
		return errors.New("pixels are out of bounds")
	}
	if len(s.Inputs) != 1 || len(s.Outputs) == 0 {
		return fmt.Errorf("%d inputs and %d outputs, want 1 and at least 1", len(s.Inputs), len(s.Outputs))
	}
	for _, t := range append(s.Inputs[:1:1], s.Outputs...) {
		if err := t.check(); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
	}
	if n := s.Inputs[0].Len(); n != p.Width*p.Height*p.Channels {
		return fmt.Errorf("input %q holds %d values, pixels say %d", s.Inputs[0].Name, n, p.Width*p.Height*p.Channels)
	}
	return s.checkRole()
}

func (s *Spec) checkRole() error {
	part := func(v float32) bool { return v > 0 && v < 1 }
	switch s.Role {
	case Detector:
		if !part(s.Threshold) || !part(s.Overlap) {
			return errors.New("threshold and overlap must lie between 0 and 1")
		}
	case Extractor:
		if len(s.Template) != 5 {
			return fmt.Errorf("template of %d points, want 5", len(s.Template))
		}
	case PAD:
		if s.Crop < 1 || s.Crop > 8 || s.BonaFide < 0 || s.BonaFide >= s.Outputs[0].Len() {
			return errors.New("crop or index of the bona fide class is out of bounds")
		}
	case Landmarks:
	default:
		return errors.New("unknown role")
	}
	return nil
}

func (t Tensor) check() error {
	if t.Name == "" || len(t.Shape) == 0 || len(t.Shape) > 8 {
		return errors.New("name or shape is absent")
	}
	n := int64(1)
	for _, d := range t.Shape {
		if d < 1 || d > maxValues {
			return fmt.Errorf("dimension %d is out of bounds", d)
		}
		if n *= d; n > maxValues {
			return errors.New("too large")
		}
	}
	return nil
}

func channels(n int) bool { return n == 1 || n == 3 }
