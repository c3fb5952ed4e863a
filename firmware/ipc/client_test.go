package ipc

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
)

func TestCall(t *testing.T) {
	conn, door := pair(t, Desk)
	pushed := make(chan Message, 1)
	client := NewClient(conn, func(m Message) { pushed <- m })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	served := make(chan error, 1)
	go func() { served <- bench(ctx, door) }()

	who := access.PersonID{1}
	var got Enrolled
	if err := client.Call(within(t), KindEnrol, Enrol{Person: who, Within: time.Second}, &got); err != nil || got.References != 3 || got.Person != who {
		t.Fatalf("enrol: %+v, %v", got, err)
	}
	if m := <-pushed; m.Kind != KindStatus {
		t.Fatalf("pushed %v", m.Kind)
	}
	if err := client.Call(within(t), KindLockdown, Lockdown{true}, nil); err != nil {
		t.Fatalf("lockdown: %v", err)
	}
	if err := client.Call(within(t), KindRevoke, Revoke{who}, nil); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), `"not enrolled"`) {
		t.Fatalf("revoke: %v", err)
	}
	if err := client.Call(within(t), KindObserve, Observe{}, nil); err == nil {
		t.Fatal("called what the desk may not")
	}
	short, stop := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer stop()
	if err := client.Call(short, KindPulse, nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("unanswered: %v", err)
	}
	door.Close()
	if err := <-ended; err != io.EOF {
		t.Fatalf("run: %v", err)
	}
	if err := client.Call(within(t), KindPulse, nil, nil); err == nil {
		t.Fatal("called a closed connection")
	}
	cancel()
	<-served
	if len(client.waiting) != 0 {
		t.Fatalf("%d calls left over", len(client.waiting))
	}
}

// bench plays door for the desk: it answers all but a pulse, and pushes a Status before an Enrolled.
func bench(ctx context.Context, door *Conn) error {
	for {
		m, err := door.Recv(ctx)
		if err != nil {
			return err
		}
		switch m.Kind {
		case KindEnrol:
			var e Enrol
			if err := Decode(m, &e); err != nil {
				return err
			}
			err = errors.Join(door.Send(KindStatus, 0, Status{}), door.Send(KindEnrolled, m.ID, Enrolled{Person: e.Person, References: 3}))
		case KindRevoke:
			err = door.Refuse(m.ID, "not enrolled")
		case KindLockdown:
			err = door.Send(KindOK, m.ID, nil)
		}
		if err != nil {
			return err
		}
	}
}

func TestRefuseCutsLongTexts(t *testing.T) {
	client, door := pair(t, Desk)
	if err := door.Refuse(1, strings.Repeat("ü", maxSentence)+"\xff"); err != nil {
		t.Fatal(err)
	}
	m, err := client.Recv(within(t))
	if err != nil {
		t.Fatal(err)
	}
	var f Failure
	if err := Decode(m, &f); err != nil || len(f.Message) != maxSentence {
		t.Fatalf("%d bytes, %v", len(f.Message), err)
	}
}
