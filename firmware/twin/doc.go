// Package twin is a simulated board: camera, infrared lamp, door and wiring of a kiosk, played from documented text scenes
// (docs/SCENES.md). It stands where the hardware stands on a desk and is in no product image: every other file is built without
// the kiosk tag only.
package twin
