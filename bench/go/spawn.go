package main

import (
	"runtime"
	"sync"
	"time"
)

func nothing() {}

func spawnJoin() {
	const goroutines = 1000
	reportNs("spawn_join", average(func() {
		for i := 0; i < goroutines; i++ {
			var one sync.WaitGroup
			spawn(&one, nothing)
			one.Wait()
		}
	}), goroutines)
}

func spawnMany() {
	const goroutines = 10000
	round := func() {
		var all sync.WaitGroup
		for i := 0; i < goroutines; i++ {
			spawn(&all, nothing)
		}
		all.Wait()
	}
	round() // the first one pays for memory that the others reuse
	reportNs("spawn_many", average(round), goroutines)
}

func parkedMemory() {
	n := times(100000)
	arrived, gate := make(chan bool, 128), make(chan bool)
	before := residentBytes()
	create := elapsed(func() {
		for i := 0; i < n; i++ {
			go func() {
				arrived <- true
				<-gate
			}()
		}
		for i := 0; i < n; i++ {
			<-arrived
		}
	})
	time.Sleep(50 * time.Millisecond) // the last ones are before <-gate
	grown := residentBytes() - before
	release := elapsed(func() {
		close(gate)
		for runtime.NumGoroutine() > 1 {
			time.Sleep(time.Millisecond)
		}
	})
	report("parked_memory", float64(grown)/float64(n), "bytes")
	reportNs("parked_create", create, n)
	reportNs("parked_release", release, n)
}
