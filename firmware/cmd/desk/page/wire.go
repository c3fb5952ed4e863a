//go:build !kiosk

package page

import (
	"encoding/json"
	"fmt"

	"github.com/lintel-access/lintel/access"
)

// The JSON that page.js reads. Slices are never null there, so that it needs no test for it.
type (
	wireState struct {
		Version   uint64         `json:"version"`
		Door      wireDoor       `json:"door"`
		Sighting  wireSighting   `json:"sighting"`
		Decisions []wireDecision `json:"decisions"`
		Programs  []wireProgram  `json:"programs"`
		Scenes    []wireScene    `json:"scenes"`
		Scene     string         `json:"scene"`
		People    []wirePerson   `json:"people"`
		Waiting   []string       `json:"waiting"`
		Notices   []notice       `json:"notices"`
		Reviews   []wireReview   `json:"reviews"`
		Enrolled  uint32         `json:"enrolled"`
		Records   uint64         `json:"records"`
		Backlog   uint64         `json:"backlog"`
		Afar      wireAfar       `json:"afar"`
	}
	wireAfar struct {
		Known     bool     `json:"known"`
		Network   bool     `json:"network"`
		Connected bool     `json:"connected"`
		Since     int64    `json:"since"` // Unix milliseconds; 0: never
		Clock     int64    `json:"clock"` // ms that the kiosk's trusted time is ahead of the desk's
		Timed     bool     `json:"timed"` // there is such a time
		Applied   uint64   `json:"applied"`
		Newest    uint64   `json:"newest"`
		Governed  bool     `json:"governed"`
		Alarms    []string `json:"alarms"`
		Visitor   string   `json:"visitor"`
		Enrolled  bool     `json:"enrolled"`
	}
	wireDoor struct {
		State    string `json:"state"`
		Walkup   string `json:"walkup"`
		Text     string `json:"text"`
		LED      string `json:"led"`
		Pattern  string `json:"pattern"`
		Buzzer   string `json:"buzzer"`
		Ajar     bool   `json:"ajar"`
		Released bool   `json:"released"`
		Lamp     bool   `json:"lamp"`
		Fire     bool   `json:"fire"`
		Tamper   bool   `json:"tamper"`
		Lockdown bool   `json:"lockdown"`
	}
	wireSighting struct {
		Box   [4]float32 `json:"box"` // x0 y0 x1 y1
		Faces uint8      `json:"faces"`
		Hint  string     `json:"hint"`
	}
	wireDecision struct {
		Number  uint64 `json:"number"`
		At      int64  `json:"at"` // Unix milliseconds
		Verdict string `json:"verdict"`
		Reason  string `json:"reason"`
		Person  string `json:"person"`
		Latency int64  `json:"latency"` // ms
	}
	wireProgram struct {
		Name     string `json:"name"`
		Phase    string `json:"phase"`
		PID      int    `json:"pid"`
		Since    int64  `json:"since"` // Unix milliseconds
		Restarts uint64 `json:"restarts"`
		LastExit string `json:"lastExit"`
	}
	wirePerson struct {
		Name     string `json:"name"`
		Standing string `json:"standing"`
	}
	wireReview struct {
		ID   string `json:"id"`
		Text string `json:"text"`
	}
	wireScene struct {
		Name  string `json:"name"`
		Title string `json:"title"`
	}
)

// maxDecisions is how many walk-ups the page lists.
const maxDecisions = 16

// encode is the state as one line of JSON.
func encode(s State) ([]byte, error) {
	d, box := s.Door, s.Sighting.Box
	w := wireState{
		Version: s.Version,
		Door: wireDoor{
			State: d.State.String(), Walkup: d.Walkup.String(), Text: d.Indication.Text,
			LED: colour(d.Indication.LED), Pattern: pattern(d.Indication.Pattern), Buzzer: buzzer(d.Indication.Buzzer),
			Ajar: d.Ajar, Released: d.Released, Lamp: d.Lamp, Fire: d.Fire, Tamper: d.Tamper, Lockdown: d.Lockdown,
		},
		Sighting:  wireSighting{[4]float32{box.X0, box.Y0, box.X1, box.Y1}, s.Sighting.Faces, s.Sighting.Hint.String()},
		Decisions: []wireDecision{},
		Programs:  []wireProgram{},
		Scenes:    []wireScene{},
		Scene:     s.Scene,
		People:    []wirePerson{},
		Reviews:   []wireReview{},
		Waiting:   append([]string{}, s.Waiting...),
		Notices:   notices(s),
		Enrolled:  s.Enrolled, Records: s.Records, Backlog: s.Backlog,
	}
	if a := s.Afar; a.Known {
		w.Afar = wireAfar{
			Known: true, Network: a.Network, Connected: a.Connected, Timed: a.Timed, Clock: a.Ahead.Milliseconds(), Applied: a.Applied, Newest: a.Newest, Governed: a.Governed,
			Visitor: a.Visitor, Enrolled: a.Enrolled,
		}
		if !a.Since.IsZero() {
			w.Afar.Since = a.Since.UnixMilli()
		}
	}
	w.Afar.Alarms = append([]string{}, s.Afar.Alarms...)
	for _, d := range s.Decisions[:min(len(s.Decisions), maxDecisions)] {
		w.Decisions = append(w.Decisions, wireDecision{
			d.Number, d.At.UnixMilli(), outcome(d), d.Reason.String(), d.Person, d.Latency.Milliseconds(),
		})
	}
	for _, p := range s.Programs {
		w.Programs = append(w.Programs, wireProgram{p.Name, p.Phase.String(), p.PID, p.Since.UnixMilli(), p.Restarts, p.LastExit})
	}
	for _, p := range s.People {
		w.People = append(w.People, wirePerson{p.Name, standing(p.Standing)})
	}
	for _, r := range s.Reviews {
		w.Reviews = append(w.Reviews, wireReview{r.ID, fmt.Sprintf("A face failed %d walk-ups (%s) and waits for a review.", r.Count, r.Materials)})
	}
	for _, c := range s.Scenes {
		w.Scenes = append(w.Scenes, wireScene(c))
	}
	return json.Marshal(w)
}

// The words of an indication, which are also the values that page.css styles. An unknown number shows as nothing lit, no sound, and no permission.

func colour(c access.Colour) string {
	return word(int(c), "unlit", "red", "green", "blue", "amber", "white")
}

func pattern(p access.LEDPattern) string {
	return word(int(p), "dark", "steady", "breathing", "blinking", "flashing", "winking")
}

func buzzer(b access.BuzzerPattern) string {
	return word(int(b), "silent", "chirp", "low buzz", "reminder", "alarm")
}

func standing(s access.Standing) string {
	return word(int(s), "not permitted", "permitted", "revoked", "suspended", "expired")
}

func word(n int, words ...string) string {
	if n < len(words) {
		return words[n]
	}
	return words[0]
}

// outcome is the word for how a walk-up ended. One that enrolled somebody is no retry to whoever watches, though nobody was let in by it.
func outcome(d Decision) string {
	if d.Reason == access.ReasonEnrolled {
		return "done"
	}
	return d.Verdict.String()
}
