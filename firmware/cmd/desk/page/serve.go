//go:build !kiosk

package page

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Listen takes an address of the form 127.0.0.1:8460. Anything but loopback is refused: the page has no login and needs none
// while only this machine reaches it.
func Listen(addr string) (net.Listener, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: want a loopback address and a port, as in 127.0.0.1:8460", addr)
	}
	if !at.Addr().IsLoopback() {
		return nil, fmt.Errorf("listen on %q: only loopback addresses are allowed", addr)
	}
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s: the port is already in use, perhaps by another desk: stop that program first", addr)
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Serve answers requests on l until ctx ends, and closes it.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	if at, ok := l.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
		return errors.Join(fmt.Errorf("serve on %s: only loopback addresses are allowed", l.Addr()), l.Close())
	}
	s := server(ctx, h)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve the page: %w", err)
	case <-ctx.Done():
	}
	// Event streams end by themselves, their context is ctx.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := s.Shutdown(last); err != nil {
		_ = s.Close() // whoever still holds a connection after a second loses it
	}
	<-ended
	return nil
}

func server(ctx context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second, // events moves its own forward
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
		// What a client does wrong is not news on the desk's terminal.
		ErrorLog: log.New(io.Discard, "", 0),
	}
}
