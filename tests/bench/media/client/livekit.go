package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of the fields of livekit_rtc.proto that are used here.
const (
	requestOffer, requestAnswer, requestAddTrack, requestPing = 1, 2, 4, 14
	responseJoin, responseAnswer, responseOffer               = 1, 2, 3
	responseTrickle, responseLeave                            = 4, 8
	descriptionType, descriptionSDP, descriptionID            = 1, 2, 3
	trickleCandidate, trickleTarget                           = 1, 2
	trackCID, trackName, trackType, trackSource               = 1, 2, 3, 8
	pingEvery                                                 = 5 * time.Second
	// LiveKitKey and its secret are in the bench's configuration of the server too.
	livekitKey, livekitSecret = "bench", "bench-secret-of-at-least-32-characters"
)

// livekit is LiveKit's signalling of two peer connections a participant, protocol 9.
type livekit struct {
	url      string
	socket   *websocket.Conn
	writing  sync.Mutex
	joined   chan struct{}
	answered chan string
	failed   chan error
	ended    chan struct{}
	once     sync.Once
}

func (l *livekit) publish(p *participant) error {
	query := url.Values{
		"access_token": {livekitToken(p.Room, p.Name)}, "auto_subscribe": {"1"},
		"protocol": {"9"}, "sdk": {"go"}, "version": {"2.0.0"},
	}
	if p.receiving == nil {
		query.Set("auto_subscribe", "0")
	}
	dialer := websocket.Dialer{HandshakeTimeout: answerPatience}
	socket, _, err := dialer.Dial(l.url+"/rtc?"+query.Encode(), nil)
	if err != nil {
		return fmt.Errorf("%s: %w", l.url, err)
	}
	l.socket = socket
	l.joined, l.answered = make(chan struct{}), make(chan string, 1)
	l.failed, l.ended = make(chan error, 1), make(chan struct{})
	go l.listen(p)
	select {
	case <-l.joined:
	case err := <-l.failed:
		return err
	}
	go l.ping()
	if p.sending == nil {
		return nil
	}
	for _, t := range p.sending.tracks {
		if err := l.say(requestAddTrack, addTrack(t)); err != nil {
			return err
		}
	}
	offer, err := p.sending.offer()
	if err != nil {
		return err
	}
	if err := l.say(requestOffer, describe("offer", offer, 0)); err != nil {
		return err
	}
	select {
	case answer := <-l.answered:
		p.isAnswered()
		return p.sending.answered(answer)
	case err := <-l.failed:
		return err
	}
}

func (l *livekit) subscribe(*participant) error { return nil }

func (l *livekit) listen(p *participant) {
	for {
		_, data, err := l.socket.ReadMessage()
		if err == nil {
			err = fields(data, func(number protowire.Number, body []byte, _ uint64) error {
				return l.take(p, number, body)
			})
		}
		if err != nil {
			l.failed <- fmt.Errorf("%s: %w", p.Name, err)
			return
		}
	}
}

func (l *livekit) take(p *participant, number protowire.Number, body []byte) error {
	switch number {
	case responseJoin:
		close(l.joined)
	case responseAnswer:
		_, sdp, _, err := described(body)
		l.answered <- sdp
		return err
	case responseOffer:
		if p.receiving == nil {
			return nil
		}
		_, sdp, id, err := described(body)
		if err != nil {
			return err
		}
		answer, err := p.receiving.answer(sdp)
		if err != nil {
			return err
		}
		return l.say(requestAnswer, describe("answer", answer, id))
	case responseTrickle:
		return l.trickled(p, body)
	case responseLeave:
		return fmt.Errorf("the server has ended it")
	}
	return nil
}

func (l *livekit) trickled(p *participant, body []byte) error {
	var candidate webrtc.ICECandidateInit
	target := p.sending
	err := fields(body, func(number protowire.Number, text []byte, value uint64) error {
		switch number {
		case trickleCandidate:
			return json.Unmarshal(text, &candidate)
		case trickleTarget:
			if value == 1 {
				target = p.receiving
			}
		}
		return nil
	})
	if err != nil || target == nil {
		return err
	}
	return target.candidate(candidate)
}

func (l *livekit) say(number protowire.Number, body []byte) error {
	data := protowire.AppendTag(nil, number, protowire.BytesType)
	data = protowire.AppendBytes(data, body)
	return l.write(data)
}

func (l *livekit) write(data []byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.socket.WriteMessage(websocket.BinaryMessage, data)
}

func (l *livekit) ping() {
	for {
		select {
		case now := <-time.After(pingEvery):
			data := protowire.AppendTag(nil, requestPing, protowire.VarintType)
			if l.write(protowire.AppendVarint(data, uint64(now.UnixMilli()))) != nil {
				return
			}
		case <-l.ended:
			return
		}
	}
}

func (l *livekit) close() {
	if l.socket != nil {
		l.once.Do(func() { close(l.ended) })
		_ = l.socket.Close()
	}
}

func addTrack(t *track) []byte {
	kind, source := uint64(0), uint64(2) // AUDIO, MICROPHONE
	if t.media.kind == "video" {
		kind, source = 1, 1 // VIDEO, CAMERA
	}
	data := text(nil, trackCID, t.ID())
	data = text(data, trackName, t.media.kind)
	data = number(data, trackType, kind)
	return number(data, trackSource, source)
}

func describe(kind string, sdp string, id uint64) []byte {
	data := text(nil, descriptionType, kind)
	data = text(data, descriptionSDP, sdp)
	return number(data, descriptionID, id)
}

func described(body []byte) (kind string, sdp string, id uint64, err error) {
	err = fields(body, func(number protowire.Number, text []byte, value uint64) error {
		switch number {
		case descriptionType:
			kind = string(text)
		case descriptionSDP:
			sdp = string(text)
		case descriptionID:
			id = value
		}
		return nil
	})
	return kind, sdp, id, err
}

func text(data []byte, field protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(data, field, protowire.BytesType), value)
}

func number(data []byte, field protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(data, field, protowire.VarintType), value)
}

// fields calls take for each field: bytes in `body`, a varint in `value`.
func fields(data []byte, take func(number protowire.Number, body []byte, value uint64) error) error {
	for len(data) > 0 {
		number, kind, size := protowire.ConsumeTag(data)
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		var body []byte
		var value uint64
		switch kind {
		case protowire.BytesType:
			body, size = protowire.ConsumeBytes(data)
		case protowire.VarintType:
			value, size = protowire.ConsumeVarint(data)
		default:
			size = protowire.ConsumeFieldValue(number, kind, data)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		if err := take(number, body, value); err != nil {
			return err
		}
	}
	return nil
}

// livekitToken is a JWT that lets its bearer into a room.
func livekitToken(room string, identity string) string {
	encode := base64.RawURLEncoding.EncodeToString
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{
		"iss": livekitKey, "sub": identity, "nbf": now - 60, "exp": now + 3600,
		"video": map[string]any{
			"room": room, "roomJoin": true, "canPublish": true, "canSubscribe": true,
		},
	})
	if err != nil {
		fail(err)
	}
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(claims)
	mac := hmac.New(sha256.New, []byte(livekitSecret))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}
