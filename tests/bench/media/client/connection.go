package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

const (
	connectPatience = 60 * time.Second
	audioLevelURI   = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
	midURI          = "urn:ietf:params:rtp-hdrext:sdes:mid"
)

// relay is a TURN server; with one, nothing but relayed candidates is used.
type relay struct {
	URL        string `json:"url"`
	Username   string `json:"username"`
	Credential string `json:"credential"`
}

// connection is a peer connection of pion's with sockets of ours beneath.
type connection struct {
	*webrtc.PeerConnection
	network   *network
	connected chan struct{}
	tracks    []*track
	mutex     sync.Mutex
	waiting   []webrtc.ICECandidateInit
}

// track is what a publisher sends on one m-line.
type track struct {
	*webrtc.TrackLocalStaticRTP
	sender   *webrtc.RTPSender
	media    *media
	keyframe atomic.Bool
}

func newConnection(reading *reading, address [4]byte, through *relay) (*connection, error) {
	network, err := newNetwork(reading, address)
	if err != nil {
		return nil, err
	}
	codecs := &webrtc.MediaEngine{}
	feedback := []webrtc.RTCPFeedback{
		{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"},
	}
	opus := webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
		SDPFmtpLine: "minptime=10;useinbandfec=1",
	}
	vp8 := webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: feedback,
	}
	audio, video := webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo
	err = errors.Join(
		codecs.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: opus, PayloadType: 111}, audio),
		codecs.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: vp8, PayloadType: 96}, video),
		codecs.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: audioLevelURI}, audio),
		codecs.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: midURI}, audio),
		codecs.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: midURI}, video),
	)
	if err != nil {
		return nil, err
	}
	settings := webrtc.SettingEngine{}
	settings.SetNet(network)
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetIPFilter(func(ip net.IP) bool { return ip.Equal(net.IP(address[:])) })
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_256_GCM)
	configuration := webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle}
	if through != nil {
		configuration.ICETransportPolicy = webrtc.ICETransportPolicyRelay
		configuration.ICEServers = []webrtc.ICEServer{{
			URLs: []string{through.URL}, Username: through.Username, Credential: through.Credential,
		}}
	}
	api := webrtc.NewAPI(
		webrtc.WithMediaEngine(codecs),
		webrtc.WithSettingEngine(settings),
		webrtc.WithInterceptorRegistry(&interceptor.Registry{}),
	)
	pc, err := api.NewPeerConnection(configuration)
	if err != nil {
		return nil, err
	}
	c := &connection{PeerConnection: pc, network: network, connected: make(chan struct{})}
	var once sync.Once
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			once.Do(func() { close(c.connected) })
		}
	})
	pc.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { c.verify(remote) })
	return c, nil
}

// verify reads the samples of a track. Pion has checked their SRTP; the last 8 bytes of a payload
// are the time of sending.
func (c *connection) verify(remote *webrtc.TrackRemote) {
	for {
		packet, _, err := remote.ReadRTP()
		if err != nil {
			return
		}
		if size := len(packet.Payload); size >= 8 {
			sent := int64(binary.BigEndian.Uint64(packet.Payload[size-8:]))
			for _, s := range c.network.all() {
				c.network.reading.delay(s, packet.SSRC, packet.SequenceNumber, sent)
			}
		}
	}
}

// publish adds an m-line that sends.
func (c *connection) publish(name string, media *media) error {
	local, err := webrtc.NewTrackLocalStaticRTP(media.codec, name+"-"+media.kind, name)
	if err != nil {
		return err
	}
	line, err := c.AddTransceiverFromTrack(local, webrtc.RTPTransceiverInit{
		Direction: webrtc.RTPTransceiverDirectionSendonly,
	})
	if err != nil {
		return err
	}
	t := &track{TrackLocalStaticRTP: local, sender: line.Sender(), media: media}
	t.keyframe.Store(true)
	go t.feedback()
	c.tracks = append(c.tracks, t)
	return nil
}

// feedback waits for the requests of a keyframe.
func (t *track) feedback() {
	for {
		packets, _, err := t.sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			switch packet.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				t.keyframe.Store(true)
			}
		}
	}
}

// offer is a description with all candidates in it.
func (c *connection) offer() (string, error) {
	description, err := c.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	return c.settle(description)
}

// answer takes an offer and answers it.
func (c *connection) answer(offer string) (string, error) {
	err := c.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer})
	if err != nil {
		return "", err
	}
	if err := c.flush(); err != nil {
		return "", err
	}
	description, err := c.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	return c.settle(description)
}

func (c *connection) settle(description webrtc.SessionDescription) (string, error) {
	gathered := webrtc.GatheringCompletePromise(c.PeerConnection)
	if err := c.SetLocalDescription(description); err != nil {
		return "", err
	}
	<-gathered
	return c.LocalDescription().SDP, nil
}

func (c *connection) answered(answer string) error {
	err := c.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer})
	if err != nil {
		return err
	}
	return c.flush()
}

// candidate takes a trickled candidate, perhaps before the description that it belongs to.
func (c *connection) candidate(candidate webrtc.ICECandidateInit) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.CurrentRemoteDescription() == nil && c.PendingRemoteDescription() == nil {
		c.waiting = append(c.waiting, candidate)
		return nil
	}
	return c.AddICECandidate(candidate)
}

func (c *connection) flush() error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, candidate := range c.waiting {
		if err := c.AddICECandidate(candidate); err != nil {
			return err
		}
	}
	c.waiting = nil
	return nil
}

func (c *connection) await(what string) error {
	select {
	case <-c.connected:
		return nil
	case <-time.After(connectPatience):
		return fmt.Errorf("%s: not connected after %s: %s", what, connectPatience, c.ConnectionState())
	}
}

// report sends what a client sends each second: sender reports of its tracks, receiver reports of
// what comes, without loss.
func (c *connection) report() {
	var packets []rtcp.Packet
	for _, t := range c.tracks {
		packets = append(packets, t.media.report(t.ssrc()))
	}
	var reports []rtcp.ReceptionReport
	for _, s := range c.network.all() {
		s.reading.mutex.Lock()
		for ssrc, known := range s.streams {
			reports = append(reports, rtcp.ReceptionReport{
				SSRC: ssrc, LastSequenceNumber: uint32(known.last),
			})
		}
		s.reading.mutex.Unlock()
	}
	if len(reports) > 0 {
		packets = append(packets, &rtcp.ReceiverReport{SSRC: 1, Reports: reports[:min(len(reports), 31)]})
	}
	if len(packets) > 0 {
		_ = c.WriteRTCP(packets) // before it is connected there is nowhere to send to
	}
}

func (t *track) ssrc() uint32 {
	return uint32(t.sender.GetParameters().Encodings[0].SSRC)
}

func (t *track) extension(uri string) uint8 {
	for _, known := range t.sender.GetParameters().HeaderExtensions {
		if known.URI == uri {
			return uint8(known.ID)
		}
	}
	return 0
}
