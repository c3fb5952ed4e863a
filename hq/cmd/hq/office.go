package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/extract"
	"github.com/lintel-access/lintel/hq/hatch"
	"github.com/lintel-access/lintel/hq/people"
	"github.com/lintel-access/lintel/inference/model"
)

// office is what commands about people have in common: where headquarters' folder is, and who asks.
type office struct {
	dir, master, key string
	bundle, library  string
}

// Names within headquarters' folder.
const (
	peopleFolder = "people"
	masterFile   = "people.master"
	rootFile     = "root.pub"
	trustFile    = "trust.cose"
	maxTrust     = 64 << 10
)

// flags makes the flags of a command. What stands in its help before them is about.
func (o *office) flags(name, usage, about string, out io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(out)
	fs.StringVar(&o.dir, "dir", "", "headquarters' folder (required)")
	fs.StringVar(&o.master, "master", "", "file of the master key of the people (default DIR/"+masterFile+")")
	fs.Usage = func() {
		fmt.Fprintf(fs.Output(), "usage: hq %s %s\n\n%s\n\n", name, usage, about)
		fs.PrintDefaults()
	}
	return fs
}

// signs adds the flag of commands that sign.
func (o *office) signs(fs *flag.FlagSet) {
	fs.StringVar(&o.key, "key", "", "file of your own key, mode 0600 (required)")
}

// looks adds the flags of commands that take photographs.
func (o *office) looks(fs *flag.FlagSet) {
	fs.StringVar(&o.bundle, "bundle", ".lintel/bundle", "folder of the prepared models; their hashes are checked")
	fs.StringVar(&o.library, "library", ".lintel/ort/libonnxruntime.so.1", "the ONNX Runtime library; its hash is checked")
}

// parse takes flags and other words in any order, and returns those words.
func (o *office) parse(fs *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, fmt.Errorf("%w: hq %s -h", errUsage, fs.Name())
		}
		if fs.NArg() == 0 {
			break
		}
		words, args = append(words, fs.Arg(0)), fs.Args()[1:]
	}
	if o.dir == "" {
		return nil, fmt.Errorf("say where headquarters' folder is, -dir FOLDER: %w", errUsage)
	}
	if o.master == "" {
		o.master = filepath.Join(o.dir, masterFile)
	}
	return words, nil
}

func (o *office) folder() string { return filepath.Join(o.dir, peopleFolder) }

// open opens the vault of people.
func (o *office) open() (*people.People, error) {
	m, err := people.LoadMaster(o.master, askPassphrase)
	if err != nil {
		return nil, err
	}
	return people.Open(o.folder(), m)
}

// tell has a running headquarters look at the orders that are new. Without one they wait for its start.
func (o *office) tell(ctx context.Context, progress io.Writer) {
	if _, err := hatch.Call[hatch.Nothing](ctx, filepath.Join(o.dir, socketName), verbQueue, hatch.Nothing{}); err != nil {
		fmt.Fprintln(progress, "hq serve does not run here: kiosks hear of this when it does")
	}
}

// operator is whoever's key was given, with the Trust of the fleet's root.
func (o *office) operator() (people.Operator, error) {
	if o.key == "" {
		return people.Operator{}, fmt.Errorf("say which key is yours, -key FILE: %w", errUsage)
	}
	key, err := authority.LoadKey(o.key)
	if err != nil {
		return people.Operator{}, err
	}
	root, err := authority.LoadPublic(filepath.Join(o.dir, rootFile))
	if err != nil {
		return people.Operator{}, err
	}
	data, err := readBounded(filepath.Join(o.dir, trustFile), maxTrust)
	if err != nil {
		return people.Operator{}, err
	}
	trust, err := authority.OpenTrust(data, root)
	if err != nil {
		return people.Operator{}, err
	}
	return people.NewOperator(key, trust)
}

// extractor is the child that parses photographs, and the rules by which references are compared: those of the doors' default policy.
func (o *office) extractor() (*extract.Host, people.Rules, error) {
	m, err := model.Default()
	if err != nil {
		return nil, people.Rules{}, err
	}
	c, err := model.DefaultCalibration()
	if err != nil {
		return nil, people.Rules{}, err
	}
	policy := access.DefaultPolicy()
	same, err := c.Threshold(policy.FalseMatchRate)
	if err != nil {
		return nil, people.Rules{}, err
	}
	same += policy.SiteOffset
	host := &extract.Host{Args: []string{"-bundle", o.bundle, "-library", o.library}, Bundle: m.Hash()}
	return host, people.Rules{Bundle: m.Hash(), Same: same, Alike: same - policy.LookAlike}, nil
}

func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%q is larger than %d bytes", path, most)
	}
	return data, err
}

// askPassphrase reads a line from the terminal without showing it, or from whatever stands in for one.
func askPassphrase() (string, error) {
	fd := int(os.Stdin.Fd())
	if old, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
		fmt.Fprint(os.Stderr, "passphrase: ")
		silent := *old
		silent.Lflag &^= unix.ECHO
		if err := unix.IoctlSetTermios(fd, unix.TCSETS, &silent); err != nil {
			return "", err
		}
		defer func() {
			unix.IoctlSetTermios(fd, unix.TCSETS, old)
			fmt.Fprintln(os.Stderr)
		}()
	}
	line, err := bufio.NewReader(io.LimitReader(os.Stdin, 1<<10)).ReadString('\n')
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errors.Join(errors.New("no passphrase was given"), err)
	}
	return line, nil
}

// parseHash reads 64 hexadecimal digits.
func parseHash(what, s string) (h [32]byte, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) || bytes.Equal(b, h[:]) {
		return h, fmt.Errorf("%s %q: want 64 hexadecimal digits: %w", what, s, errUsage)
	}
	copy(h[:], b)
	return h, nil
}
