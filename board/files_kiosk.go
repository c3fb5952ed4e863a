//go:build kiosk

package board

import "embed"

// files are the boards of products. There is none until a driver for real lines exists, so a kiosk image refuses to start
// instead of guessing.
var files embed.FS
