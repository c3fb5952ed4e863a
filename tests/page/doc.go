// Package page tests the desk's page in a real browser, Debian's chromium, against a scripted desk.
//
//	go test ./tests/page -shots dir   keeps the screenshots
//	go test ./tests/page -update      writes docs/desk.png, the README's picture, from the same script
package page
