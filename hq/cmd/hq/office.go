package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/bounded"
	"github.com/lintel-access/lintel/hq/extract"
	"github.com/lintel-access/lintel/hq/hatch"
	"github.com/lintel-access/lintel/hq/people"
	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/sync/wire"
)

// office is what commands about people have in common: where headquarters' folder is, and who asks.
type office struct {
	signing
	dir, master     string
	bundle, library string
	vault           *people.People // once it is open: a passphrase is asked for once
}

// Names within headquarters' folder.
const (
	peopleFolder = "people"
	masterFile   = "people.master"
	rootFile     = "root.pub"
	trustFile    = "trust.cose"
	maxTrust     = 64 << 10
)

// flags makes the flags of a command.
func (o *office) flags(name, usage, about string, out io.Writer) *page {
	p := newPage(name, usage, about, out)
	p.StringVar(&o.master, "master", "", "`file` of the master key of the people (default DIR/"+masterFile+")")
	return p
}

// looks adds the flags of commands that take photographs.
func (o *office) looks(fs *page) {
	fs.StringVar(&o.bundle, "bundle", ".lintel/bundle", "`folder` of the prepared models, which make deps puts there: looked for from where you stand; their hashes are checked")
	fs.StringVar(&o.library, "library", ".lintel/ort/libonnxruntime.so.1", "`file` of the ONNX Runtime library, likewise")
}

// parse reads flags and words.
func (o *office) parse(p *page, args []string, least, most int) ([]string, error) {
	words, err := p.words(args, least, most)
	o.settle(p)
	return words, err
}

// settle takes from the flags where headquarters is.
func (o *office) settle(p *page) {
	if o.dir = p.dir; o.master == "" {
		o.master = filepath.Join(o.dir, masterFile)
	}
}

func (o *office) folder() string { return filepath.Join(o.dir, peopleFolder) }

// open opens the vault of people.
func (o *office) open() (*people.People, error) {
	if o.vault != nil {
		return o.vault, nil
	}
	m, err := people.LoadMaster(o.master, askPassphrase)
	if err != nil {
		return nil, err
	}
	o.vault, err = people.Open(o.folder(), m)
	return o.vault, err
}

// tell has a running headquarters look at the orders that are new. Without one they wait for its start.
func (o *office) tell(ctx context.Context, progress io.Writer) {
	if _, err := hatch.Call[hatch.Nothing](ctx, filepath.Join(o.dir, socketName), verbQueue, hatch.Nothing{}); err != nil {
		fmt.Fprintln(progress, "hq serve does not run here: kiosks hear of this when it does")
	}
}

// trust is the Trust of the fleet's root.
func (o *office) trust() (wire.Trust, error) {
	root, err := authority.LoadPublic(filepath.Join(o.dir, rootFile))
	if err != nil {
		return wire.Trust{}, err
	}
	data, err := bounded.File(filepath.Join(o.dir, trustFile), maxTrust)
	if err != nil {
		return wire.Trust{}, err
	}
	return authority.OpenTrust(data, root)
}

// operator is whoever's key was given.
func (o *office) operator() (people.Operator, error) {
	key, err := authority.LoadKey(o.key)
	if err != nil {
		return people.Operator{}, err
	}
	trust, err := o.trust()
	if err != nil {
		return people.Operator{}, err
	}
	return people.NewOperator(key, trust)
}

// extractor is the child that parses photographs.
func (o *office) extractor() (*extract.Host, error) {
	m, err := model.Default()
	if err != nil {
		return nil, err
	}
	return &extract.Host{Args: []string{"-bundle", o.bundle, "-library", o.library}, Bundle: m.Hash()}, nil
}

// rules are by which references are compared: those of the doors' default policy.
func (o *office) rules() (people.Rules, error) {
	m, err := model.Default()
	if err != nil {
		return people.Rules{}, err
	}
	c, err := model.DefaultCalibration()
	if err != nil {
		return people.Rules{}, err
	}
	policy := access.DefaultPolicy()
	same, err := c.Threshold(policy.FalseMatchRate)
	if err != nil {
		return people.Rules{}, err
	}
	same += policy.SiteOffset
	return people.Rules{Bundle: m.Hash(), Same: same, Alike: same - policy.LookAlike}, nil
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
