package redis_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/redis"
)

// A program that is no Redis answers, or one that has lost its mind: nobody is
// let in, and nobody logged out.
func TestGarbage(t *testing.T) {
	t.Parallel()
	foreign := []string{"", "\r\n", "\x00\x01\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", "-NONSENSE\r\n"}
	for handshake, answers := range map[bool][]string{false: foreign, true: append(
		foreign, "-\r\n",
		"+OK\r\n", "_\r\n", "#t\r\n", ",3.14\r\n", ":\r\n", "$-1\r\n", "*-1\r\n", "$3\r\nabc\r\n", "*-7\r\n", "*1\r\n:1\r\n",
		"*2\r\n$1\r\nn\r\n$1\r\nx\r\n", "%1\r\n$1\r\nn\r\n$1\r\nx\r\n", "%1\r\n+n\r\n_\r\n", "*2\r\n*0\r\n*0\r\n",
	)} {
		for _, garbage := range answers {
			t.Run(fmt.Sprintf("%q, handshake %t", garbage, handshake), func(t *testing.T) {
				t.Parallel()
				store := &redis.Store{
					Client:    newClient(t, "redis://"+nonsense(t, garbage, handshake)),
					OpTimeout: shortTimeout / 3,
				}
				const token = "alice.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				for name, call := range map[string]func() (session.Session, error){
					"Generate": func() (session.Session, error) { return store.Generate(t.Context(), "alice") },
					"Get":      func() (session.Session, error) { return store.Get(t.Context(), "alice") },
					"Open":     func() (session.Session, error) { return store.Open(t.Context(), token) },
					"Rotate":   func() (session.Session, error) { return store.Rotate(t.Context(), token, 0) },
					"Refresh":  func() (session.Session, error) { return nil, store.Refresh(t.Context(), "alice") },
					"Remove":   func() (session.Session, error) { return nil, store.Remove(t.Context(), "alice") },
				} {
					began := time.Now()
					s, err := call()
					if err == nil || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrExists) {
						t.Errorf("%s: got %v, want a failure", name, err)
					}
					if s != nil {
						t.Errorf("%s: a session beside the error %v", name, err)
					}
					if took := time.Since(began); took > faultBound {
						t.Errorf("%s took %v", name, took)
					}
				}
			})
		}
	}
}

// nonsense starts a server of an answer to everything; if handshake, it refuses
// what a client says first, as an old Redis does.
func nonsense(t *testing.T, answer string, handshake bool) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	serve := func(c net.Conn) {
		defer func() { _ = c.Close() }()
		for buf := make([]byte, 4096); ; {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			reply := []byte(answer)
			if handshake && !ours(buf[:n]) {
				reply = bytes.Repeat([]byte("-ERR unknown command\r\n"), bytes.Count(buf[:n], []byte("*")))
			}
			if _, err := c.Write(reply); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String()
}
