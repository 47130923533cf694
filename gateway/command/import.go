package command

import (
	"bufio"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"plil.net/nuage/cloud"
)

func importCommands() []command {
	return []command{{
		verb: "import", who: admins,
		flags: []flag{{long: "map", value: "VLAN=GROUP,…", help: "which group a VLAN of the table becomes; one not named here is a group of that name"}},
		short: "accounts and sites from the table of another system, on standard input",
		long: "Reads a CSV table with the columns login, vlan, docker_ip and domain, and makes the accounts and sites that are not there yet. " +
			"Sites start when their first visitor comes. Lines that cannot be used are reported with the reason; correct " +
			"them and import again: what was imported stays as it is.",
		examples: []string{"import --map 100=students,200=teachers < old.csv", "import --json < old.csv"},
		run:      importTable,
	}}
}

const (
	maxRows = 100_000
	maxRow  = 1 << 20 // bytes
)

var importColumns = []string{"login", "vlan", "docker_ip", "domain"}

// importView is what came of a table, for programs.
type importView struct {
	Lines    int           `json:"lines"`
	Accounts int           `json:"accounts"` // made
	Sites    int           `json:"sites"`    // made
	Same     int           `json:"unchanged"`
	Refused  []refusedLine `json:"refused"`
}

type refusedLine struct {
	Line    int    `json:"line"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func importTable(ctx context.Context, j *job) error {
	if j.term != nil {
		return cloud.Errorf(cloud.Usage, "the table has to come from a file").WithHint("%s", j.line("import < old.csv"))
	}
	groups, err := vlans(j.flag("map"))
	if err != nil {
		return err
	}
	v := importView{Refused: []refusedLine{}}
	var lines []int
	done, err := j.Cloud.Import(ctx, j.Who, func() (rows []cloud.OldSite, err error) {
		rows, lines, err = v.read(j.Stdin, groups)
		return rows, err
	})
	for n, i := range done {
		v.count(lines[n], i)
	}
	if err != nil {
		return err
	}
	slices.SortStableFunc(v.Refused, func(a, b refusedLine) int { return cmp.Compare(a.Line, b.Line) })
	if err := j.show(v, func() { j.printImport(v) }); err != nil || len(v.Refused) == 0 {
		return err
	}
	return cloud.Errorf(cloud.Invalid, "%d of %d lines were refused", len(v.Refused), v.Lines).
		WithHint("correct them and import again: what was imported stays as it is")
}

func (j *job) printImport(v importView) {
	for _, r := range v.Refused {
		j.say("line %d: %s", r.Line, strings.TrimSuffix(r.Message+"; "+r.Hint, "; "))
	}
	fmt.Fprintf(j.Stdout, "made: %d accounts, %d sites; there already: %d; refused: %d\n", v.Accounts, v.Sites, v.Same, len(v.Refused))
}

// read takes the rows and the lines they stand on. A row of another shape is refused, a table without its header is none.
func (v *importView) read(from io.Reader, groups map[string]string) (rows []cloud.OldSite, lines []int, err error) {
	table := bufio.NewScanner(from)
	table.Buffer(nil, maxRow)
	line := 0
	header, err := nextRow(table, &line)
	if err != nil || strings.ToLower(strings.TrimPrefix(strings.Join(header, ","), "\ufeff")) != strings.Join(importColumns, ",") {
		return nil, nil, cloud.Errorf(cloud.Invalid, "the table does not begin with its columns").
			WithHint("the first line is %s", strings.Join(importColumns, ","))
	}
	for {
		record, err := nextRow(table, &line)
		var syntax *csv.ParseError
		switch {
		case err == io.EOF:
			return rows, lines, nil
		case errors.As(err, &syntax):
			v.refuse(line, cloud.Errorf(cloud.Invalid, "%v", syntax.Err))
			continue
		case errors.Is(err, bufio.ErrTooLong):
			return nil, nil, cloud.Errorf(cloud.Invalid, "line %d of the table has more than %d bytes", line+1, maxRow)
		case err != nil:
			return nil, nil, cloud.Errorf(cloud.Cancelled, "the table broke off").Because(err)
		case v.Lines+len(rows) == maxRows:
			return nil, nil, cloud.Errorf(cloud.Quota, "the table has more than %d lines", maxRows)
		}
		if len(record) != len(importColumns) {
			v.refuse(line, cloud.Errorf(cloud.Invalid, "it has %d columns where %d are wanted", len(record), len(importColumns)))
			continue
		}
		for i := range record {
			record[i] = strings.TrimSpace(record[i])
		}
		vlan := record[1]
		if g, ok := groups[vlan]; ok {
			vlan = g
		}
		rows = append(rows, cloud.OldSite{Login: record[0], Group: vlan, Address: record[2], Domain: strings.ToLower(record[3])})
		lines = append(lines, line)
	}
}

// nextRow reads the next line that is not empty, and counts. No column has a line break in it, so each line is a row of its own: a quote that
// nobody closes spoils no other.
func nextRow(table *bufio.Scanner, line *int) ([]string, error) {
	for table.Scan() {
		*line++
		if strings.TrimSpace(table.Text()) == "" {
			continue
		}
		r := csv.NewReader(strings.NewReader(table.Text()))
		r.FieldsPerRecord, r.TrimLeadingSpace = -1, true
		return r.Read()
	}
	return nil, cmp.Or(table.Err(), io.EOF)
}

func (v *importView) refuse(line int, err error) {
	v.Lines++
	var e *cloud.Error
	if errors.As(err, &e) {
		v.Refused = append(v.Refused, refusedLine{line, e.Message, e.Hint})
	}
}

func (v *importView) count(line int, i cloud.Imported) {
	if i.Err != nil {
		v.refuse(line, i.Err)
		return
	}
	v.Lines++
	if i.Account {
		v.Accounts++
	}
	if i.Site {
		v.Sites++
	} else {
		v.Same++
	}
}

// vlans reads "100=students,200=teachers".
func vlans(s string) (map[string]string, error) {
	groups := map[string]string{}
	for pair := range strings.SplitSeq(s, ",") {
		vlan, group, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if s == "" {
			break
		}
		if !ok || vlan == "" || group == "" {
			return nil, cloud.Errorf(cloud.Usage, "%q is not of the form VLAN=GROUP", pair).WithHint("write it like --map 100=students,200=teachers")
		}
		groups[vlan] = group
	}
	return groups, nil
}
