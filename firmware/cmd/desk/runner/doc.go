// Package runner starts the kiosk's programs as child processes of the desk and keeps them alive, as PID 1 does on the device.
//
// A child that ends is started again: at once the first time, then more slowly, so that a program that cannot work does not
// eat the machine. Children never outlive the desk, not even when it is killed. What they print appears line by line under
// their own name.
//
// The kiosk image does not contain this package: there PID 1 supervises.
package runner
