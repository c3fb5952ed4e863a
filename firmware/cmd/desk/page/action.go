//go:build !kiosk

package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
)

// Action is something a visitor wants to happen. Only actions of the table in allowed reach Desk.Act.
type Action struct {
	Name string `json:"name"`
	Arg  string `json:"arg"`
}

// maxAction bounds the body of a request in bytes; the longest lawful one is below 100.
const maxAction = 4 << 10

var (
	errUnknownAction = errors.New("unknown action")
	errArgument      = errors.New("argument does not fit")
)

// allowed is the closed table of actions and of what each may carry.
//
//	scene          the name of a scene
//	rex            nothing
//	fire           on, off
//	tamper         on, off
//	lockdown       on, off
//	suspend        the bench name of a person who is permitted
//	resume         of one who is suspended
//	revoke         of one who is enrolled and not revoked yet
//	delete         of anybody enrolled
//	confirm        the bench name of somebody who may be the one that waits at the door
//	review         the id of a face that waits for one
//	rekey          nothing
//	kill           the name of a program
//	network        on, off; this and what follows while there is a headquarters
//	afar-enrol     nothing
//	afar-delete    nothing
//	afar-lockdown  on, off
//	afar-release   nothing
func allowed(a Action, s State) error {
	var fits bool
	switch a.Name {
	case "scene":
		fits = slices.ContainsFunc(s.Scenes, func(c Scene) bool { return c.Name == a.Arg })
	case "rex", "rekey":
		fits = a.Arg == ""
	case "fire", "tamper", "lockdown":
		fits = a.Arg == "on" || a.Arg == "off"
	case "suspend", "resume", "revoke", "delete":
		fits = slices.ContainsFunc(s.People, func(p Person) bool { return p.Name == a.Arg && p.can(a.Name) })
	case "confirm":
		fits = slices.Contains(s.Waiting, a.Arg)
	case "review":
		fits = slices.ContainsFunc(s.Reviews, func(r Review) bool { return r.ID == a.Arg })
	case "kill":
		fits = slices.ContainsFunc(s.Programs, func(p Program) bool { return p.Name == a.Arg })
	case "network", "afar-lockdown":
		fits = s.Afar.Known && (a.Arg == "on" || a.Arg == "off")
	case "afar-release":
		fits = s.Afar.Known && a.Arg == ""
	case "afar-enrol", "afar-delete":
		fits = s.Afar.Visitor != "" && a.Arg == "" && s.Afar.Enrolled == (a.Name == "afar-delete")
	default:
		return fmt.Errorf("%w: %.40q", errUnknownAction, a.Name)
	}
	if !fits {
		return fmt.Errorf("%w: %.40q of action %q", errArgument, a.Arg, a.Name)
	}
	return nil
}

// act answers POST /act.
func (p *page) act(w http.ResponseWriter, r *http.Request) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "the body must be application/json")
		return
	}
	var a Action
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAction))
	in.DisallowUnknownFields()
	err := in.Decode(&a)
	if err == nil {
		if _, more := in.Token(); more != io.EOF {
			err = errors.New("more than one value")
		}
	}
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		refuse(w, http.StatusRequestEntityTooLarge, "the body is too large")
		return
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "the body is not an action")
		return
	}
	switch err := allowed(a, p.desk.State()); {
	case errors.Is(err, errUnknownAction):
		refuse(w, http.StatusNotFound, err.Error())
	case err != nil:
		refuse(w, http.StatusBadRequest, err.Error())
	default:
		if err := p.desk.Act(r.Context(), a); err != nil {
			refuse(w, http.StatusConflict, err.Error())
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// refuse answers with a reason that the page can show.
func refuse(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A client that is gone needs no answer.
	_ = json.NewEncoder(w).Encode(map[string]string{"error": reason})
}
