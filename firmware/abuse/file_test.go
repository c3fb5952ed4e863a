package abuse

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/sync/wire"
)

func reviewer(t testing.TB) *age.X25519Identity {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// walkUp is a case of a living person: every check passes, and somebody is found.
func walkUp(t testing.TB) *Case {
	t.Helper()
	policy := access.DefaultPolicy()
	book, err := policy.Profile.Book()
	if err != nil {
		t.Fatal(err)
	}
	code, err := book.Code(300)
	if err != nil {
		t.Fatal(err)
	}
	const interval, exposure = 30 * time.Millisecond, 8 * time.Millisecond
	c := &Case{
		Bar: access.Bar{Profile: policy.Profile}, MinFused: policy.Capture.MinFused, Policy: policy, PolicyHash: [32]byte{9}, Wall: 1793000000, Record: 12,
		Made: Here("test"), Verdict: access.Granted, Reason: access.ReasonAllowed, Outcome: access.Granted, Why: access.ReasonAllowed,
	}
	c.Made.Provider, c.Made.Bundle, c.Made.Board = "CPU", "bundle", "desk"
	c.Made.Camera = frames.Camera{Driver: "twin", Interval: interval}
	c.Opened = access.Opened{
		Session: access.SessionID{Boot: 3, Number: 8}, Nonce: [16]byte{1}, Camera: [32]byte{2}, Bundle: [32]byte{3}, Track: 5, Start: time.Hour, Code: code,
		Interval: interval,
	}
	p := &c.Presentation
	*p = access.Presentation{Session: c.Opened.Session, Nonce: c.Opened.Nonce, Camera: c.Opened.Camera, Bundle: c.Opened.Bundle, ProbeFrom: 4, Liveness: -1}
	p.Probe = make([]float32, access.ProbeSize)
	p.Probe[7] = 1
	p.Reflected = slices.Clone(p.Probe)
	for k := range int(code.Length) {
		from := time.Hour + interval*time.Duration(k+1)
		c.Opened.Chips = append(c.Opened.Chips, access.Chip{From: from, To: from + interval, Lit: code.Lit(k)})
		f := access.FrameEvidence{Seq: uint64(k + 1), Stamp: from + 20*time.Millisecond, Exposure: exposure, Track: 5, Box: access.Box{X1: 100, Y1: 100}, Ring: 40, Texture: 20}
		f.Chain[0], f.Pixels[0], f.Restless = byte(k+1), byte(k+1), 1
		for i := range f.Level {
			f.Level[i] = 60
		}
		for i := range f.Edge {
			f.Edge[i] = 60
		}
		if code.Lit(k) {
			for i := range f.Level {
				f.Level[i] = 150.25
			}
			f.Edge = [access.Edges]float32{120, 120, 120, 120, 150}
		}
		p.Frames = append(p.Frames, f)
	}
	c.Findings = Keep(access.Examine(p, c.Opened, book, policy.Capture, policy.Challenge))
	c.Question = access.Question{
		Session: c.Opened.Session, Checked: true, Threshold: .5, Calibrated: true, Now: 2 * time.Hour,
		Candidate: access.Candidate{Found: true, Person: access.PersonID{0xee}, Standing: access.Permitted, Score: .8, Second: -1},
		Bar:       c.Bar,
	}
	if r := c.first(); r != access.ReasonNone {
		t.Fatalf("the case of a living person fails: %v", r)
	}
	return c
}

func film(n int) (pictures []Picture) {
	for i := range n {
		img := image.NewGray(image.Rect(0, 0, 40, 30))
		for j := range img.Pix {
			img.Pix[j] = byte(i*31 + j*j)
		}
		pictures = append(pictures, Picture{
			Seq: uint64(i + 7), Stamp: time.Hour + time.Duration(i), Exposure: time.Millisecond, Extracted: i%3 == 1, Before: i == 0, Image: *img,
		})
	}
	return pictures
}

// write makes a file of a case and, if there are any, pictures.
func write(t testing.TB, c *Case, pictures []Picture, to *age.X25519Identity) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := NewWriter(&file)
	if err != nil {
		t.Fatal(err)
	}
	if pictures != nil {
		sealed, err := Seal([]string{to.Recipient().String()}, pictures)
		if err != nil {
			t.Fatal(err)
		}
		for part := range slices.Chunk(sealed, 1000) {
			if err := w.Film(part); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := w.Finish(c, "see the film", []age.Recipient{to.Recipient()}); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func open(file []byte, as ...age.Identity) (*Bundle, []Picture, error) {
	return Open(bytes.NewReader(file), int64(len(file)), as...)
}

// What was put into a file comes out, and nothing of it stands there in clear.
func TestFileGivesBackWhatWasKept(t *testing.T) {
	key, c, pictures := reviewer(t), walkUp(t), film(5)
	c.Findings[0].Value = math.Float32bits(float32(math.NaN())) // which no CBOR of ours can hold as a number
	file := write(t, c, pictures, key)
	b, got, err := open(file, key)
	if err != nil {
		t.Fatal(err)
	}
	want, err := wire.Marshal(*c)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := wire.Marshal(b.Case); err != nil || !bytes.Equal(again, want) {
		t.Errorf("the case comes back otherwise: %v", err)
	}
	if !reflect.DeepEqual(got, pictures) {
		t.Error("the pictures come back otherwise")
	}
	for _, clear := range []string{"front", "binding", "granted", "PNG", "IHDR", string(c.Opened.Nonce[:8]), string(pictures[1].Image.Pix[:16])} {
		if bytes.Contains(file, []byte(clear)) {
			t.Errorf("the file holds %q in clear", clear)
		}
	}
	if b, none, err := open(write(t, c, nil, key), key); err != nil || none != nil || b.Film.Bytes != 0 {
		t.Errorf("a file without frames: %v", err)
	}
	c.Wipe()
	if slices.Max(c.Presentation.Probe) != 0 {
		t.Error("the probe is not wiped")
	}
}

// The report has exactly the nine fields of the control, under these names.
//
// Control: B28
func TestReportHasNineFields(t *testing.T) {
	raw, err := wire.Marshal(walkUp(t).Tell("see the film"))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]any{}
	if err := wire.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	want := []string{"material type", "API path", "request id", "session id", "model version", "conditions", "steps", "exploit image", "business impact"}
	if len(fields) != len(want) {
		t.Errorf("%d fields, want %d", len(fields), len(want))
	}
	for _, name := range want {
		switch v := fields[name].(type) {
		case string:
			if v == "" {
				t.Errorf("%q says nothing", name)
			}
		case []any:
			if len(v) < 5 {
				t.Errorf("%q has %d lines", name, len(v))
			}
		default:
			t.Errorf("%q is missing", name)
		}
	}
	r := walkUp(t).Tell("")
	for name, holds := range map[string][2]string{
		"request": {r.Request, "record 11 "}, "session": {r.Session, "3/8"}, "model": {r.Model, "bundle"}, "impact": {r.Impact, "the door was released"},
		"steps": {strings.Join(r.Steps, "\n"), "12 chips"}, "path": {strings.Join(r.Path, "\n"), "rank: passed"},
		"conditions": {strings.Join(r.Conditions, "\n"), "policy: version 1, SHA-256 09"},
	} {
		if !strings.Contains(holds[0], holds[1]) {
			t.Errorf("%s: %q lacks %q", name, holds[0], holds[1])
		}
	}
}

// Of no attack the report says that none is suspected, and of nothing but what access takes for one that it is suspected to be of a kind.
func TestReportSuspectsWhatAttacks(t *testing.T) {
	for n := range 256 {
		c := Case{Why: access.Reason(n)}
		if got := c.Tell("").Material; !strings.HasPrefix(got, "unknown; ") || c.Why.Attack() && strings.Contains(got, "none is suspected") {
			t.Errorf("%v: %q", c.Why, got)
		}
	}
	for why, want := range map[access.Reason]string{
		access.ReasonAllowed: "none is", access.ReasonReliefDoubt: "a print is", access.ReasonFlat: "a print is", access.ReasonPhase: "a forged stream",
		access.ReasonRepeated: "replayed", access.ReasonSpliced: "replayed", access.ReasonNoNoise: "a forged stream", access.ReasonLiveness: "no known kind",
	} {
		if got := (&Case{Why: why}).Tell("").Material; !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q", why, got, want)
		}
	}
}

// What is broken, too long, another's or put together of two files is refused, at whatever byte it ends.
func TestBrokenFilesAreRefused(t *testing.T) {
	key, c := reviewer(t), walkUp(t)
	file, other := write(t, c, film(3), key), write(t, c, film(4), key)
	if _, _, err := open(file, reviewer(t)); !errors.Is(err, ErrNotForYou) {
		t.Errorf("another's key: %v", err)
	}
	if _, _, err := open(file); err == nil {
		t.Error("opened without a key")
	}
	for n := range file {
		if n%7 != 0 && n > 40 && n < len(file)-40 {
			continue // the ends byte by byte, the rest now and then
		}
		if _, _, err := open(file[:n], key); err == nil {
			t.Fatalf("cut off at byte %d of %d and opened", n, len(file))
		}
		bent := bytes.Clone(file)
		bent[n] ^= 0x10
		if _, _, err := open(bent, key); err == nil {
			t.Fatalf("byte %d of %d changed and opened", n, len(file))
		}
	}
	filmed := func(f []byte) int { return int(binary.BigEndian.Uint64(f[len(f)-trailer:])) }
	mixed := append(bytes.Clone(file[:len(magic)+filmed(file)]), other[len(magic)+filmed(other):]...)
	binary.BigEndian.PutUint64(mixed[len(mixed)-trailer:], uint64(filmed(file)))
	if _, _, err := open(mixed, key); err == nil || !strings.Contains(err.Error(), "not the statement's") {
		t.Errorf("the film of another file: %v", err)
	}
	if _, _, err := Open(bytes.NewReader(file), MaxFile+1, key); err == nil {
		t.Error("a file above the bound was read")
	}
	for name, bend := range map[string]func(*Bundle){
		"another layout":  func(b *Bundle) { b.Layout++ },
		"too many frames": func(b *Bundle) { b.Case.Presentation.Frames = make([]access.FrameEvidence, access.MaxFrames+1) },
		"a short probe":   func(b *Bundle) { b.Case.Presentation.Probe = make([]float32, 3) },
		"too many chips":  func(b *Bundle) { b.Case.Opened.Chips = make([]access.Chip, access.MaxFrames+1) },
		"too many checks": func(b *Bundle) { b.Case.Findings = make([]Finding, 65) },
		"a long film":     func(b *Bundle) { b.Film.Bytes = MaxFilm + 1 },
	} {
		b := Bundle{Layout: layout, Case: *c}
		bend(&b)
		raw, err := wire.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode(raw); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestFilmBounds(t *testing.T) {
	key := reviewer(t)
	to := []string{key.Recipient().String()}
	if _, err := Seal(nil, film(1)); err == nil {
		t.Error("sealed to nobody")
	}
	if _, err := Seal([]string{"age1pq1aaaa"}, film(1)); err == nil {
		t.Error("sealed to something that is no recipient")
	}
	w, err := NewWriter(new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil && w.size <= MaxFilm {
		err = w.Film(make([]byte, 1<<20))
	}
	if err == nil {
		t.Error("a film without end was written")
	}
	for name, bend := range map[string]func([]Picture) []Picture{
		"too many":         func(p []Picture) []Picture { return slices.Repeat(p[1:2], maxFilm+1) },
		"two before":       func(p []Picture) []Picture { p[1].Before = true; return p },
		"of two sizes":     func(p []Picture) []Picture { p[1].Image = *image.NewGray(image.Rect(0, 0, 8, 8)); return p },
		"before time":      func(p []Picture) []Picture { p[1].Stamp = -1; return p },
		"of no exposure":   func(p []Picture) []Picture { p[1].Exposure = -1; return p },
		"larger than life": func(p []Picture) []Picture { p[1].Image = *image.NewGray(image.Rect(0, 0, maxSide+1, 8)); return p },
	} {
		sealed, err := Seal(to, bend(film(3)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := develop(bytes.NewReader(sealed), []age.Identity{key}); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

// A case is judged as it was; other evidence, or another answer to the same, is not.
//
// Control: B29
func TestJudge(t *testing.T) {
	c := walkUp(t)
	findings, d := c.Judge(&c.Presentation)
	if !slices.Equal(Keep(findings), c.Findings) || d.Verdict != access.Granted || d.Reason != access.ReasonAllowed {
		t.Errorf("judged again: %v, %v", d.Verdict, d.Reason)
	}
	flat := c.Presentation
	flat.Frames = slices.Clone(flat.Frames)
	for i := range flat.Frames {
		flat.Frames[i].Ring = flat.Frames[i].Level[0]
	}
	if _, d := c.Judge(&flat); d.Verdict != access.Denied || d.Reason != access.ReasonFlat {
		t.Errorf("a sheet, judged as the case of a granted person: %v, %v", d.Verdict, d.Reason)
	}

	// Who failed the checks then and passes them now was compared with nobody.
	failed := *c
	failed.Presentation, failed.Question = flat, access.Question{Session: c.Opened.Session, Checked: true, Check: access.ReasonFlat}
	failed.Findings = slices.Clone(c.Findings)
	failed.Findings[access.CriterionFallOff].Reason = access.ReasonFlat
	if _, d := failed.Judge(&flat); d.Reason != access.ReasonFlat {
		t.Errorf("a sheet, judged again: %v, %v", d.Verdict, d.Reason)
	}
	if _, d := failed.Judge(&c.Presentation); d.Verdict == access.Granted {
		t.Error("evidence of which nobody was compared opens")
	}

	// What ended the walk-up besides its evidence stands.
	late := *c
	late.Question = access.Question{Session: c.Opened.Session, Checked: true, Check: access.ReasonDeadline}
	if _, d := late.Judge(&c.Presentation); d.Verdict != access.Retry || d.Reason != access.ReasonDeadline {
		t.Errorf("a walk-up that ran out of time, judged again: %v, %v", d.Verdict, d.Reason)
	}
	late.Bar.Profile = 0
	if _, d := late.Judge(&c.Presentation); d.Verdict != access.Denied {
		t.Error("a case of no profile is not denied")
	}
}

// A statement of an earlier version lacks what was added since, and is read all the same.
func TestOlderStatement(t *testing.T) {
	raw, err := wire.Marshal(map[string]any{"Layout": uint8(layout), "Case": map[string]any{"Wall": 5}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	if b.Case.Wall != 5 || b.Case.Policy.Validate() != nil {
		t.Errorf("read as %+v", b.Case)
	}
	if _, d := b.Case.Judge(&b.Case.Presentation); d.Verdict != access.Denied {
		t.Error("a case of nothing is not denied")
	}
}

func FuzzStatement(f *testing.F) {
	raw, err := wire.Marshal(Bundle{Layout: layout, Case: *walkUp(f)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:len(raw)/2])
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := decode(raw)
		if err != nil {
			return
		}
		b.Case.Tell("")
		if _, d := b.Case.Judge(&b.Case.Presentation); d.Verdict == access.Granted && b.Case.Question.Candidate.Score <= b.Case.Question.Threshold {
			t.Error("a score below the threshold was granted")
		}
	})
}

func FuzzFilm(f *testing.F) {
	key := reviewer(f)
	sealed, err := Seal([]string{key.Recipient().String()}, film(2))
	if err != nil {
		f.Fatal(err)
	}
	plain, err := unseal(bytes.NewReader(sealed), MaxFilm, []age.Identity{key})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add(plain[:pictureHead])
	f.Fuzz(func(t *testing.T, plain []byte) {
		pictures, err := readFilm(bytes.NewReader(plain))
		if err == nil && len(pictures) > maxFilm {
			t.Error("more pictures than a film has")
		}
	})
}
