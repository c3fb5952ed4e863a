// Package deadman resets a machine whose door has stopped to live. A door that hangs lets nobody out by REX, raises no alarm, and may have left
// the lock as it was.
//
//	 door                                    PID 1                                  kernel
//	portal's loop ◄─Ping─ Feeder ──feed──► Line ─► Man ──Feed, once a second──► watchdog ─► reset
//	                        │ ◄─last words?── │ silent for 5 s: no more
//	                        └──recorded────► ─┘ └─► Reboot: sync, reboot(2), sysrq
//
// gokrazy's Boot starts a goroutine that opens the hardware watchdog and feeds it once a second whatever the programs do: it guards
// against a dead kernel, not a dead door. The device can be open once, so PID 1 opens it before it calls Boot; gokrazy then logs that it is
// busy, and does without. From there on Man.Run alone feeds it, in the loop that judges: when that loop hangs, or PID 1 with it, the
// machine resets as well. Where gokrazy was first, or where there is no watchdog, Reboot is all there is, and a dead PID 1 is the kernel's panic.
//
// What counts as life is an answer of the portal's loop. The Feeder's goroutine lives on when that loop is dead, but it has nothing to send then:
// each feed is sent after a Ping that was answered since the last. What a feed proves is the loop, not the disk, the TPM or eye: these have
// degraded modes, and a door without them still lets people out.
//
// The line is a socket pair that PID 1 makes before each start: it has no path, and whoever inherits it beside door is seen by the process number
// that the kernel puts on every packet. A compromised door can feed on, and nothing here stands against that.
package deadman
