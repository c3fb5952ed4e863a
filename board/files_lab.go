//go:build !kiosk

package board

import "embed"

// files are all boards. A program that is built for a lab knows the products too: their wiring is checked and measured there.
//
//go:embed desk.json desk-2.json lab.json qemu-virt.json rpi4.json rpi5.json
var files embed.FS
