package main

import (
	"fmt"
	"io"
	"net"
	"time"
)

func serveEcho(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err = conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func acceptAll(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go serveEcho(conn)
	}
}

// echoServer is loaded from outside: bench/echo.lua.
func echoServer() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err.Error())
	}
	fmt.Printf("listening at %d\n", listener.Addr().(*net.TCPAddr).Port)
	acceptAll(listener)
}

func echoClient(address string, n int) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		fail(err.Error())
	}
	defer conn.Close()
	message := make([]byte, 64)
	for i := 0; i < n; i++ {
		if _, err = conn.Write(message); err != nil {
			fail(err.Error())
		}
		if _, err = io.ReadFull(conn, message); err != nil {
			fail(err.Error())
		}
	}
}

func echo() {
	const clients = 10
	n := times(5000)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err.Error())
	}
	go acceptAll(listener)
	functions := make([]func(), clients)
	for i := range functions {
		functions[i] = func() { echoClient(listener.Addr().String(), n) }
	}
	reportNs("echo", elapsedOfAll(functions...), n*clients)
}

// requests returns how many microseconds each round trip took, 1 ms apart.
func requests(address string, n int) []float64 {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		fail(err.Error())
	}
	defer conn.Close()
	message, took := make([]byte, 64), []float64{}
	stop := time.Now().Add(2500 * time.Millisecond)
	for len(took) < n && time.Now().Before(stop) {
		start := time.Now()
		if _, err = conn.Write(message); err != nil {
			fail(err.Error())
		}
		if _, err = io.ReadFull(conn, message); err != nil {
			fail(err.Error())
		}
		took = append(took, microseconds(time.Since(start)))
		time.Sleep(time.Millisecond)
	}
	return took
}

func request() {
	n := times(1000)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err.Error())
	}
	go acceptAll(listener)
	besideHogs(func(hogs int) {
		var took []float64
		elapsedOfAll(func() { took = requests(listener.Addr().String(), n) })
		reportLate(fmt.Sprintf("request_%dhogs_", hogs), took)
	})
}
