package model

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
)

func TestThreshold(t *testing.T) {
	c, err := DefaultCalibration()
	if err != nil {
		t.Fatal(err)
	}
	first, last := c.Rates[0], c.Rates[len(c.Rates)-1]
	between, err := c.Threshold(math.Sqrt(first.FalseMatch * c.Rates[1].FalseMatch))
	if want := (first.Threshold + c.Rates[1].Threshold) / 2; err != nil || math.Abs(float64(between-want)) > 1e-6 {
		t.Errorf("halfway on the logarithm is %g, %v, want %g", between, err, want)
	}
	for _, r := range c.Rates {
		if got, err := c.Threshold(r.FalseMatch); err != nil || got != r.Threshold {
			t.Errorf("threshold for %g is %g, %v, want %g", r.FalseMatch, got, err, r.Threshold)
		}
	}
	if got, err := c.Threshold(loosest); err != nil || got != first.Threshold {
		t.Errorf("threshold for %g is %g, %v, want that of the loosest measured, %g", loosest, got, err, first.Threshold)
	}
	for _, e := range []struct {
		rate float64
		want error
	}{
		{last.FalseMatch * .99, ErrUnmeasured}, {0, ErrRate}, {-1e-3, ErrRate}, {.011, ErrRate}, {1, ErrRate}, {math.NaN(), ErrRate}, {math.Inf(1), ErrRate},
	} {
		if got, err := c.Threshold(e.rate); !errors.Is(err, e.want) || got != 0 {
			t.Errorf("threshold for %g is %g, %v, want %v", e.rate, got, err, e.want)
		}
	}
	if _, err := new(Calibration).Threshold(1e-4); !errors.Is(err, ErrUnmeasured) {
		t.Errorf("a table without rates gives %v", err)
	}
}

func TestCalibrateRefuses(t *testing.T) {
	m, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		change     func(*Calibration)
	}{
		{"other bundle", "it is of bundle", func(c *Calibration) { c.Bundle[0] ^= 1 }},
		{"date", "YYYY-MM-DD", func(c *Calibration) { c.Date = "22.11.2026" }},
		{"no data", "absent", func(c *Calibration) { c.Data = "" }},
		{"one rate", "absent", func(c *Calibration) { c.Rates = c.Rates[:1] }},
		{"falling", "rise in strictness", func(c *Calibration) { c.Rates[1].Threshold = c.Rates[0].Threshold }},
		{"threshold", "out of bounds", func(c *Calibration) { c.Rates[0].Threshold = 1.5 }},
		{"rate", "out of bounds", func(c *Calibration) { c.Rates[0].FalseMatch = 0 }},
		{"too few pairs", "impostor pairs", func(c *Calibration) { c.ImpostorPairs = 1000 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, err := DefaultCalibration()
			if err != nil {
				t.Fatal(err)
			}
			c.change(table)
			data, err := json.Marshal(table)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Calibrate(m, data); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
	if _, err := Calibrate(m, []byte(`{"day":"2026-11-22"}`)); err == nil || !strings.Contains(err.Error(), "unknown field") {
		t.Errorf("error is %v", err)
	}
}
