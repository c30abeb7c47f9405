package main

import (
	"errors"
	"fmt"
)

// callfleet is the engine's own signalling (docs/reference/contracts.md).
type callfleet struct {
	url    string
	socket *socketOfJSON
	answer chan message
	failed chan error
}

func (c *callfleet) publish(p *participant) error {
	var err error
	if c.socket, err = dial(c.url+"/api/v1/signal", "callfleet.v1"); err != nil {
		return err
	}
	c.answer, c.failed = make(chan message, 4), make(chan error, 1)
	go c.listen(p)
	if _, err := c.ask(message{"type": "join", "room": p.Room, "name": p.Name, "token": p.Token}); err != nil {
		return err
	}
	if p.sending == nil {
		return nil
	}
	offer, err := p.sending.offer()
	if err != nil {
		return err
	}
	published, err := c.ask(message{"type": "publish", "offer": offer})
	if err != nil {
		return err
	}
	p.isAnswered()
	return p.sending.answered(published.text("answer"))
}

func (c *callfleet) ask(m message) (message, error) {
	m["id"] = m["type"]
	if err := c.socket.say(m); err != nil {
		return nil, err
	}
	select {
	case answer := <-c.answer:
		return answer, nil
	case err := <-c.failed:
		return nil, err
	}
}

func (c *callfleet) listen(p *participant) {
	for {
		m, err := c.socket.hear()
		if err == nil {
			err = c.take(p, m)
		}
		if err != nil {
			c.failed <- fmt.Errorf("%s: %w", p.Name, err)
			return
		}
	}
}

func (c *callfleet) take(p *participant, m message) error {
	switch m.text("type") {
	case "joined", "published":
		c.answer <- m
	case "offer":
		answer, err := p.receiving.answer(m.text("offer"))
		if err != nil {
			return err
		}
		return c.socket.say(message{"type": "subscribe", "answer": answer})
	case "error", "ended":
		return errors.New(m.text("message") + m.text("reason"))
	}
	return nil
}

func (c *callfleet) subscribe(*participant) error { return nil }

func (c *callfleet) close() {
	if c.socket != nil {
		_ = c.socket.say(message{"type": "leave"})
		_ = c.socket.Close()
	}
}
