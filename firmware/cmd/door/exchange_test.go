package main

import (
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/root"
)

// A kiosk that nothing sealed comes to forgets its old key all the same: a day after it has a newer one, and no sooner than headquarters has answered a
// greeting that names the newer.
//
// Control: S13
func TestQuietKioskForgetsItsOldKey(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	if err := c.answer(c.greeting(), c.now); err != nil {
		t.Fatal(err)
	}
	later := func(by time.Duration) (numbers []uint32) { // as if the newest key were older
		c.hq.mu.Lock()
		c.hq.keys[len(c.hq.keys)-1].Made -= int64(by / time.Second)
		c.hq.rotate()
		c.hq.mu.Unlock()
		for _, k := range c.exchangeKeys() {
			numbers = append(numbers, k.Number)
		}
		return numbers
	}
	wants := func(when string, got []uint32, want ...uint32) {
		t.Helper()
		if len(got) != len(want) || got[0] != want[0] {
			t.Errorf("%s: keys %d, want %d", when, got, want)
		}
	}
	later(0) // its time runs from now
	wants("after its time", later(exchangeLife), 1, 2)
	wants("a day later, headquarters was not told of the second", later(exchangeKept), 1, 2)
	c.hq.mu.Lock()
	c.hq.keys[1].Made += int64(exchangeKept / time.Second)
	c.hq.mu.Unlock()
	if err := c.answer(c.greeting(), c.now); err != nil {
		t.Fatal(err)
	}
	late := c.chain(1, c.enrolment(access.PersonID{1}, 1, 3)) // on its way
	wants("headquarters has just been told of it", later(exchangeKept-time.Minute), 1, 2)
	wants("a day later", later(time.Minute), 2)
	if id, err := root.Load(c.state); err != nil || len(id.Exchange) != 0 {
		t.Errorf("the first key is still on the disk: %d bytes, %v", len(id.Exchange), err)
	}
	if err := c.bring(late); !refusedBecause(err, errNoExchange) {
		t.Errorf("sealed to the key that is gone: %v", err)
	}
	c.give(2, c.enrolment(access.PersonID{1}, 1, 3)) // headquarters seals anew
	c.stop()
	c.start()
	wants("after a restart", later(0), 2)
	c.give(2, c.enrolment(access.PersonID{2}, 1, 5))
	if c.find(3).Person != (access.PersonID{1}) || c.find(5).Person != (access.PersonID{2}) {
		t.Error("who was sealed to the second key is not there")
	}
}

// A key is gone from the identity, too, when it is the next but one that takes its place.
//
// Control: S13
func TestThirdKeyTakesTheFirstFromTheDisk(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	if err := c.answer(c.greeting(), c.now); err != nil {
		t.Fatal(err)
	}
	c.hq.mu.Lock()
	defer c.hq.mu.Unlock()
	for range 2 {
		c.hq.keys[len(c.hq.keys)-1].Made, c.hq.made = c.now-int64(exchangeLife/time.Second), c.hq.made-exchangeLeast
		if err := c.hq.renew(); err != nil {
			t.Fatal(err)
		}
	}
	if id, err := root.Load(c.state); err != nil || len(id.Exchange) != 0 || len(c.hq.keys) != 2 || c.hq.keys[0].Number != 2 {
		t.Errorf("%d keys; the first is still on the disk: %d bytes, %v", len(c.hq.keys), len(id.Exchange), err)
	}
}
