package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/tests/exact"
)

// presentations is the whole result of a folder of living people and prints; its JSON is one object.
type presentations struct {
	Data       string     `json:"data"` // name of the folder
	Date       string     `json:"date"`
	Bundle     string     `json:"bundle"`
	BundleHash string     `json:"bundle_sha256"`
	Renderings []*learned `json:"renderings"` // gray, which is the product's, then colour
}

// learned measures the learned check of the bundle on a folder.
func (b bench) learned(ctx context.Context, dir, format, table string, out, progress io.Writer) error {
	s, err := readAttacks(dir)
	if err != nil {
		return err
	}
	all, err := b.look(ctx, s, progress)
	if err != nil {
		return err
	}
	colour, err := inColour(ctx, all, b.cache, b.manifest, b.threads)
	if err != nil {
		return err
	}
	var gray []shown
	for _, l := range all {
		gray = append(gray, l.shown)
	}
	p := &presentations{
		Data: filepath.Base(filepath.Clean(s.dir)), Date: time.Now().UTC().Format(time.DateOnly), Bundle: b.manifest.Name,
		BundleHash: model.Hash(b.manifest.Hash()).String(),
	}
	for _, r := range []struct {
		name   string
		frames []shown
	}{{"gray", gray}, {"colour", colour}} {
		l, err := judge(r.name, r.frames, s.people)
		if err != nil {
			return err
		}
		p.Renderings = append(p.Renderings, l)
	}
	if table != "" {
		if err := p.writeTable(table, b.manifest); err != nil {
			return err
		}
	}
	if format == "json" {
		return json.NewEncoder(out).Encode(p)
	}
	return p.print(out)
}

// look opens the product's engine, and closes it: a process has one ONNX Runtime, and the network in colour needs it next.
func (b bench) look(ctx context.Context, s *set, progress io.Writer) (all []looked, err error) {
	engine, err := b.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	return lookAtAll(ctx, s, engine, progress)
}

func (p *presentations) print(out io.Writer) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "learned check on %s, %s, bundle %s\n", p.Data, p.Date, p.Bundle)
	fmt.Fprintln(w, "Exact 95 % intervals (Clopper-Pearson) take the frames of one person for independent, which they are not; held out: nobody is judged by a\n"+
		"threshold that was set on their own frames.")
	for _, l := range p.Renderings {
		fmt.Fprintf(w, "\nin %s: %d frames of %d living people, %d of attacks; %d without a face; EER %s, over people\n",
			l.Rendering, l.BonaFide, l.Living, l.Attacks, l.Unseen, l.EER)
		fmt.Fprintln(w, "threshold\tset for BPCER\tBPCER\tAPCER\tBPCER held out\tworst person\tpeople beyond the budget")
		for _, o := range l.Points {
			budget, beyond := "given", "–"
			if o.Budget > 0 {
				budget, beyond = fmt.Sprintf("%g %%", 100*o.Budget), o.Beyond.String()
			}
			fmt.Fprintf(w, "%.4f\t%s\t%s\t%s\t%s\t%s\t%s\n", o.Threshold, budget, o.BPCER, o.APCER, o.HeldOut, o.Worst, beyond)
		}
		fmt.Fprint(w, "person\tliving\tattacks")
		for _, o := range l.Points {
			fmt.Fprintf(w, "\trefused at %.3f\taccepted", o.Threshold)
		}
		fmt.Fprintln(w)
		for _, r := range l.People {
			fmt.Fprintf(w, "%s\t%d\t%d", r.Person, r.BonaFide, r.Attacks)
			for i := range l.Points {
				fmt.Fprintf(w, "\t%d\t%d", r.Refused[i], r.Accepted[i])
			}
			fmt.Fprintln(w)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// String is k of n with the share and its interval in percent.
func (c counted) String() string {
	return fmt.Sprintf("%d/%d %s", c.K, c.N, strings.TrimSpace(exact.Share(c.K, c.N)))
}

// writeTable writes what was measured in gray in the form that inference/model reads, and checks that it does read it. A budget that does not hold,
// or gains nothing, is written as well: the product refuses it and says why.
func (p *presentations) writeTable(path string, m *model.Manifest) error {
	l := p.Renderings[0]
	data, err := json.MarshalIndent(model.Learned{
		Bundle: m.Hash(), Date: p.Date, Data: fmt.Sprintf("%s in gray, live and print, visible light", p.Data),
		People: l.Living, BonaFide: l.BonaFide, Attacks: l.Attacks, Budgets: l.Budgets,
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("write learned check: %w", err)
	}
	if _, err := model.ReadLearned(m, data); err != nil {
		return fmt.Errorf("write learned check: these data do not make one: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("write learned check: %w", err)
	}
	return nil
}
