package pad

import (
	"image"
	"testing"
)

// A point of light in an eye raises the highest level and hardly the mean, one beside it neither.
func TestEyesFindAGlint(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 640, 480))
	fill(img, img.Rect, 50)
	f := measuredFace(t, img)
	m := new(Meter)
	peak, level, err := m.Eyes(img, f)
	if err != nil || peak != 50 || level != 50 {
		t.Fatalf("an even face: %v and %v, %v", peak, level, err)
	}
	left, right := f.Points[0], f.Points[1]
	img.Pix[int(left.Y)*img.Stride+int(left.X)] = 250
	img.Pix[int(right.Y+.5*f.Eyes)*img.Stride+int(right.X)] = 255 // on the cheek
	if peak, level, err = m.Eyes(img, f); err != nil || peak != 150 || level < 50 || level > 54 {
		t.Errorf("one glint: %v and %v, %v", peak, level, err)
	}
	g := *f
	for i := range g.Points {
		g.Points[i].X -= 2000
	}
	if peak, level, err = m.Eyes(img, &g); err != nil || peak != 0 || level != 0 {
		t.Errorf("outside the frame: %v and %v, %v", peak, level, err)
	}
}
