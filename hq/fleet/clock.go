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
