package redistest

import (
	"strconv"
	"strings"
	"testing"
)

// Info returns the fields of a section of INFO.
func (s *Server) Info(tb testing.TB, section string) map[string]string {
	tb.Helper()
	text, _ := s.MustDo(tb, "INFO", section).(string)
	return parseInfo(text)
}

func parseInfo(text string) map[string]string {
	fields := make(map[string]string)
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if key, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") {
			fields[key] = value
		}
	}
	return fields
}

// Stats holds the cost of commands by name, in lower case, such as "hgetall" or "config|get".
// It includes the commands that scripts call.
type Stats map[string]Stat

// A Stat is the cost of a command.
type Stat struct {
	Calls int64
	Usec  int64 // time in the server, in microseconds
}

// Commands starts to count the commands of some servers. It returns a function that returns
// the commands since then, except INFO, which the count itself uses.
func Commands(tb testing.TB, servers ...*Server) func() Stats {
	tb.Helper()
	before := make([]Stats, len(servers))
	for i, s := range servers {
		before[i] = s.commands(tb)
	}
	return func() Stats {
		tb.Helper()
		sum := make(Stats)
		for i, s := range servers {
			for name, now := range s.commands(tb) {
				old := before[i][name]
				if now.Calls < old.Calls { // the server was restarted and counts from 0
					old = Stat{}
				}
				if now.Calls > old.Calls {
					sum[name] = Stat{
						Calls: sum[name].Calls + now.Calls - old.Calls,
						Usec:  sum[name].Usec + now.Usec - old.Usec,
					}
				}
			}
		}
		return sum
	}
}

func (s *Server) commands(tb testing.TB) Stats {
	tb.Helper()
	all := make(Stats)
	for key, value := range s.Info(tb, "commandstats") {
		// For example: cmdstat_hgetall:calls=2,usec=17,usec_per_call=8.50,…
		name := strings.ToLower(strings.TrimPrefix(key, "cmdstat_"))
		if name == "info" {
			continue
		}
		var stat Stat
		for field := range strings.SplitSeq(value, ",") {
			field, number, _ := strings.Cut(field, "=")
			n, _ := strconv.ParseInt(number, 10, 64) // other fields are fractions
			switch field {
			case "calls":
				stat.Calls = n
			case "usec":
				stat.Usec = n
			}
		}
		all[name] = stat
	}
	return all
}
