package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// A constant is a float32 initializer.
type constant struct {
	name   string
	dims   []int64
	values []float32
}

var errNotFloat = errors.New("not a float32 tensor with raw data")

func parseConstant(body []byte) (constant, error) {
	list, err := fields(body)
	if err != nil {
		return constant{}, err
	}
	var c constant
	var kind uint64
	var raw []byte
	for _, f := range list {
		switch f.number {
		case tensorDims:
			c.dims = append(c.dims, varints(f)...)
		case tensorDataType:
			kind = f.value
		case tensorName:
			c.name = string(f.body)
		case tensorRaw:
			raw = f.body
		}
	}
	if kind != float32Type || len(raw)%4 != 0 {
		return c, errNotFloat
	}
	for ; len(raw) > 0; raw = raw[4:] {
		c.values = append(c.values, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
	}
	if int64(len(c.values)) != c.size() {
		return c, errNotFloat
	}
	return c, nil
}

func (c constant) size() int64 {
	n := int64(1)
	for _, d := range c.dims {
		n *= d
	}
	return n
}

func (c constant) field() field {
	var list []field
	for _, d := range c.dims {
		list = append(list, varintField(tensorDims, uint64(d)))
	}
	raw := make([]byte, 0, 4*len(c.values))
	for _, v := range c.values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	list = append(list, varintField(tensorDataType, float32Type), bytesField(tensorName, []byte(c.name)), bytesField(tensorRaw, raw))
	return bytesField(graphInitializer, join(list))
}

// A graph is a model taken apart as far as the rewrites need it.
type graph struct {
	model     []field // all but the graph, in order
	position  int     // of the graph among them
	nodes     []*node
	rest      []field             // of the graph: all but the nodes, in order
	constants map[string]constant // the float32 initializers; never changed, only added
}

func parseGraph(data []byte) (*graph, error) {
	top, err := fields(data)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	g := &graph{constants: map[string]constant{}}
	g.position = slices.IndexFunc(top, func(f field) bool { return f.number == modelGraph })
	if g.position < 0 {
		return nil, errors.New("read model: no graph")
	}
	body, err := fields(top[g.position].body)
	if err != nil {
		return nil, fmt.Errorf("read graph: %w", err)
	}
	g.model = slices.Delete(top, g.position, g.position+1)
	for _, f := range body {
		if f.number == graphNode {
			n, err := parseNode(f)
			if err != nil {
				return nil, err
			}
			g.nodes = append(g.nodes, n)
			continue
		}
		g.rest = append(g.rest, f)
		if f.number != graphInitializer {
			continue
		}
		c, err := parseConstant(f.body)
		if err != nil && !errors.Is(err, errNotFloat) {
			return nil, fmt.Errorf("read initializer: %w", err)
		}
		if err == nil {
			g.constants[c.name] = c
		}
	}
	return g, nil
}

// encode writes the model, without the initializers that nothing uses any more.
func (g *graph) encode() []byte {
	used := map[string]bool{}
	var body []field
	for _, n := range g.nodes {
		body = append(body, n.field())
		for _, i := range n.inputs {
			used[i] = true
		}
	}
	for _, f := range g.rest {
		if f.number == graphInitializer {
			if c, err := parseConstant(f.body); err == nil && !used[c.name] {
				continue
			}
		}
		body = append(body, f)
	}
	return join(slices.Insert(slices.Clone(g.model), g.position, bytesField(modelGraph, join(body))))
}

// define adds an initializer and returns its name.
func (g *graph) define(name string, dims []int64, values []float32) string {
	for g.constants[name].values != nil {
		name += "'"
	}
	c := constant{name, dims, values}
	g.constants[name] = c
	g.rest = append(g.rest, c.field())
	return name
}

// users returns the nodes that read a value.
func (g *graph) users(value string) []*node {
	var list []*node
	for _, n := range g.nodes {
		if slices.Contains(n.inputs, value) {
			list = append(list, n)
		}
	}
	return list
}

// producer returns the node that makes a value, or nil.
func (g *graph) producer(value string) *node {
	for _, n := range g.nodes {
		if slices.Contains(n.outputs, value) {
			return n
		}
	}
	return nil
}

// parseInput reads the name and the fixed shape of a graph's input; a dimension without a size is 0.
func parseInput(body []byte) (name string, dims []int64, err error) {
	list, err := fields(body)
	if err != nil {
		return "", nil, fmt.Errorf("read input: %w", err)
	}
	for _, f := range list {
		if f.number == valueName {
			name = string(f.body)
		}
	}
	// ValueInfo.type.tensor_type.shape
	for _, number := range []protowire.Number{valueType, typeTensor, typeShape} {
		i := slices.IndexFunc(list, func(f field) bool { return f.number == number })
		if i < 0 {
			return name, nil, nil
		}
		if list, err = fields(list[i].body); err != nil {
			return "", nil, fmt.Errorf("read input %q: %w", name, err)
		}
	}
	for _, f := range list {
		size, err := fields(f.body)
		if err != nil {
			return "", nil, fmt.Errorf("read input %q: %w", name, err)
		}
		var d int64
		for _, s := range size {
			d = int64(s.value)
		}
		dims = append(dims, d)
	}
	return name, dims, nil
}

func inputField(name string, dims []int64) field {
	var shape []field
	for _, d := range dims {
		shape = append(shape, bytesField(shapeDim, join([]field{varintField(dimValue, uint64(d))})))
	}
	tensor := []field{varintField(typeElement, float32Type), bytesField(typeShape, join(shape))}
	return bytesField(graphInput, join([]field{
		bytesField(valueName, []byte(name)),
		bytesField(valueType, join([]field{bytesField(typeTensor, join(tensor))})),
	}))
}
