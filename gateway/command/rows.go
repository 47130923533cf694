package command

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// column of a table. One that may shrink is cut where the terminal is too narrow.
type column struct {
	title   string
	shrinks bool
}

// rows prints a table.
func (j *job) rows(columns []column, rows [][]string) {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = len(c.title)
		for _, r := range rows {
			r[i] = visible(r[i])
			widths[i] = max(widths[i], utf8.RuneCountInString(r[i]))
		}
	}
	j.fit(columns, widths)
	head := make([]string, len(columns))
	for i, c := range columns {
		head[i] = c.title
	}
	for _, r := range append([][]string{head}, rows...) {
		fmt.Fprintf(j.Stdout, "%s\n", aligned(r, widths))
	}
}

const (
	gap       = 2 // columns between two cells
	leastCell = 8
)

// fit takes from the columns that shrink what the terminal has no room for.
func (j *job) fit(columns []column, widths []int) {
	total := -gap
	for _, w := range widths {
		total += w + gap
	}
	over := total - j.columns()
	for i := len(columns) - 1; i >= 0 && over > 0; i-- {
		if columns[i].shrinks && widths[i] > leastCell {
			cut := min(over, widths[i]-leastCell)
			widths[i] -= cut
			over -= cut
		}
	}
}

// columns is the width of the terminal; without one there is room for everything.
func (j *job) columns() int {
	if j.term == nil || j.term.window().Columns == 0 {
		return 1 << 20
	}
	return int(j.term.window().Columns)
}

func aligned(cells []string, widths []int) string {
	var b strings.Builder
	for i, c := range cells {
		r := []rune(c)
		if len(r) > widths[i] {
			r = append(r[:widths[i]-1:widths[i]-1], '…')
		}
		b.WriteString(string(r))
		b.WriteString(strings.Repeat(" ", widths[i]-len(r)+gap))
	}
	return strings.TrimRight(b.String(), " ")
}

// facts prints pairs of a name and a value; those without a value are left out.
func (j *job) facts(pairs ...[2]string) {
	width := 0
	for _, p := range pairs {
		if p[1] != "" {
			width = max(width, len(p[0]))
		}
	}
	for _, p := range pairs {
		if p[1] != "" {
			fmt.Fprintf(j.Stdout, "%-*s  %s\n", width, p[0], visible(p[1]))
		}
	}
}
