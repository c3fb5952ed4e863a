# Lintel. `make help` lists what there is.

# --- The one list of what is installed -----------------------------------------------------------------------------------------
# Debian packages, verified by apt's signatures. A desk needs a software TPM; the tests need a browser, an ARM64 emulator and an MQTT broker besides.
DEBIAN_RUN  := swtpm
DEBIAN_TEST := chromium qemu-user-static mosquitto
# What the laboratory's kernel is built of; the source of v4l2loopback (0.12.7-2) is fetched by apt-get and unpacked only.
DEBIAN_LAB  := linux-source-6.1 gcc make flex bison libelf-dev bc xz-utils kmod e2fsprogs util-linux
# npm packages (ONNX Runtime, the models, the desk's photographs): pinned by SHA-256 in inference/model/prepare.
# Go modules: pinned by go.sum.
# -------------------------------------------------------------------------------------------------------------------------------

CACHE := .lintel
BIN   := $(CACHE)/bin
SHELL := /bin/bash

.DEFAULT_GOAL := help
.PHONY: help run demo test test-long left-out bench eval power power-long theft hq-test hq-test-long pad pad-long lab lab-long deps deps-run build clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## set up what is missing, start the kiosk on this desk, page on http://127.0.0.1:8460 (PEOPLE=dir, SCENE=file; BOARD=desk-2: two lamps)
	@$(BIN)/desk $(if $(BOARD),-board "$(BOARD)") $(if $(PEOPLE),-people "$(PEOPLE)") $(if $(SCENE),-scene "$(SCENE)")

demo: build ## the same without a browser: a script of walk-ups, a line each
	@$(BIN)/desk -demo $(if $(BOARD),-board "$(BOARD)") $(if $(PEOPLE),-people "$(PEOPLE)") $(if $(SCENE),-scene "$(SCENE)")

test: deps build left-out ## all tests
	go vet ./...
	go vet -tags lab ./drivers/... ./firmware/deadman ./firmware/confine ./firmware/cmd/desk ./tests/power ./tests/lab/...
	go test -p 1 -timeout 20m ./...  # one package at a time: many of them keep time

test-long: deps build left-out ## all tests with the race detector, and every fuzz target with 100,000 tries
	go test -race -p 1 -timeout 60m ./...
	.ci/fuzz 100000x

# What go test does not say of tests that it passes over. With CI set they fail instead, but for the photographs.
left-out:
	@[ "$$(id -u)" = 0 ] || echo "make test: NOT ROOT: the tests that read door's memory and start programs as other users are left out; run it as root for all of them"
	@d=$$(mktemp -d); if mount -t tmpfs -o size=1m lintel "$$d" 2> /dev/null; then umount "$$d"; else \
		echo "make test: NO DISK TO FILL: no file system can be mounted here, and the tests that fill the disks of kiosk and headquarters are left out"; fi; rmdir "$$d"
	@[ -d ../shared/data/nuaa ] || echo "make test: NOT CHECKED: ../shared/data/nuaa is absent: nobody has measured whether inference/model/learned.json is still right"

bench: deps-run ## speed of the evidence path, the search, the audit log and the start on a TPM, against a floor in the same run
	@go run ./tests/bench
	@go run ./tests/power -bench

eval: deps-run ## accuracy on a folder of photographs: make eval DATA=dir, of the learned check against prints: make eval PAD=dir [FORMAT=json]
	@test -n "$(DATA)$(PAD)" || { echo 'eval: say where the photographs are: make eval DATA=dir or make eval PAD=dir'; exit 2; }
	@go run ./tests/eval $(if $(DATA),-data "$(DATA)") $(if $(PAD),-pad "$(PAD)") $(if $(FORMAT),-format "$(FORMAT)")

power: deps-run ## cut the power of sealed vault, audit log and their TPM 200 times and see what is left (power-long: 1,000, and a million events)
	@go run ./tests/power

lab: deps-run ## the drivers on real kernel interfaces, in a virtual machine (the first time its kernel is built: 7 minutes; lab-long: full length)
	@.ci/debian $(DEBIAN_LAB)
	@go run ./tests/lab

lab-long: deps-run
	@.ci/debian $(DEBIAN_LAB)
	@go run ./tests/lab -long

pad: deps-run ## the attack laboratory: what the checks accept of each species, two lamps, in simulation (pad-long: 300 a species, 1,000 people, one lamp too)
	@go run ./tests/pad -lamps 2

pad-long: deps-run
	@go run ./tests/pad -lamps 2 -n 300 -bona 1000 -checks -conditions
	@go run ./tests/pad -lamps 1 -n 300 -bona 1000 -checks -conditions

theft: build ## steal the disk, the box and yesterday's copy of a kiosk, and see what opens
	@go run ./tests/theft -programs $(BIN)

hq-test: deps build ## headquarters and its kiosks as real programs: networks, brokers and processes that fail, lie and are killed (hq-test-long: full counts)
	@go run ./tests/hq -programs $(BIN)

hq-test-long: deps build
	@go run ./tests/hq -programs $(BIN) -long
	LINTEL_LEDGER_EVENTS=100000 go test -timeout 10m -run NothingIsLost ./hq/ledger

power-long: deps-run
	@go run ./tests/power -cuts 1000
	@go run ./tests/power -bench -full

deps: deps-run ## install all that running and testing needs: Debian packages, Go modules, npm packages
	@.ci/debian $(DEBIAN_TEST)

deps-run:
	@.ci/debian $(DEBIAN_RUN)
	@.ci/step 'Go modules' go mod download
	@go run ./inference/model/prepare -dir $(CACHE) >&2

build: deps-run ## compile the programs into .lintel/bin
	@mkdir -p $(BIN)
	@.ci/step 'door and link' env CGO_ENABLED=0 go build -trimpath -o $(BIN)/ ./firmware/cmd/door ./firmware/cmd/link
	@.ci/step 'eye, desk, replay and hq' go build -trimpath -o $(BIN)/ ./firmware/cmd/eye ./firmware/cmd/desk ./firmware/cmd/replay ./hq/cmd/hq

clean: ## remove all that was built, fetched and recorded (.lintel)
	rm -rf $(CACHE)
