package main

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func TestVerdict(t *testing.T) {
	var out bytes.Buffer
	if err := verdict(&out, []ratio{{"pipeline/own", 1.0649, 1.15}, {"pipeline/stock", .7, .7}}); err != nil {
		t.Error(err)
	}
	if want := "pipeline/own ratio 1.06 (limit 1.15)\npipeline/stock ratio 0.70 (limit 0.70)\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	err := verdict(&out, []ratio{{"search/read", 1.2501, 1.25}, {"int8/float32", math.NaN(), .45}, {"pipeline/own", 1, 1.15}})
	if err == nil || !strings.Contains(err.Error(), "search/read") || !strings.Contains(err.Error(), "int8/float32") || strings.Contains(err.Error(), "pipeline") {
		t.Errorf("%v", err)
	}
}

// What exceeds its limit is measured again, and that is said; what does so each time exceeds it.
func TestJudged(t *testing.T) {
	for _, c := range []struct {
		good      float64 // first try within the limit
		runs      float64
		exceeding bool
	}{{1, 1, false}, {3, 3, false}, {4, 3, true}} {
		var out bytes.Buffer
		runs := 0.0
		list, err := judged(&out, func() ([]ratio, error) {
			runs++
			return []ratio{{"search/read", 1 + c.good - runs, 1}}, nil
		})
		if err != nil || runs != c.runs || (exceeded(list) != nil) != c.exceeding || strings.Count(out.String(), "again, since search/read") != int(runs)-1 {
			t.Errorf("good at try %v: %v runs, %+v, %v, said %q", c.good, runs, list, err, out.String())
		}
	}
}

func TestSeries(t *testing.T) {
	s := series{5, 1, 4, 2, 3}
	if s.at(.5) != 3 || s.at(.95) != 5 || s.at(1) != 5 || s[0] != 5 {
		t.Errorf("p50 %v, p95 %v, series now %v", s.at(.5), s.at(.95), s)
	}
}

func TestArguments(t *testing.T) {
	var out, progress bytes.Buffer
	for _, args := range [][]string{{"-rounds", "5"}, {"extra"}, {"-no-such-flag"}} {
		if err := run(args, &out, &progress); err == nil {
			t.Errorf("%v: accepted", args)
		}
	}
	if err := run([]string{"-cache", t.TempDir(), "-rounds", "10"}, &out, &progress); err == nil || !strings.Contains(err.Error(), "libonnxruntime") {
		t.Errorf("without a library: %v", err)
	}
}

// TestPathMeasuresEveryStage runs the evidence path a few times on the real models. It holds no ratio to its limit: a machine that runs
// other tests at the same time is no place for that.
func TestPathMeasuresEveryStage(t *testing.T) {
	res, err := measurePath("../../.lintel", 3)
	if err != nil {
		t.Fatalf("%v (run make deps)", err)
	}
	if len(res.stages) != 6 || len(res.toOwn) != 3 || len(res.stock) != 3 {
		t.Fatalf("%d stages, %d rounds", len(res.stages), len(res.toOwn))
	}
	for _, s := range res.stages {
		if s.name == "" || !(s.whole.at(.5) > 0) || s.inner.at(.5) > s.whole.at(.5) {
			t.Errorf("%+v", s)
		}
	}
	if !(res.toOwn.at(.5) > 1) {
		t.Errorf("the path takes %v of its own model runs", res.toOwn.at(.5))
	}
}
