package main

import (
	"encoding/binary"
	"net"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batch        = 64
	datagramSize = 1600
	controlSize  = 64
	// One packet in so many of a stream goes the whole way through pion: SRTP is verified and the
	// send time is read from the payload.
	sampleEvery = 32
	// The reader rests so long between rounds; arrival times are the kernel's, so no delay is added.
	rest = 300 * time.Microsecond
)

// stream is what one socket has received of one SSRC.
type stream struct {
	packets, missing uint64
	atMark           uint64
	last             uint16
}

// reading is the one thread that reads all sockets by recvmmsg and counts RTP.
type reading struct {
	epoll   int
	mutex   sync.Mutex
	sockets map[int32]*socket
	delays  []time.Duration

	headers  [batch]mmsghdr
	vectors  [batch]unix.Iovec
	data     [batch][datagramSize]byte
	names    [batch]unix.RawSockaddrInet4
	controls [batch][controlSize]byte
}

type mmsghdr struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

func newReading() (*reading, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	r := &reading{epoll: epoll, sockets: map[int32]*socket{}}
	go r.run()
	return r, nil
}

func (r *reading) run() {
	runtime.LockOSThread()
	events := make([]unix.EpollEvent, 1024)
	pause := unix.NsecToTimespec(int64(rest))
	for {
		count, err := unix.EpollWait(r.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			fail(err)
		}
		r.mutex.Lock()
		for _, event := range events[:max(count, 0)] {
			if s := r.sockets[event.Fd]; s != nil {
				r.drain(s)
			}
		}
		r.mutex.Unlock()
		_ = unix.Nanosleep(&pause, nil)
	}
}

func (r *reading) drain(s *socket) {
	for {
		for i := range r.headers {
			r.vectors[i].Base = &r.data[i][0]
			r.vectors[i].SetLen(datagramSize)
			h := &r.headers[i].header
			h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
			h.Namelen = unix.SizeofSockaddrInet4
			h.Iov = &r.vectors[i]
			h.SetIovlen(1)
			h.Control = &r.controls[i][0]
			h.SetControllen(controlSize)
		}
		count, _, failed := unix.RawSyscall6(
			unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&r.headers[0])),
			batch, unix.MSG_DONTWAIT, 0, 0,
		)
		if failed != 0 {
			return // nothing is left, or an ICMP error that the next round passes over
		}
		for i := range int(count) {
			r.take(s, i, r.data[i][:r.headers[i].length])
		}
		if count < batch {
			return
		}
	}
}

// take counts a packet of media and hands everything else, and samples, to pion.
func (r *reading) take(s *socket, index int, datagram []byte) {
	media := datagram
	if len(media) > 4 && media[0]>>6 == 1 { // ChannelData of a relay (RFC 8656 section 12.4)
		media = media[4:]
	}
	if len(media) >= 12 && media[0]>>6 == 2 && media[0]&0x20 == 0 && !isRTCP(media[1]) {
		sequence := binary.BigEndian.Uint16(media[2:])
		ssrc := binary.BigEndian.Uint32(media[8:])
		if !s.count(ssrc, sequence) {
			return
		}
		s.arrivals[uint64(ssrc)<<16|uint64(sequence)] = r.arrival(index)
	}
	name := r.names[index]
	port := (*[2]byte)(unsafe.Pointer(&name.Port))
	from := &net.UDPAddr{
		IP:   net.IPv4(name.Addr[0], name.Addr[1], name.Addr[2], name.Addr[3]),
		Port: int(binary.BigEndian.Uint16(port[:])),
	}
	select {
	case s.inbox <- inbound{append([]byte(nil), datagram...), from}:
	default: // pion is behind; the sample is lost, the count is not
	}
}

func (s *socket) count(ssrc uint32, sequence uint16) (sample bool) {
	known := s.streams[ssrc]
	if known == nil {
		s.streams[ssrc] = &stream{packets: 1, last: sequence}
		return true
	}
	known.packets++
	if step := sequence - known.last; step < 0x8000 {
		known.missing += uint64(step) - 1
		known.last = sequence
	} else {
		known.missing--
	}
	return known.packets%sampleEvery == 0
}

func isRTCP(second byte) bool { return second >= 192 && second <= 223 }

// arrival is when the kernel took a datagram (SO_TIMESTAMPNS), in ns of the wall clock.
func (r *reading) arrival(index int) int64 {
	header := &r.headers[index].header
	control := r.controls[index][:header.Controllen]
	messages, err := unix.ParseSocketControlMessage(control)
	if err == nil {
		for _, m := range messages {
			if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS {
				at := (*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
				return at.Nano()
			}
		}
	}
	return 0
}

// delay takes note of a verified sample that was sent at a wall clock time in ns.
func (r *reading) delay(s *socket, ssrc uint32, sequence uint16, sent int64) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	key := uint64(ssrc)<<16 | uint64(sequence)
	delay := time.Duration(s.arrivals[key] - sent)
	if delay > 0 && delay < time.Minute { // else it is no packet of ours: the server made it
		r.delays = append(r.delays, delay)
	}
	delete(s.arrivals, key)
}
