package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/lintel-access/lintel/inference/model"
)

// evaluation is the whole result; its JSON is one object.
type evaluation struct {
	Data        string   `json:"data"` // name of the folder
	Date        string   `json:"date"`
	Bundle      string   `json:"bundle"`
	BundleHash  string   `json:"bundle_sha256"`
	Photographs int      `json:"photographs"`
	People      int      `json:"people"`
	Unreadable  []string `json:"unreadable"` // files that are not photographs
	NotAcquired int      `json:"failures_to_acquire"`
	Bordered    int      `json:"black_border_added"`

	Verification   *verification    `json:"verification,omitempty"`
	Identification []identification `json:"identification,omitempty"`
	Attacks        *attackDetection `json:"attack_detection,omitempty"`
}

// evaluate works out everything that the roles of the set allow.
func evaluate(s *set, samples []sample) (*evaluation, error) {
	e := &evaluation{Data: filepath.Base(filepath.Clean(s.dir)), Photographs: len(s.photos), People: len(s.people), Unreadable: []string{}}
	var photos []photo
	var kept []sample
	for i, p := range s.photos {
		switch {
		case samples[i].unread != nil:
			e.Unreadable = append(e.Unreadable, p.path)
			e.NotAcquired++
		case samples[i].probe == nil:
			e.NotAcquired++
		}
		if samples[i].bordered {
			e.Bordered++
		}
		if p.role != rolePrint {
			photos, kept = append(photos, p), append(kept, samples[i])
		}
	}
	e.Verification = verify(photos, kept, len(s.people))
	var err error
	e.Identification, err = identify(photos, kept, len(s.people))
	e.Attacks = detectAttacks(s.photos, samples, len(s.people))
	return e, err
}

func (e *evaluation) printJSON(w io.Writer) error {
	return json.NewEncoder(w).Encode(e)
}

func (e *evaluation) printTable(out io.Writer) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "data %s, %s, bundle %s\n", e.Data, e.Date, e.Bundle)
	fmt.Fprintf(w, "%d photographs of %d people; failures to acquire %d, of these unreadable %d; black border added %d\n",
		e.Photographs, e.People, e.NotAcquired, len(e.Unreadable), e.Bordered)
	for _, path := range e.Unreadable {
		fmt.Fprintf(w, "unreadable: %s\n", path)
	}
	if v := e.Verification; v.Genuine > 0 && v.Impostor > 0 {
		fmt.Fprintf(w, "\nverification: %d genuine pairs, %d impostor pairs, EER %s\n", v.Genuine, v.Impostor, v.EER)
		fmt.Fprintln(w, "FMR\tthreshold\tfalse matches\tmissed\tFNMR")
		for _, p := range v.Points {
			fmt.Fprintf(w, "%.0e\t%.3f\t%d\t%d\t%s\n", p.FMR, p.Threshold, p.Allowed, p.Missed, p.FNMR)
		}
		fmt.Fprint(w, "curve (FMR: FNMR)")
		for _, p := range v.Curve {
			fmt.Fprintf(w, "  %.0e: %.2f %%", p.FMR, 100*p.FNMR.Value)
		}
		fmt.Fprintln(w)
	}
	for _, id := range e.Identification {
		fmt.Fprintf(w, "\nsearch, %d people enrolled: %d mated probes, %d non-mated, rank 1 %s\n", id.Gallery, id.Mated, id.Nonmated, id.Rank1)
		fmt.Fprintln(w, "FPIR\tsearches\tthreshold\tfalse positives\tmissed\tFNIR")
		for _, p := range id.Points {
			fmt.Fprintf(w, "%g %%\t%s\t%.3f\t%d\t%d\t%s\n", 100*p.FPIR, p.Searches, p.Threshold, p.Allowed, p.Missed, p.FNIR)
		}
	}
	if a := e.Attacks; a != nil {
		fmt.Fprintf(w, "\nlearned PAD score on gray frames: %d live, %d attacks\n", a.Live, a.Attacks)
		fmt.Fprintf(w, "APCER at 0.5\t%s\nBPCER at 0.5\t%s\nEER\t%s\n", a.APCER, a.BPCER, a.EER)
		fmt.Fprintf(w, "BPCER at APCER 5 %%\t%s\nBPCER at APCER 1 %%\t%s\n", a.BPCERAt5, a.BPCERAt1)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// String is the value and its interval in percent.
func (i interval) String() string {
	return fmt.Sprintf("%.2f %% [%.2f %.2f]", 100*i.Value, 100*i.Low, 100*i.High)
}

// writeCalibration writes the measured thresholds in the form that inference/model reads and checks that it does read them.
func (e *evaluation) writeCalibration(path string, m *model.Manifest) error {
	v := e.Verification
	c := model.Calibration{
		Bundle: m.Hash(), Date: e.Date,
		Data:         fmt.Sprintf("%s in gray, %d images of %d people, all pairs", e.Data, e.Photographs, e.People),
		GenuinePairs: int64(v.Genuine), ImpostorPairs: int64(v.Impostor),
	}
	for _, p := range v.Points {
		c.Rates = append(c.Rates, model.Rate{FalseMatch: p.FMR, Threshold: float32(p.Threshold)})
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("write calibration: %w", err)
	}
	if _, err := model.Calibrate(m, data); err != nil {
		return fmt.Errorf("write calibration: these data do not make one: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("write calibration: %w", err)
	}
	return nil
}
