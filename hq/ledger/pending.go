package ledger

import (
	"os"

	"golang.org/x/sys/unix"
)

// Bounds of what is kept of a kiosk's records while no checkpoint covers them. A kiosk signs each minute, and proves what an older checkpoint covers, so
// an honest one stays far below.
const (
	maxPending      = 4096    // records
	maxPendingBytes = 2 << 20 // of them together
	maxEarly        = 8       // messages that came before those before them; the kiosk sends what is dropped again
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
