//go:build !kiosk

package board

import "embed"

// files are the boards of labs and desks.
//
//go:embed desk.json
var files embed.FS
