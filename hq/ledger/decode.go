package ledger

import (
	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// decode reads a record. A record of a layout that this program does not know is none of its business: ok is false, and the bytes stay what they are.
func decode(data []byte) (r access.Record, ok bool) {
	err := wire.Overlay(data, &r) // an older layout may lack fields
	if err != nil || r.Version != access.RecordVersion {
		return access.Record{}, false
	}
	return r, true
}
