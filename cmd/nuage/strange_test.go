package main

import (
	"math"
	"strings"
	"testing"
)

// TestStrangeValuesRegression: each of these was taken, and sites did not come up, or nobody's visit woke them.
func TestStrangeValuesRegression(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(*config){
		"engine.robots":      func(c *config) { c.Engine.Robots = []string{"bingbot", " "} },
		`images: "8.4" = ""`: func(c *config) { c.Images = map[string]string{"8.4": ""} },
		`images: "" = "x"`:   func(c *config) { c.Images = map[string]string{"": "x"} },
	} {
		c := defaults()
		spoil(&c)
		if err := c.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for _, cpus := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, 1e300} {
		limits := groupDefaults
		if err := (groupConfig{CPUs: &cpus}).limits("groups.a", &limits); err == nil || !strings.Contains(err.Error(), "cpus") {
			t.Errorf("cpus %v: %v", cpus, err)
		}
	}
	none := defaults()
	none.Engine.Robots = []string{}
	if err := none.check(); err != nil {
		t.Errorf("no robots: %v", err)
	}
}
