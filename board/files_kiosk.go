//go:build kiosk

package board

import "embed"

// files are the boards of products. What a lab may do is in no kiosk image, not even as data.
//
//go:embed rpi4.json rpi5.json
var files embed.FS
