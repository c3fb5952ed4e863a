// Package worker is the child that parses photographs: it loads the models, gives up everything that it could do harm with, and answers one photograph
// after another on its standard input and output.
package worker

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/firmware/confine"
	"github.com/lintel-access/lintel/hq/extract"
	"github.com/lintel-access/lintel/inference"
	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/sync/wire"
)

// maxMemory is what the child may hold besides the models, bytes: a progressive JPEG of 50 million pixels takes 0.8 GiB to decode.
const maxMemory = 3 << 30

// Run is the whole life of the child. It ends when in does. Its arguments are -bundle and -library, as eye's.
func Run(args []string, in io.Reader, out io.Writer) error {
	fs := flag.NewFlagSet(extract.Word, flag.ContinueOnError)
	bundle := fs.String("bundle", ".lintel/bundle", "folder of the prepared models; their hashes are checked")
	library := fs.String("library", ".lintel/ort/libonnxruntime.so.1", "the ONNX Runtime library; its hash is checked")
	if err := fs.Parse(args); err != nil {
		return err
	}
	manifest, err := model.Default()
	if err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: maxMemory, Max: maxMemory}); err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	engine, err := inference.Open(inference.Config{Library: *library, Bundle: *bundle, Manifest: manifest, Threads: 1, Limits: limits()})
	if err != nil {
		return err
	}
	report, err := confine.Apply(confine.Extractor())
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	if err := say(w, extract.Hello{Bundle: manifest.Hash(), Denied: uint32(len(report.Denied))}); err != nil {
		return err
	}
	return serve(engine, in, w)
}

func serve(engine *inference.Engine, in io.Reader, w *bufio.Writer) error {
	for {
		photo, err := extract.ReadFrame(in, extract.MaxPhoto)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		a, err := work(engine, photo)
		clear(photo)
		if err != nil {
			return err
		}
		err = say(w, a)
		clear(a.Reference)
		if err != nil {
			return err
		}
	}
}

func say(w *bufio.Writer, v any) error {
	data, err := wire.Marshal(v)
	if err == nil {
		err = extract.WriteFrame(w, data)
	}
	clear(data)
	return errors.Join(err, w.Flush())
}

// limits are what a photograph for an enrolment must keep: stricter than at the door, where the person can try again, and with no nearest distance.
func limits() face.Limits {
	l := face.DefaultLimits()
	l.NearEyes = 0
	l.FarEyes = 40 // px; above the 38 at which the score is still .999
	l.Yaw, l.Pitch = 25, 25
	return l
}

const (
	// aside is the height, in parts of the largest face's, from which another face makes it unclear whose photograph this is. People in the far
	// background are smaller.
	aside = 1. / 3
	// fused is how often the face is extracted, every other time mirrored: as the door fuses the frames of a walk-up.
	fused = 2
)

// work answers one photograph. An error is one of the engine's, after which the child must end.
func work(e *inference.Engine, photo []byte) (extract.Answer, error) {
	img, outcome := decode(photo)
	if outcome != extract.Extracted {
		return extract.Answer{Outcome: outcome}, nil
	}
	e.Face.Forget()
	faces, err := e.Face.Look(img)
	if err == nil && len(faces) == 0 {
		// A crop close around the face shows the detector too little: with a border it finds them.
		img = bordered(img)
		e.Face.Forget()
		faces, err = e.Face.Look(img)
	}
	if err != nil {
		return extract.Answer{}, err
	}
	if len(faces) == 0 {
		return extract.Answer{Outcome: extract.NoFace}, nil
	}
	at := &faces[0] // the largest
	for i := range faces[1:] {
		if faces[1+i].Box.Height() >= aside*at.Box.Height() {
			return extract.Answer{Outcome: extract.SeveralFaces}, nil
		}
	}
	if err := e.Face.Measure(img, at); errors.Is(err, face.ErrMeasure) {
		return extract.Answer{Outcome: extract.NoFace}, nil
	} else if err != nil {
		return extract.Answer{}, err
	}
	if o := judge(at.Hint); o != extract.Extracted {
		return extract.Answer{Outcome: o}, nil
	}
	var f inference.Fuser
	defer f.Wipe()
	for range fused {
		if err := e.Fuse(img, at, &f); err != nil {
			return extract.Answer{}, err
		}
	}
	probe, _, _ := f.Result()
	if probe == nil {
		return extract.Answer{Outcome: extract.NoFace}, nil
	}
	defer clear(probe)
	return extract.Answer{Outcome: extract.Extracted, Reference: extract.Encode(probe), Quality: at.Quality}, nil
}

// judge is the outcome for the first quality rule that a face breaks. A rule that is not known here is broken all the same.
func judge(h face.Hint) extract.Outcome {
	switch h {
	case face.HintNone:
		return extract.Extracted
	case face.HintTooFar:
		return extract.TooSmall
	case face.HintTooDark:
		return extract.TooDark
	case face.HintSaturated:
		return extract.TooBright
	case face.HintBlurred:
		return extract.Blurred
	case face.HintTurned:
		return extract.TurnedAway
	case face.HintCutOff:
		return extract.CutOff
	}
	return extract.NoFace
}
