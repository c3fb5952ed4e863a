package main

import (
	"math"
	"math/rand/v2"
	"testing"
)

// made is a set of people whose probes scatter around a direction of their own.
func made(people, each int, spread float64) (photos []photo, samples []sample) {
	r := rand.New(rand.NewPCG(3, 3))
	unit := func(v []float32) []float32 {
		var n float64
		for _, x := range v {
			n += float64(x) * float64(x)
		}
		for i := range v {
			v[i] /= float32(math.Sqrt(n))
		}
		return v
	}
	for p := range people {
		centre := make([]float32, 64)
		for i := range centre {
			centre[i] = float32(r.NormFloat64())
		}
		for k := range each {
			probe := make([]float32, 64)
			for i := range probe {
				probe[i] = centre[i] + float32(r.NormFloat64()*spread)
			}
			role := roleMated
			if k == 0 {
				role = roleEnrol
			}
			if p >= people*2/3 {
				role = roleNonmated
			}
			photos = append(photos, photo{person: p, role: role})
			samples = append(samples, sample{probe: unit(probe), live: .9})
		}
	}
	return photos, samples
}

// The threshold is the lowest with at most the allowed number of impostor scores above it, and the rates are what counting every pair
// gives.
func TestVerifyCountsPairs(t *testing.T) {
	photos, samples := made(40, 5, 1.2)
	samples[7] = sample{} // a failure to acquire: -1 against everybody
	v := verify(photos, samples, 40)
	if v.Genuine != 40*10 || v.Impostor != 200*199/2-400 {
		t.Fatalf("%d genuine, %d impostor pairs", v.Genuine, v.Impostor)
	}
	if len(v.Points) != 2 { // 19,500 impostor pairs allow one false match at 1e-4 and none at 1e-5
		t.Fatalf("%d points", len(v.Points))
	}
	for _, p := range v.Points {
		above, atLeast, missed := 0, 0, 0
		for i := range photos {
			for j := range i {
				s := float64(compare(samples[i].probe, samples[j].probe))
				switch {
				case photos[i].person == photos[j].person && s <= p.Threshold:
					missed++
				case photos[i].person == photos[j].person:
				case s > p.Threshold:
					above++
					fallthrough
				case s == p.Threshold:
					atLeast++
				}
			}
		}
		if above > p.Allowed || atLeast <= p.Allowed || p.Allowed != int(p.FMR*float64(v.Impostor)) {
			t.Errorf("at %g: %d above, %d at least, %d allowed", p.FMR, above, atLeast, p.Allowed)
		}
		if missed != p.Missed || missed < 4 {
			t.Errorf("at %g: %d missed, counted %d", p.FMR, p.Missed, missed)
		}
		if !(p.FNMR.Low <= p.FNMR.Value && p.FNMR.Value <= p.FNMR.High && p.FNMR.Low < p.FNMR.High) {
			t.Errorf("at %g: FNMR %v", p.FMR, p.FNMR)
		}
	}
	if !(v.EER.Value > 0 && v.EER.Low <= v.EER.Value && v.EER.Value <= v.EER.High) {
		t.Errorf("EER %v", v.EER)
	}
	again := verify(photos, samples, 40)
	if again.Points[0].FNMR != v.Points[0].FNMR {
		t.Error("two runs differ")
	}
}

func TestVerifyWithoutPairs(t *testing.T) {
	photos, samples := made(1, 1, 1)
	if v := verify(photos, samples, 1); v.Genuine != 0 || len(v.Points) != 0 {
		t.Errorf("%+v", v)
	}
}

func TestIdentifyCountsSearches(t *testing.T) {
	photos, samples := made(150, 4, 1)
	ids, err := identify(photos, samples, 150)
	if err != nil || len(ids) != 1 || ids[0].Gallery != 100 || ids[0].Mated != 300 || ids[0].Nonmated != 200 {
		t.Fatalf("%v, %+v", err, ids)
	}
	var best []float64 // of each non-mated probe
	for i, p := range photos {
		if p.role != roleNonmated {
			continue
		}
		top := -2.0
		for j, q := range photos {
			if q.role == roleEnrol {
				top = max(top, float64(compare(samples[i].probe, samples[j].probe)))
			}
		}
		best = append(best, top)
	}
	for _, o := range ids[0].Points {
		if o.Searches != "nonmated" {
			continue
		}
		above := 0
		for _, b := range best {
			if b > o.Threshold+1e-6 {
				above++
			}
		}
		if above != o.Allowed || o.Allowed != 2 || o.FPIR != .01 {
			t.Errorf("%d of %d above, %+v", above, len(best), o)
		}
		if !(o.FNIR.Low <= o.FNIR.Value && o.FNIR.Value <= o.FNIR.High) {
			t.Errorf("%+v", o)
		}
	}
	// Perfect probes miss nobody; without the right reference everybody is missed.
	photos, samples = made(150, 4, 0)
	if ids, err = identify(photos, samples, 150); err != nil || ids[0].Rank1.Value != 1 || ids[0].Points[0].FNIR.Value != 0 {
		t.Errorf("%v, %+v", err, ids)
	}
	for i, p := range photos {
		if p.role == roleEnrol && p.person > 0 {
			samples[i] = sample{}
		}
	}
	if ids, err = identify(photos, samples, 150); err != nil || math.Abs(ids[0].Rank1.Value-.01) > 1e-9 {
		t.Errorf("%v, %+v", err, ids)
	}
}

func TestAttackRates(t *testing.T) {
	var photos []photo
	var samples []sample
	add := func(role string, person int, scores ...float32) {
		for _, s := range scores {
			photos = append(photos, photo{person: person, role: role})
			samples = append(samples, sample{probe: []float32{1}, live: s})
		}
	}
	add(roleLive, 0, .9, .8, .7, .4)
	add(roleLive, 1, .95, .85)
	add(rolePrint, 0, .1, .2, .6)
	add(rolePrint, 1, .3)
	photos, samples = append(photos, photo{person: 1, role: roleLive}), append(samples, sample{}) // no face: not accepted
	a := detectAttacks(photos, samples, 2)
	if a == nil || a.Live != 7 || a.Attacks != 4 {
		t.Fatalf("%+v", a)
	}
	near := func(i interval, want float64) bool { return math.Abs(i.Value-want) < 1e-9 }
	if !near(a.APCER, 1./4) || !near(a.BPCER, 2./7) || !near(a.BPCERAt5, 2./7) || !near(a.BPCERAt1, 2./7) || !near(a.EER, 1./4) {
		t.Errorf("%+v", a)
	}
	if detectAttacks(photos[:4], samples[:4], 2) != nil {
		t.Error("rates without an attack")
	}
}
