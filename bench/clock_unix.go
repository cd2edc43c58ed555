//go:build unix

package main

import (
	"syscall"
	"time"
)

// processorTime returns what this process used of all cores. Unlike the clock on
// the wall it leaves out what other processes took.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
