package vault

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// A template leaves the vault by Copy and in no other way.
//
// Control: P11
func TestTemplateIsRedacted(t *testing.T) {
	p := someone(t, 1, 1)
	tpl := p.References[0].Template
	type wrapped struct {
		Inner  Template
		hidden Template
		P      *Template
	}
	w := wrapped{tpl, tpl, &tpl}
	secret := fmt.Sprint(vector(1)[1])[:6] // 0.5403…: the first component that is not 0
	bits := fmt.Sprintf("%x", math.Float32bits(vector(1)[1]))
	for _, v := range []any{tpl, &tpl, p, &p, p.References, w, &w, []any{tpl}, map[string]Template{"t": tpl}, errors.Join(fmt.Errorf("%v", tpl))} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%f", "%g", "%e", "%b", "%o", "%U", "%t"} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, secret) || strings.Contains(text, bits) || strings.Contains(text, "0.84") {
				t.Errorf("%s of %T shows the template", verb, v)
			}
		}
	}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "person", p, "template", tpl)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "person", p, "template", tpl)
	if s := logged.String(); strings.Contains(s, secret) || strings.Contains(s, "0.84") {
		t.Errorf("log shows the template: %s", s)
	}
	for name, marshal := range map[string]func(any) error{
		"json": func(v any) error { _, err := json.Marshal(v); return err },
		"xml":  func(v any) error { _, err := xml.Marshal(v); return err },
		"gob":  func(v any) error { return gob.NewEncoder(new(bytes.Buffer)).Encode(v) },
		"cbor": func(v any) error { _, err := wire.Marshal(v); return err },
	} {
		for _, v := range []any{tpl, &tpl, p, []Template{tpl}, struct{ T Template }{tpl}} {
			if marshal(v) == nil {
				t.Errorf("%s marshals %T", name, v)
			}
		}
	}
	for _, f := range []func() ([]byte, error){tpl.MarshalText, tpl.MarshalBinary, tpl.GobEncode} {
		if b, err := f(); err == nil || b != nil {
			t.Errorf("marshalled to %x", b)
		}
	}
	tpl.Wipe()
	if left := make([]float32, access.ProbeSize); tpl.Copy(left) != len(left) || slices.ContainsFunc(left, func(x float32) bool { return x != 0 }) {
		t.Error("wiped, yet components are left")
	}
	Template{}.Wipe()
}
