package fleet

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"
)

const (
	clockKey = "clock" // under which the newest Time is kept, Unix ms
	// clockEvery is how often that is written. A clock that goes back by less over a restart is not noticed; kiosks do not go back either.
	clockEvery = time.Minute
)

// loadClock reads what time kiosks were told before the start.
func (f *Fleet) loadClock(ctx context.Context) error {
	v, err := f.store.Get(ctx, clockKey)
	if isNone(err) {
		return nil
	}
	if err == nil && len(v.Data) != 8 {
		err = fmt.Errorf("read %q: %d bytes", v.Key, len(v.Data))
	}
	if err != nil {
		return err
	}
	if last := int64(binary.BigEndian.Uint64(v.Data)); !f.config.ClockMended {
		f.signed.Store(last)
		f.kept.Store(last)
	}
	return nil
}

// keepClock writes down what time kiosks are told, now and then.
func (f *Fleet) keepClock(ctx context.Context, ms int64) error {
	was := f.kept.Load()
	if ms < was+clockEvery.Milliseconds() || !f.kept.CompareAndSwap(was, ms) {
		return nil
	}
	v, err := f.store.Get(ctx, clockKey)
	if err == nil || isNone(err) {
		_, err = f.store.Put(ctx, clockKey, binary.BigEndian.AppendUint64(nil, uint64(ms)), v.Revision)
	}
	if err != nil {
		f.kept.Store(was)
		return fmt.Errorf("keep what time it is: %w", err)
	}
	return nil
}

// newestTrust remembers which Trust kiosks are told of, and refuses one that is older: an operator who was dismissed would be heard here again, and
// nowhere else.
func (f *Fleet) newestTrust(ctx context.Context, version uint64) error {
	const key = "trust"
	v, err := f.store.Get(ctx, key)
	switch {
	case err != nil && !isNone(err):
		return err
	case err == nil && len(v.Data) != 8:
		return fmt.Errorf("read %q: %d bytes", v.Key, len(v.Data))
	case err == nil && binary.BigEndian.Uint64(v.Data) > version:
		return fmt.Errorf("trust is of version %d, and kiosks were told of %d: somebody has put an older one back. hq trust restore puts the safe's there", version, binary.BigEndian.Uint64(v.Data))
	case err == nil && binary.BigEndian.Uint64(v.Data) == version:
		return nil
	}
	_, err = f.store.Put(ctx, key, binary.BigEndian.AppendUint64(nil, version), v.Revision)
	return err
}
