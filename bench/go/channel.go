package main

import "runtime"

func pingpong() {
	n := times(300000)
	out, back := make(chan int), make(chan int)
	ping := func() {
		for i := 0; i < n; i++ {
			out <- i
			<-back
		}
		close(out)
	}
	pong := func() {
		for i := range out {
			back <- i
		}
	}
	reportNs("pingpong", elapsedOfAll(ping, pong), n)
}

func produce(channel chan<- int, n int) {
	for i := 0; i < n; i++ {
		channel <- i
	}
}

func streamInt() {
	n := times(2000000)
	channel := make(chan int, 128)
	consume := func() {
		for i := 0; i < n; i++ {
			<-channel
		}
	}
	seconds := elapsedOfAll(func() { produce(channel, n) }, consume)
	reportNs("stream_int", seconds, n)
}

func selectOfTwo(name string, capacity int) {
	n := times(1000000)
	a, b := make(chan int, capacity), make(chan int, capacity)
	consume := func() {
		for i := 0; i < n/2*2; i++ {
			select {
			case <-a:
			case <-b:
			}
		}
	}
	seconds := elapsedOfAll(func() { produce(a, n/2) },
		func() { produce(b, n/2) }, consume)
	reportNs(name, seconds, n)
}

func select2() {
	selectOfTwo("select2", 128)
	selectOfTwo("select2_unbuffered", 0)
}

func yield() {
	n := times(1000000)
	giveWay := func() {
		for i := 0; i < n; i++ {
			runtime.Gosched()
		}
	}
	reportNs("yield", elapsedOfAll(giveWay, giveWay), 2*n)
}
