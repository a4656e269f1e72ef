package main

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// reportAll runs the function in goroutines, all at once, each of which does
// what is measured so many times.
func reportAll(name string, goroutines int, times int, f func()) {
	functions := []func(){}
	for i := 0; i < goroutines; i++ {
		functions = append(functions, f)
	}
	reportNs(name, elapsedOfAll(functions...), goroutines*times)
}

func mutex() {
	n := times(2000000)
	var m sync.Mutex
	sum := 0
	use := func() {
		for i := 0; i < n; i++ {
			m.Lock()
			sum++
			m.Unlock()
		}
	}
	reportAll("mutex", 1, n, use)
	n = times(200000)
	reportAll("mutex_contended", 4, n, use)
}

func rwmutex() {
	n := times(2000)
	var rw sync.RWMutex
	sum := 0
	reportAll("rwmutex_read_mostly", 4, 100*n, func() {
		for i := 0; i < n; i++ {
			for j := 0; j < 99; j++ {
				rw.RLock()
				_ = sum
				rw.RUnlock()
			}
			rw.Lock()
			sum++
			rw.Unlock()
		}
	})
}

func waitgroup() {
	n := times(500000)
	elapsed := elapsed(func() {
		var wg sync.WaitGroup
		for i := 0; i < 4; i++ {
			spawn(&wg, func() {
				for j := 0; j < n; j++ {
					wg.Add(1)
					wg.Done()
				}
			})
		}
		wg.Wait()
	})
	reportNs("waitgroup", elapsed, 4*n)
}

// errGroup does what golang.org/x/sync/errgroup is for.
type errGroup struct {
	all    sync.WaitGroup
	once   sync.Once
	cancel context.CancelFunc
	err    error
}

func newErrGroup() *errGroup {
	_, cancel := context.WithCancel(context.Background())
	return &errGroup{cancel: cancel}
}

func (g *errGroup) start(f func() error) {
	spawn(&g.all, func() {
		if err := f(); err != nil {
			g.once.Do(func() {
				g.err = err
				g.cancel()
			})
		}
	})
}

func (g *errGroup) wait() error {
	g.all.Wait()
	g.cancel()
	return g.err
}

func group() {
	const goroutines, rounds = 100, 10
	reportNs("group", average(func() {
		for i := 0; i < rounds; i++ {
			g := newErrGroup()
			for j := 0; j < goroutines; j++ {
				g.start(func() error { return nil })
			}
			if err := g.wait(); err != nil {
				fail(err.Error())
			}
		}
	}), rounds*goroutines)
}

func atomicAdd() {
	n := times(4000000)
	var a int64
	add := func() {
		for i := 0; i < n; i++ {
			atomic.AddInt64(&a, 1)
		}
	}
	reportAll("atomic", 1, n, add)
	n = times(1000000)
	reportAll("atomic_contended", 4, n, add)
}

// semaphore is a buffered channel, as Go's programs have it.
func semaphore() {
	n := times(2000000)
	one := make(chan struct{}, 1)
	reportAll("semaphore", 1, n, func() {
		for i := 0; i < n; i++ {
			one <- struct{}{}
			<-one
		}
	})
	n = times(200000)
	two := make(chan struct{}, 2)
	reportAll("semaphore_contended", 4, n, func() {
		for i := 0; i < n; i++ {
			two <- struct{}{}
			runtime.Gosched()
			<-two
		}
	})
}
