package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

func residentBytes() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fail(err.Error())
	}
	kilobytes := 0
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	fmt.Sscan(rest, &kilobytes)
	return kilobytes * 1024
}

func processCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err.Error())
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// cpuTime is what the whole process uses while f runs.
func cpuTime(f func()) time.Duration {
	start := processCPU()
	f()
	return processCPU() - start
}
