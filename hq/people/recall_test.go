package people

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// Records as they were written before fields 24 and 25 of a person: of somebody who has no references here, their enrolment that waits, and its draft.
var (
	none      = "5820" + strings.Repeat("00", 32)
	oldPerson = "b7" + "0150" + "0102" + strings.Repeat("00", 14) + "0201" + "03636f6e65" + "0460" + "0581636c6162" + "061af4865700" + "07f4" + "0863432d31" +
		"09" + none + "0a" + none + "0b80" + "0c" + none + "0d1a6553f100" + "0ea201" + none + "0263616e6e" + "0fa201" + none + "0260" + "10" + none + "11" + none +
		"1201" + "1300" + "14" + none + "1580" + "1660" + "1780"
	oldWaiting = "a4" + "01" + oldPerson + "026470726976" + "0343010203" + "0480"
	oldDrafted = "a4" + "01" + oldPerson + "0243010203" + "03f4" + "0440"
)

// A vault of an earlier version is read, and what is written of it since has the fields of now.
func TestRecordsOfAnEarlierVersion(t *testing.T) {
	b := start(t)
	old := func(text string) []byte {
		t.Helper()
		data, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	id := access.PersonID{1, 2}
	err := b.update(func(tx *txn) error {
		n, s, err := tx.claim(id)
		if err != nil {
			return err
		}
		if err := tx.put(bucketPerson, b.personName(id), n, s, old(oldPerson)); err != nil {
			return err
		}
		if err := tx.put(bucketPending, make([]byte, 32), n, s, old(oldWaiting)); err != nil {
			return err
		}
		return tx.put(bucketDraft, bytes.Repeat([]byte{1}, 32), n, s, old(oldDrafted))
	})
	if err != nil {
		t.Fatal(err)
	}
	b.now = func() time.Time { return time.Unix(1_700_000_001, 0) } // or the draft is too old
	b.roll = nil
	if all, lost, err := b.List(); err != nil || lost != 0 || len(all) != 2 || all[0].Name != "one" || all[0].Enroller.Name != "ann" {
		t.Errorf("%+v, %d lost, %v", all, lost, err)
	}
	if want, err := b.Roster(lab); err != nil || len(want) != 1 || want[0].Person != id {
		t.Errorf("%+v, %v", want, err)
	}
	if w, err := b.Pending(""); err != nil || len(w) != 1 || w[0].Why != "priv" {
		t.Errorf("%+v, %v", w, err)
	}
	if err := b.Finish(); err != nil {
		t.Errorf("its drafts: %v", err)
	}
	if err := b.view(func(tx *txn) error {
		plain, _, _, err := tx.get(bucketDraft, bytes.Repeat([]byte{1}, 32))
		if err != nil {
			return err
		}
		var d drafted
		return recall(plain, &d)
	}); err != nil {
		t.Errorf("a draft: %v", err)
	}
	if err := b.SetState(id, Suspended, b.root); err != nil {
		t.Fatal(err)
	}
	if err := b.view(func(tx *txn) error {
		plain, _, _, err := tx.get(bucketPerson, b.personName(id))
		if err != nil {
			return err
		}
		var p Person
		return wire.Unmarshal(plain, &p)
	}); err != nil {
		t.Errorf("written anew: %v", err)
	}
	for _, text := range []string{oldPerson + "00", "b8" + "17" + oldPerson[2:], oldPerson[:len(oldPerson)-2]} {
		if err := recall(old(text), &Person{}); err == nil {
			t.Errorf("%d bytes that nobody wrote are a person", len(text)/2)
		}
	}
}
