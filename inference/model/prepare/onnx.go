package main

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of onnx.proto3 (ONNX IR version 7), as far as the rewrites need them.
const (
	modelGraph = 7

	graphNode        = 1
	graphInitializer = 5
	graphInput       = 11

	nodeInput     = 1
	nodeOutput    = 2
	nodeName      = 3
	nodeOpType    = 4
	nodeAttribute = 5

	attributeName = 1
	attributeI    = 3
	attributeInts = 8
	attributeType = 20

	attributeTypeInts = 7
	attributeTypeInt  = 2

	tensorDims     = 1
	tensorDataType = 2
	tensorFloats   = 4
	tensorName     = 8
	tensorRaw      = 9

	valueName   = 1
	valueType   = 2
	typeTensor  = 1
	typeElement = 1
	typeShape   = 2
	shapeDim    = 1
	dimValue    = 1

	float32Type = 1 // TensorProto.DataType
)

// A field is one field of a protobuf message. raw is all of it, tag included, so that what is not understood is written back byte
// for byte; body is what is inside a length-delimited one.
type field struct {
	number protowire.Number
	raw    []byte
	body   []byte
	value  uint64 // of a varint
}

func fields(message []byte) ([]field, error) {
	var list []field
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(number, kind, message[n:])
		if size < 0 {
			return nil, protowire.ParseError(size)
		}
		f := field{number: number, raw: message[:n+size]}
		switch kind {
		case protowire.BytesType:
			f.body, _ = protowire.ConsumeBytes(message[n:])
		case protowire.VarintType:
			f.value, _ = protowire.ConsumeVarint(message[n:])
		}
		list = append(list, f)
		message = message[n+size:]
	}
	return list, nil
}

func bytesField(number protowire.Number, body []byte) field {
	raw := protowire.AppendTag(nil, number, protowire.BytesType)
	return field{number: number, raw: protowire.AppendBytes(raw, body), body: body}
}

func varintField(number protowire.Number, v uint64) field {
	raw := protowire.AppendTag(nil, number, protowire.VarintType)
	return field{number: number, raw: protowire.AppendVarint(raw, v), value: v}
}

func join(list []field) []byte {
	var out []byte
	for _, f := range list {
		out = append(out, f.raw...)
	}
	return out
}

// A node is one operation of a graph.
type node struct {
	op              string
	inputs, outputs []string
	rest            []field // name, attributes and whatever else it has
	raw             *field  // what it was read from, until something changes it
}

func parseNode(f field) (*node, error) {
	list, err := fields(f.body)
	if err != nil {
		return nil, fmt.Errorf("read node: %w", err)
	}
	n := &node{raw: &f}
	for _, f := range list {
		switch f.number {
		case nodeInput:
			n.inputs = append(n.inputs, string(f.body))
		case nodeOutput:
			n.outputs = append(n.outputs, string(f.body))
		case nodeOpType:
			n.op = string(f.body)
		default:
			n.rest = append(n.rest, f)
		}
	}
	if len(n.outputs) == 0 {
		return nil, fmt.Errorf("read node: %q without an output", n.op)
	}
	return n, nil
}

func newNode(op, output string, attributes []field, inputs ...string) *node {
	name := bytesField(nodeName, []byte(op+"_"+output))
	return &node{op: op, inputs: inputs, outputs: []string{output}, rest: append([]field{name}, attributes...)}
}

// input replaces an input.
func (n *node) input(i int, name string) { n.inputs[i], n.raw = name, nil }

func (n *node) field() field {
	if n.raw != nil {
		return *n.raw
	}
	var list []field
	for _, s := range n.inputs {
		list = append(list, bytesField(nodeInput, []byte(s)))
	}
	for _, s := range n.outputs {
		list = append(list, bytesField(nodeOutput, []byte(s)))
	}
	list = append(list, bytesField(nodeOpType, []byte(n.op)))
	return bytesField(graphNode, join(append(list, n.rest...)))
}

// ints reads a list of integers from an attribute, integer a single one.
func (n *node) ints(name string) []int64 {
	for _, f := range n.rest {
		if f.number != nodeAttribute {
			continue
		}
		list, err := fields(f.body)
		if err != nil || !slices.ContainsFunc(list, func(f field) bool { return f.number == attributeName && string(f.body) == name }) {
			continue
		}
		var values []int64
		for _, f := range list {
			if f.number == attributeInts || f.number == attributeI {
				values = append(values, varints(f)...)
			}
		}
		return values
	}
	return nil
}

// set replaces an attribute.
func (n *node) set(attribute field) {
	name, _ := fields(attribute.body)
	n.rest = slices.DeleteFunc(slices.Clone(n.rest), func(f field) bool {
		list, err := fields(f.body)
		return f.number == nodeAttribute && err == nil && slices.ContainsFunc(list, func(f field) bool {
			return f.number == attributeName && string(f.body) == string(name[0].body)
		})
	})
	n.rest, n.raw = append(n.rest, attribute), nil
}

// varints reads a repeated integer field, packed or not.
func varints(f field) []int64 {
	if f.body == nil {
		return []int64{int64(f.value)}
	}
	var values []int64
	for packed := f.body; len(packed) > 0; {
		v, n := protowire.ConsumeVarint(packed)
		if n < 0 {
			return nil
		}
		values, packed = append(values, int64(v)), packed[n:]
	}
	return values
}

func ints(name string, values ...int64) field {
	list := []field{bytesField(attributeName, []byte(name)), varintField(attributeType, attributeTypeInts)}
	for _, v := range values {
		list = append(list, varintField(attributeInts, uint64(v)))
	}
	return bytesField(nodeAttribute, join(list))
}

func integer(name string, v int64) field {
	return bytesField(nodeAttribute, join([]field{
		bytesField(attributeName, []byte(name)), varintField(attributeType, attributeTypeInt), varintField(attributeI, uint64(v)),
	}))
}
