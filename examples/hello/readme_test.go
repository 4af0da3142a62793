package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// block returns the first code block of a language in the README.
func block(t *testing.T, readme, language string) string {
	t.Helper()
	_, rest, ok := strings.Cut(readme, "\n```"+language+"\n")
	if !ok {
		t.Fatalf("the README has no block of %s", language)
	}
	code, _, _ := strings.Cut(rest, "```\n")
	return code
}

// readmes returns the text of the README in every language, by file name.
func readmes(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		b, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(b)
	}
	return all
}

// TestReadmeProgram: the program in the README is this one.
func TestReadmeProgram(t *testing.T) {
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	for name, readme := range readmes(t) {
		if block(t, readme, "go") != string(program) {
			t.Errorf("the program in %s is not examples/hello/main.go", name)
		}
	}
}

// TestReadmeTranscript runs the program and repeats the transcript of the
// README against it: commands, headers and bodies.
func TestReadmeTranscript(t *testing.T) {
	for name, readme := range readmes(t) {
		t.Run(name, func(t *testing.T) { replay(t, block(t, readme, "console")) })
	}
}

func replay(t *testing.T, transcript string) {
	t.Helper()
	server := httptest.NewServer(site())
	defer server.Close()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Timeout: 10 * time.Second}
	var got strings.Builder
	for line := range strings.Lines(transcript) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ curl ")
		if !ok {
			continue
		}
		fmt.Fprintf(&got, "$ curl %s\n", command)
		got.WriteString(curl(t, client, server.URL, command))
	}
	secret := regexp.MustCompile(`session=[0-9a-f-]{36}\.[A-Z2-7]{26}`)
	want := secret.ReplaceAllString(transcript, "session=TOKEN")
	if got := secret.ReplaceAllString(got.String(), "session=TOKEN"); got != want {
		t.Errorf("got:\n%s\nthe README has:\n%s", got, want)
	}
}

// curl does what the options that the README uses make curl do: -i shows the
// header (of which the README shows what matters), -d posts a form, -X POST
// posts, -b and -c are the jar.
func curl(t *testing.T, client *http.Client, base, command string) string {
	t.Helper()
	method, form, path, show := http.MethodGet, url.Values{}, "", false
	words := strings.Fields(command)
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "-i":
			show = true
		case "-d":
			i++
			name, value, _ := strings.Cut(words[i], "=")
			form.Set(name, value)
			method = http.MethodPost
		case "-X":
			i++
			method = words[i]
		case "-b", "-c":
			i++
		default:
			path = strings.TrimPrefix(words[i], "localhost:8080")
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out bytes.Buffer
	if show {
		fmt.Fprintf(&out, "%s %s\n", resp.Proto, resp.Status)
		for _, name := range []string{"Cache-Control", "Set-Cookie", "Vary"} {
			for _, line := range resp.Header[name] {
				fmt.Fprintf(&out, "%s: %s\n", name, line)
			}
		}
		out.WriteString("\n")
	}
	if _, err := out.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
