package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/auditlog/quota"
	"github.com/lintel-access/lintel/firmware/frames"
)

// troubles are the degraded modes that come and go while door runs. The zero troubles has none.
type troubles struct {
	mu   sync.Mutex
	open map[string]error
}

// set opens or, with nil, ends the trouble of a part and reports whether it was open before.
func (t *troubles) set(part string, err error) (was bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, was = t.open[part]
	if err == nil {
		delete(t.open, part)
		return was
	}
	if t.open == nil {
		t.open = map[string]error{}
	}
	t.open[part] = err
	return was
}

// sentences are what the status shows, in a fixed order.
func (t *troubles) sentences() (list []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, part := range slices.Sorted(maps.Keys(t.open)) {
		list = append(list, fmt.Sprintf("%s: %v", part, t.open[part]))
	}
	return list
}

// folder keeps whoever stands at the door from filling the audit log: beyond its quota a record becomes part of a count.
type folder struct {
	mu    sync.Mutex
	quota quota.Coalescer
	write func(auditlog.Class, access.Record) error
}

// take writes a record of a walk-up, or counts it. A record that is only counted is not durable; none on which anything opens is counted.
func (f *folder) take(r access.Record) error {
	f.mu.Lock()
	list := f.quota.Take(r)
	f.mu.Unlock()
	return f.all(list)
}

// due writes the counts of windows that are over.
func (f *folder) due() {
	f.mu.Lock()
	list := f.quota.Due(frames.Now())
	f.mu.Unlock()
	_ = f.all(list) // the log raises the alarm when it cannot write
}

// flush writes all counts: door is about to end.
func (f *folder) flush() {
	f.mu.Lock()
	list := f.quota.Flush()
	f.mu.Unlock()
	_ = f.all(list)
}

func (f *folder) all(list []access.Record) (err error) {
	for _, r := range list {
		err = f.write(class(r.Event), r)
	}
	return err
}
