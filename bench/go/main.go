// The cases of the benchmark for Go, the same as those in ../cases for Lua:
// bench-go CASE [SCALE] prints its figures as lines `name value unit`, where
// SCALE multiplies how often or how long it does what it measures.
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

var scale = 1.0

var cases = map[string]func(){
	"spawn_join":       spawnJoin,
	"spawn_many":       spawnMany,
	"pingpong":         pingpong,
	"stream_int":       streamInt,
	"select2":          select2,
	"yield":            yield,
	"parked_memory":    parkedMemory,
	"parallel_speedup": parallelSpeedup,
	"preempt_cost":     preemptCost,
	"request":          request,
	"sleeper":          sleeper,
	"sleepers":         sleepers,
	"wakeup":           wakeup,
	"mutex":            mutex,
	"rwmutex":          rwmutex,
	"waitgroup":        waitgroup,
	"group":            group,
	"atomic":           atomicAdd,
	"semaphore":        semaphore,
	"echo":             echo,
	"echo_server":      echoServer,
	"transfer":         transfer,
}

func times(n int) int {
	scaled := int(float64(n) * scale)
	if scaled < 1 {
		return 1
	}
	return scaled
}

func report(name string, value float64, unit string) {
	fmt.Printf("%s %.3f %s\n", name, value, unit)
}

func reportNs(name string, elapsed time.Duration, times int) {
	report(name, float64(elapsed.Nanoseconds())/float64(times), "ns")
}

func elapsed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// average calls f again and again for half a second.
func average(f func()) time.Duration {
	limit := time.Duration(scale * float64(500*time.Millisecond))
	calls, start := 0, time.Now()
	for calls == 0 || time.Since(start) < limit {
		f()
		calls++
	}
	return time.Since(start) / time.Duration(calls)
}

// elapsedOfAll runs the functions in goroutines, all at once.
func elapsedOfAll(functions ...func()) time.Duration {
	return elapsed(func() {
		var all sync.WaitGroup
		for _, f := range functions {
			spawn(&all, f)
		}
		all.Wait()
	})
}

func spawn(all *sync.WaitGroup, f func()) {
	all.Add(1)
	go func() {
		f()
		all.Done()
	}()
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, "bench-go:", message)
	os.Exit(2)
}

func main() {
	if len(os.Args) < 2 || cases[os.Args[1]] == nil {
		fail("usage: bench-go CASE [SCALE]")
	}
	if len(os.Args) > 2 {
		number, err := strconv.ParseFloat(os.Args[2], 64)
		if err != nil {
			fail(err.Error())
		}
		scale = number
	}
	cases[os.Args[1]]()
}
