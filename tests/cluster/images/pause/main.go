// pause holds the namespaces of a Pod: it does nothing until it is told to end. Where the Pod's containers share its
// process namespace it is their pid 1, and reaps what they leave behind.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for each := range signals {
		if each != syscall.SIGCHLD {
			return
		}
		for reaped := 1; reaped > 0; { // one signal may stand for many children
			reaped, _ = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		}
	}
}
