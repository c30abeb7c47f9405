package main

import (
	"errors"
	"net"
	"sync"
	"time"
	"unsafe"

	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
	"golang.org/x/sys/unix"
)

const receiveBuffer = 8 << 20

// network gives pion sockets that the reading thread reads. One peer connection has one.
type network struct {
	*stdnet.Net
	reading *reading
	address [4]byte
	mutex   sync.Mutex
	sockets []*socket
}

// socket is a UDP socket of pion's. Deadlines are not needed: pion closes what it waits for.
type socket struct {
	reading  *reading
	fd       int
	local    *net.UDPAddr
	inbox    chan inbound
	closed   chan struct{}
	once     sync.Once
	streams  map[uint32]*stream
	arrivals map[uint64]int64
}

type inbound struct {
	data []byte
	from *net.UDPAddr
}

var errNotUsed = errors.New("pion does not use this here")

func newNetwork(reading *reading, address [4]byte) (*network, error) {
	standard, err := stdnet.NewNet()
	return &network{Net: standard, reading: reading, address: address}, err
}

func (n *network) ListenPacket(_ string, _ string) (net.PacketConn, error) {
	return n.open()
}

func (n *network) ListenUDP(_ string, _ *net.UDPAddr) (transport.UDPConn, error) {
	return n.open()
}

func (n *network) open() (*socket, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		// Only root may have more than net.core.rmem_max.
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	err = errors.Join(
		err,
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: n.address}),
	)
	if err != nil {
		return nil, err
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	s := &socket{
		reading:  n.reading,
		fd:       fd,
		local:    &net.UDPAddr{IP: net.IP(n.address[:]), Port: bound.(*unix.SockaddrInet4).Port},
		inbox:    make(chan inbound, 1024),
		closed:   make(chan struct{}),
		streams:  map[uint32]*stream{},
		arrivals: map[uint64]int64{},
	}
	n.mutex.Lock()
	n.sockets = append(n.sockets, s)
	n.mutex.Unlock()
	n.reading.mutex.Lock()
	defer n.reading.mutex.Unlock()
	n.reading.sockets[int32(fd)] = s
	event := &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	return s, unix.EpollCtl(n.reading.epoll, unix.EPOLL_CTL_ADD, fd, event)
}

// all are the sockets that pion has opened.
func (n *network) all() []*socket {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return append([]*socket(nil), n.sockets...)
}

func (s *socket) ReadFrom(into []byte) (int, net.Addr, error) {
	select {
	case got := <-s.inbox:
		return copy(into, got.data), got.from, nil
	case <-s.closed:
		return 0, nil, net.ErrClosed
	}
}

func (s *socket) WriteTo(data []byte, to net.Addr) (int, error) {
	address, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, errNotUsed
	}
	name := &unix.SockaddrInet4{Port: address.Port}
	copy(name.Addr[:], address.IP.To4())
	if err := unix.Sendto(s.fd, data, 0, name); err != nil {
		return 0, err
	}
	return len(data), nil
}

func (s *socket) Close() error {
	s.once.Do(func() {
		s.reading.mutex.Lock()
		defer s.reading.mutex.Unlock()
		delete(s.reading.sockets, int32(s.fd))
		close(s.closed)
		_ = unix.Close(s.fd)
	})
	return nil
}

// dropped are datagrams that the kernel dropped at this socket for want of room.
func (s *socket) dropped() uint32 {
	var info [9]uint32 // include/uapi/linux/sock_diag.h: SK_MEMINFO_DROPS is the last
	size := uint32(unsafe.Sizeof(info))
	_, _, failed := unix.Syscall6(
		unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0,
	)
	if failed != 0 {
		fail(failed)
	}
	return info[8]
}

func (s *socket) LocalAddr() net.Addr                              { return s.local }
func (s *socket) RemoteAddr() net.Addr                             { return nil }
func (s *socket) SetDeadline(time.Time) error                      { return nil }
func (s *socket) SetReadDeadline(time.Time) error                  { return nil }
func (s *socket) SetWriteDeadline(time.Time) error                 { return nil }
func (s *socket) SetReadBuffer(int) error                          { return nil }
func (s *socket) SetWriteBuffer(int) error                         { return nil }
func (s *socket) Read([]byte) (int, error)                         { return 0, errNotUsed }
func (s *socket) Write([]byte) (int, error)                        { return 0, errNotUsed }
func (s *socket) WriteToUDP(d []byte, a *net.UDPAddr) (int, error) { return s.WriteTo(d, a) }
func (s *socket) ReadFromUDP([]byte) (int, *net.UDPAddr, error) {
	return 0, nil, errNotUsed
}

func (s *socket) ReadMsgUDP(_, _ []byte) (int, int, int, *net.UDPAddr, error) {
	return 0, 0, 0, nil, errNotUsed
}

func (s *socket) WriteMsgUDP(_, _ []byte, _ *net.UDPAddr) (int, int, error) {
	return 0, 0, errNotUsed
}
