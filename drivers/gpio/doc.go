// Package gpio is the wires of a door on the kernel's GPIO character devices: relay, lamp, indicators, contact, REX, tamper, fire.
//
//	inputs, indicators   periph.io's LineSet: edges, levels
//	relay, lamp          our own line request (request.go): periph cannot claim an output at a level, it drives low first
//
// "On" is a word of the board's data: Line.Active says which electrical level it is, and this package alone translates, for both
// halves in the same way. The kernel could invert outputs, but periph cannot ask it to for inputs; and so what gpioinfo shows a
// technician is the level that the multimeter shows.
//
// Open must be called at the start of a program, before other goroutines open files (chips.go says why). It finds the chips of the
// machine once in the life of a process: a program whose chip has vanished ends, and is started again.
//
// # What becomes of an output when its holder closes it, ends or is killed
//
// The kernel promises nothing; the controller's driver decides:
//
//	gpio-sim                        goes to its pull (seen in the lab)
//	pinctrl-bcm2835 (Pi 4)          kernel.org: becomes an input, the board's resistor decides (source of 6.1). Raspberry Pi's own kernel:
//	                                stays driven (raspberrypi/linux #6117, #6150; not tried on one)
//	pinctrl-rp1 (Pi 5, CM5)         Raspberry Pi's own kernel: stays driven (the same)
//	gpio-pl061 (QEMU virt)          stays driven (source of 6.1: it has no way to free a line)
//
// With dtparam=strict_gpiod Raspberry Pi's kernel makes inputs of them on every model. A door wants that, and a resistor that
// pulls the relay to off: then a crash cannot leave a door released for longer than the crash takes. Where a line stays driven, the
// next Open turns it off, unless KeepIf says that it must stay.
package gpio
