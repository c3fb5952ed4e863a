package main

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/bounded"
	"github.com/lintel-access/lintel/hq/fleet"
	"github.com/lintel-access/lintel/hq/ledger"
	"github.com/lintel-access/lintel/sync/wire"
)

const aboutForgotten = `Says which kiosks have carried out the deletion of a person, by records that they have signed for, and which have not said so yet. PERSON is the id.
With -out each kiosk that has gets a proof of its own in a new folder, which hq verify-receipt checks without headquarters; it names the person by id alone. A record
that stands for several commands, or for one of which another order was refused, is no such proof.

Example:
  hq forgotten 0123456789abcdef0123456789abcdef -out proofs -dir hq`

// command is one place of a kiosk's stream.
type commandAt struct {
	Seq      uint64     `cbor:"1,keyasint"`
	Previous [32]byte   `cbor:"2,keyasint"`
	Link     [32]byte   `cbor:"3,keyasint"`
	Orders   [][32]byte `cbor:"4,keyasint"`
	Policy   bool       `cbor:"5,keyasint"`
	Admits   []string   `cbor:"6,keyasint"`
	Unknown  uint64     `cbor:"7,keyasint"` // commands up to this one that headquarters does not have
	Clear    []uint8    `cbor:"8,keyasint"` // places in Orders
}

type placedRequest struct {
	Kiosk string   `cbor:"1,keyasint"`
	Order [32]byte `cbor:"2,keyasint"`
}

// placed is where an order stands, newest first, and the kiosk's id.
type placed struct {
	ID       [32]byte    `cbor:"1,keyasint"`
	Commands []commandAt `cbor:"2,keyasint"`
}

func told(c fleet.Command) commandAt {
	return commandAt{c.Seq, c.Previous, c.Link, c.Orders, c.Policy, c.Admits, c.Unknown, c.Clear}
}

func (s *served) placed(ctx context.Context, q placedRequest) (any, error) {
	id, err := s.fleet.Load().ID(q.Kiosk)
	if err != nil {
		return nil, err
	}
	list, err := s.fleet.Load().Placed(ctx, q.Kiosk, q.Order)
	p := placed{ID: id}
	for _, c := range list {
		p.Commands = append(p.Commands, told(c))
	}
	return p, err
}

func forgottenCommand(ctx context.Context, args []string, out, progress io.Writer) error {
	var o office
	flags := o.flags("forgotten", "PERSON [-out FOLDER] -dir DIR", aboutForgotten, progress)
	folder := flags.String("out", "", "new `folder` for the proofs")
	words, err := o.parse(flags, args, 1, 1)
	if err != nil {
		return err
	}
	id, err := access.ParsePersonID(words[0])
	if err != nil {
		return err
	}
	p, err := o.open()
	if err != nil {
		return err
	}
	order, err := p.Deletion(id)
	if err != nil {
		return err
	}
	envelope, _, _, err := p.Content(order.Order)
	if err != nil {
		return err
	}
	at := &page{dir: o.dir}
	kiosks, err := allKiosks(ctx, at)
	if err != nil {
		return err
	}
	r, err := ledger.Inspect(filepath.Join(o.dir, ledger.Folder))
	if err != nil {
		return err
	}
	if *folder != "" {
		if err := os.Mkdir(*folder, 0o755); err != nil {
			return err
		}
	}
	asked, holding := 0, 0
	for _, k := range kiosks {
		in, err := ask[placed](ctx, at, verbPlaced, placedRequest{k.Kiosk, order.Order})
		if err != nil {
			return err
		}
		if k.State != "active" && k.State != "quarantined" {
			fmt.Fprintf(progress, "%-24s %s  is %s (%s): it is told nothing any more, and what it held it keeps unless it was decommissioned\n", k.Door, k.Kiosk, k.State, k.Why)
			continue
		}
		asked++
		outcome, c, err := became(r, k.Kiosk, in.Commands, order.Order, func(seq uint64) (link [32]byte, err error) {
			page, err := ask[commandPage](ctx, at, verbCommands, commandsRequest{k.Kiosk, seq - 1})
			if len(page.Commands) > 0 && page.Commands[0].Seq == seq {
				link = page.Commands[0].Link
			}
			return link, err
		})
		if errors.Is(err, ledger.ErrDamaged) { // and the others have still their word
			holding++
			fmt.Fprintf(out, "%-24s %s  nobody can tell: %v\n", k.Door, k.Kiosk, err)
			continue
		}
		if err != nil {
			return err
		}
		if !outcome.Known || outcome.Refused != "" {
			holding++
			fmt.Fprintf(out, "%-24s %s  %s\n", k.Door, k.Kiosk, unproven(outcome, c, k))
		} else if *folder != "" && !outcome.Whole {
			fmt.Fprintf(out, "%-24s %s  has forgotten them (record %d): no proof, since that record does not say so of this deletion alone\n", k.Door, k.Kiosk, outcome.Record)
		} else if *folder != "" {
			if err := proveDeletion(r, filepath.Join(*folder, k.Kiosk+".deletion"), k.Kiosk, in.ID, c, envelope, outcome.Record); err != nil {
				return err
			}
		}
	}
	return say(out, nil, "%d of %d kiosks may still hold %v, generation %d and before\n", holding, asked, id, order.Generation)
}

// became is what became of an order by the kiosk's records, and the command that says so: of several that have the order, the first that was carried out, else
// the newest.
func became(r *ledger.Reader, kiosk string, in []commandAt, order [32]byte, given func(seq uint64) ([32]byte, error)) (o ledger.Outcome, c commandAt, err error) {
	for i, at := range in {
		is, err := r.Order(kiosk, at.Seq, at.Link, slices.Index(at.Orders, order), len(at.Orders), given)
		if errors.Is(err, fs.ErrNotExist) {
			return ledger.Outcome{}, in[0], nil // it has recorded nothing yet
		}
		if err != nil {
			return ledger.Outcome{}, commandAt{}, err
		}
		if done := is.Known && is.Refused == ""; done || i == 0 {
			if o, c = is, at; done {
				break
			}
		}
	}
	return o, c, nil
}

func unproven(o ledger.Outcome, c commandAt, k shown) string {
	seen := "last greeting " + greeted(k.Seen, k.Since, time.Now())
	switch {
	case o.Other:
		return fmt.Sprintf("HAS APPLIED ANOTHER COMMAND %d than headquarters gave it (record %d): somebody else commands it", c.Seq, o.Record)
	case o.Refused != "":
		return fmt.Sprintf("REFUSED the deletion (record %d): %q", o.Record, o.Refused)
	case c.Seq == 0:
		return "has not been given the deletion yet; " + seen
	}
	return fmt.Sprintf("has not said what became of command %d; %s", c.Seq, seen)
}

func proveDeletion(r *ledger.Reader, file, kiosk string, id [32]byte, c commandAt, order []byte, record uint64) error {
	receipt, err := r.Receipt(kiosk, record)
	if errors.Is(err, ledger.ErrUncovered) {
		return fmt.Errorf("kiosk %s: %w: wait for its next checkpoint, at most a minute, and try again", kiosk, err)
	}
	if err != nil {
		return err
	}
	data, err := wire.Marshal(ledger.Deletion{Kind: ledger.DeletionKind, Kiosk: id, Seq: c.Seq, Previous: c.Previous, Orders: c.Orders, Order: order, Receipt: receipt})
	if err != nil {
		return err
	}
	return saveNew(file, data)
}

// verifyDeletion checks such a proof.
func verifyDeletion(out io.Writer, file, operator string, kiosk *ecdsa.PublicKey) error {
	by, err := authority.LoadPublic(operator)
	if err != nil {
		return err
	}
	data, err := bounded.File(file, ledger.MaxDeletion)
	if err != nil {
		return fmt.Errorf("read proof: %w", err)
	}
	var d ledger.Deletion
	if wire.Unmarshal(data, &d) != nil || d.Kind != ledger.DeletionKind {
		if _, err := proof.VerifyReceipt(data, kiosk); !errors.Is(err, proof.ErrNoReceipt) {
			return fmt.Errorf("%q is the receipt of a walk-up and no proof of hq forgotten: leave -operator out", file)
		}
		return fmt.Errorf("%q is no proof of hq forgotten", file)
	}
	who, at, err := d.Verify(kiosk, by)
	if err != nil {
		return fmt.Errorf("proof %q does not hold: %w", file, err)
	}
	_, err = fmt.Fprintf(out, "kiosk %q has forgotten person %v, generation %d and before: command %d, record %d, %s by its clock\nproof holds\n", at.Checkpoint.Origin,
		access.PersonID(who.Person), who.Generation, d.Seq, at.Seq, time.Unix(at.Wall, 0).UTC().Format(time.RFC3339))
	return err
}
