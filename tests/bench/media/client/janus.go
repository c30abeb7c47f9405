package main

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

const keepAlive = 20 * time.Second

// janus is the videoroom plugin over Janus's WebSockets.
type janus struct {
	url     string
	socket  *socketOfJSON
	session any
	number  int
	mutex   sync.Mutex
	waiting map[string]chan message
	ended   chan struct{}
	once    sync.Once
}

// feeds are who publishes, by room.
var feeds sync.Map

func (j *janus) publish(p *participant) error {
	var err error
	if j.socket, err = dial(j.url, "janus-protocol"); err != nil {
		return err
	}
	j.waiting, j.ended = map[string]chan message{}, make(chan struct{})
	go j.listen()
	created, err := j.ask(message{"janus": "create"})
	if err != nil {
		return err
	}
	j.session = created.inner("data")["id"]
	go j.keep()
	if p.sending == nil {
		return nil
	}
	handle, room, err := j.attach(p)
	if err != nil {
		return err
	}
	body := message{
		"request": "create", "room": room, "publishers": 1000, "bitrate": 0,
		"videocodec": "vp8", "audiocodec": "opus", "audiolevel_ext": true,
	}
	if _, err := j.plugin(handle, body, ""); err != nil && !errors.Is(err, errRoomExists) {
		return err
	}
	joined, err := j.plugin(handle, message{
		"request": "join", "ptype": "publisher", "room": room, "display": p.Name,
	}, "")
	if err != nil {
		return err
	}
	offer, err := p.sending.offer()
	if err != nil {
		return err
	}
	configured, err := j.plugin(handle, message{"request": "publish"}, offer)
	if err != nil {
		return err
	}
	p.isAnswered()
	if err := p.sending.answered(configured.inner("jsep").text("sdp")); err != nil {
		return err
	}
	p.feed = joined.inner("plugindata").inner("data")["id"]
	known, _ := feeds.LoadOrStore(p.Room, &sync.Map{})
	known.(*sync.Map).Store(p.Name, p.feed)
	return nil
}

func (j *janus) subscribe(p *participant) error {
	if p.receiving == nil {
		return nil
	}
	handle, room, err := j.attach(p)
	if err != nil {
		return err
	}
	var wanted []message
	if known, ok := feeds.Load(p.Room); ok {
		known.(*sync.Map).Range(func(_, feed any) bool {
			if feed != p.feed {
				wanted = append(wanted, message{"feed": feed})
			}
			return true
		})
	}
	join := message{"request": "join", "ptype": "subscriber", "room": room, "streams": wanted}
	attached, err := j.plugin(handle, join, "")
	// Janus knows a feed once DTLS is done on its side too, a little after ours.
	for end := time.Now().Add(answerPatience); errors.Is(err, errNoFeed) && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
		attached, err = j.plugin(handle, join, "")
	}
	if err != nil {
		return err
	}
	answer, err := p.receiving.answer(attached.inner("jsep").text("sdp"))
	if err != nil {
		return err
	}
	_, err = j.plugin(handle, message{"request": "start", "room": room}, answer)
	return err
}

func (j *janus) attach(p *participant) (handle any, room int, err error) {
	attached, err := j.ask(message{
		"janus": "attach", "session_id": j.session, "plugin": "janus.plugin.videoroom",
	})
	if err != nil {
		return nil, 0, err
	}
	room, err = strconv.Atoi(p.Room)
	return attached.inner("data")["id"], room, err
}

var (
	errRoomExists = errors.New("the room is there already")
	errNoFeed     = errors.New("there is no such feed")
)

// plugin sends a message to the plugin, with an offer or answer if it is not empty.
func (j *janus) plugin(handle any, body message, sdp string) (message, error) {
	m := message{
		"janus": "message", "session_id": j.session, "handle_id": handle, "body": body,
	}
	if sdp != "" {
		kind := "offer"
		if body.text("request") == "start" {
			kind = "answer"
		}
		m["jsep"] = message{"type": kind, "sdp": sdp}
	}
	answer, err := j.ask(m)
	if err != nil {
		return nil, err
	}
	data := answer.inner("plugindata").inner("data")
	if code, failed := data["error_code"]; failed {
		switch code {
		case 427.0:
			return nil, errRoomExists
		case 428.0:
			return nil, errNoFeed
		}
		return nil, fmt.Errorf("%s: %s", body.text("request"), data.text("error"))
	}
	return answer, nil
}

func (j *janus) ask(m message) (message, error) {
	answer := make(chan message, 1)
	j.mutex.Lock()
	j.number++
	transaction := strconv.Itoa(j.number)
	j.waiting[transaction] = answer
	j.mutex.Unlock()
	m["transaction"] = transaction
	if err := j.socket.say(m); err != nil {
		return nil, err
	}
	select {
	case got := <-answer:
		if got.text("janus") == "error" {
			return nil, errors.New(got.inner("error").text("reason"))
		}
		return got, nil
	case <-time.After(answerPatience):
		return nil, fmt.Errorf("janus has not answered %v", m["janus"])
	}
}

func (j *janus) listen() {
	for {
		m, err := j.socket.hear()
		if err != nil {
			return
		}
		if m.text("janus") == "ack" {
			continue // the event with the same transaction follows
		}
		j.mutex.Lock()
		waiting := j.waiting[m.text("transaction")]
		delete(j.waiting, m.text("transaction"))
		j.mutex.Unlock()
		if waiting != nil {
			waiting <- m
		}
	}
}

func (j *janus) keep() {
	for {
		select {
		case <-time.After(keepAlive):
			m := message{"janus": "keepalive", "session_id": j.session, "transaction": "keep"}
			if j.socket.say(m) != nil {
				return
			}
		case <-j.ended:
			return
		}
	}
}

func (j *janus) close() {
	if j.socket != nil {
		j.once.Do(func() { close(j.ended) })
		_ = j.socket.Close()
	}
}
