//go:build linux

package main

import "time"

// suite is one package that runs in a machine of its own.
type suite struct {
	name, about string
	folder      string            // of the package, below the tree
	run         string            // which tests, as go test -run; empty: all
	programs    bool              // the kiosk's own programs are built for it
	cgo         bool              // the test program has C code; it finds this machine's libraries in the laboratory
	modules     map[string]string // parameters of modules, besides the usual ones
	memory      int               // MB; 0: 512
	disk        int               // MB of an ext4 disk that is kept over the boots of the suite; 0: none
	deadline    time.Duration     // of one boot
	long        time.Duration     // the same for -long; 0: deadline
	boots       int               // most boots, for a suite that has its power cut; 0: 1
	longBoots   int               // the same for -long; 0: boots
}

func suites() []suite {
	return []suite{
		{
			name: "smoke", about: "every kernel interface that the other suites need is there",
			folder: "tests/lab/smoke", disk: 64, deadline: time.Minute, boots: 3,
		},
		{
			name: "confine", about: "programs confine themselves, Landlock and seccomp in this kernel too",
			folder: "firmware/confine", deadline: 2 * time.Minute,
		},
		{
			name: "gpio", about: "relay, contact and lamp on a real gpiochip",
			folder: "drivers/gpio", deadline: 3 * time.Minute,
		},
		{
			name: "camera", about: "vivid with all its faults, and a fed v4l2loopback, on a real /dev/video",
			folder: "drivers/camera", cgo: true, deadline: 5 * time.Minute,
		},
		{
			name: "watchdog", about: "the driver of the watchdog on the kernel's own core, and its bite",
			folder: "drivers/watchdog", run: "^TestSoftdog$", deadline: time.Minute, boots: 2,
		},
		{
			name: "deadman", about: "a machine whose door, judge or reboot hangs resets all the same",
			folder: "firmware/deadman", run: "^TestMachineResets$", deadline: time.Minute, boots: 5,
		},
		{
			name: "replay", about: "thousands of crash points of vault and audit log, replayed from what their disk was written",
			folder: "tests/power", run: "^TestReplay", memory: 2048, deadline: 8 * time.Minute, long: 2 * time.Hour,
		},
		{
			name: "cuts", about: "the machine loses its power at random moments, 40 times",
			folder: "tests/power", run: "^TestMachineCuts$", disk: 64, deadline: time.Minute, boots: 41, longBoots: 1001,
		},
		{
			name: "doorcuts", about: "the same with the real door at work, 12 times",
			folder: "tests/lab/cuts", programs: true, disk: 512, memory: 1024, deadline: time.Minute, boots: 13, longBoots: 301,
		},
		{
			name: "faults", about: "one thing after another is missing, wrong, taken or gone, before and while the whole kiosk works",
			folder: "tests/lab/faults", programs: true, cgo: true, memory: 2048, deadline: 6 * time.Minute,
			modules: map[string]string{"v4l2loopback": "devices=2 video_nr=10,11 exclusive_caps=1"},
		},
		{
			name: "kiosk", about: "the whole kiosk: camera, lines and TPM of the kernel under the real programs",
			folder: "firmware/cmd/desk", run: "^TestKioskInTheMachine$", programs: true, cgo: true, memory: 2048, deadline: 11 * time.Minute,
		},
		{
			name: "kioskcuts", about: "the same kiosk loses its power while people walk up and are enrolled, 5 times",
			folder: "firmware/cmd/desk", run: "^TestKioskCuts$", programs: true, cgo: true, memory: 2048, disk: 512, deadline: 4 * time.Minute,
			boots: 6, longBoots: 101,
		},
	}
}

// usual are the parameters of the modules: one camera of vivid with one webcam input that makes patterns, and one loopback camera that is fed.
// With exclusive_caps the loopback is a camera only while it is fed, as a real one is only while it is plugged in.
func usual() map[string]string {
	return map[string]string{
		"vivid":        "n_devs=1 node_types=0x1 num_inputs=1 input_types=0",
		"v4l2loopback": "devices=1 video_nr=10 exclusive_caps=1",
	}
}
