package ledger

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/sync/wire"
)

// Bounds of what is kept of a kiosk's records while no checkpoint covers them. A kiosk signs each minute, and proves what an older checkpoint covers, so
// an honest one stays far below.
const (
	maxPending      = 4096    // records
	maxPendingBytes = 2 << 20 // of them together
	// maxShared bounds what all kiosks together may have kept in memory, bytes: a thousand hostile ones take no more than fifty.
	maxShared = 160 << 20
	maxEarly  = 8 // messages that came before those before them; the kiosk sends what is dropped again
)

// pending is the records that no checkpoint covers yet. They follow the ledger's without a gap.
type pending struct {
	list []Entry
	file *os.File
	size int64
}

func bytesOf(list []Entry) (n int) {
	for _, e := range list {
		n += len(e.Record)
	}
	return n
}

// overhead is what an entry takes besides its record, bytes.
const overhead = 64

// count says how much of what this kiosk has sent is in memory and vouched for by nobody.
func (k *kiosk) count() {
	n := int64(bytesOf(k.pending.list) + overhead*len(k.pending.list))
	for _, m := range k.early {
		n += sizeOf(m)
	}
	k.shared.Add(n - k.holds)
	k.holds = n
}

func sizeOf(m wire.Records) (n int64) {
	for _, r := range m.Records {
		n += int64(len(r)) + overhead
	}
	return n + int64(len(m.Proof))*32
}

// room reports whether so many bytes more may be kept in memory that nobody vouches for.
func (k *kiosk) room(n int64) bool { return k.shared.Load()+n <= maxShared }

// hold adds records to those that are pending, durably: a kiosk that is destroyed before its next checkpoint has told of its last seconds.
func (f *folder) hold(p *pending, list []Entry) error {
	if p.file == nil {
		if err := f.keepPending(p, p.list); err != nil {
			return err
		}
	}
	var b []byte
	for _, e := range list {
		b = appendFrame(b, e, list[0].Index)
	}
	_, err := p.file.WriteAt(b, p.size)
	if err == nil {
		err = unix.Fdatasync(int(p.file.Fd()))
	}
	if err != nil {
		p.file.Close()
		p.file = nil // it is made anew, from what is known
		return noRoom(err)
	}
	f.at("held")
	p.list = append(p.list, list...)
	p.size += int64(len(b))
	return nil
}

// keepPending has these records be the pending ones, and no others.
func (f *folder) keepPending(p *pending, list []Entry) error {
	var b []byte
	for _, e := range list {
		b = appendFrame(b, e, list[0].Index)
	}
	p.list = list
	if p.file != nil {
		p.file.Close()
		p.file = nil
	}
	if err := f.replace(pendingName, b); err != nil {
		return err
	}
	var err error
	p.file, err = os.OpenFile(f.path(pendingName), os.O_RDWR, 0)
	p.size = int64(len(b))
	return err
}
