package main

import (
	"cmp"
	"slices"
)

// attackDetection is how the learned PAD score, alone, tells live frames from prints. Gray frames only: that is what the product sees.
type attackDetection struct {
	Live     int      `json:"live_frames"`
	Attacks  int      `json:"attack_frames"`
	APCER    interval `json:"apcer_at_half"` // attacks that score 0.5 or more
	BPCER    interval `json:"bpcer_at_half"` // live frames that do not
	EER      interval `json:"eer"`
	BPCERAt5 interval `json:"bpcer_at_apcer_5_percent"`
	BPCERAt1 interval `json:"bpcer_at_apcer_1_percent"`
}

type shown struct {
	person int
	score  float64 // -1 for a frame without a face: never accepted
	live   bool
}

// detectAttacks returns nil unless the set has live frames and prints.
func detectAttacks(photos []photo, samples []sample, people int) *attackDetection {
	var frames []shown
	a := new(attackDetection)
	var present []int
	for i, p := range photos {
		if p.role != roleLive && p.role != rolePrint {
			continue
		}
		f := shown{person: p.person, score: notAcquired, live: p.role == roleLive}
		if samples[i].probe != nil {
			f.score = float64(samples[i].live)
		}
		if f.live {
			a.Live++
		} else {
			a.Attacks++
		}
		frames = append(frames, f)
		if !slices.Contains(present, p.person) {
			present = append(present, p.person)
		}
	}
	if a.Live == 0 || a.Attacks == 0 {
		return nil
	}
	slices.SortFunc(frames, func(x, y shown) int { return cmp.Compare(y.score, x.score) })
	values := [5]*interval{&a.APCER, &a.BPCER, &a.EER, &a.BPCERAt5, &a.BPCERAt1}
	for i, v := range attackRates(frames, nil) {
		values[i].Value = v
	}
	var drawn [5][]float64
	resample(present, people, func(w []float64) {
		for i, v := range attackRates(frames, w) {
			drawn[i] = append(drawn[i], v)
		}
	})
	for i := range values {
		span(values[i], drawn[i])
	}
	return a
}

// attackRates walks the threshold down through the frames, highest score first, and returns APCER and BPCER at 0.5, the EER, and BPCER
// at the lowest thresholds with APCER of at most 5 % and 1 %. A frame is accepted when its score reaches the threshold.
func attackRates(frames []shown, weight []float64) [5]float64 {
	w := func(f shown) float64 {
		if weight == nil {
			return 1
		}
		return weight[f.person]
	}
	var live, attacks float64
	for _, f := range frames {
		if f.live {
			live += w(f)
		} else {
			attacks += w(f)
		}
	}
	rates := [5]float64{0, 1, 1, 1, 1}
	var accepted, passed float64
	for i, f := range frames {
		if f.live {
			accepted += w(f)
		} else {
			passed += w(f)
		}
		if i+1 < len(frames) && frames[i+1].score == f.score || f.score < 0 {
			continue // a threshold cannot part equal scores, and none lies below 0
		}
		apcer, bpcer := passed/attacks, 1-accepted/live
		if f.score >= .5 {
			rates[0], rates[1] = apcer, bpcer
		}
		rates[2] = min(rates[2], max(apcer, bpcer))
		if apcer <= .05 {
			rates[3] = bpcer
		}
		if apcer <= .01 {
			rates[4] = bpcer
		}
	}
	return rates
}
