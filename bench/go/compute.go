package main

import (
	"fmt"
	"math"
	"sort"
	"sync"
	"time"
)

func fib(n int) int {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

func parallelSpeedup() {
	work := func() { fib(38) }
	inTurn := elapsedOfAll(work) + elapsedOfAll(work)
	atOnce := elapsedOfAll(work, work)
	report("parallel_speedup", inTurn.Seconds()/atOnce.Seconds(), "x")
}

// preemptCost compares with the main goroutine before there are any others,
// for want of a Go without goroutines.
func preemptCost() {
	rounds := times(3)
	work := func() { fib(38) }
	plain := time.Duration(0)
	for i := 0; i < rounds; i++ {
		plain += cpuTime(work)
	}
	gate := make(chan int)
	for i := 0; i < 100; i++ {
		go func() { <-gate }()
	}
	parked, preempted := time.Duration(0), time.Duration(0)
	for i := 0; i < rounds; i++ {
		parked += cpuTime(func() { elapsedOfAll(work) })
		preempted += cpuTime(func() { elapsedOfAll(work, work) })
	}
	report("preempt_cost_parked", parked.Seconds()/plain.Seconds(), "x")
	report("preempt_cost_preempted",
		preempted.Seconds()/(2*plain.Seconds()), "x")
}

func hog() {
	for {
	}
}

// besideHogs calls f beside more and more endless loops.
func besideHogs(f func(hogs int)) {
	running := 0
	for _, hogs := range []int{0, 2, 8, 32} {
		for running < hogs {
			go hog()
			running++
		}
		f(hogs)
	}
}

func sleeper() {
	n := times(1000)
	besideHogs(func(hogs int) {
		var late []float64
		elapsedOfAll(func() { late = sleepOften(n) })
		reportLate(fmt.Sprintf("sleeper_%dhogs_", hogs), late)
	})
}

func wakeup() {
	n := times(1000)
	besideHogs(func(hogs int) {
		sent, late := make(chan time.Time), []float64{}
		send := func() {
			stop := time.Now().Add(2500 * time.Millisecond)
			for i := 0; i < n && time.Now().Before(stop); i++ {
				time.Sleep(time.Millisecond)
				sent <- time.Now()
			}
			close(sent)
		}
		receive := func() {
			for at := range sent {
				late = append(late, microseconds(time.Since(at)))
			}
		}
		elapsedOfAll(send, receive)
		reportLate(fmt.Sprintf("wakeup_%dhogs_", hogs), late)
	})
}

func sleepers() {
	n := times(100000)
	gate, results := make(chan bool), make(chan []float64, n)
	var up sync.WaitGroup
	up.Add(n)
	for i := 1; i <= n; i++ {
		go func(i int) {
			late := []float64{}
			up.Done()
			<-gate
			for j := 1; j <= 3; j++ {
				pause := time.Duration((i*7919+j*104729)%900+100) * time.Millisecond
				start := time.Now()
				time.Sleep(pause)
				late = append(late, microseconds(time.Since(start)-pause))
			}
			results <- late
		}(i)
	}
	up.Wait()
	all := []float64{}
	used := cpuTime(func() {
		close(gate)
		for i := 0; i < n; i++ {
			all = append(all, <-results...)
		}
	})
	reportNs("sleepers_cpu", used, 3*n)
	reportLate("sleepers_", all)
}

func microseconds(d time.Duration) float64 {
	return float64(d.Nanoseconds()) / 1000
}

// sleepOften returns by how many microseconds each sleep was late.
func sleepOften(n int) []float64 {
	late := []float64{}
	stop := time.Now().Add(2500 * time.Millisecond)
	for len(late) < n && time.Now().Before(stop) {
		start := time.Now()
		time.Sleep(time.Millisecond)
		late = append(late, microseconds(time.Since(start)-time.Millisecond))
	}
	return late
}

func reportLate(name string, late []float64) {
	sort.Float64s(late)
	rank := func(p float64) float64 {
		return late[int(math.Ceil(p*float64(len(late))))-1]
	}
	report(name+"p50", rank(0.5), "us")
	report(name+"p99", rank(0.99), "us")
	report(name+"max", rank(1), "us")
}
