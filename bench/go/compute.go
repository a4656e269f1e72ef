package main

import (
	"fmt"
	"math"
	"sort"
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

func sleeper() {
	n := times(1000)
	running := 0
	for _, hogs := range []int{0, 2, 8} {
		for running < hogs {
			go hog()
			running++
		}
		var late []float64
		elapsedOfAll(func() { late = sleepOften(n) })
		reportLate(hogs, late)
	}
}

// sleepOften returns by how many microseconds each sleep was late.
func sleepOften(n int) []float64 {
	late := []float64{}
	stop := time.Now().Add(2500 * time.Millisecond)
	for len(late) < n && time.Now().Before(stop) {
		start := time.Now()
		time.Sleep(time.Millisecond)
		over := time.Since(start) - time.Millisecond
		late = append(late, float64(over.Nanoseconds())/1000)
	}
	return late
}

func reportLate(hogs int, late []float64) {
	sort.Float64s(late)
	rank := func(p float64) float64 {
		return late[int(math.Ceil(p*float64(len(late))))-1]
	}
	name := fmt.Sprintf("sleeper_%dhogs_", hogs)
	report(name+"p50", rank(0.5), "us")
	report(name+"p99", rank(0.99), "us")
	report(name+"max", rank(1), "us")
}
