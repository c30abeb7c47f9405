// The client of the media bench: participants with pion's ICE, DTLS and SRTP, whose media is sent
// from one clock and counted at their sockets. It takes commands, one JSON object a line, from
// standard input, and answers each with one line.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
)

type command struct {
	Do      string   `json:"do"`
	Server  string   `json:"server"`
	URL     string   `json:"url"`
	People  []person `json:"people"`
	AtOnce  int      `json:"at_once"`
	Relay   *relay   `json:"relay"`
	Streams streams  `json:"streams"`
}

func main() {
	if len(os.Args) != 2 || net.ParseIP(os.Args[1]).To4() == nil {
		fail(errors.New("give the IPv4 address to send from"))
	}
	reading, err := newReading()
	if err != nil {
		fail(err)
	}
	address := net.ParseIP(os.Args[1]).To4()
	world := &world{reading: reading, address: [4]byte(address)}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var given command
		if err := json.Unmarshal(lines.Bytes(), &given); err != nil {
			fail(err)
		}
		answer, err := world.carryOut(given)
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
			fail(err)
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
