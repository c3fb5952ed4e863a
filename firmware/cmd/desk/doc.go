//go:build kiosk

// Command desk is not part of a kiosk: this build of it refuses to run.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "desk: built with the tag kiosk, which leaves the desk out")
	os.Exit(1)
}
