package redistest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// A ReplyError is an error that a server replied with.
type ReplyError string

func (e ReplyError) Error() string { return string(e) }

// A conn is a plain connection that speaks RESP2.
type conn struct {
	net.Conn
	r       *bufio.Reader
	timeout time.Duration
}

// dial connects, and authenticates if there is a password. timeout also limits each call.
func dial(addr, password string, timeout time.Duration) (*conn, error) {
	d := net.Dialer{Timeout: timeout}
	nc, err := d.DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, r: bufio.NewReader(nc), timeout: timeout}
	if password != "" {
		if _, err := c.do("AUTH", password); err != nil {
			_ = c.Close()
			return nil, err
		}
	}
	return c, nil
}

// do sends a command and reads its reply.
func (c *conn) do(args ...any) (any, error) {
	if err := c.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return nil, err
	}
	if _, err := c.Write(request(args...)); err != nil {
		return nil, err
	}
	reply, err := c.read()
	if err != nil {
		return nil, err
	}
	if failure, ok := reply.(ReplyError); ok {
		return nil, failure
	}
	return reply, nil
}

// request encodes a command.
func request(args ...any) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, arg := range args {
		var s string
		switch arg := arg.(type) {
		case string:
			s = arg
		case []byte:
			s = string(arg)
		default:
			s = fmt.Sprint(arg)
		}
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(s), s)
	}
	return b
}

// read reads one reply: a string, an int64, nil, a []any or a ReplyError.
func (c *conn) read() (any, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 {
		return nil, fmt.Errorf("redistest: bad reply %q", line)
	}
	kind, line := line[0], line[1:len(line)-2]
	switch kind {
	case '+':
		return line, nil
	case '-':
		return ReplyError(line), nil
	}
	n, err := strconv.ParseInt(line, 10, 64)
	switch {
	case err != nil:
		return nil, fmt.Errorf("redistest: bad reply: %w", err)
	case kind == ':':
		return n, nil
	case n < 0 && (kind == '$' || kind == '*'):
		return nil, nil //nolint:nilnil // the null of Redis
	case kind == '$':
		b := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, b); err != nil {
			return nil, err
		}
		return string(b[:n]), nil
	case kind == '*':
		all := make([]any, n)
		for i := range all {
			if all[i], err = c.read(); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	return nil, errors.New("redistest: reply of an unknown kind")
}
