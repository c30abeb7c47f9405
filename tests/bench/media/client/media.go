package main

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const (
	audioEvery = 20 * time.Millisecond
	tick       = 500 * time.Microsecond
	ntpEpoch   = 2208988800 // seconds from 1900 to 1970
)

// streams is what every publisher sends.
type streams struct {
	// Audio says whether 50 packets of Opus are sent each second.
	Audio      bool `json:"audio"`
	AudioBytes int  `json:"audio_bytes"`
	// Video is packets of VP8 each second. They leave evenly, or those of a frame at once.
	Video           float64 `json:"video"`
	VideoBytes      int     `json:"video_bytes"`
	FramesPerSecond float64 `json:"frames_per_second"`
	FrameAtOnce     bool    `json:"frame_at_once"`
}

// media makes the packets of one track: valid headers of Opus or VP8 over a payload of zeros, with
// the time of sending at the end.
type media struct {
	kind      string
	codec     webrtc.RTPCodecCapability
	sequence  uint16
	timestamp uint32
	picture   uint16
	packets   uint32
	octets    uint32
	due       time.Time
	// Of the frame under way: its packets, the next one's place, whether it is a keyframe.
	count, index int
	key          bool
	owed         float64
}

func newMedia(kind string) *media {
	m := &media{
		kind:      kind,
		sequence:  uint16(rand.Uint32()),
		timestamp: rand.Uint32(),
		codec:     webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000},
	}
	if kind == "audio" {
		m.codec = webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
		}
	}
	return m
}

func (m *media) report(ssrc uint32) rtcp.Packet {
	now := time.Now()
	seconds := uint64(now.Unix()) + ntpEpoch
	fraction := uint64(now.Nanosecond()) << 32 / 1_000_000_000
	return &rtcp.SenderReport{
		SSRC: ssrc, NTPTime: seconds<<32 | fraction, RTPTime: m.timestamp,
		PacketCount: m.packets, OctetCount: m.octets,
	}
}

// play sends what is due of a track; it returns how many packets went out and how late the first
// was.
func (t *track) play(now time.Time, given streams) (int, time.Duration, error) {
	m := t.media
	interval := audioEvery
	if m.kind == "video" {
		if given.Video == 0 {
			return 0, 0, nil
		}
		interval = time.Duration(float64(time.Second) / given.Video)
		if given.FrameAtOnce {
			interval = time.Duration(float64(time.Second) / given.FramesPerSecond)
		}
	} else if !given.Audio {
		return 0, 0, nil
	}
	if m.due.IsZero() { // each publisher has a phase of its own
		m.due = now.Add(time.Duration(rand.Int64N(int64(interval))))
	}
	sent := 0
	late := max(now.Sub(m.due), 0)
	for !m.due.After(now) {
		m.due = m.due.Add(interval)
		var count int
		var err error
		switch {
		case m.kind == "audio":
			count, err = t.sound(given)
		case given.FrameAtOnce:
			count, err = t.frame(given)
		default:
			count, err = t.piece(given)
		}
		sent += count
		if err != nil {
			return sent, late, err
		}
	}
	return sent, late, nil
}

func (t *track) sound(given streams) (int, error) {
	t.media.timestamp += 960
	payload := make([]byte, given.AudioBytes)
	payload[0] = 0x78 // Opus, CELT, 20 ms, one frame (RFC 6716 section 3.1)
	packet := t.packet(payload, false)
	if id := t.extension(audioLevelURI); id != 0 {
		if err := packet.SetExtension(id, []byte{0x80 | 40}); err != nil {
			return 0, err
		}
	}
	return 1, t.send(packet)
}

// frame sends all packets of a frame at once.
func (t *track) frame(given streams) (int, error) {
	t.begin(given)
	for sent := range t.media.count {
		if err := t.part(given); err != nil {
			return sent, err
		}
	}
	return t.media.count, nil
}

// piece sends one packet, of the frame under way or of the next one.
func (t *track) piece(given streams) (int, error) {
	for t.media.index == t.media.count {
		t.begin(given)
	}
	return 1, t.part(given)
}

func (t *track) begin(given streams) {
	m := t.media
	m.timestamp += uint32(90000 / given.FramesPerSecond)
	m.owed += given.Video / given.FramesPerSecond
	m.index, m.count = 0, int(m.owed)
	m.owed -= float64(m.count)
	if m.count > 0 {
		m.picture++
		m.key = t.keyframe.Swap(false)
	}
}

func (t *track) part(given streams) error {
	m := t.media
	payload := make([]byte, given.VideoBytes)
	// RFC 7741 section 4.2: X; S on the first packet; I, L, T; picture id of 15 bits.
	copy(payload, []byte{0x80, 0xE0, 0x80 | byte(m.picture>>8), byte(m.picture), byte(m.picture), 0})
	if m.index == 0 {
		payload[0] |= 0x10
		payload[6] = 0x01 // an inter frame (RFC 6386 section 9.1)
		if m.key {
			copy(payload[6:], []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01})
		}
	}
	m.index++
	return t.send(t.packet(payload, m.index == m.count))
}

func (t *track) packet(payload []byte, marker bool) *rtp.Packet {
	m := t.media
	m.sequence++
	m.packets++
	m.octets += uint32(len(payload))
	return &rtp.Packet{
		Header: rtp.Header{
			Version: 2, Marker: marker, SequenceNumber: m.sequence, Timestamp: m.timestamp,
		},
		Payload: payload,
	}
}

func (t *track) send(packet *rtp.Packet) error {
	tail := packet.Payload[len(packet.Payload)-8:]
	binary.BigEndian.PutUint64(tail, uint64(time.Now().UnixNano()))
	return t.WriteRTP(packet)
}
