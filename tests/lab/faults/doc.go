// Package faults breaks one thing of the whole kiosk at a time, in the laboratory's machine and under the real supervisor, and holds what the programs
// say, the mode that door is in then, what still works in it and how it heals to docs/OPERATIONS.md. Its tests carry the build tag lab.
package faults
