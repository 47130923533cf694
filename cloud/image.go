package cloud

import (
	"maps"
	"slices"
	"strings"
)

// setImage chooses one of the images of the config; without a value the engine's standard one.
func (c *Cloud) setImage(_ Tx, s *Site, value string) error {
	if _, ok := c.Images[value]; !ok && value != "" {
		known := strings.Join(slices.Sorted(maps.Keys(c.Images)), ", ")
		if known == "" {
			return Errorf(Invalid, "there is no choice of images here").WithHint("for the admin: list them under [images] in the config")
		}
		return Errorf(Invalid, "there is no image %q", value).WithHint("the images are %s", known)
	}
	s.Image = value
	return nil
}
