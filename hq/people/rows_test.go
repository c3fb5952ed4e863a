package people

import (
	"strings"
	"testing"
	"time"
)

func TestReadRows(t *testing.T) {
	rows, err := readRows(strings.NewReader("valid_until;photos;name;consent;proofing;groups\n" +
		"2027-06-30;a.jpg|b.jpg;\"Ex; ample\";C;p.pdf; staff | lab |\n\n;;;;;\n"))
	if err != nil || len(rows) != 2 || rows[0].err != nil || rows[1].err == nil || rows[1].line != 4 {
		t.Fatalf("%+v, %v", rows, err)
	}
	r := rows[0].request
	if r.Name != "Ex; ample" || strings.Join(r.Groups, "+") != "staff+lab" || strings.Join(rows[0].photos, "+") != "a.jpg+b.jpg" || rows[0].proofing != "p.pdf" ||
		!r.Until.Equal(time.Date(2027, 7, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", rows[0])
	}
	for head, want := range map[string]string{
		"":                                  "it is empty",
		"\r\nname,valid_until":              "it is empty",
		"name,valid_until,consent,proofing": `"photos" is missing`,
		"name,valid_until,consent,proofing,photos,salary": `"salary" is not known`,
		"name,name,valid_until,consent,proofing,photos":   "stands twice",
		"\xff":                         "not UTF-8",
		strings.Repeat("x", maxLine+1): "longer than",
		"\"name":                       "quote",
	} {
		if _, err := readRows(strings.NewReader(head)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", head, err, want)
		}
	}
	if _, err := readRows(strings.NewReader("name,valid_until,consent,proofing,photos\n" + strings.Repeat("x\n", maxRows+1))); err == nil {
		t.Error("a table without end was taken")
	}
}

func FuzzReadRows(f *testing.F) {
	f.Add("name,valid_until,consent,proofing,photos\na,2027-06-30,c,p,x.jpg\n\"\n")
	f.Add("name;valid_until;consent;proofing;photos\r\na;;\xff;p;x|y")
	f.Fuzz(func(t *testing.T, s string) {
		rows, err := readRows(strings.NewReader(s))
		if err != nil {
			return
		}
		for _, r := range rows {
			if r.err == nil && (r.proofing == "" || len(r.photos) == 0) || r.line < 2 || r.line > 1+strings.Count(s, "\n")+1 {
				t.Fatalf("%+v", r)
			}
		}
	})
}
