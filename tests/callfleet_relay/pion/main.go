// A client of pion's sends datagrams through a relay to an echo of its own and counts what comes back.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	"github.com/pion/turn/v4"
)

const waits = 20 * time.Second

var (
	server    = flag.String("server", "", "address of the relay")
	transport = flag.String("transport", "udp", "udp, tcp or tls")
	authority = flag.String("ca", "", "PEM file with the relay's certificate")
	user      = flag.String("user", "", "name")
	password  = flag.String("password", "", "its password")
	realm     = flag.String("realm", "", "realm")
	messages  = flag.Int("messages", 1000, "how many")
)

func main() {
	flag.Parse()
	received, err := run()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(received)
}

func run() (int, error) {
	connection, err := connect()
	if err != nil {
		return 0, err
	}
	client, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: *server, STUNServerAddr: *server, Conn: connection,
		Username: *user, Password: *password, Realm: *realm,
	})
	if err != nil {
		return 0, err
	}
	defer client.Close()
	if err = client.Listen(); err != nil {
		return 0, err
	}
	relayed, err := client.Allocate()
	if err != nil {
		return 0, err
	}
	echo, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer echo.Close()
	go answer(echo)
	received, err := exchange(relayed, echo.LocalAddr())
	return received, errors.Join(err, relayed.Close())
}

func connect() (net.PacketConn, error) {
	if *transport == "udp" {
		return net.ListenPacket("udp4", "127.0.0.1:0")
	}
	stream, err := net.Dial("tcp4", *server)
	if err != nil {
		return nil, err
	}
	if *transport == "tls" {
		pem, err := os.ReadFile(*authority)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		stream = tls.Client(stream, &tls.Config{RootCAs: roots, ServerName: "localhost"})
	}
	return turn.NewSTUNConn(stream), nil
}

func answer(echo net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		size, from, err := echo.ReadFrom(buffer)
		if err != nil {
			return
		}
		if _, err = echo.WriteTo(buffer[:size], from); err != nil {
			return
		}
	}
}

// One at a time: what is lost is the relay's fault, not a full buffer's.
func exchange(relayed net.PacketConn, peer net.Addr) (int, error) {
	buffer := make([]byte, 1500)
	for number := range *messages {
		sent := fmt.Sprintf("message %d", number)
		if _, err := relayed.WriteTo([]byte(sent), peer); err != nil {
			return number, err
		}
		if err := relayed.SetReadDeadline(time.Now().Add(waits)); err != nil {
			return number, err
		}
		size, _, err := relayed.ReadFrom(buffer)
		if err != nil {
			return number, err
		}
		if string(buffer[:size]) != sent {
			return number, fmt.Errorf("%q came back for %q", buffer[:size], sent)
		}
	}
	return *messages, nil
}
