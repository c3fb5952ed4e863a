package ledger

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/sync/wire"
)

// How the parent tells a child of this test binary to be a ledger.
const (
	childDir  = "LINTEL_LEDGER_CHILD"  // where
	childKeys = "LINTEL_LEDGER_KEYS"   // of whom: id,audit key,attestation key of each
	childDies = "LINTEL_LEDGER_DIES"   // after which step, and at which time it is taken: step,5
	manyFlag  = "LINTEL_LEDGER_EVENTS" // how many events instead of 10,000
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child takes in messages from standard input, each the number of a kiosk and a report, and says what became of each.
func child(dir string) error {
	l, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	step, rest, _ := strings.Cut(os.Getenv(childDies), ",")
	left, _ := strconv.Atoi(rest)
	l.tune = func(f *folder) {
		f.segment = 64 << 10
		f.step = func(what string) {
			if what != step {
				return
			}
			if left--; left == 0 {
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {} // the signal is on its way
			}
		}
	}
	var ids [][32]byte
	for _, line := range strings.Split(os.Getenv(childKeys), ";") {
		var parts [3][]byte
		for i, s := range strings.Split(line, ",") {
			if parts[i], err = hex.DecodeString(s); err != nil {
				return err
			}
		}
		k := Kiosk{ID: [32]byte(parts[0])}
		if _, k.Audit, err = proof.ParseVerifierKey(string(parts[1])); err == nil {
			_, k.Attestation, err = proof.ParseVerifierKey(string(parts[2]))
		}
		if err == nil {
			err = l.Add(k)
		}
		if err != nil {
			return err
		}
		ids = append(ids, k.ID)
	}
	fmt.Println("ready")
	head, buf := make([]byte, 5), []byte(nil)
	for {
		if _, err := io.ReadFull(os.Stdin, head); err != nil {
			return l.Close()
		}
		buf = slices.Grow(buf[:0], int(binary.BigEndian.Uint32(head)))[:binary.BigEndian.Uint32(head)]
		if _, err := io.ReadFull(os.Stdin, buf); err != nil {
			return err
		}
		m, err := wire.Read[wire.Records](buf)
		var ack *wire.Acknowledge
		if err == nil {
			ack, err = l.Ingest(ids[head[4]], m)
		} else {
			err = errors.Join(ErrRefused, err)
		}
		switch {
		case err != nil && !errors.Is(err, ErrRefused):
			return err
		case ack == nil:
			fmt.Println("none")
		default:
			fmt.Printf("ack %d %x\n", ack.Records, ack.Root)
		}
	}
}

// process is a child at work.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startChild(dir, keys, dies string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), childDir+"="+dir, childKeys+"="+keys, childDies+"="+dies)
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	return p, p.cmd.Start()
}

// ask hands the child a message and returns its answer; an error means that it is dead.
func (p *process) ask(to int, data []byte) (string, error) {
	head := append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), byte(to))
	if _, err := p.in.Write(append(head, data...)); err != nil {
		return "", err
	}
	return p.out.ReadString('\n')
}

// bury waits for a dead child. One that ended by itself has a fault.
func (p *process) bury() error {
	p.in.Close()
	io.Copy(io.Discard, p.out)
	p.cmd.Wait()
	if p.cmd.ProcessState.Exited() && !p.cmd.ProcessState.Success() {
		return fmt.Errorf("ledger ended by itself: %v", p.cmd.ProcessState)
	}
	return nil
}

// post is a message on its way.
type post struct {
	to   int
	data []byte
}

// carrier is whoever stands between: it drops, repeats, holds back, cuts short, misdirects, replays and invents.
type carrier struct {
	rng  *rand.Rand
	held []post
	old  []post
}

func (c *carrier) carry(t *testing.T, to int, m wire.Records) (list []post) {
	data := func(m wire.Records) []byte {
		b, err := wire.Report(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	p := post{to, data(m)}
	if c.old = append(c.old, p); len(c.old) > 200 {
		c.old = c.old[1:]
	}
	list = []post{p}
	switch c.rng.IntN(20) {
	case 0: // dropped
		list = nil
	case 1: // twice
		list = append(list, p)
	case 2, 3: // later
		c.held, list = append(c.held, p), nil
	case 4: // to another
		list[0].to = 1 - to
	case 5: // records of an old one with the checkpoint of now, or an old one as it was
		list = append(list, c.old[c.rng.IntN(len(c.old))])
	case 6: // the packet cut short
		list[0].data = p.data[:c.rng.IntN(len(p.data))]
	case 7: // a bit
		list[0].data = bytes.Clone(p.data)
		list[0].data[c.rng.IntN(len(p.data))] ^= 1 << c.rng.IntN(8)
	case 8: // fewer records under the same checkpoint
		m.Records = m.Records[:len(m.Records)/2]
		list[0].data = data(m)
	case 9: // an invention before it, which no checkpoint covers
		list = []post{{to, data(wire.Records{From: m.From, Records: [][]byte{{0xa1, byte(c.rng.Uint32() % 20), 1}}})}, p}
	case 10: // an invention in the midst
		m.Records = slices.Insert(slices.Clone(m.Records), len(m.Records)/2, []byte{1})
		if len(m.Records) <= wire.MaxRecords {
			list[0].data = data(m)
		}
	case 11: // without its checkpoint
		m.Checkpoint, m.Time, m.Proof = nil, nil, nil
		list[0].data = data(m)
	}
	if len(c.held) > 0 && c.rng.IntN(6) == 0 {
		c.rng.Shuffle(len(c.held), func(i, j int) { c.held[i], c.held[j] = c.held[j], c.held[i] })
		list, c.held = append(list, c.held...), nil
	}
	return list
}

// Two kiosks record, a malicious carrier stands between, the ledger is killed in every phase of its work; and the kiosks forget what was acknowledged. No
// record is lost, none stands twice, and whoever follows reads each once.
//
// Control: G5
func TestNothingIsLost(t *testing.T) {
	events := 10_000
	if s := os.Getenv(manyFlag); s != "" {
		var err error
		if events, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t, events)
	t.Cleanup(w.end)
	// Every phase, early and late, and whenever it comes.
	steps := []string{"hashed", "written", "durable", "held", "begun", "before " + pendingName, "after " + pendingName, "before " + stateName, "after " + stateName}
	for i := 0; !w.done(); i++ {
		dies := ""
		if i%3 != 2 {
			step := steps[i/3%len(steps)]
			if some := slices.IndexFunc(steps, func(s string) bool { return w.died[s] == 0 }); some >= 0 && i >= 3*len(steps) {
				step = steps[some] // it comes seldom
			}
			if dies = fmt.Sprintf("%s,%d", step, 1+w.carrier.rng.IntN(8)); w.died[step] == 0 {
				dies = step + ",1"
			}
		}
		w.life(dies, i%3 == 2)
		if i > 20_000 {
			t.Fatalf("no end: %d and %d of %d records are acknowledged", w.kiosks[0].log.Cursor(), w.kiosks[1].log.Cursor(), w.each)
		}
	}
	w.check()
	t.Logf("%d events, %d lives of the ledger, died after %v", 2*w.each, w.lives, w.died)
	for _, s := range steps {
		if w.died[s] == 0 {
			t.Errorf("it never died after %q", s)
		}
	}
}

// world is two kiosks, a carrier, and the folder in which one ledger after the other lives.
type world struct {
	*testing.T
	dir     string
	keys    string
	each    int // events of a kiosk
	kiosks  [2]*double
	hashes  [2][][32]byte // of all that was recorded
	carrier *carrier
	lives   int
	died    map[string]int
	child   *process
}

func newWorld(t *testing.T, events int) *world {
	w := &world{T: t, dir: t.TempDir(), each: events / 2, carrier: &carrier{rng: rand.New(rand.NewPCG(1, 2))}, died: map[string]int{}}
	var keys []string
	for i := range w.kiosks {
		k := newDouble(t, fmt.Sprintf("kiosk %d", i))
		w.kiosks[i] = k
		audit, err := proof.VerifierKey("a", &k.audit.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		attestation, err := proof.VerifierKey("b", &k.tpm.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, fmt.Sprintf("%x,%x,%x", k.id, audit, attestation))
		w.record(i, w.each/2) // while the network was away
		k.sign(t)
	}
	w.keys = strings.Join(keys, ";")
	return w
}

func (w *world) end() {
	if w.child != nil {
		w.child.cmd.Process.Kill()
		w.child.bury()
	}
}

func (w *world) record(i, n int) {
	k := w.kiosks[i]
	n = min(n, w.each-len(w.hashes[i]))
	k.add(w.T, n)
	list, err := k.log.Read(uint64(len(w.hashes[i])), n)
	if err != nil || len(list) != n {
		w.Fatalf("%d of %d records: %v", len(list), n, err)
	}
	for _, e := range list {
		w.hashes[i] = append(w.hashes[i], sha256.Sum256(e.Record))
	}
}

func (w *world) done() bool {
	return w.kiosks[0].log.Cursor() == uint64(w.each) && w.kiosks[1].log.Cursor() == uint64(w.each)
}

// life is one of the ledger: until it dies of itself, is killed in the midst of something, or has had enough to do.
func (w *world) life(dies string, kill bool) {
	w.lives++
	var err error
	if w.child, err = startChild(w.dir, w.keys, dies); err != nil {
		w.Fatal(err)
	}
	defer func() {
		err := w.child.bury()
		if err != nil {
			w.Fatal(err)
		}
		w.child = nil
	}()
	timer := time.AfterFunc(time.Hour, func() {})
	if line, err := w.child.out.ReadString('\n'); err != nil || line != "ready\n" {
		w.count(dies) // in opening
		return
	}
	if kill {
		child := w.child // not the one after it
		timer = time.AfterFunc(time.Duration(w.carrier.rng.IntN(60_000))*time.Microsecond, func() { child.cmd.Process.Kill() })
	}
	defer timer.Stop()
	for range 60 {
		if w.done() {
			return
		}
		i := w.carrier.rng.IntN(2)
		k := w.kiosks[i]
		// A kiosk goes on recording; each message is of what is not acknowledged, and some more are on their way.
		w.record(i, w.carrier.rng.IntN(2+w.each/800))
		if w.carrier.rng.IntN(4) == 0 || len(w.hashes[i]) == w.each {
			k.sign(w.T)
		}
		most := min(wire.MaxRecords, 2+w.each/60)
		from := min(k.log.Cursor()+uint64(w.carrier.rng.IntN(3)*most/2), k.log.Head())
		for _, p := range w.carrier.carry(w.T, i, k.report(w.T, from, 1+w.carrier.rng.IntN(most))) {
			line, err := w.child.ask(p.to, p.data)
			if err != nil {
				w.count(dies)
				return
			}
			w.hear(p.to, strings.TrimSpace(line))
		}
	}
}

func (w *world) count(dies string) {
	step, _, _ := strings.Cut(dies, ",")
	if step == "" {
		step = "any time"
	}
	w.died[step]++
}

// hear is what door does with an acknowledgement: it holds the root to its own tree, moves the cursor and lets go what is acknowledged.
func (w *world) hear(i int, line string) {
	var records uint64
	var root []byte
	if line == "none" {
		return
	}
	if _, err := fmt.Sscanf(line, "ack %d %x", &records, &root); err != nil {
		w.Fatalf("%q: %v", line, err)
	}
	log := w.kiosks[i].log
	mine, err := log.Root(records)
	if err != nil || !bytes.Equal(mine[:], root) {
		w.Fatalf("kiosk %d: acknowledged %d records that it has not: %v", i, records, err)
	}
	if records < log.Cursor() {
		w.Fatalf("kiosk %d: %d were acknowledged, and now %d", i, log.Cursor(), records)
	}
	if err := log.Acknowledge(records); err != nil {
		w.Fatal(err)
	}
}

// check reads the ledger as an auditor would.
func (w *world) check() {
	r, err := Inspect(w.dir)
	if err != nil {
		w.Fatal(err)
	}
	for i, k := range w.kiosks {
		var n int
		err := r.Follow(w.T.Context(), Filter{Kiosk: k.name(), Vouched: true}, false, func(e Event) error {
			if e.Alarm != nil {
				return nil
			}
			if e.Index != uint64(n) || n >= w.each || sha256.Sum256(e.Record) != w.hashes[i][n] {
				return fmt.Errorf("event %d is number %d, and not what was recorded", n, e.Index)
			}
			n++
			return nil
		})
		if err != nil || n != w.each {
			w.Errorf("kiosk %d: %d of %d events: %v", i, n, w.each, err)
		}
		for _, seq := range []int{0, w.each / 2, w.each - 1} {
			receipt, err := r.Receipt(k.name(), uint64(seq))
			if err == nil {
				_, err = proof.VerifyReceipt(receipt, &k.audit.PublicKey)
			}
			if err != nil {
				w.Error(err)
			}
		}
		alarms, err := r.Alarms(k.name())
		if err != nil {
			w.Error(err)
		}
		for _, a := range alarms {
			if a.Kind == AlarmFork || a.Kind == AlarmRewind || a.Kind == AlarmClone {
				w.Errorf("kiosk %d did nothing wrong: %v, %s", i, a.Kind, a.Text)
			}
		}
	}
}
