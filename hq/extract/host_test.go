package extract_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/firmware/confine"
	"github.com/lintel-access/lintel/hq/extract"
	"github.com/lintel-access/lintel/hq/extract/worker"
	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/sync/wire"
)

const cache = "../../.lintel"

// The test binary runs itself as the child: the real one, or one that was taken over.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == extract.Word {
		if err := child(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func child(mode string, args []string) error {
	say := func(v any) error {
		data, err := wire.Marshal(v)
		if err != nil {
			return err
		}
		return extract.WriteFrame(os.Stdout, data)
	}
	reference := make([]float32, 512)
	reference[0] = 1
	good := extract.Answer{Outcome: extract.Extracted, Reference: extract.Encode(reference), Quality: .5}
	switch mode {
	case "real":
		return worker.Run(args, os.Stdin, os.Stdout)
	case "mute":
		time.Sleep(time.Hour)
	case "unconfined":
		return say(extract.Hello{Bundle: bundle()})
	case "other models":
		return say(extract.Hello{Bundle: [32]byte{1}, Denied: 1})
	case "dead":
		return errors.New("models are \x1b[2J absent")
	case "spy":
		if _, err := confine.Apply(confine.Extractor()); err != nil {
			return err
		}
	}
	if err := say(extract.Hello{Bundle: bundle(), Denied: 1}); err != nil {
		return err
	}
	for {
		photo, err := extract.ReadFrame(os.Stdin, extract.MaxPhoto)
		if err != nil {
			return nil
		}
		a := good
		switch {
		case mode == "spy":
			a = extract.Answer{Outcome: spied(string(photo))}
		case string(photo) == "die":
			return errors.New("taken over")
		case string(photo) == "hang":
			time.Sleep(time.Hour)
		case string(photo) == "flood":
			_, err := os.Stdout.Write(bytes.Repeat([]byte{0xff}, 64<<20))
			return err
		case string(photo) == "drip":
			for {
				fmt.Fprint(os.Stderr, strings.Repeat("x", 1<<16)) // for ever, and no answer
			}
		case string(photo) == "long":
			a.Reference = append(a.Reference, 0)
		case string(photo) == "scaled":
			a.Reference = extract.Encode(make([]float32, 512))
		case string(photo) == "none":
			a.Reference = nil
		case string(photo) == "refused":
			a.Outcome = extract.NoFace
		case string(photo) == "failed":
			a = extract.Answer{Outcome: extract.Failed}
		case string(photo) == "zero":
			a = extract.Answer{}
		case string(photo) == "quality":
			a.Quality = 2
		}
		if err := say(a); err != nil {
			return err
		}
	}
}

// spied is how far a child got that is confined and does what it is told: TooDark says that nothing worked.
func spied(secret string) extract.Outcome {
	dir := filepath.Dir(secret)
	worked := false
	try := func(err error) { worked = worked || err == nil }
	_, err := os.ReadFile(secret)
	try(err)
	_, err = os.ReadDir(dir)
	try(err)
	_, err = os.ReadFile("/etc/passwd")
	try(err)
	_, err = os.ReadFile(fmt.Sprintf("/proc/%d/environ", os.Getppid()))
	try(err)
	try(os.WriteFile(filepath.Join(dir, "new"), []byte("x"), 0o600))
	try(os.WriteFile(secret, []byte("x"), 0o600))
	try(os.Remove(secret))
	for _, address := range []string{"127.0.0.1:9", "127.0.0.1:0"} {
		c, err := net.Dial("udp", address)
		try(err)
		if err == nil {
			c.Close()
		}
	}
	_, err = net.Listen("unix", filepath.Join(dir, "socket"))
	try(err)
	if worked || len(os.Environ()) > 0 {
		return extract.TooBright
	}
	return extract.TooDark
}

func bundle() [32]byte {
	m, err := model.Default()
	if err != nil {
		panic(err)
	}
	return m.Hash()
}

func host(mode string, more ...string) *extract.Host {
	return &extract.Host{Args: append([]string{mode}, more...), Bundle: bundle(), Start: 20 * time.Second, Each: 20 * time.Second}
}

func crop(t *testing.T, n int, r image.Rectangle) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(cache, "photos", fmt.Sprintf("sample%d.jpg", n)))
	if err != nil {
		t.Fatalf("%v (run make deps)", err)
	}
	src, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	out := image.NewRGBA(image.Rect(0, 0, r.Dx(), r.Dy()))
	draw.Draw(out, out.Rect, src, r.Min, draw.Src)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, out, &jpeg.Options{Quality: 92}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The real child, with the real models, on real photographs.
func TestReferences(t *testing.T) {
	h := host("real", "-bundle", filepath.Join(cache, "bundle"), "-library", filepath.Join(cache, "ort", "libonnxruntime.so.1"))
	began := time.Now()
	results, err := h.References(t.Context(), [][]byte{
		crop(t, 5, image.Rect(300, 820, 640, 1240)), []byte("nothing"), crop(t, 5, image.Rect(740, 60, 1340, 500)), make([]byte, extract.MaxPhoto+1),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("one child, four photographs: %v", time.Since(began).Round(time.Millisecond))
	for i, want := range []extract.Outcome{extract.Extracted, extract.NotAnImage, extract.SeveralFaces, extract.TooLarge} {
		if results[i].Outcome != want || (len(results[i].Reference) == 512) != (want == extract.Extracted) {
			t.Errorf("photograph %d: %v, want %v", i+1, results[i].Outcome, want)
		}
	}
	if _, err := host("real", "-bundle", t.TempDir(), "-library", filepath.Join(cache, "ort", "libonnxruntime.so.1")).References(t.Context(), [][]byte{{1}}); err == nil || !strings.Contains(err.Error(), "load detector model") {
		t.Errorf("without models: %v", err)
	}
}

// A child that was taken over finds no key, no network and no place to write to, and nothing of headquarters' environment.
//
// Control: C22
func TestChildHasNothing(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "enroller.pem")
	if err := os.WriteFile(secret, []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LINTEL_SECRET", "x")
	if spied(secret) == extract.TooDark {
		t.Fatal("the spy gets nowhere unconfined either: it proves nothing")
	}
	if err := os.WriteFile(secret, []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	results, err := host("spy").References(t.Context(), [][]byte{[]byte(secret)})
	if err != nil || results[0].Outcome != extract.TooDark {
		t.Fatalf("%v, %v", results, err)
	}
	if data, err := os.ReadFile(secret); err != nil || string(data) != "key" {
		t.Errorf("the key file holds %q, %v", data, err)
	}
}

// A child that fails costs the photograph that it was at. The rest goes on, in another one.
func TestChildFails(t *testing.T) {
	for _, how := range []string{"die", "hang", "flood", "drip", "long", "scaled", "none", "refused", "failed", "zero", "quality"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			h := host("hostile")
			h.Each = 2 * time.Second
			results, err := h.References(t.Context(), [][]byte{[]byte("a"), []byte(how), []byte("b")})
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range []extract.Outcome{extract.Extracted, extract.Failed, extract.Extracted} {
				if results[i].Outcome != want || (results[i].Why != nil) != (want == extract.Failed) {
					t.Errorf("photograph %d: %v (%v), want %v", i+1, results[i].Outcome, results[i].Why, want)
				}
			}
		})
	}
}

func TestNoChild(t *testing.T) {
	for mode, want := range map[string]string{
		"mute": "did not answer within", "unconfined": "not proved that it is confined", "other models": "not the bundle", "dead": `\x1b[2J absent`,
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			h := host(mode)
			h.Start = 3 * time.Second
			if _, err := h.References(t.Context(), [][]byte{{1}}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		})
	}
	if _, err := (&extract.Host{Program: "/nowhere/hq"}).References(t.Context(), [][]byte{{1}}); err == nil {
		t.Error("started nothing")
	}
	if _, err := host("real").References(t.Context(), nil); err == nil {
		t.Error("took no photograph")
	}
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	if _, err := host("hostile").References(ctx, [][]byte{[]byte("hang")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stopped: %v", err)
	}
}

func TestOutcomesAreSentences(t *testing.T) {
	for o := extract.Extracted; o <= extract.Failed; o++ {
		if s := o.String(); strings.HasPrefix(s, "outcome") || len(s) < 15 {
			t.Errorf("outcome %d: %q", uint8(o), s)
		}
	}
	if extract.Outcome(200).String() != "outcome 200" {
		t.Error("an outcome that is not known has a sentence")
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 'x'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := extract.ReadFrame(bytes.NewReader(data), 100)
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := extract.WriteFrame(&again, got); err != nil || !bytes.HasPrefix(data, again.Bytes()) || len(got) > 100 {
			t.Fatalf("%x became %x, %v", data, again.Bytes(), err)
		}
	})
}
