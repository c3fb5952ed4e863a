// Package mishap lets the camera and the lamp fail in the middle of a walk-up. Eye's watcher on the real models and door's walk-ups run side by side
// as they do in a kiosk, on frames of the twin and in a time of their own (testing/synctest), so that the same thing happens in every run.
//
// What the drivers and the processes around them do is tried in tests/lab/faults and tests/walkup.
package mishap
