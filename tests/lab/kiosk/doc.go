// Package kiosk is what the laboratory's suites of the whole kiosk share: its making, and the wires of its door from the other side.
package kiosk
