package model

import (
	_ "embed"
	"errors"
	"fmt"
	"math"
	"time"
)

//go:embed calibration.json
var defaultCalibration []byte

// Calibration translates a false-match rate into a threshold on the comparison score. It is measured for one bundle on stated data
// and holds for that bundle alone.
type Calibration struct {
	Bundle        Hash   `json:"bundle"` // Manifest.Hash of the bundle that was measured
	Date          string `json:"date"`   // YYYY-MM-DD
	Data          string `json:"data"`   // what was compared
	GenuinePairs  int64  `json:"genuine_pairs"`
	ImpostorPairs int64  `json:"impostor_pairs"`
	Rates         []Rate `json:"rates"` // from the loosest to the strictest
}

// Rate is one measured point.
type Rate struct {
	FalseMatch float64 `json:"false_match_rate"`
	Threshold  float32 `json:"threshold"` // cosine, -1..1
}

// Errors of Threshold, for callers that fall back to a looser policy or report which one was refused.
var (
	ErrRate       = errors.New("false-match rate is not within (0, 0.01]")
	ErrUnmeasured = errors.New("false-match rate is stricter than measured")
)

// DefaultCalibration is the table of the bundle that the product ships with.
func DefaultCalibration() (*Calibration, error) {
	m, err := Default()
	if err != nil {
		return nil, err
	}
	return Calibrate(m, defaultCalibration)
}

// Calibrate reads the table of a bundle. One that was measured for another bundle is an error.
func Calibrate(m *Manifest, data []byte) (*Calibration, error) {
	c := new(Calibration)
	if err := decodeStrict(data, c); err != nil {
		return nil, fmt.Errorf("read calibration: %w", err)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("read calibration: %w", err)
	}
	if c.Bundle != m.Hash() {
		return nil, fmt.Errorf("read calibration: it is of bundle %s, the manifest is %s", c.Bundle, Hash(m.Hash()))
	}
	return c, nil
}

// pairsPerMatch is how many impostor pairs a rate needs for each that may match: with fewer than 30 expected matches the rate's 95 %
// interval is wider than a third of it to either side (Doddington's rule).
const pairsPerMatch = 30

func (c *Calibration) check() error {
	if _, err := time.Parse(time.DateOnly, c.Date); err != nil {
		return fmt.Errorf("date %q is not YYYY-MM-DD", c.Date)
	}
	if c.Data == "" || len(c.Rates) < 2 {
		return errors.New("data or rates are absent")
	}
	for i, r := range c.Rates {
		if !(r.FalseMatch > 0 && r.FalseMatch < 1) || !(r.Threshold > -1 && r.Threshold < 1) {
			return fmt.Errorf("rate %d is out of bounds", i)
		}
		if float64(c.ImpostorPairs)*r.FalseMatch < pairsPerMatch {
			return fmt.Errorf("rate %g needs more than %d impostor pairs", r.FalseMatch, c.ImpostorPairs)
		}
		if i > 0 && !(r.FalseMatch < c.Rates[i-1].FalseMatch && r.Threshold > c.Rates[i-1].Threshold) {
			return fmt.Errorf("rate %d does not rise in strictness", i)
		}
	}
	return nil
}

// loosest is the largest false-match rate that a policy may ask for, 1 in 100.
const loosest = 0.01

// Threshold returns the comparison score from which on impostors match at most at that rate. Between measured rates it interpolates
// linearly over the logarithm of the rate, which the tail of impostor scores follows closely. A rate looser than all measured gets the
// threshold of the loosest one, which is the safe side. ErrRate and ErrUnmeasured say why a rate is refused.
func (c *Calibration) Threshold(rate float64) (float32, error) {
	if !(rate > 0 && rate <= loosest) {
		return 0, fmt.Errorf("find threshold for %g: %w", rate, ErrRate)
	}
	for i, r := range c.Rates {
		if rate < r.FalseMatch {
			continue
		}
		if i == 0 || rate == r.FalseMatch {
			return r.Threshold, nil
		}
		looser := c.Rates[i-1]
		part := math.Log(rate/looser.FalseMatch) / math.Log(r.FalseMatch/looser.FalseMatch)
		return looser.Threshold + float32(part)*(r.Threshold-looser.Threshold), nil
	}
	return 0, fmt.Errorf("find threshold for %g: %w", rate, ErrUnmeasured)
}
