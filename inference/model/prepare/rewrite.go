package main

import (
	"fmt"
	"math"
	"slices"
)

// A rewrite changes a graph without changing its answers beyond rounding. They are named in the manifest and applied in its order;
// docs/MODELS.md argues for each, the known-answer vectors prove them.
type rewrite func(*graph) error

func rewrites() map[string]rewrite {
	return map[string]rewrite{"flush": flush, "prune": prune, "prelu": prelu, "gray": gray}
}

func prepareModel(data []byte, names []string) ([]byte, error) {
	g, err := parseGraph(data)
	if err != nil {
		return nil, err
	}
	known := rewrites()
	for _, name := range names {
		f, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("rewrite model: unknown rewrite %q", name)
		}
		if err := f(g); err != nil {
			return nil, fmt.Errorf("rewrite model: %s: %w", name, err)
		}
	}
	return g.encode(), nil
}

// negligible is the size under which a weight is nothing: weight decay has driven the channels that training did not need towards
// zero, down to denormal numbers, which cost some processors a hundred cycles each. The largest activation is below 1e4 and no layer
// sums more than 5,000 products, so that the sum of all that is dropped stays below 1e-4 of float32's own rounding of 1.
const negligible = 1e-15

// flush writes the negligible weights as zero.
func flush(g *graph) error {
	for _, n := range g.nodes {
		for i, name := range n.inputs {
			c, ok := g.constants[name]
			if !ok || (n.op != "Conv" && n.op != "PRelu" && n.op != "Gemm" && n.op != "MatMul") {
				continue
			}
			values, changed := slices.Clone(c.values), false
			for j, v := range values {
				if v != 0 && math.Abs(float64(v)) < negligible {
					values[j], changed = 0, true
				}
			}
			if changed {
				n.input(i, g.define(name+".flushed", c.dims, values))
			}
		}
	}
	return nil
}

// prelu writes PRelu(x) as (1-s)*(Relu(x) + t*x) with t = s/(1-s), the factor 1-s moved into the input weights of the convolutions
// that follow. The runtime has no fast PRelu: it takes the values out of its blocked layout for it and goes through them one by one.
func prelu(g *graph) error {
	var nodes []*node
	for _, n := range g.nodes {
		if n.op != "PRelu" {
			nodes = append(nodes, n)
			continue
		}
		slope, ok := g.constants[n.inputs[1]]
		if !ok {
			return fmt.Errorf("slope of %q is not a constant", n.outputs[0])
		}
		factor, ratio := make([]float32, len(slope.values)), make([]float32, len(slope.values))
		for i, s := range slope.values {
			// Near 1 the ratio grows without bound and its rounding with it.
			if math.Abs(1-float64(s)) < .1 {
				return fmt.Errorf("a slope of %q is %g, too near 1", n.outputs[0], s)
			}
			factor[i], ratio[i] = 1-s, float32(float64(s)/(1-float64(s)))
		}
		x, y := n.inputs[0], n.outputs[0]
		weight := g.define(n.inputs[1]+".ratio", slope.dims, ratio)
		nodes = append(nodes,
			newNode("Relu", y+".positive", nil, x),
			newNode("Mul", y+".linear", nil, x, weight),
			newNode("Add", y, nil, y+".linear", y+".positive"),
		)
		for _, user := range g.users(y) {
			if err := g.scaleInput(user, y, factor); err != nil {
				return err
			}
		}
	}
	g.nodes = nodes
	return nil
}

// scaleInput multiplies the weights of a convolution by a factor for each of its input channels.
func (g *graph) scaleInput(n *node, value string, factor []float32) error {
	if n.op != "Conv" || n.inputs[0] != value {
		return fmt.Errorf("%q is read by %s %q, not by a convolution", value, n.op, n.outputs[0])
	}
	w, ok := g.constants[n.inputs[1]]
	if !ok || len(w.dims) != 4 {
		return fmt.Errorf("weights of %q are not a constant", n.outputs[0])
	}
	values := slices.Clone(w.values)
	kernel := int(w.dims[2] * w.dims[3])
	per := int(w.dims[1]) // input channels that one output channel reads
	group := n.ints("group")
	for i := range values {
		channel := i / kernel % per
		if len(group) == 1 && group[0] > 1 {
			if per != 1 || int(group[0]) != len(factor) {
				return fmt.Errorf("%q is a grouped convolution, not a depthwise one", n.outputs[0])
			}
			channel = i / kernel
		}
		values[i] *= factor[channel]
	}
	n.input(1, g.define(n.inputs[1]+".scaled", w.dims, values))
	return nil
}

// gray lets a network that wants three equal planes read one, by summing the kernel of its first convolution over them.
func gray(g *graph) error {
	for i, f := range g.rest {
		if f.number != graphInput {
			continue
		}
		name, dims, err := parseInput(f.body)
		if err != nil {
			return err
		}
		if len(dims) != 4 || dims[1] != 3 {
			continue
		}
		users := g.users(name)
		if len(users) != 1 || users[0].op != "Conv" {
			return fmt.Errorf("input %q is not read by one convolution", name)
		}
		w, ok := g.constants[users[0].inputs[1]]
		if !ok || len(w.dims) != 4 || w.dims[1] != 3 {
			return fmt.Errorf("weights of %q are not a constant over 3 planes", users[0].outputs[0])
		}
		kernel := int(w.dims[2] * w.dims[3])
		sums := make([]float32, len(w.values)/3)
		for j := range sums {
			at := j/kernel*3*kernel + j%kernel
			sums[j] = float32(float64(w.values[at]) + float64(w.values[at+kernel]) + float64(w.values[at+2*kernel]))
		}
		users[0].input(1, g.define(users[0].inputs[1]+".gray", []int64{w.dims[0], 1, w.dims[2], w.dims[3]}, sums))
		g.rest[i] = inputField(name, []int64{dims[0], 1, dims[2], dims[3]})
	}
	return nil
}
