package access

import "fmt"

// A Profile is how much assurance a door asks of the lamp code: an answer that does not depend on the code passes with a probability of at most one in
// the size of the profile's Book. The zero Profile is none.
type Profile uint8

// Append only.
const (
	Office     Profile = 1 // 12 chips, 616 codes, at least 2^9
	Restricted Profile = 2 // 18 chips, 20,498 codes, at least 2^13
	High       Profile = 3 // 26 chips, 2,309,246 codes, at least 2^19
)

var profileNames = [...]string{"none", "office", "restricted", "high"}

// String is the name as policies write it.
func (p Profile) String() string {
	if int(p) < len(profileNames) {
		return profileNames[p]
	}
	return fmt.Sprintf("profile %d", uint8(p))
}

// ParseProfile reads a name that String gives.
func ParseProfile(name string) (Profile, error) {
	for p := Office; p <= High; p++ {
		if p.String() == name {
			return p, nil
		}
	}
	return 0, fmt.Errorf("read profile: %q is none of office, restricted and high", name)
}

// Above is the profile that asks for more; High stays.
func (p Profile) Above() Profile { return min(p+1, High) }

// Chips is the length of the profile's codes at one lamp; 0 for none.
func (p Profile) Chips() int {
	switch p {
	case Office:
		return 12
	case Restricted:
		return 18
	case High:
		return maxChips
	}
	return 0
}

// Book is the profile's.
func (p Profile) Book() (Book, error) {
	if p < Office || p > High {
		return Book{}, fmt.Errorf("open code book: %v has none", p)
	}
	return NewBook(p.Chips())
}
