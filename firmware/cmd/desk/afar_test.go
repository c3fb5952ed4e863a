//go:build !kiosk

package main

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/firmware/twin"
)

// A desk without a headquarters asks nothing of it.
func TestAloneAsksNothing(t *testing.T) {
	b := &bench{progress: io.Discard}
	for _, verb := range []string{"network", "afar-enrol", "afar-delete", "afar-lockdown", "afar-release"} {
		if err := b.actAfar(t.Context(), verb, "on"); !errors.Is(err, errNoCentre) {
			t.Errorf("%s: %v", verb, err)
		}
	}
	if err := b.govern(t.Context()); err != nil {
		t.Errorf("rules: %v", err)
	}
	if a := b.panel(); a.Known {
		t.Error("the page shows a headquarters")
	}
	if played, expected, err := b.demoAfar(t.Context(), io.Discard, 0); played == expected || err != nil {
		t.Errorf("the demo is as expected without the headquarters that it should have: %v", err)
	}
	b.centre = new(centre)
	for own, want := range map[bool]int{false: 1, true: 0} { // the bench has no scenes, and so no visitor
		b.options.ownPeople = own
		if played, expected, err := b.demoAfar(t.Context(), io.Discard, 0); played != want || expected != 0 || err != nil {
			t.Errorf("without a visitor, own photographs %t: %d acts are missing, want %d: %v", own, played, want, err)
		}
	}
	b.options.alone = true
	if played, _, err := b.demoAfar(t.Context(), io.Discard, 0); played != 0 || err != nil {
		t.Errorf("the demo plays %d acts of headquarters, %v", played, err)
	}
}

// The visitor is who looks straightest into the camera, and plays the visitor's scene.
func TestVisitor(t *testing.T) {
	scenes, err := twin.Scenes()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{
		cast:      twin.Cast{Strangers: []*twin.Person{{Name: "side"}, {Name: "straight"}, {Name: "down"}}},
		portraits: map[string]portrait{"side": {turned: 20}, "straight": {turned: 2}, "down": {turned: 9}}, scenes: scenes,
	}
	if who, n := b.visitor(); n != 2 || who.Name != "straight" {
		t.Errorf("the visitor is number %d", n)
	}
	b.admitVisitor()
	for _, s := range scenes {
		if s.Name == visitorScene && s.Actors[0].Number != 2 || s.Name == "stranger-1" && s.Actors[0].Number != 1 {
			t.Errorf("scene %q is played by stranger %d", s.Name, s.Actors[0].Number)
		}
	}
	if who, n := new(bench).visitor(); who != nil || n != 0 {
		t.Error("nobody is a visitor where there are no strangers")
	}
}

// A portrait shows the head alone, with the eyes as far apart as an enroller's photograph has them, whatever the photograph is like.
func TestPortrait(t *testing.T) {
	photo := image.NewGray(image.Rect(0, 0, 400, 300))
	for y := range 40 {
		for x := range 40 {
			photo.SetGray(180+x, 130+y, color.Gray{Y: 200}) // a bright patch round the nose, as wide as the eyes are apart
		}
	}
	var data bytes.Buffer
	if err := png.Encode(&data, photo); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "photo.png")
	write(t, path, data.Bytes())
	p := portrait{path: path, points: [5][2]float64{{180, 140}, {220, 140}, {200, 150}}}
	text, err := p.encode()
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	side := img.Bounds().Dx()
	if side != img.Bounds().Dy() || side != 380 {
		t.Errorf("a portrait of %v", img.Bounds())
	}
	wide := 0
	for x := range side {
		if img.(*image.Gray).GrayAt(x, side/2).Y > 100 {
			wide++
		}
	}
	if wide < portraitEyes-3 || wide > portraitEyes+3 {
		t.Errorf("the patch is %d pixels wide, want %d", wide, portraitEyes)
	}
	p.points[1] = p.points[0]
	if _, err := p.encode(); err == nil {
		t.Error("a portrait without eyes")
	}
}

// Headquarters' folder is made whole or not at all, and what a cut has left is no obstacle. A command's own words are the error.
func TestMadeWhole(t *testing.T) {
	dir := t.TempDir()
	hq := filepath.Join(dir, "hq-program")
	write(t, hq, []byte("#!/bin/sh\n[ \"$1\" = people ] && [ -e "+dir+"/fail ] && { echo first >&2; echo 'hq-program: the disk is full' >&2; exit 1; }\n[ \"$1\" = init ] && mkdir hq safe\nexit 0\n"))
	if err := os.Chmod(hq, 0o700); err != nil {
		t.Fatal(err)
	}
	c := &centre{dir: filepath.Join(dir, "headquarters"), hq: hq}
	write(t, filepath.Join(dir, "fail"), nil)
	if err := c.make(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "people init: the disk is full") {
		t.Errorf("a step that fails: %v", err)
	}
	if _, err := os.Stat(c.dir); err == nil {
		t.Error("a headquarters that was not finished stands")
	}
	if err := os.Remove(filepath.Join(dir, "fail")); err != nil {
		t.Fatal(err)
	}
	if err := c.make(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{hqFolder, safeFolder, recordFile} {
		if _, err := os.Stat(filepath.Join(c.dir, name)); err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.make(ctx); err != nil {
		t.Errorf("what stands is made again: %v", err)
	}
	if pushed, err := c.pushed(); pushed || err != nil {
		t.Errorf("rules were pushed: %v, %v", pushed, err)
	}
}

// What came of an enrolment at the kiosk is read from its records alone: other records of people say nothing about it, and rubbish is an error.
func TestEnrolmentsOnRecord(t *testing.T) {
	dir := t.TempDir()
	c := &centre{dir: dir, hq: filepath.Join(dir, "hq-program")}
	says := func(lines string) {
		t.Helper()
		write(t, c.hq, []byte("#!/bin/sh\ncat <<'END'\n"+lines+"\nEND\n"))
		if err := os.Chmod(c.hq, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	says(`{"event":400,"reason":"enrolled"}` + "\n" + `{"event":405}` + "\n" + `{"alarm":{}}` + "\n" + `{"event":401,"reason":"deadline"}`)
	all, err := c.enrolments(t.Context())
	if err != nil || len(all) != 2 || all[0].Event != 400 || all[1] != (recorded{401, "deadline"}) {
		t.Errorf("%+v, %v", all, err)
	}
	says("nonsense")
	if _, err := c.enrolments(t.Context()); err == nil {
		t.Error("nonsense was read")
	}
}
