package main

import (
	"runtime"
	"sync"
	"time"
)

func nothing() {}

func spawnJoin() {
	n := times(100000)
	seconds := elapsed(func() {
		for i := 0; i < n; i++ {
			var one sync.WaitGroup
			spawn(&one, nothing)
			one.Wait()
		}
	})
	reportNs("spawn_join", seconds, n)
}

func spawnMany() {
	const goroutines = 10000
	rounds := times(10)
	round := func() {
		var all sync.WaitGroup
		for i := 0; i < goroutines; i++ {
			spawn(&all, nothing)
		}
		all.Wait()
	}
	round() // the first one pays for memory that the others reuse
	seconds := elapsed(func() {
		for i := 0; i < rounds; i++ {
			round()
		}
	})
	reportNs("spawn_many", seconds, rounds*goroutines)
}

func parkedMemory() {
	n := times(100000)
	var arrived sync.WaitGroup
	gate := make(chan int)
	arrived.Add(n)
	before := residentBytes()
	create := elapsed(func() {
		for i := 0; i < n; i++ {
			go func() {
				arrived.Done()
				<-gate
			}()
		}
		arrived.Wait()
	})
	time.Sleep(50 * time.Millisecond) // the last ones are not yet in <-gate
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
