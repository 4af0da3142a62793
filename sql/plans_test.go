package sql_test

import (
	stdsql "database/sql"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session/sql"
)

// scan is how each kind of database says that it reads all rows of a table.
var scan = map[string]*regexp.Regexp{
	"postgres": regexp.MustCompile(`Seq Scan on session_|Index (Only )?Scan[^\n]*\n\s*([^I\s]|$)`), // or an index without an Index Cond,
	"mariadb":  regexp.MustCompile(`(SIMPLE|PRIMARY) \w+ (ALL|index) `),
	"sqlite":   regexp.MustCompile(`SCAN (session_\w+|u|r)\b`),
}

// TestPlans: every statement of the store finds its rows by an index, and the test sees
// when an index is missing.
func TestPlans(t *testing.T) {
	t.Parallel()
	for _, base := range bases() {
		t.Run(base.name, func(t *testing.T) {
			t.Parallel()
			c := newCrowd(t, base, &sql.Store{DB: base.fresh(t), OpTimeout: time.Minute}, 5000)
			c.settle(t, base)
			if scans := c.scans(t, base); len(scans) != 0 {
				t.Fatalf("these read all rows:\n%s", strings.Join(scans, "\n"))
			}
			before := 0
			for _, index := range [][2]string{{"records", "account"}, {"records", "due"}, {"users", "until"}} {
				text := fmt.Sprintf("DROP INDEX session_%s_%s", index[0], index[1])
				if base.name == "mariadb" {
					text += " ON session_" + index[0]
				}
				_, err := c.store.DB.ExecContext(t.Context(), text)
				must(t, err)
				scans := c.scans(t, base)
				if len(scans) <= before {
					t.Errorf("nothing needs the index %s", index)
				}
				before = len(scans)
			}
		})
	}
}

// scans returns the statements of the store for which the database reads all rows of a
// table, each with its plan.
func (c *crowd) scans(tb testing.TB, base base) (found []string) {
	tb.Helper()
	statements, err := c.store.Statements()
	must(tb, err)
	conn, err := c.store.DB.Conn(tb.Context())
	must(tb, err)
	defer func() { _ = conn.Close() }()
	for _, text := range statements {
		if plan := c.plan(tb, base, conn, text); scan[base.name].MatchString(plan) {
			found = append(found, text+"\n"+plan)
		}
	}
	return found
}

// plan asks how the database does a statement. PostgreSQL tells its plan for any
// arguments, which it keeps; the others get the id of a session for each argument.
func (c *crowd) plan(tb testing.TB, base base, conn *stdsql.Conn, text string) string {
	tb.Helper()
	n := strings.Count(text, "?")
	if base.name != "mariadb" {
		for n = 0; regexp.MustCompile(`[$?]` + strconv.Itoa(n+1) + `\b`).MatchString(text); n++ {
		}
	}
	args := make([]any, n)
	for i := range args {
		if args[i] = c.id(i); strings.Contains(text, "LIMIT") {
			args[i] = 64
		}
	}
	explain := map[string]string{"mariadb": "EXPLAIN " + text, "sqlite": "EXPLAIN QUERY PLAN " + text}[base.name]
	if base.name == "postgres" {
		explain, args = "EXPLAIN EXECUTE p", nil
		if n > 0 {
			explain += "(NULL" + strings.Repeat(", NULL", n-1) + ")"
		}
		for _, s := range []string{"SET plan_cache_mode = force_generic_plan", "PREPARE p AS " + text} {
			_, err := conn.ExecContext(tb.Context(), s)
			must(tb, err)
		}
		defer func() {
			_, err := conn.ExecContext(tb.Context(), "DEALLOCATE p")
			must(tb, err)
		}()
	}
	rows, err := conn.QueryContext(tb.Context(), explain, args...)
	if err != nil {
		tb.Fatalf("%s\n%v", text, err)
	}
	defer func() { must(tb, rows.Close()) }()
	columns, err := rows.Columns()
	must(tb, err)
	var plan strings.Builder
	for rows.Next() {
		cells, dest := make([]stdsql.NullString, len(columns)), make([]any, len(columns))
		for i := range cells {
			dest[i] = &cells[i]
		}
		must(tb, rows.Scan(dest...))
		for _, cell := range cells {
			plan.WriteString(cell.String + " ")
		}
		plan.WriteString("\n")
	}
	must(tb, rows.Err())
	return plan.String()
}
