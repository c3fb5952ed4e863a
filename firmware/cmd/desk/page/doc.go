// Package page is the desk's page: the live view of the twin, the door as it stands, the latest decisions, the state of the
// programs, and buttons to try everything. It serves loopback addresses only, without a build step and without anything
// fetched from elsewhere.
//
// Requests
//
//	GET  /               the page
//	GET  /page.css /page.js /icon.svg
//	GET  /state          the state as JSON
//	GET  /events         the same as Server-Sent Events: "state" at every change, "beat" every 5 s
//	GET  /frame?after=N  the newest frame as JPEG with its number in Lintel-Frame; 204 while it is still frame N
//	POST /act            {"name":"fire","arg":"on"}; 204, or JSON with an "error"
//
// Whoever can run a program on this machine can use the page. That is the desk's purpose; the kiosk image does not contain it.
package page
