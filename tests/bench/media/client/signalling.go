package main

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const answerPatience = 60 * time.Second

// signalling is how one server is spoken to, on behalf of one participant.
type signalling interface {
	// publish joins and has the offer of the participant answered.
	publish(p *participant) error
	// subscribe asks for the others of the room, where the server does not offer them by itself.
	subscribe(p *participant) error
	close()
}

func newSignalling(server string, url string) (signalling, error) {
	switch server {
	case "callfleet":
		return &callfleet{url: url}, nil
	case "livekit":
		return &livekit{url: url}, nil
	case "janus":
		return &janus{url: url}, nil
	}
	return nil, fmt.Errorf("no server %q is known", server)
}

// socketOfJSON is a WebSocket of JSON messages.
type socketOfJSON struct {
	*websocket.Conn
	writing sync.Mutex
}

func dial(url string, protocol string) (*socketOfJSON, error) {
	dialer := websocket.Dialer{HandshakeTimeout: answerPatience}
	if protocol != "" {
		dialer.Subprotocols = []string{protocol}
	}
	socket, _, err := dialer.Dial(url, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	return &socketOfJSON{Conn: socket}, nil
}

type message map[string]any

func (s *socketOfJSON) say(m message) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.WriteMessage(websocket.TextMessage, data) // one frame: Janus reads no other
}

func (s *socketOfJSON) hear() (message, error) {
	_, data, err := s.ReadMessage()
	if err != nil {
		return nil, err
	}
	var m message
	return m, json.Unmarshal(data, &m)
}

func (m message) text(name string) string {
	text, _ := m[name].(string)
	return text
}

func (m message) inner(name string) message {
	inner, _ := m[name].(map[string]any)
	return inner
}
