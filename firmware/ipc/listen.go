package ipc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// network is sequenced packets: boundaries are kept, order is kept, both ends see a close.
const network = "unixpacket"

// maxPath is what sockaddr_un holds besides the final zero byte.
const maxPath = 107

// ErrInUse means that a living process listens on the path already.
var ErrInUse = errors.New("another process listens there: is the program running twice?")

// Listener takes the connections of one role.
type Listener struct {
	sock    *net.UnixListener
	role    Role
	wantUID int
}

// Listen serves role at path, a socket of mode 0600 in a folder of mode 0700 that is made when absent. A socket that a dead
// process left is replaced; a living one is ErrInUse; any other file, or a folder that others may enter, is an error and stays as
// it is. Clients of another user than wantUID are refused.
func Listen(path string, role Role, wantUID int) (*Listener, error) {
	sock, err := bind(path)
	if err != nil {
		return nil, fmt.Errorf("listen at %q: %w", path, err)
	}
	return &Listener{sock: sock, role: role, wantUID: wantUID}, nil
}

func bind(path string) (*net.UnixListener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("path of %d bytes, a socket's may have %d", len(path), maxPath)
	}
	dir, err := privateDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	// The lock on the folder keeps two starting processes from each removing the other's new socket.
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock folder: %w", err)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	sock, err := net.ListenUnix(network, &net.UnixAddr{Name: path, Net: network})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		sock.Close()
		return nil, err
	}
	return sock, nil
}

func privateDir(path string) (*os.File, error) {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	dir, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		dir.Close()
		return nil, err
	}
	if st.Mode&0o077 != 0 || int(st.Uid) != os.Geteuid() {
		dir.Close()
		return nil, fmt.Errorf("folder has mode %#o and owner %d, want 0700 and our own: others could put a socket there", st.Mode&0o777, st.Uid)
	}
	return dir, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("a file that is not a socket is in the way")
	}
	probe, err := net.DialUnix(network, nil, &net.UnixAddr{Name: path, Net: network})
	if err == nil {
		probe.Close()
		return ErrInUse
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("find out whether the socket is alive: %w", err)
	}
	return os.Remove(path)
}

// Accept waits for the next client. It returns ctx's error when ctx ends, a *Violation when somebody else's client came (Accept
// may be called again), and any other error when the listener is broken or closed.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	release, err := interruptible(ctx, l.sock.SetDeadline)
	if err != nil {
		return nil, err
	}
	sock, err := l.sock.AcceptUnix()
	release()
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("accept %v: %w", l.role, err)
	}
	return newConn(sock, l.role, toDoor, l.wantUID)
}

// Close ends the listener and removes its socket; connections live on.
func (l *Listener) Close() error { return l.sock.Close() }

// DialWithin is Dial, tried again for a while: programs start together and door's sockets may come last.
func DialWithin(ctx context.Context, within time.Duration, path string, role Role, wantUID int) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		conn, err := Dial(ctx, path, role, wantUID)
		if err == nil || !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Dial connects a client of the given role to door, which must be a process of user wantUID: a client that speaks to whoever sits
// on the path would hand its evidence to them.
func Dial(ctx context.Context, path string, role Role, wantUID int) (*Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, path)
	if err != nil {
		return nil, fmt.Errorf("connect to door as %v: %w", role, err)
	}
	return newConn(conn.(*net.UnixConn), role, fromDoor, wantUID)
}
