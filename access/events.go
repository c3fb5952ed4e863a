package access

import "fmt"

// Event is the number of something that happened, as it stands in the audit log, at headquarters and in front of the security
// operations centre. docs/EVENTS.md lists them with what each means.
type Event uint16

// Append only, never renumbered, never reused: a number that was once written must mean the same for ever. Each area has a
// hundred numbers. Area of a room that is not built yet: 1200 security operations centre.
const (
	EventNone Event = 0

	// 100: the program
	EventBooted          Event = 100
	EventShutDown        Event = 101
	EventDegradedEntered Event = 102
	EventDegradedLeft    Event = 103
	EventEyeLost         Event = 104
	EventEyeBack         Event = 105
	EventLinkLost        Event = 106
	EventLinkBack        Event = 107
	EventIndicatorFailed Event = 108
	EventStrangerRefused Event = 109
	EventSelfTestPassed  Event = 110
	EventSelfTestFailed  Event = 111
	EventPoweredOn       Event = 112
	EventDoorHung        Event = 113

	// 200: walk-ups
	EventWalkupGranted       Event = 200
	EventWalkupDenied        Event = 201
	EventWalkupRetry         Event = 202
	EventWalkupUncertain     Event = 203
	EventPresentationRefused Event = 204
	EventLampAnswerWrong     Event = 205
	EventGrantUnresolved     Event = 206
	EventDuressSignalled     Event = 207
	EventFailuresLimited     Event = 208
	EventWalkupLeft          Event = 209
	EventWalkupConfirmed     Event = 210
	EventBundleMade          Event = 220
	EventBundleExpired       Event = 221
	EventBundleDropped       Event = 222
	EventBundleNotMade       Event = 223
	EventRecurrenceFlagged   Event = 230
	EventRecurrenceReviewed  Event = 231
	EventFollowingBegun      Event = 232

	// 300: the door
	EventDoorReleased   Event = 300
	EventDoorOpened     Event = 301
	EventDoorClosed     Event = 302
	EventDoorRelocked   Event = 303
	EventReleaseUnused  Event = 304
	EventHeldOpenWarned Event = 305
	EventDoorHeldOpen   Event = 306
	EventDoorForcedOpen Event = 307
	EventExitRequested  Event = 308
	EventLockdownSet    Event = 309
	EventLockdownLifted Event = 310
	EventFireStarted    Event = 311
	EventFireEnded      Event = 312
	EventTamperOpened   Event = 313
	EventTamperClosed   Event = 314
	EventReleaseRefused Event = 315
	EventReleaseGuarded Event = 316
	EventDoorFoundOpen  Event = 317
	EventPortalStarted  Event = 318
	EventPortalStopped  Event = 319
	EventWiringStarted  Event = 320
	EventWiringStep     Event = 321
	EventWiringEnded    Event = 322

	// 400: enrolment
	EventEnrolled           Event = 400
	EventEnrolmentRefused   Event = 401
	EventRevoked            Event = 402
	EventPersonSuspended    Event = 403
	EventPersonResumed      Event = 404
	EventPersonDeleted      Event = 405
	EventLookAlikeReported  Event = 406
	EventPersonLockedOut    Event = 407
	EventPersonLockoutEnded Event = 408

	// 500: audit log and storage
	EventStorageLow        Event = 500
	EventAuditWriteFailed  Event = 501
	EventEventsLost        Event = 502
	EventAuditRepaired     Event = 503
	EventAuditCutOff       Event = 504
	EventRecordsExpired    Event = 505
	EventEmergencyLogTaken Event = 506
	EventCheckpointFailed  Event = 507
	EventRecordsReviewed   Event = 508

	// 600: policy and clock
	EventPolicyChanged        Event = 600
	EventPolicyRefused        Event = 601
	EventClockTrusted         Event = 602
	EventClockUntrusted       Event = 603
	EventConfigurationChanged Event = 604
	EventCommandRefused       Event = 605

	// 700: models and camera
	EventBundleChanged   Event = 700
	EventProviderDropped Event = 701
	EventCameraChanged   Event = 702
	EventCameraStalled   Event = 703

	// 800: the vault
	EventVaultRefused     Event = 800
	EventTemplatesRekeyed Event = 801
	EventRetentionRemoved Event = 802
	EventDoorLimitLifted  Event = 803

	// 900: TPM and attestation
	EventTPMSilent          Event = 900
	EventTPMBack            Event = 901
	EventMeasurementsDiffer Event = 902
	EventProvisioned        Event = 903

	// 1000: update
	EventUpdateOffered    Event = 1000
	EventUpdateFetched    Event = 1001
	EventUpdateVerified   Event = 1002
	EventUpdateWritten    Event = 1003
	EventUpdateTrialBegun Event = 1004
	EventUpdateConfirmed  Event = 1005
	EventUpdateReverted   Event = 1006
	EventUpdateRefused    Event = 1007

	// 1100: headquarters
	EventHeadquartersReached  Event = 1100
	EventHeadquartersLost     Event = 1101
	EventCommandApplied       Event = 1102
	EventEnvelopeRefused      Event = 1103
	EventStreamForked         Event = 1104
	EventStreamGap            Event = 1105
	EventOrderRefused         Event = 1106
	EventTrustChanged         Event = 1107
	EventExchangeKeyMade      Event = 1108
	EventCertificateChanged   Event = 1109
	EventRemoteReleaseAsked   Event = 1110
	EventRemoteReleaseGranted Event = 1111
	EventRemoteReleaseRefused Event = 1112
	EventHeadquartersStale    Event = 1113
	EventHeadquartersFresh    Event = 1114
	EventKioskDisabled        Event = 1115
	EventKioskEnabled         Event = 1116
	EventDecommissioned       Event = 1117
	EventAcknowledgedWrongly  Event = 1118
	EventHeadquartersAdopted  Event = 1119
	EventHeadquartersForeign  Event = 1120
	EventSupervisedBegun      Event = 1121
	EventTimeLeapt            Event = 1122
	EventRulesMissing         Event = 1135
)

// Severity is how much an event asks for somebody's attention.
type Severity uint8

const (
	Info    Severity = 0 // the ordinary course of a day
	Notice  Severity = 1 // worth a look in a report
	Warning Severity = 2 // somebody should look at it today
	Alert   Severity = 3 // somebody should go to the door now
)

// String is the lower-case word; an unknown value reads as the gravest, with its number.
func (s Severity) String() string {
	names := [...]string{"info", "notice", "warning", "alert"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("alert (severity %d)", uint8(s))
}

// describe is the table of events: one function instead of a map, so that the package keeps no global and a name costs no
// allocation.
func (e Event) describe() (name string, s Severity) {
	switch e {
	case EventNone:
		return "nothing happened", Info

	case EventBooted:
		return "booted", Notice
	case EventShutDown:
		return "shut down", Notice
	case EventDegradedEntered:
		return "degraded mode entered", Warning
	case EventDegradedLeft:
		return "degraded mode left", Notice
	case EventEyeLost:
		return "eye lost", Warning
	case EventEyeBack:
		return "eye came back", Notice
	case EventLinkLost:
		return "link lost", Warning
	case EventLinkBack:
		return "link came back", Notice
	case EventIndicatorFailed:
		return "indicator failed", Warning
	case EventStrangerRefused:
		return "stranger refused", Warning
	case EventSelfTestPassed:
		return "self-test passed", Notice
	case EventSelfTestFailed:
		return "self-test failed", Alert
	case EventPoweredOn:
		return "powered on", Notice
	case EventDoorHung:
		return "door hung", Alert

	case EventWalkupGranted:
		return "walk-up granted", Info
	case EventWalkupDenied:
		return "walk-up denied", Notice
	case EventWalkupRetry:
		return "walk-up ended for a retry", Info
	case EventWalkupUncertain:
		return "walk-up left uncertain", Notice
	case EventPresentationRefused:
		return "presentation refused", Warning
	case EventLampAnswerWrong:
		return "lamp answered wrongly", Warning
	case EventGrantUnresolved:
		return "unresolved grant found", Warning
	case EventDuressSignalled:
		return "duress signalled", Alert
	case EventFailuresLimited:
		return "failures limited", Warning
	case EventWalkupLeft:
		return "walk-up abandoned", Info
	case EventWalkupConfirmed:
		return "uncertain walk-up settled", Notice
	case EventBundleMade:
		return "abuse bundle made", Notice
	case EventBundleExpired:
		return "abuse bundle expired", Notice
	case EventBundleDropped:
		return "abuse bundle dropped", Warning
	case EventBundleNotMade:
		return "abuse bundle not made", Warning
	case EventRecurrenceFlagged:
		return "recurrence flagged", Warning
	case EventRecurrenceReviewed:
		return "recurrence reviewed", Notice
	case EventFollowingBegun:
		return "following begun", Notice

	case EventDoorReleased:
		return "door released", Info
	case EventDoorOpened:
		return "door opened", Info
	case EventDoorClosed:
		return "door closed", Info
	case EventDoorRelocked:
		return "door relocked", Info
	case EventReleaseUnused:
		return "release expired unused", Notice
	case EventHeldOpenWarned:
		return "held-open pre-alarm sounded", Notice
	case EventDoorHeldOpen:
		return "door held open", Warning
	case EventDoorForcedOpen:
		return "door forced open", Alert
	case EventExitRequested:
		return "exit requested", Info
	case EventLockdownSet:
		return "lockdown set", Warning
	case EventLockdownLifted:
		return "lockdown lifted", Notice
	case EventFireStarted:
		return "fire release started", Alert
	case EventFireEnded:
		return "fire release ended", Warning
	case EventTamperOpened:
		return "enclosure opened", Alert
	case EventTamperClosed:
		return "enclosure closed", Notice
	case EventReleaseRefused:
		return "release refused", Notice
	case EventReleaseGuarded:
		return "relay secured by its guard", Warning
	case EventDoorFoundOpen:
		return "door found open", Warning
	case EventPortalStarted:
		return "portal started", Notice
	case EventPortalStopped:
		return "portal stopped", Notice
	case EventWiringStarted:
		return "wiring test started", Warning
	case EventWiringStep:
		return "line tested", Notice
	case EventWiringEnded:
		return "wiring test ended", Notice

	case EventEnrolled:
		return "person enrolled", Notice
	case EventEnrolmentRefused:
		return "enrolment refused", Notice
	case EventRevoked:
		return "person revoked", Notice
	case EventPersonSuspended:
		return "person suspended", Notice
	case EventPersonResumed:
		return "person resumed", Notice
	case EventPersonDeleted:
		return "person deleted", Notice
	case EventLookAlikeReported:
		return "look-alike reported", Notice
	case EventPersonLockedOut:
		return "person locked out", Warning
	case EventPersonLockoutEnded:
		return "person lockout ended", Notice

	case EventStorageLow:
		return "storage ran low", Warning
	case EventAuditWriteFailed:
		return "audit write failed", Alert
	case EventEventsLost:
		return "events lost", Warning
	case EventAuditRepaired:
		return "audit log repaired", Warning
	case EventAuditCutOff:
		return "audit log cut off", Alert
	case EventRecordsExpired:
		return "records expired", Notice
	case EventEmergencyLogTaken:
		return "emergency log taken over", Warning
	case EventCheckpointFailed:
		return "checkpoint failed", Warning
	case EventRecordsReviewed:
		return "records reviewed", Notice

	case EventPolicyChanged:
		return "policy changed", Notice
	case EventPolicyRefused:
		return "policy refused", Warning
	case EventClockTrusted:
		return "clock became trusted", Notice
	case EventClockUntrusted:
		return "clock became untrusted", Warning
	case EventConfigurationChanged:
		return "configuration changed", Notice
	case EventCommandRefused:
		return "command refused", Warning

	case EventBundleChanged:
		return "model bundle changed", Notice
	case EventProviderDropped:
		return "execution provider dropped", Warning
	case EventCameraChanged:
		return "camera changed", Alert
	case EventCameraStalled:
		return "camera stalled", Warning

	case EventVaultRefused:
		return "vault refused", Alert
	case EventTemplatesRekeyed:
		return "templates re-keyed", Notice
	case EventRetentionRemoved:
		return "retention removed data", Notice
	case EventDoorLimitLifted:
		return "door limit lifted", Notice

	case EventTPMSilent:
		return "TPM silent", Alert
	case EventTPMBack:
		return "TPM answers again", Notice
	case EventMeasurementsDiffer:
		return "measurements differ", Alert
	case EventProvisioned:
		return "kiosk provisioned", Notice

	case EventUpdateOffered:
		return "update offered", Notice
	case EventUpdateFetched:
		return "update fetched", Info
	case EventUpdateVerified:
		return "update verified", Notice
	case EventUpdateWritten:
		return "update written", Notice
	case EventUpdateTrialBegun:
		return "update trial begun", Notice
	case EventUpdateConfirmed:
		return "update confirmed", Notice
	case EventUpdateReverted:
		return "update reverted", Warning
	case EventUpdateRefused:
		return "update refused", Warning

	case EventHeadquartersReached:
		return "headquarters reached", Notice
	case EventHeadquartersLost:
		return "headquarters lost", Warning
	case EventCommandApplied:
		return "command applied", Notice
	case EventEnvelopeRefused:
		return "message of headquarters refused", Warning
	case EventStreamForked:
		return "headquarters' stream forked", Alert
	case EventStreamGap:
		return "command missing", Info
	case EventOrderRefused:
		return "order refused", Warning
	case EventTrustChanged:
		return "trust changed", Warning
	case EventExchangeKeyMade:
		return "exchange key made", Notice
	case EventCertificateChanged:
		return "certificate changed", Notice
	case EventRemoteReleaseAsked:
		return "remote release asked for", Info
	case EventRemoteReleaseGranted:
		return "remote release granted", Notice
	case EventRemoteReleaseRefused:
		return "remote release refused", Warning
	case EventHeadquartersStale:
		return "headquarters stale", Warning
	case EventHeadquartersFresh:
		return "headquarters no longer stale", Notice
	case EventKioskDisabled:
		return "recognition disabled", Warning
	case EventKioskEnabled:
		return "recognition enabled", Notice
	case EventDecommissioned:
		return "kiosk decommissioned", Alert
	case EventAcknowledgedWrongly:
		return "records acknowledged wrongly", Alert
	case EventHeadquartersAdopted:
		return "headquarters adopted", Warning
	case EventHeadquartersForeign:
		return "headquarters foreign", Alert
	case EventSupervisedBegun:
		return "supervised enrolment begun", Notice
	case EventTimeLeapt:
		return "headquarters' time leapt", Alert
	case EventRulesMissing:
		return "rules missing", Warning
	}
	return "", Alert
}

// Known reports whether this version of the firmware can name e.
func (e Event) Known() bool {
	name, _ := e.describe()
	return name != ""
}

// String names the event in the past tense; an unknown number prints as such.
func (e Event) String() string {
	if name, _ := e.describe(); name != "" {
		return name
	}
	return fmt.Sprintf("event %d", uint16(e))
}

// Severity is that of the table; an unknown event is an alert, because a newer kiosk may know why it matters.
func (e Event) Severity() Severity {
	_, s := e.describe()
	return s
}
