//go:build !kiosk

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/extract"
	"github.com/lintel-access/lintel/hq/hatch"
	"github.com/lintel-access/lintel/hq/people"
	"github.com/lintel-access/lintel/inference/model"
)

// person is somebody who is enrolled at headquarters.
type person struct {
	number int
	id     access.PersonID
}

// photos of everybody: what a face's references are drawn from in the place of an extractor.
const photos = 3

// painter makes references as extract does, of photographs that are numbers: those of one person lie close together, and all others far.
type painter struct{}

// References is as people.Extractor wants it.
func (painter) References(_ context.Context, photos [][]byte) (all []extract.Result, err error) {
	for i, photo := range photos {
		face := drawn(binary.BigEndian.Uint64(photo), 0)
		other := drawn(binary.BigEndian.Uint64(photo), uint64(i)+1)
		for j := range face {
			face[j] = 0.95*face[j] + 0.312*other[j] // cosines of 0.9 between the references of one person
		}
		unit(face)
		all = append(all, extract.Result{Outcome: extract.Extracted, Reference: face, Quality: 1})
	}
	return all, nil
}

func drawn(number, view uint64) []float32 {
	rng := rand.New(rand.NewPCG(number, view))
	v := make([]float32, access.ProbeSize)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return unit(v)
}

func unit(v []float32) []float32 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / math.Sqrt(sum))
	}
	return v
}

// rules are those of hq enrol: the doors' default policy.
func rules() (people.Rules, error) {
	m, err := model.Default()
	if err != nil {
		return people.Rules{}, err
	}
	c, err := model.DefaultCalibration()
	if err != nil {
		return people.Rules{}, err
	}
	same, err := c.Threshold(access.DefaultPolicy().FalseMatchRate)
	return people.Rules{Bundle: m.Hash(), Same: same, Alike: same}, err
}

// enter enrols somebody in the vault of people, under the enroller's signature. hq serve is not told.
func (s *site) enter(again person) (person, error) {
	if again == (person{}) {
		s.named++
		again.number = s.named
	}
	photo := photoOf(again.number)
	done, err := s.office.Enrol(s.ctx, people.Request{
		Name: fmt.Sprintf("Test Person %d", again.number), Groups: []string{"staff"}, Until: time.Now().AddDate(1, 0, 0), Consent: "a drawn person",
		Proofing: []byte("nobody"), Photos: [][]byte{photo, photo, photo}, Again: again.id,
	}, s.enroller, painter{}, s.rules)
	if err == nil && done.Pending != "" {
		err = fmt.Errorf("waits for a second operator: %s", done.Pending)
	}
	return person{again.number, done.Person}, err
}

// tell has hq serve look at what is new, as every command of hq about people does.
func (s *site) tell() error {
	_, err := hatch.Call[hatch.Nothing](s.ctx, filepath.Join(s.dir(), "hq.sock"), "queue", hatch.Nothing{})
	return err
}

// enrol enrols n people more.
func (s *site) enrol(n int) error {
	for range n {
		p, err := s.enter(person{})
		if err != nil {
			return err
		}
		s.staff = append(s.staff, p)
	}
	_ = s.tell() // where hq serve was killed they wait for its start
	return nil
}

// delete has the last n forgotten.
func (s *site) delete(n int) error {
	for range n {
		p := s.staff[len(s.staff)-1]
		if _, err := s.at("delete", p.id.String(), "-key", s.key("enroller")); err != nil {
			return err
		}
		s.staff = s.staff[:len(s.staff)-1]
	}
	return nil
}

// photoOf is the photograph of somebody: which one it is.
func photoOf(number int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(number)) }
