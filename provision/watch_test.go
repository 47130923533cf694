package provision_test

import (
	"slices"
	"testing"

	"github.com/moby/moby/api/types/events"

	"plil.net/nuage/provision"
)

// TestOneEndIsToldOnceRegression: 40 sessions that were cut at once, each of which killed the container that none of them could be
// ended in, were told by the daemon as 16 ends of it: the site was given up.
func TestOneEndIsToldOnceRegression(t *testing.T) {
	t.Parallel()
	var all []events.Message
	for _, m := range [][3]string{
		{"start", "a", "1"}, {"die", "a", "1"}, {"die", "a", "1"}, {"start", "b", "2"}, {"die", "a", "1"}, {"die", "b", "2"},
		{"start", "a", "1"}, {"die", "a", "1"}, {"die", "a", "3"}, {"die", "b", "2"},
	} {
		all = append(all, events.Message{Action: events.Action(m[0]), Actor: events.Actor{ID: m[2], Attributes: map[string]string{"nuage.site": m[1]}}})
	}
	if got, want := provision.Told(all), []int{0, 1, 3, 5, 6, 7, 8}; !slices.Equal(got, want) {
		t.Errorf("told are %v, want %v", got, want)
	}
}
