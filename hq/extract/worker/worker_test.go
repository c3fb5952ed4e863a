package worker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/lintel-access/lintel/hq/extract"
	"github.com/lintel-access/lintel/inference"
	"github.com/lintel-access/lintel/inference/model"
)

const cache = "../../../.lintel"

func engine(t *testing.T) *inference.Engine {
	t.Helper()
	m, err := model.Default()
	if err != nil {
		t.Fatal(err)
	}
	e, err := inference.Open(inference.Config{
		Library: filepath.Join(cache, "ort", "libonnxruntime.so.1"), Bundle: filepath.Join(cache, "bundle"), Manifest: m, Threads: 1, Limits: limits(),
	})
	if err != nil {
		t.Fatalf("%v (run make deps)", err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// photo cuts a rectangle out of one of the desk's group photographs.
func photo(t *testing.T, n int, r image.Rectangle) *image.RGBA {
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
	return out
}

// Where in sample5.jpg one person who looks into the camera stands, alone; and two people side by side, one of whom does.
var (
	alone = image.Rect(300, 820, 640, 1240)
	pair  = image.Rect(740, 60, 1340, 500)
)

func jpegOf(t *testing.T, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 92}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pngOf(t *testing.T, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// shade multiplies every level.
func shade(img *image.RGBA, by float64) *image.RGBA {
	out := image.NewRGBA(img.Rect)
	for i, v := range img.Pix {
		out.Pix[i] = uint8(min(float64(v)*by, 255))
	}
	return out
}

// scaled takes every n-th pixel, or each n times where n is negative.
func scaled(img *image.RGBA, n int) *image.RGBA {
	size, at := img.Rect.Max.Div(max(n, 1)), func(v int) int { return v * n }
	if n < 0 {
		size, at = img.Rect.Max.Mul(-n), func(v int) int { return v / -n }
	}
	out := image.NewRGBA(image.Rectangle{Max: size})
	for y := range size.Y {
		for x := range size.X {
			out.Set(x, y, img.At(at(x), at(y)))
		}
	}
	return out
}

func blurred(img *image.RGBA, n int) *image.RGBA {
	out := image.NewRGBA(img.Rect)
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			var r, g, b, count int
			for j := -n; j <= n; j++ {
				for i := -n; i <= n; i++ {
					if c := img.RGBAAt(x+i, y+j); c.A != 0 {
						r, g, b, count = r+int(c.R), g+int(c.G), b+int(c.B), count+1
					}
				}
			}
			out.SetRGBA(x, y, color.RGBA{uint8(r / count), uint8(g / count), uint8(b / count), 255})
		}
	}
	return out
}

// held writes the orientation tag that a telephone writes, into a JPEG of an image that lies so.
func held(t *testing.T, img image.Image, tag uint16, order binary.AppendByteOrder) []byte {
	t.Helper()
	tiff := []byte("MM\x00*")
	if order == binary.AppendByteOrder(binary.LittleEndian) {
		tiff = []byte("II*\x00")
	}
	tiff = order.AppendUint32(tiff, 8)
	tiff = order.AppendUint16(tiff, 1)
	tiff = order.AppendUint16(order.AppendUint16(tiff, 0x0112), 3)
	tiff = order.AppendUint32(tiff, 1)
	tiff = append(order.AppendUint16(tiff, tag), 0, 0)
	segment := append([]byte("Exif\x00\x00"), tiff...)
	plain := jpegOf(t, img)
	out := append([]byte{0xff, 0xd8, 0xff, 0xe1}, binary.BigEndian.AppendUint16(nil, uint16(2+len(segment)))...)
	return append(append(out, segment...), plain[2:]...)
}

func TestOutcomes(t *testing.T) {
	e := engine(t)
	one := photo(t, 5, alone)
	good := jpegOf(t, one)
	whole := photo(t, 5, image.Rect(0, 0, 1920, 1398))
	wide := pngOf(t, image.NewGray(image.Rect(0, 0, 64, 64)))
	binary.BigEndian.PutUint32(wide[16:], 1<<20) // a width that the file does not have
	binary.BigEndian.PutUint32(wide[20:], 1<<20)
	for name, tt := range map[string]struct {
		photo []byte
		want  extract.Outcome
	}{
		"jpeg":                  {good, extract.Extracted},
		"png":                   {pngOf(t, one), extract.Extracted},
		"crop close around":     {jpegOf(t, photo(t, 5, image.Rect(315, 840, 620, 1210))), extract.Extracted},
		"enlarged":              {jpegOf(t, scaled(one, -7)), extract.Extracted},
		"held, big-endian":      {held(t, turnedOf(one), 6, binary.BigEndian), extract.Extracted},
		"held, little-endian":   {held(t, turnedOf(one), 6, binary.LittleEndian), extract.Extracted},
		"two people":            {jpegOf(t, photo(t, 5, pair)), extract.SeveralFaces},
		"a group":               {jpegOf(t, whole), extract.SeveralFaces},
		"nobody":                {pngOf(t, image.NewGray(image.Rect(0, 0, 400, 400))), extract.NoFace},
		"too small":             {jpegOf(t, scaled(one, 3)), extract.TooSmall},
		"too dark":              {pngOf(t, shade(one, .3)), extract.TooDark},
		"too bright":            {pngOf(t, shade(one, 15)), extract.TooBright},
		"blurred":               {pngOf(t, blurred(one, 9)), extract.Blurred},
		"turned away":           {jpegOf(t, photo(t, 1, image.Rect(330, 280, 680, 680))), extract.TurnedAway},
		"cut off":               {jpegOf(t, photo(t, 5, image.Rect(300, 820, 470, 1240))), extract.CutOff},
		"empty":                 {nil, extract.NotAnImage},
		"text":                  {[]byte("name,number\n"), extract.NotAnImage},
		"gif":                   {[]byte("GIF89a"), extract.NotAnImage},
		"half a jpeg":           {good[:len(good)/2], extract.Unreadable},
		"start of a jpeg":       {good[:20], extract.Unreadable},
		"jpeg of nothing":       {[]byte("\xff\xd8\xff\xd9"), extract.Unreadable},
		"tiny":                  {pngOf(t, image.NewGray(image.Rect(0, 0, 8, 8))), extract.TooSmall},
		"claims to be too wide": {withCRC(wide), extract.TooLarge},
	} {
		a, err := work(e, tt.photo)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a.Outcome != tt.want {
			t.Errorf("%s: %v, want %v", name, a.Outcome, tt.want)
		}
		if _, err := extract.Decode(a.Reference); (err == nil) != (tt.want == extract.Extracted) {
			t.Errorf("%s: reference of %d bytes: %v", name, len(a.Reference), err)
		}
	}
}

// The same face gives the same reference however it is packed, and another one another.
func TestReferences(t *testing.T) {
	e := engine(t)
	of := func(photo []byte) []float32 {
		a, err := work(e, photo)
		if err != nil || a.Outcome != extract.Extracted {
			t.Fatalf("%v, %v", a.Outcome, err)
		}
		v, err := extract.Decode(a.Reference)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	one := photo(t, 5, alone)
	first := of(jpegOf(t, one))
	for name, data := range map[string][]byte{
		"png": pngOf(t, one), "enlarged": jpegOf(t, scaled(one, -7)), "held": held(t, turnedOf(one), 6, binary.BigEndian),
		"darker": jpegOf(t, shade(one, .7)),
	} {
		if s := dot(first, of(data)); s < .9 {
			t.Errorf("%s: score %.3f with the same photograph", name, s)
		}
	}
	if s := dot(first, of(jpegOf(t, photo(t, 6, image.Rect(1080, 220, 1460, 680))))); s > .3 {
		t.Errorf("score %.3f with somebody else", s)
	}
}

func dot(a, b []float32) (s float32) {
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

// turnedOf is an image as a telephone stores it that was held so that tag 6 stands in the file.
func turnedOf(img *image.RGBA) *image.RGBA {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	out := image.NewRGBA(image.Rect(0, 0, h, w))
	for y := range h {
		for x := range w {
			out.Set(y, w-1-x, img.At(x, y))
		}
	}
	return out
}

// withCRC mends the checksum of a PNG's header after it was changed.
func withCRC(png []byte) []byte {
	binary.BigEndian.PutUint32(png[29:], crc(png[12:29]))
	return png
}

func crc(b []byte) uint32 {
	c := ^uint32(0)
	for _, v := range b {
		c ^= uint32(v)
		for range 8 {
			c = c>>1 ^ 0xedb88320&-(c&1)
		}
	}
	return ^c
}

// Every orientation sets one and the same picture upright.
func TestTurns(t *testing.T) {
	want := &image.Gray{Pix: []byte{1, 2, 3, 4, 5, 6}, Stride: 3, Rect: image.Rect(0, 0, 3, 2)} // 123/456
	for n, lies := range map[turn]*image.Gray{
		0: want, 1: want, 9: want,
		2: {Pix: []byte{3, 2, 1, 6, 5, 4}, Stride: 3, Rect: want.Rect},
		3: {Pix: []byte{6, 5, 4, 3, 2, 1}, Stride: 3, Rect: want.Rect},
		4: {Pix: []byte{4, 5, 6, 1, 2, 3}, Stride: 3, Rect: want.Rect},
		5: {Pix: []byte{1, 4, 2, 5, 3, 6}, Stride: 2, Rect: image.Rect(0, 0, 2, 3)},
		6: {Pix: []byte{3, 6, 2, 5, 1, 4}, Stride: 2, Rect: image.Rect(0, 0, 2, 3)},
		7: {Pix: []byte{6, 3, 5, 2, 4, 1}, Stride: 2, Rect: image.Rect(0, 0, 2, 3)},
		8: {Pix: []byte{4, 1, 5, 2, 6, 3}, Stride: 2, Rect: image.Rect(0, 0, 2, 3)},
	} {
		if got := n.apply(lies); got.Rect != want.Rect || !bytes.Equal(got.Pix, want.Pix) {
			t.Errorf("orientation %d: %v %v", n, got.Rect, got.Pix)
		}
	}
}

func FuzzDecode(f *testing.F) {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewPaletted(image.Rect(0, 0, 70, 65), color.Palette{color.Black, color.White})); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	b.Reset()
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 64, 80)), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(append([]byte("\xff\xd8\xff\xe1\x00\x22Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\xff\xda"), b.Bytes()...))
	f.Fuzz(func(t *testing.T, data []byte) {
		if o := orientation(data); o < upright || o > last {
			t.Fatalf("orientation %d", o)
		}
		if len(data) > 26 && bytes.HasPrefix(data, []byte("\x89PNG")) && (data[18]|data[22]) > 4 {
			return // a picture of a million pixels is only slow
		}
		img, o := decode(data)
		if (img != nil) != (o == extract.Extracted) {
			t.Fatalf("%v with image %v", o, img != nil)
		}
		if img != nil && (img.Rect.Empty() || max(img.Rect.Dx(), img.Rect.Dy()) > maxSide) {
			t.Fatalf("image of %v", img.Rect)
		}
	})
}
