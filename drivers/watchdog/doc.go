// Package watchdog drives the kernel's watchdog device: a timer that resets the machine when nobody feeds it.
//
//	Open ─► SetTimeout ─► Feed … Feed ─► Close    the timer runs on: the machine resets
//	  │ the timer runs from here           └───► Disarm  the timer stops, where the kernel lets it
//
// The device can be open once on a whole machine, under whichever of its names (/dev/watchdog is /dev/watchdog0). gokrazy's Boot opens and feeds
// it whatever the programs do; who calls Open before Boot has it for itself, and gokrazy then only logs that it is busy.
//
// Nothing here disarms by accident: a device that is closed, or whose process ends, goes on to reset the machine.
package watchdog
