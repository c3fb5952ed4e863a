package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/lintel-access/lintel/inference/model"
)

// scored is 600 living frames of three people and 100 prints. Nobody is below .5 but the third person, whose scores run from .30 upwards by .001.
func scored() (frames []shown, names []string) {
	names = []string{"ann", "ben", "cat", "nobody"}
	for i := range 200 {
		v := float64(i) / 1000
		frames = append(frames, shown{0, .7 + v, true}, shown{1, .6 + v, true}, shown{2, .3 + v, true})
	}
	for i := range 100 {
		frames = append(frames, shown{i % 2, float64(i) / 250, false})
	}
	return frames, names
}

func TestJudge(t *testing.T) {
	frames, names := scored()
	frames[0].score = notAcquired // a living person in whom no face was found is refused, whatever the threshold
	l, err := judge("gray", frames, names)
	if err != nil {
		t.Fatal(err)
	}
	if l.BonaFide != 600 || l.Living != 3 || l.Attacks != 100 || l.Unseen != 1 || len(l.People) != 3 || len(l.Points) != 2 {
		t.Fatalf("%+v", l)
	}
	half, budget := l.Points[0], l.Points[1]
	if half.BPCER.K != 201 || half.APCER.K != 0 || half.HeldOut.K != 201 || half.Worst.K != 200 || half.Worst.N != 200 || half.Beyond.K != 2 {
		t.Errorf("at one half: %+v", half)
	}
	// Six of 600 may be refused: the one without a face and the five lowest. 76 of the prints lie at .305 or above it.
	if budget.Budget != .01 || math.Abs(budget.Threshold-.305) > 1e-9 || budget.BPCER.K != 6 || budget.APCER.K != 23 {
		t.Errorf("at the budget: %+v", budget)
	}
	// Set on the others, the threshold refuses all of cat; without ann or ben it is cat's, who is then not judged by it.
	if budget.HeldOut.K != 201 || budget.Worst.K != 200 || budget.Beyond.K != 1 || budget.Beyond.N != 3 {
		t.Errorf("held out: %+v", budget)
	}
	if !(budget.BPCER.Low < .01 && budget.BPCER.High > .02) {
		t.Errorf("6 of 600: %+v", budget.BPCER)
	}
	if r := l.People[2]; r.Person != "cat" || r.BonaFide != 200 || r.Attacks != 0 || r.Refused[0] != 200 || r.Refused[1] != 5 {
		t.Errorf("%+v", r)
	}
	if len(l.Budgets) != 1 || l.Budgets[0] != (model.Budget{BPCER: .01, Threshold: float32(budget.Threshold), Refused: 6, HeldOut: 201, Accepted: 23}) {
		t.Errorf("%+v", l.Budgets)
	}
	if _, err := judge("gray", frames[600:], names); err == nil {
		t.Error("rates without a living person")
	}
	if _, err := judge("gray", frames[:600], names); err == nil {
		t.Error("rates without an attack")
	}
}

func TestReadAttacks(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"live/ann_1.jpg", "live/ann_2.jpg", "live/ben_1.jpg", "live/notes.txt", "print/ann_1.jpg"} {
		write(t, filepath.Join(dir, path), nil)
	}
	s, err := readAttacks(dir)
	if err != nil || len(s.photos) != 4 || len(s.people) != 2 || s.photos[3] != (photo{"print/ann_1.jpg", 0, rolePrint}) || s.photos[2].person != 1 {
		t.Errorf("%v, %+v", err, s)
	}
	write(t, filepath.Join(dir, "print", "nameless.jpg"), nil)
	if _, err := readAttacks(dir); err == nil {
		t.Error("a file without a person was read")
	}
	write(t, filepath.Join(dir, "index.tsv"), []byte("path\tperson\trole\na.jpg\ta\tlive\nb.jpg\tb\tenrol\n"))
	if s, err = readAttacks(dir); err != nil || len(s.photos) != 1 || s.photos[0].role != roleLive {
		t.Errorf("%v, %+v", err, s)
	}
	if _, err := readAttacks(t.TempDir()); err == nil {
		t.Error("an empty folder was read")
	}
}

// TestRunOnPrints runs the real networks, in gray and in colour, on two of the desk's photographs, and makes no table of so few.
func TestRunOnPrints(t *testing.T) {
	const cache = "../../.lintel"
	dir := t.TempDir()
	for i, name := range []string{"sample1.jpg", "sample6.jpg"} {
		data, err := os.ReadFile(filepath.Join(cache, "photos", name))
		if err != nil {
			t.Fatalf("%v (run make deps)", err)
		}
		person := []string{"ann", "ben"}[i]
		write(t, filepath.Join(dir, "live", person+"_1.jpg"), data)
		write(t, filepath.Join(dir, "print", person+"_1.jpg"), data)
	}
	table := filepath.Join(dir, "learned.json")
	var out, progress bytes.Buffer
	if err := run(context.Background(), []string{"-pad", dir, "-cache", cache, "-format", "json"}, &out, &progress); err != nil {
		t.Fatal(err)
	}
	var p presentations
	if err := json.Unmarshal(out.Bytes(), &p); err != nil || len(p.Renderings) != 2 {
		t.Fatalf("%v in %s", err, out.Bytes())
	}
	for _, l := range p.Renderings {
		if l.BonaFide != 2 || l.Attacks != 2 || l.Unseen != 0 || l.Points[0].BPCER.K+l.Points[0].APCER.K != 2 {
			t.Errorf("the same pictures as living and as prints: %+v", l)
		}
	}
	if err := run(context.Background(), []string{"-pad", dir, "-cache", cache, "-calibration", table}, &out, &progress); err == nil {
		t.Error("two frames made a table")
	}
	if _, err := os.Stat(table); err == nil {
		t.Error("a table was written all the same")
	}
	if run(context.Background(), []string{"-pad", dir, "-data", dir, "-cache", cache}, &out, &progress) == nil {
		t.Error("took two folders")
	}
}

// TestShippedTableIsOfTheData measures the learned check anew on the photographs that the shipped table was measured on, where they are at hand.
func TestShippedTableIsOfTheData(t *testing.T) {
	const data, cache = "../../../shared/data/nuaa", "../../.lintel"
	if _, err := os.Stat(data); errors.Is(err, fs.ErrNotExist) {
		t.Skip("NOT CHECKED: the photographs of living people and prints are not beside this tree, so nobody has measured whether inference/model/learned.json is still right")
	}
	m, err := model.Default()
	if err != nil {
		t.Fatal(err)
	}
	s, err := readAttacks(data)
	if err != nil {
		t.Fatal(err)
	}
	ctx, b := t.Context(), bench{cache, m, 1}
	all, err := b.look(ctx, s, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var frames []shown
	var few []looked
	for i, l := range all {
		frames = append(frames, l.shown)
		if i%10 == 0 {
			few = append(few, l)
		}
	}
	got, err := judge("gray", frames, s.people)
	if err != nil {
		t.Fatal(err)
	}
	want, err := model.DefaultLearned()
	if err != nil {
		t.Fatal(err)
	}
	if got.Living != want.People || got.BonaFide != want.BonaFide || got.Attacks != want.Attacks || len(got.Budgets) != len(want.Budgets) {
		t.Fatalf("measured %+v, shipped %+v", got, want)
	}
	for i, b := range got.Budgets {
		w := want.Budgets[i]
		// Another processor adds in another order: a score moves in its sixth digit, and a frame at the threshold may change sides.
		if math.Abs(float64(b.Threshold-w.Threshold)) > 1e-4 || max(b.Accepted-w.Accepted, w.Accepted-b.Accepted, b.HeldOut-w.HeldOut, w.HeldOut-b.HeldOut) > 1 {
			t.Errorf("budget %d: measured %+v, shipped %+v", i, b, w)
		}
	}
	colour, err := inColour(ctx, few, cache, m, 1)
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for _, f := range colour {
		if f.live != (f.score >= .5) {
			wrong++
		}
	}
	if len(colour) < 50 || wrong > 1 { // with red and blue exchanged every third living person is refused
		t.Errorf("in colour, which it was made for, %d errors in %d frames", wrong, len(colour))
	}
}
