package config

import "reflect"

// A field is one setting.
type field struct {
	path   string // its name in a file, such as cookie.max-age
	goName string
	value  reflect.Value
}

// fields returns all settings of a Config, in order.
func fields(c *Config) []field { return fieldsOf(reflect.ValueOf(c).Elem(), "") }

func fieldsOf(v reflect.Value, parent string) (all []field) {
	for f, value := range v.Fields() {
		path := parent + f.Tag.Get("json")
		if f.Type == reflect.TypeFor[Cookie]() {
			all = append(all, fieldsOf(value, path+".")...)
		} else {
			all = append(all, field{path, f.Name, value})
		}
	}
	return all
}

func (f field) secret() bool { return f.value.Type() == reflect.TypeFor[Secret]() }

// didYouMean suggests the known name that is most like an unknown one, if any is.
func didYouMean(name string, known []string) string {
	best, least := "", 1+len(name)/4 // the most changes that a typo makes
	for _, k := range known {
		if d := distance(name, k); d <= least {
			best, least = k, d-1
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance returns the Levenshtein distance of two texts.
func distance(a, b string) int {
	last, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last, row = row, last
		row[0] = i + 1
		for j := range len(b) {
			replaced := last[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, last[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
