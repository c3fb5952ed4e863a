// Command pad is the attack laboratory: it presents living people, prints, screens, masks and injected frames to a simulated kiosk and
// counts what its checks against attacks accept.
//
//	make pad
//
// Each presentation runs the product's own path: frames of the twin, the real models, the watcher of eye, and the checks of door with
// the default policy, in virtual time at 30 frames a second. A lamp code is drawn for each session, and a walk-up that ended in a retry gets a second
// session, be it a living person's or an attack's. Nothing is compared: accepted means that a comparison would follow.
//
// What is measured here is measured in simulation, on few photographs and on no living person (docs/PAD.md, docs/SCENES.md). Thresholds are set
// on seed set A and reported on B.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/lintel-access/lintel/firmware/twin"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return // the usage was printed
		}
		fmt.Fprintln(os.Stderr, "pad:", err)
		os.Exit(1)
	}
}

const usage = `usage: pad [-n presentations] [-bona presentations] [-species name,name] [-scene file] ...

Presents each species of attack, and living people, to a simulated kiosk, and prints a line each: how many were accepted, as a rate with
its exact 95 % interval, and why the others were not. The last line is "pad: N species, N presentations, N accepted, N bona fide,
N rejected". Exit status 1 when a target is missed: no attack accepted (but for what the program allows, with the reason), at most
3 % of living people rejected, and the time from the first face to the decision. make deps fetches what it needs. A presentation costs about
a third of a second of one processor: the 1,680 of the defaults take four to five minutes on two.

`

type options struct {
	n, bona, fps, lamps     int
	set, profile            string
	species, scene, print   string
	values                  string
	cache, photos           string
	bundles, reviewer       string
	frames                  bool
	workers, worker         int
	single, work, breakdown bool
}

func run(args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	chosen, err := choose(o)
	switch {
	case err != nil:
		return err
	case o.print != "":
		return printScene(o, out)
	case o.work:
		return work(o, chosen, out)
	}
	outcomes, people, err := gather(o, chosen, args, progress)
	if err != nil {
		return err
	}
	if o.values != "" {
		if err := writeValues(o.values, outcomes); err != nil {
			return err
		}
	}
	return report{options: o, species: chosen, outcomes: outcomes, people: people}.print(out)
}

func parse(args []string, progress io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("pad", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.Usage = func() {
		fmt.Fprint(progress, usage)
		flags.PrintDefaults()
		fmt.Fprintln(progress, "\nspecies:")
		for _, k := range catalogue {
			fmt.Fprintln(progress, "  "+k.name)
		}
	}
	flags.IntVar(&o.n, "n", 60, "presentations of each species of attack")
	flags.IntVar(&o.bona, "bona", 120, "presentations of living people")
	flags.IntVar(&o.fps, "fps", 30, "frames a second of the camera, 10 to 90")
	flags.IntVar(&o.lamps, "lamps", 1, "infrared lamps of the board: 1, or 2 beside the lens")
	flags.StringVar(&o.set, "seed-set", "B", "A: the seeds on which thresholds are set; B: those on which they are reported")
	flags.StringVar(&o.profile, "profile", "office", "the door's profile: office, restricted or high")
	flags.StringVar(&o.species, "species", "", "only the species whose names contain one of these words, separated by commas")
	flags.StringVar(&o.scene, "scene", "", "a scene of docs/SCENES.md that is presented instead: -n times as an attack, or -bona times as a living person if it expects granted")
	flags.StringVar(&o.print, "print", "", "print the scene of one presentation, as name/number, and end")
	flags.BoolVar(&o.single, "checks", false, "print for each species the rate of each check alone, with its interval")
	flags.BoolVar(&o.breakdown, "conditions", false, "print the rates of living people by condition")
	flags.StringVar(&o.values, "values", "", "write what each check measured in each presentation to this file, as tab-separated text")
	flags.StringVar(&o.bundles, "bundle", "", "write an abuse bundle of each session to this folder, for replay (docs/PAD.md)")
	flags.StringVar(&o.reviewer, "reviewer", "", "age X25519 recipient that bundles are encrypted to")
	flags.BoolVar(&o.frames, "frames", false, "put the frames into the bundles, too: about 3 MB each")
	flags.StringVar(&o.cache, "cache", ".lintel", "where make deps has put ONNX Runtime and models")
	flags.StringVar(&o.photos, "photos", "", "folder of photographs of the cast (default CACHE/photos)")
	flags.IntVar(&o.workers, "workers", min(runtime.NumCPU(), 8), "processes that work side by side")
	flags.BoolVar(&o.work, "work", false, "be one of these processes (the program starts them itself)")
	flags.IntVar(&o.worker, "worker", 0, "which of them")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.photos == "" {
		o.photos = o.cache + "/photos"
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q; see pad -h", flags.Arg(0))
	case o.n < 1 || o.n > 100000 || o.bona < 1 || o.bona > 100000:
		return o, errors.New("want 1 to 100000 presentations")
	case o.fps < 10 || o.fps > 90:
		return o, errors.New("want 10 to 90 frames a second")
	case o.lamps != 1 && o.lamps != 2:
		return o, errors.New("want one lamp or two")
	case o.set != "A" && o.set != "B":
		return o, fmt.Errorf("%q is no seed set: A or B", o.set)
	case o.workers < 1 || o.workers > 64 || o.worker < 0 || o.worker >= o.workers:
		return o, errors.New("want 1 to 64 workers")
	}
	return o, nil
}

// choose is what is to be presented.
func choose(o options) ([]species, error) {
	if o.scene != "" {
		text, err := os.ReadFile(o.scene)
		if err != nil {
			return nil, err
		}
		scene, err := twin.ParseScene(o.scene, text)
		if err != nil {
			return nil, err
		}
		return []species{{name: scene.Title, bona: scene.Expect.Outcome == twin.Granted, write: func(s *script) { s.Write(text) }}}, nil
	}
	if o.species == "" {
		return catalogue, nil
	}
	var chosen []species
	for _, k := range catalogue {
		for _, word := range strings.Split(o.species, ",") {
			if strings.Contains(k.name, strings.TrimSpace(word)) {
				chosen = append(chosen, k)
				break
			}
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no species has %q in its name; see pad -h", o.species)
	}
	return chosen, nil
}

// size is how often a species is presented.
func (o options) size(k species) int {
	if k.bona {
		return o.bona
	}
	return o.n
}
