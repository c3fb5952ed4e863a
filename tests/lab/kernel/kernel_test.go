package kernel

import (
	"slices"
	"strings"
	"testing"
)

func TestOptionsThatDidNotSurviveAreNamed(t *testing.T) {
	const fragment = "# a comment\nCONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D=\"x\"\n"
	for _, c := range []struct{ config, lost string }{
		{"CONFIG_A=y\nCONFIG_B=m\nCONFIG_D=\"x\"\n", ""},
		{"CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D=\"x\"\n", ""},
		{"CONFIG_A=y\nCONFIG_B=y\nCONFIG_D=\"x\"\n", "CONFIG_B"},
		{"CONFIG_B=m\nCONFIG_D=\"x\"\n", "CONFIG_A"},
		{"CONFIG_A=y\nCONFIG_B=m\nCONFIG_C=y\nCONFIG_D=\"x\"\n", "CONFIG_C"},
		{"CONFIG_A=y\nCONFIG_B=m\n# CONFIG_D is not set\n", "CONFIG_D"},
	} {
		err := unset(fragment, c.config)
		if (err == nil) != (c.lost == "") || err != nil && !strings.Contains(err.Error(), c.lost+" is") {
			t.Errorf("%q: %v", c.config, err)
		}
	}
	if n := strings.Count(fragment, "CONFIG_"); n != 4 {
		t.Fatal(n)
	}
}

// Each option once: of two the last would count, and the first be a comment that lies.
func TestFragmentIsSound(t *testing.T) {
	seen := map[string]bool{}
	for line := range strings.Lines(fragment) {
		name, _, ok := option(line)
		switch {
		case ok && seen[name]:
			t.Errorf("%s twice", name)
		case !ok && strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "# "):
			t.Errorf("line %q", line)
		}
		seen[name] = true
	}
	if len(seen) < 40 {
		t.Errorf("%d options", len(seen))
	}
}

func TestLoadOrder(t *testing.T) {
	const dep = "k/vivid.ko: k/v4l2.ko k/vmalloc.ko k/common.ko\nk/common.ko:\nk/vmalloc.ko: k/common.ko\nextra/v4l2loopback.ko: k/common.ko\n"
	got, err := loadOrder(dep, "vivid", "v4l2loopback")
	want := []string{"k/common.ko", "k/vmalloc.ko", "k/v4l2.ko", "k/vivid.ko", "extra/v4l2loopback.ko"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := loadOrder(dep, "loop"); err == nil {
		t.Error("a module that was not built")
	}
}

func TestIdentityFollowsWhatGoesIn(t *testing.T) {
	is := id("6.1.1", "CONFIG_A=y\n# CONFIG_B is not set\n")
	if id("6.1.1", "# said otherwise\nCONFIG_A=y\n# CONFIG_B is not set") != is {
		t.Error("a comment makes another kernel")
	}
	for _, other := range []string{id("6.1.2", "CONFIG_A=y\n# CONFIG_B is not set\n"), id("6.1.1", "CONFIG_A=m\n# CONFIG_B is not set\n"), id("6.1.1", "CONFIG_A=y\n")} {
		if other == is {
			t.Error("another source has the same id")
		}
	}
}
