package board

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
)

// maxFile bounds a board file, in bytes: ten times the largest that we wrote.
const maxFile = 64 << 10

// decode reads JSON into the struct that into points to. encoding/json alone would accept unknown and doubled names, names in the
// wrong case and missing fields; here each is an error that says where it stands.
func decode(data []byte, into any) error {
	if len(data) > maxFile {
		return fmt.Errorf("%d bytes, more than %d", len(data), maxFile)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := check(d, reflect.TypeOf(into).Elem(), ""); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the closing brace")
	}
	return json.Unmarshal(data, into)
}

// check reads one value and compares its shape with a type. The depth of the types bounds the recursion.
func check(d *json.Decoder, t reflect.Type, path string) error {
	token, err := d.Token()
	if err != nil {
		return at(path, err.Error())
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		if token != json.Delim('{') {
			return at(path, "want an object")
		}
		return checkObject(d, t, path)
	case reflect.Slice:
		if token != json.Delim('[') {
			return at(path, "want a list")
		}
		for i := 0; d.More(); i++ {
			if err := check(d, t.Elem(), path+"["+strconv.Itoa(i)+"]"); err != nil {
				return err
			}
		}
		_, err = d.Token()
		return err
	case reflect.String:
		if _, ok := token.(string); !ok {
			return at(path, "want a string")
		}
	case reflect.Bool:
		if _, ok := token.(bool); !ok {
			return at(path, "want true or false")
		}
	case reflect.Int:
		n, ok := token.(json.Number)
		if !ok {
			return at(path, "want a number")
		}
		if _, err := strconv.ParseInt(n.String(), 10, 32); err != nil {
			return at(path, fmt.Sprintf("want a whole number, not %q", n))
		}
	default:
		return at(path, "no board field has type "+t.String()) // unreachable: TestSchemaShapes walks the types
	}
	return nil
}

func checkObject(d *json.Decoder, t reflect.Type, path string) error {
	fields := map[string]reflect.Type{}
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			fields[t.Field(i).Tag.Get("json")] = t.Field(i).Type
		}
	}
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return at(path, err.Error())
		}
		name, _ := token.(string) // the decoder accepts nothing else here
		here := join(path, name)
		if seen[name] {
			return at(here, "stands here twice")
		}
		seen[name] = true
		field, known := fields[name]
		if t.Kind() == reflect.Map {
			field, known = t.Elem(), true
		}
		if !known {
			return at(here, "no such field")
		}
		if err := check(d, field, here); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return at(path, err.Error())
	}
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			if name := t.Field(i).Tag.Get("json"); !seen[name] {
				return at(join(path, name), "missing")
			}
		}
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// at is an error about one place of the file. The path is quoted because map keys come from the file.
func at(path, problem string) error {
	if path == "" {
		return errors.New(problem)
	}
	return fmt.Errorf("%q: %s", path, problem)
}
