package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/sync/wire"
)

// identityCommand writes down who a kiosk is, for headquarters.
func identityCommand(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("door identity", flag.ContinueOnError)
	name := fs.String("board", "desk", "name of the board")
	device := fs.String("tpm", "", "the TPM, if it is not where the board has it: a device, or the socket of swtpm (required on a board with a software one)")
	state := fs.String("state", "", "state folder of the kiosk (required)")
	file := fs.String("out", "", "file to write (required)")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "door identity has the TPM of a provisioned kiosk attest its keys, and writes them to a file for `hq kiosk add`. All of it is public, but it\n"+
			"must come from this bench: headquarters takes the word of whoever carries it that this TPM is a kiosk's.")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return &usageError{err}
	}
	if fs.NArg() > 0 || *state == "" || *file == "" {
		return &usageError{errors.New("say -state and -out; see door identity -h")}
	}
	b, err := board.Load(*name)
	if err != nil {
		return err
	}
	way, err := wayTo(b, *device)
	if err != nil {
		return err
	}
	cpu, err := root.CPUSecret(b.TPM.CPUSecret, sysfs)
	if err != nil {
		return err
	}
	in, err := root.Introduce(way, *state, access.DefaultPolicy().Door, tpm.Options{CPUSecret: cpu})
	if err != nil {
		return err
	}
	data, err := wire.Report(in)
	if err == nil {
		err = root.Replace(*file, data)
	}
	if err != nil {
		return fmt.Errorf("write introduction: %w", err)
	}
	fmt.Fprintf(out, "kiosk %s, door %q\n", wire.Name(in.Kiosk), in.Door)
	return nil
}

// headquartersCommand tells a kiosk where headquarters is, and whom it obeys.
func headquartersCommand(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("door headquarters", flag.ContinueOnError)
	state := fs.String("state", "", "state folder of the kiosk (required)")
	door := fs.String("door", "", "name of this kiosk's door in the rules of the site; it is never another one later (default: "+access.DefaultPolicy().Door+")")
	key := fs.String("root-key", "", "public key of the fleet root, PEM (required)")
	broker := fs.String("broker", "", "host:port of the broker (required)")
	server := fs.String("server", "", "name that the broker's certificate must have (required)")
	trust := fs.String("trust", "", "the fleet root's newest trust document (required)")
	certificate := fs.String("certificate", "", "certificate of the kiosk's TLS key and what vouches for it, PEM (required)")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "door headquarters tells a kiosk where headquarters is, from its next start on. The first fleet root that a kiosk starts with is the only one that it\n"+
			"ever obeys; broker, server and certificate may be told anew at any time. `hq kiosk add` writes what it needs.")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return &usageError{err}
	}
	if fs.NArg() > 0 || *state == "" || *key == "" || *broker == "" || *server == "" || *trust == "" || *certificate == "" {
		return &usageError{errors.New("say -state, -root-key, -broker, -server, -trust and -certificate; see door headquarters -h")}
	}
	id, err := root.Load(*state)
	if err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(*broker); err != nil {
		return fmt.Errorf("read broker: %q is not host:port", *broker)
	}
	h := root.Headquarters{Broker: *broker, Server: *server, Door: *door}
	if h.Root, err = readBlock(*key, "PUBLIC KEY"); err != nil {
		return err
	}
	if h.Trust, err = readMost(*trust, wire.KindTrust.Most()); err != nil {
		return fmt.Errorf("read trust: %w", err)
	}
	if h.Certificate, err = readChain(*certificate, wire.Name(id.Kiosk())); err != nil {
		return err
	}
	if err := root.WriteHeadquarters(*state, h); err != nil {
		return err
	}
	fmt.Fprintf(out, "kiosk %s finds headquarters at %s from its next start on\n", wire.Name(id.Kiosk()), *broker)
	return nil
}

// maxPEM is more than four certificates of 4 KiB need.
const maxPEM = 32 << 10

func readMost(path string, most int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("%q is longer than %d bytes", path, most)
	}
	return data, err
}

func readBlock(path, kind string) ([]byte, error) {
	text, err := readMost(path, maxPEM)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != kind || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%q is not one %s in PEM", path, kind)
	}
	return block.Bytes, nil
}

// readChain reads certificates of which the first must have this common name.
func readChain(path, name string) (chain [][]byte, err error) {
	text, err := readMost(path, maxPEM)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%q holds a %q", path, block.Type)
		}
		chain = append(chain, block.Bytes)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%q holds no certificate in PEM", path)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	if leaf.Subject.CommonName != name {
		return nil, fmt.Errorf("read certificate: it is for %q, this kiosk is %q", leaf.Subject.CommonName, name)
	}
	return chain, nil
}
