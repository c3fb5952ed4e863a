package people

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/access"
)

// The test binary runs itself as a program that is killed: child MODE FOLDER MASTER ARGUMENT.
func TestMain(m *testing.M) {
	if len(os.Args) == 6 && os.Args[1] == "child" {
		if err := child(os.Args[2], os.Args[3], os.Args[4], os.Args[5]); err != nil {
			fmt.Println("child:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func child(mode, dir, master, argument string) error {
	m, err := LoadMaster(master, nil)
	if err != nil {
		return err
	}
	p, err := Open(dir, m)
	if err != nil {
		return err
	}
	by, err := someone()
	if err != nil {
		return err
	}
	if mode == "bulk" {
		return enrolTable(p, argument, by, func(l Line) {
			fmt.Println(l.Line)
			if l.Line >= 190 {
				time.Sleep(time.Minute) // it is killed before its end, however late
			}
		})
	}
	p.interrupt = func(at string) {
		if at == mode {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			time.Sleep(time.Minute)
		}
	}
	id, err := access.ParsePersonID(argument)
	if err != nil {
		return err
	}
	return p.Delete(id, by)
}

func enrolTable(p *People, folder string, by Operator, tell func(Line)) error {
	table, err := os.ReadFile(filepath.Join(folder, "people.csv"))
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	report, err := p.Bulk(context.Background(), table, root, enrolBy(p, by), tell)
	if err == nil {
		fmt.Printf("%+v\n", report)
	}
	return err
}

func (b *bench) child(t *testing.T, mode, argument string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "master")
	if err := writeNew(path, fmt.Appendf(nil, "%s%x\n", masterLine, b.master.key)); err != nil {
		t.Fatal(err)
	}
	return exec.Command(os.Args[0], "child", mode, b.dir, path, argument)
}

// The process dies at every step of a deletion: the next start finishes it.
func TestDeletionKilled(t *testing.T) {
	for _, at := range []string{"deletion begun", "key destroyed"} {
		b := start(t)
		e := b.enrol(t, request("one", "1"))
		err := b.child(t, at, e.Person.String()).Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("%s: %v", at, err)
		}
		p := mustOpen(t, b.dir, b.master)
		if all, lost, err := p.List(); err != nil || len(all) != 0 || lost != 0 {
			t.Errorf("%s: %v, %d lost, %v", at, all, lost, err)
		}
		if _, gone, _, err := p.Content(e.Order); !gone || err != nil {
			t.Errorf("%s: gone %v, %v", at, gone, err)
		}
	}
}

// 200 rows, some of them bad, and the process killed three times in the middle: everybody is enrolled once, each bad row is told by its line.
//
// Control: S11
func TestBulkKilled(t *testing.T) {
	b := start(t)
	folder := t.TempDir()
	const rows = 200
	bad := map[int]string{}
	var table strings.Builder
	table.WriteString("\ufeffname,number,groups,valid_until,consent,proofing,photos,extended\n")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("id.txt", "passport")
	until := time.Now().AddDate(1, 0, 0).Format(time.DateOnly)
	for i := range rows {
		line := i + 2
		write(fmt.Sprintf("%d.jpg", i), fmt.Sprint(i))
		text := fmt.Sprintf("Person %d,%d,staff|lab,%s,C-%d,id.txt,%d.jpg,no", i, i, until, i, i)
		switch i {
		case 10:
			text, bad[line] = "Person \"10,10,staff\n"[:len("Person \"10,10,staff")], "quote"
		case 20:
			text, bad[line] = "only,three,fields", "it has 3 fields, want 8"
		case 30:
			text, bad[line] = strings.Replace(text, until, "30.6.2027", 1), "is no date"
		case 40:
			text, bad[line] = strings.Replace(text, ",C-40,", ",,", 1), "no consent"
		case 50:
			text, bad[line] = strings.Replace(text, "50.jpg", "absent.jpg", 1), "no such file"
		case 60:
			text, bad[line] = strings.Replace(text, "60.jpg", "../../etc/passwd", 1), "escapes"
		case 70:
			text, bad[line] = strings.Replace(text, "70.jpg", "id.txt", 1), "not a JPEG or PNG"
		case 80:
			text, bad[line] = strings.Replace(text, "80.jpg", "79.jpg", 1), "enrolled already"
		case 90:
			text, bad[line] = "M\xfcller"+text, "not UTF-8"
		case 100:
			text, bad[line] = strings.Repeat("x", maxLine+5)+text, "longer than"
		case 110:
			text, bad[line] = strings.Replace(text, ",no", ",perhaps", 1), "want yes or no"
		}
		table.WriteString(text + "\r\n")
	}
	write("people.csv", table.String())
	for round := range 3 {
		cmd := b.child(t, "bulk", folder)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for lines, n := bufio.NewScanner(out), 0; n < 50*(round+1) && lines.Scan(); n++ {
			if strings.HasPrefix(lines.Text(), "child:") {
				t.Fatal(lines.Text())
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("it was over before it was killed")
		}
	}
	by, err := someone()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(table.String()))
	batch, told, before := hex.EncodeToString(sum[:8]), map[int]error{}, 0
	if err := enrolTable(b.People, folder, by, func(l Line) {
		if told[l.Line] = l.Err; l.Before {
			before++
		}
		if l.Waits != (l.Err == nil) || l.Waits && l.Batch != batch {
			t.Errorf("line %d waits %v in batch %q", l.Line, l.Waits, l.Batch)
		}
		if strings.Contains(fmt.Sprint(l), "Person ") {
			t.Errorf("a name is in the report: %v", l)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if before < 100 || before >= rows-len(bad) {
		t.Errorf("%d rows were done before: the kill hit nothing", before)
	}
	if len(told) != rows {
		t.Errorf("%d rows were told, want %d", len(told), rows)
	}
	for line, err := range told {
		if want, is := bad[line]; is != (err != nil) || is && !strings.Contains(err.Error(), want) {
			t.Errorf("line %d: %v, want %q", line, err, want)
		}
	}
	check := func(want int) []Listed {
		t.Helper()
		all, lost, err := b.List()
		if err != nil || lost != 0 {
			t.Fatalf("%d lost, %v", lost, err)
		}
		names := map[string]int{}
		for _, l := range all {
			if names[l.Name]++; names[l.Name] > 1 {
				t.Errorf("%s is enrolled twice", l.Name)
			}
		}
		if len(all) != want {
			t.Errorf("%d people, want %d", len(all), want)
		}
		return all
	}
	all := check(rows - len(bad))
	if len(b.assigned(t, lab)) != 0 {
		t.Error("a bulk enrolment was handed on without approval")
	}
	waiting, err := b.Pending("")
	if err != nil || len(waiting) != len(all) {
		t.Fatalf("%d wait, %v", len(waiting), err)
	}

	// One row is mended, one person is deleted and comes back: the next run does these two.
	write("absent.jpg", "50")
	if err := b.reject(all[0].Order, b.bob); err != nil {
		t.Fatal(err)
	}
	again := 0
	if err := enrolTable(b.People, folder, by, func(l Line) {
		if l.Err == nil && !l.Before {
			again++
		}
	}); err != nil {
		t.Fatal(err)
	}
	if again != 2 {
		t.Errorf("%d rows were done again, want 2", again)
	}
	check(rows - len(bad) + 1)
}

// A full disk is a clear error, nothing is half done, and with room it works again.
func TestFullDisk(t *testing.T) {
	b := start(t)
	b.enrol(t, request("one", "1"))
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k,mode=0700"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("ci must not leave the full disk out: ", err)
		}
		t.Skipf("NOT ROOT, NOT TRIED: a full disk needs a mount: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	if err := Create(filepath.Join(dir, "people"), b.master); err != nil {
		t.Fatal(err)
	}
	b.People = mustOpen(t, filepath.Join(dir, "people"), b.master)
	enrolled := 0
	var err error
	for ; enrolled < 1000 && err == nil; enrolled++ {
		_, err = b.Enrol(t.Context(), request(fmt.Sprint(enrolled), fmt.Sprint(enrolled)), b.ann, faces{}, rules())
	}
	enrolled--
	if !errors.Is(err, ErrSpace) {
		t.Fatalf("after %d people: %v", enrolled, err)
	}
	for _, p := range []*People{b.People, mustOpen(t, b.dir, b.master)} {
		if all, lost, err := p.List(); err != nil || len(all) != enrolled || lost != 0 {
			t.Errorf("%d people, %d lost, %v; want %d", len(all), lost, err, enrolled)
		}
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=4m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	b.enrol(t, request("last", "5000"))
	if got := len(b.assigned(t, lab)); got != enrolled+1 {
		t.Errorf("%d orders, want %d", got, enrolled+1)
	}
}
