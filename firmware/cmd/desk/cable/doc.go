// Package cable is the network between the kiosk and headquarters on a desk, where both are one machine: a cable that can be cut, joined, and
// made slow. It carries TLS without being able to read it, as any network does.
//
// The kiosk image does not contain this package: there the network is one.
package cable
