package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func published(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(artefacts(t), "origin", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestNoRewriteChangesNoByte(t *testing.T) {
	data := published(t, "fr_landmark.onnx")
	// The encoder writes nodes first; the exporter did, too.
	got, err := prepareModel(data, nil)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes became %d: %v", len(data), len(got), err)
	}
}

// What the rewrites do not know, they keep: here an unknown field of the model, one of the graph and one of a node.
func TestUnknownFieldsStay(t *testing.T) {
	g, err := parseGraph(published(t, "fr_feature.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	marks := []string{"of the model", "of the graph", "of a node"}
	g.model = append(g.model, bytesField(900, []byte(marks[0])))
	g.rest = append(g.rest, bytesField(901, []byte(marks[1])))
	conv := g.nodes[slices.IndexFunc(g.nodes, func(n *node) bool { return n.op == "Conv" })]
	conv.rest, conv.raw = append(conv.rest, bytesField(902, []byte(marks[2]))), nil
	out, err := prepareModel(g.encode(), []string{"flush", "prune", "prelu", "gray"})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range marks {
		if !bytes.Contains(out, []byte(m)) {
			t.Errorf("the field %q is gone", m)
		}
	}
}

func TestRewritesDoTheirWork(t *testing.T) {
	data, err := prepareModel(published(t, "fr_feature.onnx"), []string{"flush", "prune", "prelu", "gray"})
	if err != nil {
		t.Fatal(err)
	}
	g, err := parseGraph(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range g.nodes {
		if n.op == "PRelu" {
			t.Errorf("%q is left", n.outputs[0])
		}
		if group := n.ints("group"); len(group) == 1 && group[0] > 1 && group[0]%block != 0 {
			t.Errorf("%q has %d channels", n.outputs[0], group[0])
		}
		for _, name := range n.inputs {
			for _, v := range g.constants[name].values {
				if v != 0 && math.Abs(float64(v)) < negligible*1e-3 {
					t.Fatalf("%q has a weight of %g", name, v)
				}
			}
		}
	}
	for _, f := range g.rest {
		if f.number != graphInput {
			continue
		}
		if name, dims, err := parseInput(f.body); err != nil || !slices.Equal(dims, []int64{1, 1, 112, 112}) {
			t.Errorf("input %q has shape %v: %v", name, dims, err)
		}
	}
}

func TestPrepareRefuses(t *testing.T) {
	data := published(t, "fr_detect.onnx")
	for _, c := range []struct {
		name, want string
		data       []byte
		rewrites   []string
	}{
		{"unknown rewrite", `unknown rewrite "polish"`, data, []string{"polish"}},
		{"empty", "no graph", nil, nil},
		{"text", "read model", []byte("this is not a network"), nil},
		{"cut off", "read model", data[:len(data)/2], nil},
	} {
		if _, err := prepareModel(c.data, c.rewrites); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want one with %q", c.name, err, c.want)
		}
	}
}

// tiny is a chain of 3 hidden channels: one alive, one dead with a bias behind the depthwise convolution, one that nobody reads.
func tiny() *graph {
	g := &graph{constants: map[string]constant{}}
	attributes := func(group int64) []field {
		return []field{ints("dilations", 1, 1), integer("group", group), ints("kernel_shape", 1, 1), ints("pads", 0, 0, 0, 0), ints("strides", 1, 1)}
	}
	g.define("w1", []int64{3, 1, 1, 1}, []float32{2, 1e-20, 5})
	g.define("b1", []int64{3}, []float32{.5, -1e-30, 1})
	g.define("w2", []int64{3, 1, 1, 1}, []float32{3, 4, 6})
	g.define("b2", []int64{3}, []float32{0, -2, 1})
	g.define("s", []int64{3, 1, 1}, []float32{.25, .5, .75})
	g.define("w3", []int64{2, 3, 1, 1}, []float32{1, 10, 0, 2, 20, 0})
	g.define("b3", []int64{2}, []float32{100, 200})
	g.nodes = []*node{
		newNode("Conv", "a", attributes(1), "x", "w1", "b1"),
		newNode("Conv", "d", attributes(3), "a", "w2", "b2"),
		newNode("PRelu", "p", nil, "d", "s"),
		newNode("Conv", "y", attributes(1), "p", "w3", "b3"),
	}
	return g
}

func TestPruneByHand(t *testing.T) {
	g := tiny()
	for _, f := range []rewrite{flush, prune} {
		if err := f(g); err != nil {
			t.Fatal(err)
		}
	}
	out := g.nodes[3]
	w, b := g.constants[out.inputs[1]], g.constants[out.inputs[2]]
	if !slices.Equal(w.dims, []int64{2, block, 1, 1}) || w.values[0] != 1 || w.values[block] != 2 {
		t.Errorf("weights are %v of %v", w.values, w.dims)
	}
	// The dead channel is -2 before the slope of .5 and so -1 behind it, read with 10 and 20.
	if !slices.Equal(b.values, []float32{90, 180}) {
		t.Errorf("bias is %v, want [90 180]", b.values)
	}
	if group := g.nodes[1].ints("group"); !slices.Equal(group, []int64{block}) {
		t.Errorf("group is %v, want %d", group, block)
	}
}

func TestPReluByHand(t *testing.T) {
	g := tiny()
	if err := prelu(g); err != nil {
		t.Fatal(err)
	}
	out := g.nodes[len(g.nodes)-1]
	ratio := g.constants[g.producer("p.linear").inputs[1]].values
	for channel, slope := range []float32{.25, .5, .75} {
		w := g.constants[out.inputs[1]].values[channel]
		for _, x := range []float32{-3, 0, 2} {
			want := []float32{1, 10, 0}[channel] * max(x, slope*x)
			if got := w * (max(x, 0) + ratio[channel]*x); math.Abs(float64(got-want)) > 1e-5 {
				t.Errorf("channel %d at %g gives %g, want %g", channel, x, got, want)
			}
		}
	}
	g = tiny()
	g.constants["s"] = constant{"s", []int64{3, 1, 1}, []float32{.25, 1, .75}}
	if err := prelu(g); err == nil || !strings.Contains(err.Error(), "near 1") {
		t.Errorf("a slope of 1 gives %v", err)
	}
}

func FuzzParseGraph(f *testing.F) {
	f.Add([]byte{})
	f.Add(bytesField(modelGraph, nil).raw)
	f.Add(bytesField(modelGraph, join([]field{
		newNode("Conv", "y", []field{ints("pads", 1, 2)}, "x", "w").field(),
		constant{"w", []int64{1, 1}, []float32{3}}.field(),
	})).raw)
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := parseGraph(data)
		if err != nil {
			return
		}
		again, err := parseGraph(g.encode())
		if err != nil || len(again.nodes) != len(g.nodes) {
			t.Errorf("what was written cannot be read: %v", err)
		}
	})
}
