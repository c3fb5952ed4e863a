// Package authority holds headquarters' keys and what they vouch for.
//
//	offline/  root.pem ─(COSE)─► Trust: who may sign what, and which authorities vouch for servers
//	          authority-N.pem ─(X.509)─► issuing-N
//	DIR/      issuing-N.pem ─(X.509)─► certificates of kiosks (90 days) and of the broker
//	          server.pem ─(COSE)─► Command, Time, Acknowledge, Certificate, Ask
//	elsewhere an operator's key ─(COSE)─► enrolments, policies, releases: never in either folder
//
// The folder offline is needed to change who may do what and to make a new issuing key, and for nothing else: it lies in a safe. What DIR holds can
// let a kiosk connect and put operators' orders into a row; it can neither enrol nor open.
package authority
