package servertest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"strconv"
)

// For each server port p, the bus of a cluster uses p+busOffset. The test binary holds
// p+LockOffset as long as the server may come back to p. All these ports are below the
// range that systems use for outgoing connections.
const (
	firstPort  = 10000
	ports      = 6000
	busOffset  = 10000
	LockOffset = 16000
)

// TakePort finds a free port and reserves it against other test binaries until it is
// released.
func TakePort() (port int, release func(), err error) {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	first := int(binary.BigEndian.Uint32(b[:]) % ports)
	for i := range ports {
		port := firstPort + (first+i)%ports
		lock, err := listen(port + LockOffset)
		if err != nil {
			continue
		}
		if PortFree(port) && PortFree(port+busOffset) {
			return port, func() { _ = lock.Close() }, nil
		}
		_ = lock.Close()
	}
	return 0, nil, errors.New("servertest: no port is free")
}

// PortFree reports whether nothing listens on a port.
func PortFree(port int) bool {
	l, err := listen(port)
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func listen(port int) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(context.Background(), "tcp", address(port))
}

func address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
