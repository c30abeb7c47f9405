package main

import (
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"
)

// person is a participant as the bench asks for it. Names are unique; a room is a number.
type person struct {
	Name string `json:"name"`
	Room string `json:"room"`
	// Publish are kinds of media.
	Publish   []string `json:"publish"`
	Subscribe bool     `json:"subscribe"`
	// Token is for the engine, which has nobody offered that it does not let subscribe.
	Token string `json:"token"`
}

type participant struct {
	person
	signalling signalling
	sending    *connection
	receiving  *connection
	feed       any
	began      time.Time
	answer     time.Duration
	whole      time.Duration
}

func (p *participant) isAnswered() { p.answer = time.Since(p.began) }

// world is all participants and what is sent.
type world struct {
	reading *reading
	address [4]byte
	people  []*participant
	stop    chan struct{}
	stopped chan struct{}
	mutex   sync.Mutex
	sent    uint64
	late    time.Duration
	failure error
}

func (w *world) carryOut(given command) (any, error) {
	switch given.Do {
	case "join":
		return w.join(given)
	case "send":
		w.send(given.Streams)
		return struct{}{}, nil
	case "figures":
		return w.figures()
	case "leave":
		w.leave()
		return struct{}{}, nil
	}
	return nil, fmt.Errorf("%q is no command", given.Do)
}

type joined struct {
	// AnsweredMS are from opening signalling to the answer of the offer to publish.
	AnsweredMS []float64 `json:"answered_ms"`
	// ConnectedMS are from opening signalling to both peer connections being connected.
	ConnectedMS []float64 `json:"connected_ms"`
}

// join lets people in, so many at a time, first as publishers and then as subscribers.
func (w *world) join(given command) (any, error) {
	var people []*participant
	for _, each := range given.People {
		p, err := w.invite(each, given)
		if err != nil {
			return nil, err
		}
		people = append(people, p)
	}
	w.people = append(w.people, people...)
	err := inParallel(people, given.AtOnce, func(p *participant) error {
		p.began = time.Now()
		if err := p.signalling.publish(p); err != nil || p.sending == nil {
			return err
		}
		return p.sending.await(p.Name)
	})
	if err != nil {
		return nil, err
	}
	err = inParallel(people, given.AtOnce, func(p *participant) error {
		if err := p.signalling.subscribe(p); err != nil {
			return err
		}
		if p.receiving != nil {
			if err := p.receiving.await(p.Name); err != nil {
				return err
			}
		}
		p.whole = time.Since(p.began)
		return nil
	})
	result := joined{[]float64{}, []float64{}}
	for _, p := range people {
		if p.sending != nil {
			result.AnsweredMS = append(result.AnsweredMS, milliseconds(p.answer))
		}
		result.ConnectedMS = append(result.ConnectedMS, milliseconds(p.whole))
	}
	return result, err
}

func (w *world) invite(who person, given command) (*participant, error) {
	signalling, err := newSignalling(given.Server, given.URL)
	if err != nil {
		return nil, err
	}
	p := &participant{person: who, signalling: signalling}
	if len(who.Publish) > 0 {
		if p.sending, err = newConnection(w.reading, w.address, given.Relay); err != nil {
			return nil, err
		}
		for _, kind := range who.Publish {
			if err := p.sending.publish(who.Name, newMedia(kind)); err != nil {
				return nil, err
			}
		}
	}
	if who.Subscribe {
		if p.receiving, err = newConnection(w.reading, w.address, given.Relay); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func inParallel(people []*participant, atOnce int, do func(*participant) error) error {
	slots := make(chan struct{}, max(atOnce, 1))
	failures := make(chan error, len(people))
	for _, p := range people {
		slots <- struct{}{}
		go func() {
			failures <- do(p)
			<-slots
		}()
	}
	var first error
	for range people {
		if err := <-failures; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// send changes what all publishers send from now on.
func (w *world) send(given streams) {
	if w.stop != nil {
		close(w.stop)
		<-w.stopped
	}
	w.stop, w.stopped = make(chan struct{}), make(chan struct{})
	go w.play(given, w.stop, w.stopped)
}

func (w *world) play(given streams, stop <-chan struct{}, stopped chan<- struct{}) {
	defer close(stopped)
	var connections []*connection
	for _, p := range w.people {
		for _, c := range []*connection{p.sending, p.receiving} {
			if c != nil {
				connections = append(connections, c)
				for _, t := range c.tracks {
					t.media.due, t.media.owed = time.Time{}, 0
					t.media.index, t.media.count = 0, 0
				}
			}
		}
	}
	began := time.Now()
	for step := 0; ; step++ {
		select {
		case <-stop:
			return
		default:
		}
		now := time.Now()
		for index, c := range connections {
			for _, t := range c.tracks {
				w.account(t.play(now, given))
			}
			if (step+index)%int(time.Second/tick) == 0 {
				c.report()
			}
		}
		time.Sleep(time.Until(began.Add(time.Duration(step+1) * tick)))
	}
}

func (w *world) account(sent int, late time.Duration, err error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.sent += uint64(sent)
	w.late = max(w.late, late)
	if err != nil && w.failure == nil {
		w.failure = err
	}
}

type figures struct {
	// At and CPU are seconds: the monotonic clock, and this process's time on the processor.
	At  float64 `json:"at"`
	CPU float64 `json:"cpu"`
	// Sent, Received, Missing and Dropped count packets from the beginning on. Missing are gaps in
	// the numbers of streams, Dropped what found this program's own sockets full.
	Sent     uint64 `json:"sent"`
	Received uint64 `json:"received"`
	Missing  int64  `json:"missing"`
	Dropped  uint64 `json:"dropped"`
	// The rest is since the last figures: streams in which something came, samples whose SRTP was
	// verified, their delays, and how late packets were sent at the worst.
	Streams    int     `json:"streams"`
	Samples    int     `json:"samples"`
	DelayP50MS float64 `json:"delay_p50_ms"`
	DelayP99MS float64 `json:"delay_p99_ms"`
	LateMS     float64 `json:"late_ms"`
}

func (w *world) figures() (any, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return nil, err
	}
	w.mutex.Lock()
	answer := figures{
		At:     time.Since(start).Seconds(),
		CPU:    time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds(),
		Sent:   w.sent,
		LateMS: milliseconds(w.late),
	}
	w.late = 0
	err := w.failure
	w.mutex.Unlock()
	w.reading.mutex.Lock()
	defer w.reading.mutex.Unlock()
	for _, s := range w.reading.sockets {
		answer.Dropped += uint64(s.dropped())
		for _, known := range s.streams {
			answer.Received += known.packets
			answer.Missing += int64(known.missing)
			if known.packets > known.atMark {
				answer.Streams++
			}
			known.atMark = known.packets
		}
	}
	delays := w.reading.delays
	w.reading.delays = nil
	slices.Sort(delays)
	if answer.Samples = len(delays); answer.Samples > 0 {
		answer.DelayP50MS = milliseconds(delays[len(delays)/2])
		answer.DelayP99MS = milliseconds(delays[len(delays)*99/100])
	}
	return answer, err
}

func (w *world) leave() {
	if w.stop != nil {
		close(w.stop)
		<-w.stopped
		w.stop = nil
	}
	_ = inParallel(w.people, 8, func(p *participant) error {
		p.signalling.close()
		for _, c := range []*connection{p.sending, p.receiving} {
			if c != nil {
				_ = c.Close()
			}
		}
		return nil
	})
	w.people = nil
}

var start = time.Now()

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
