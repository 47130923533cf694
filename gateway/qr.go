package gateway

import (
	"strings"

	"rsc.io/qr"

	"plil.net/nuage/cloud"
)

const (
	quiet   = 2  // light modules around; the standard wants 4, cameras are content with less
	maxSide = 61 // modules with the quiet ones: what fits a terminal of 80 columns and a screen
)

// qrCode draws the link of an invitation, two modules a character. Light is drawn and dark is left out, as most
// terminals are dark.
func qrCode(i cloud.Invitation) string {
	link := i.Complete
	if link == "" {
		link = i.Link
	}
	code, err := qr.Encode(link, qr.L)
	if err != nil || code.Size+2*quiet > maxSide {
		return "nuage: the link is too long for a QR code\n"
	}
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		for x := -quiet; x < code.Size+quiet; x++ {
			upper, lower := !code.Black(x, y), !code.Black(x, y+1) && y+1 < code.Size+quiet
			switch {
			case upper && lower:
				b.WriteRune('█')
			case upper:
				b.WriteRune('▀')
			case lower:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
