package main

import "slices"

// A chain is a convolution, a depthwise convolution and a convolution, each feeding only the next, with an activation in between or
// none: into is the first, out the last. The channels between them are nobody else's business.
type chain struct {
	into, deep, out *node
	first, second   *node // activations, or nil
}

// block is the number of channels that the runtime's blocked layout handles at once on the widest processor it knows. A layer whose
// width is no multiple of 4 falls out of that layout altogether; the published PAD model has 13, 77, 103 and 231.
const block = 16

// prune removes the channels inside chains that carry nothing, and brings the width of the rest to a multiple of block with channels
// of zeros.
func prune(g *graph) error {
	for _, n := range g.nodes {
		if c, ok := g.chain(n); ok {
			if err := g.pruneChain(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// chain returns the chain around a depthwise convolution whose weights are all constants.
func (g *graph) chain(deep *node) (chain, bool) {
	c := chain{deep: deep}
	if !g.isConv(deep) || deep.ints("group")[0] == 1 || g.constants[deep.inputs[1]].dims[1] != 1 || g.constants[deep.inputs[1]].dims[0] != deep.ints("group")[0] {
		return c, false
	}
	c.into = g.producer(deep.inputs[0])
	if c.into != nil && (c.into.op == "PRelu" || c.into.op == "Relu") {
		c.first, c.into = c.into, g.producer(c.into.inputs[0])
	}
	c.out = g.onlyUser(deep)
	if c.out != nil && (c.out.op == "PRelu" || c.out.op == "Relu") {
		c.second, c.out = c.out, g.onlyUser(c.out)
	}
	if !g.isConv(c.into) || c.into.ints("group")[0] != 1 || !g.isConv(c.out) || c.out.ints("group")[0] != 1 {
		return c, false
	}
	for _, n := range []*node{c.into, c.first} {
		if n != nil && g.onlyUser(n) == nil {
			return c, false
		}
	}
	// A constant that a dead channel leaves behind is added to the bias of the last convolution, which is exact only without padding.
	return c, !slices.ContainsFunc(c.out.ints("pads"), func(p int64) bool { return p != 0 })
}

func (g *graph) isConv(n *node) bool {
	return n != nil && n.op == "Conv" && len(n.inputs) == 3 && len(g.constants[n.inputs[1]].dims) == 4 &&
		g.constants[n.inputs[2]].values != nil && len(n.ints("group")) == 1
}

func (g *graph) onlyUser(n *node) *node {
	if u := g.users(n.outputs[0]); len(u) == 1 {
		return u[0]
	}
	return nil
}

func (g *graph) pruneChain(c chain) error {
	intoW, intoB := g.constants[c.into.inputs[1]], g.constants[c.into.inputs[2]]
	deepW, deepB := g.constants[c.deep.inputs[1]], g.constants[c.deep.inputs[2]]
	outW, outB := g.constants[c.out.inputs[1]], g.constants[c.out.inputs[2]]
	channels := len(deepB.values)
	bias := make([]float64, len(outB.values))
	var live []int
	for i := range channels {
		silent := isZero(row(intoW, i)) && intoB.values[i] == 0 || isZero(row(deepW, i))
		unread := isZero(column(outW, i))
		if !silent && !unread {
			live = append(live, i)
			continue
		}
		// The channel is the same everywhere: what is left of it is the depthwise bias behind its activation.
		rest := float64(deepB.values[i])
		if c.second != nil && rest < 0 {
			slope := 0.
			if c.second.op == "PRelu" {
				slope = float64(g.constants[c.second.inputs[1]].values[i])
			}
			rest *= slope
		}
		for o := range bias {
			for _, w := range row(outW, o)[i*area(outW) : (i+1)*area(outW)] {
				bias[o] += rest * float64(w)
			}
		}
	}
	width := max((len(live)+block-1)/block*block, block)
	if width == channels && len(live) == channels {
		return nil
	}
	for o := range bias {
		bias[o] += float64(outB.values[o])
	}
	c.into.input(1, g.define(c.into.inputs[1]+".pruned", resized(intoW.dims, 0, width), pickRows(intoW, live, width)))
	c.into.input(2, g.define(c.into.inputs[2]+".pruned", []int64{int64(width)}, pickRows(intoB, live, width)))
	c.deep.input(1, g.define(c.deep.inputs[1]+".pruned", resized(deepW.dims, 0, width), pickRows(deepW, live, width)))
	c.deep.input(2, g.define(c.deep.inputs[2]+".pruned", []int64{int64(width)}, pickRows(deepB, live, width)))
	c.deep.set(integer("group", int64(width)))
	for _, n := range []*node{c.first, c.second} {
		if n != nil && n.op == "PRelu" {
			s := g.constants[n.inputs[1]]
			n.input(1, g.define(n.inputs[1]+".pruned", resized(s.dims, 0, width), pickRows(s, live, width)))
		}
	}
	sums := make([]float32, len(bias))
	for o := range bias {
		sums[o] = float32(bias[o])
	}
	c.out.input(1, g.define(c.out.inputs[1]+".pruned", resized(outW.dims, 1, width), pickColumns(outW, live, width)))
	c.out.input(2, g.define(c.out.inputs[2]+".pruned", outB.dims, sums))
	return nil
}

func isZero(values []float32) bool {
	return !slices.ContainsFunc(values, func(v float32) bool { return v != 0 })
}

// row is what belongs to one index of the first dimension.
func row(c constant, i int) []float32 {
	n := len(c.values) / int(c.dims[0])
	return c.values[i*n : (i+1)*n]
}

// area is the size of a convolution's kernel.
func area(c constant) int { return int(c.dims[2] * c.dims[3]) }

// column is what a convolution's weights take from one input channel.
func column(c constant, i int) []float32 {
	var values []float32
	for o := range int(c.dims[0]) {
		values = append(values, row(c, o)[i*area(c):(i+1)*area(c)]...)
	}
	return values
}

func pickRows(c constant, live []int, width int) []float32 {
	n := len(c.values) / int(c.dims[0])
	values := make([]float32, 0, width*n)
	for _, i := range live {
		values = append(values, row(c, i)...)
	}
	return values[:width*n]
}

func pickColumns(c constant, live []int, width int) []float32 {
	n := area(c)
	values := make([]float32, int(c.dims[0])*width*n)
	for o := range int(c.dims[0]) {
		for j, i := range live {
			copy(values[(o*width+j)*n:(o*width+j+1)*n], row(c, o)[i*n:(i+1)*n])
		}
	}
	return values
}

func resized(dims []int64, at, width int) []int64 {
	dims = slices.Clone(dims)
	dims[at] = int64(width)
	return dims
}
