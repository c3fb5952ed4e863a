// Command eval measures the accuracy of the product's own pipeline on a folder of photographs.
//
//	make eval DATA=dir [FORMAT=json]
//	make eval PAD=dir [FORMAT=json]
//
// The folder has either an index.tsv (columns path, person, role; roles enrol, mated, nonmated for recognition, live and print for
// presentation attack detection) or one sub-folder a person. JPEG and binary PGM are read; colour becomes gray.
//
// It prints, each with its 95 % interval (bootstrap over people) and counts: verification over all pairs (FNMR at fixed FMR, EER), open-set
// search 1:N through access/match (FNIR at fixed FPIR), failures to acquire, which stay in the counts, and APCER and BPCER of
// the learned PAD score. With -calibration it writes the table from which the product takes its thresholds.
//
// With -pad it measures the learned PAD network alone, on living people and prints, in gray and in colour: APCER and BPCER with exact intervals, EER,
// each person, and the thresholds of budgets of living people who may be refused. There -calibration writes inference/model/learned.json.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/lintel-access/lintel/inference"
	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/model"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return // the usage was printed
		}
		fmt.Fprintln(os.Stderr, "eval:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	flags := flag.NewFlagSet("eval", flag.ContinueOnError)
	flags.SetOutput(progress)
	data := flags.String("data", "", "folder of photographs")
	attacks := flags.String("pad", "", "instead: folder of living people and prints, with an index.tsv or the folders live and print, files PERSON_*.jpg")
	format := flags.String("format", "table", "table or json")
	calibration := flags.String("calibration", "", "write the calibration table to this file")
	cache := flags.String("cache", ".lintel", "where make deps has put ONNX Runtime and the models")
	threads := flags.Int("threads", 1, "threads of each model")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if (*data == "") == (*attacks == "") || *format != "table" && *format != "json" || flags.NArg() > 0 || *threads < 1 {
		flags.Usage()
		return errors.New("want -data dir or -pad dir, and -format table or json")
	}
	m, err := model.Default()
	if err != nil {
		return err
	}
	if *attacks != "" {
		return bench{*cache, m, *threads}.learned(ctx, *attacks, *format, *calibration, out, progress)
	}
	s, err := readSet(*data)
	if err != nil {
		return err
	}
	engine, err := bench{*cache, m, *threads}.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	samples, err := acquireAll(ctx, s, engine, progress)
	if err != nil {
		return err
	}
	e, err := evaluate(s, samples)
	if err != nil {
		return err
	}
	e.Date, e.Bundle, e.BundleHash = time.Now().UTC().Format(time.DateOnly), m.Name, model.Hash(m.Hash()).String()
	if *calibration != "" {
		if err := e.writeCalibration(*calibration, m); err != nil {
			return err
		}
	}
	if *format == "json" {
		return e.printJSON(out)
	}
	return e.printTable(out)
}

// bench is what the photographs are shown to.
type bench struct {
	cache    string
	manifest *model.Manifest
	threads  int
}

func (b bench) open() (*inference.Engine, error) {
	engine, err := inference.Open(inference.Config{
		Library: filepath.Join(b.cache, "ort", "libonnxruntime.so.1"), Bundle: filepath.Join(b.cache, "bundle"),
		Manifest: b.manifest, Threads: b.threads, Limits: face.DefaultLimits(),
	})
	if err != nil {
		return nil, fmt.Errorf("%w (make deps fetches what is absent)", err)
	}
	return engine, nil
}
